SELECT employee_no
FROM batch
GROUP BY employee_no
