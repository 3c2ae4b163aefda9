SELECT 'ledger/' || transaction_no AS line_key,
       employee_no || '/' || trim(regexp_replace(lower(department), '[^a-z0-9]+', '-', 'g'), '-') || '/' || strftime(booked_on, '%Y-%m') AS report_key,
       strftime(booked_on, '%Y-%m') AS period,
       date_trunc('month', booked_on)::DATE AS month,
       booked_on AS spent_on,
       employee_no,
       trim(regexp_replace(lower(department), '[^a-z0-9]+', '-', 'g'), '-') AS department_code,
       trim(regexp_replace(lower(supplier), '[^a-z0-9]+', '-', 'g'), '-') AS merchant_code,
       mcc AS merchant_category_code,
       trim(regexp_replace(lower(expense_type), '[^a-z0-9]+', '-', 'g'), '-') AS expense_category_code,
       round(net_amount * c.eur_rate, 2)::DECIMAL(14, 2) AS amount,
       net_amount AS original_amount,
       b.currency AS currency_code
FROM batch AS b
LEFT JOIN reference.published.currency AS c ON c.code = b.currency
