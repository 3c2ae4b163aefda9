-- The same codes as in clean/card.sql, so that both sources mean the same department, merchant and category.
SELECT
    transaction_no,
    trim(regexp_replace(lower(department), '[^a-z0-9]+', '-', 'g'), '-') AS department_code,
    trim(regexp_replace(lower(supplier), '[^a-z0-9]+', '-', 'g'), '-') AS merchant_code,
    trim(regexp_replace(lower(expense_type), '[^a-z0-9]+', '-', 'g'), '-') AS expense_category_code,
    trim(department) AS department,
    trim(supplier) AS merchant,
    trim(expense_type) AS expense_category,
    date_trunc('month', booked_on)::DATE AS month,
    booked_on AS spent_on,
    employee_no,
    employee_no || '/' || department_code || '/' || strftime(booked_on, '%Y-%m') AS report_key,
    mcc,
    net_amount AS original_amount,
    currency
FROM batch
