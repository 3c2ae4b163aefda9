SELECT DISTINCT employee_no
FROM batch
