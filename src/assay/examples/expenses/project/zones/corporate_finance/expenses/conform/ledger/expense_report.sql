SELECT DISTINCT
    report_key,
    employee_no,
    department_code,
    month
FROM batch
