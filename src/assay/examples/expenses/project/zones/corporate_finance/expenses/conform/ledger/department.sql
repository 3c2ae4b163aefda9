-- The most usual spelling is the name.
SELECT
    department_code AS code,
    mode(department) AS name
FROM batch
GROUP BY department_code
