-- A code stands for every spelling of a name: "Field Service", "FIELD SERVICE" and "Field Service " are one.
SELECT
    trim(regexp_replace(lower(department), '[^a-z0-9]+', '-', 'g'), '-') AS department_code,
    trim(regexp_replace(lower(merchant), '[^a-z0-9]+', '-', 'g'), '-') AS merchant_code,
    trim(regexp_replace(lower(expense_type), '[^a-z0-9]+', '-', 'g'), '-') AS expense_category_code,
    trim(department) AS department,
    trim(merchant) AS merchant,
    trim(expense_type) AS expense_category,
    date_trunc('month', posted_on)::DATE AS month,
    posted_on AS spent_on,
    employee_no,
    employee_no || '/' || department_code || '/' || strftime(posted_on, '%Y-%m') AS report_key,
    mcc,
    amount,
    original_amount,
    currency,
    country
FROM batch
