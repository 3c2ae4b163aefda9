SELECT employee_no || '/' || trim(regexp_replace(lower(department), '[^a-z0-9]+', '-', 'g'), '-') || '/' || strftime(booked_on, '%Y-%m') AS report_key,
       employee_no,
       trim(regexp_replace(lower(department), '[^a-z0-9]+', '-', 'g'), '-') AS department_code,
       date_trunc('month', booked_on)::DATE AS month
FROM batch
GROUP BY ALL
