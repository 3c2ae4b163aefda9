SELECT department_code AS code, min(department) AS name
FROM batch
GROUP BY department_code
