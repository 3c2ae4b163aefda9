SELECT 'card/' || _period || '/' || _sheet || '/' || _row AS line_key,
       employee_no || '/' || trim(regexp_replace(lower(department), '[^a-z0-9]+', '-', 'g'), '-') || '/' || strftime(posted_on, '%Y-%m') AS report_key,
       _period AS period,
       date_trunc('month', posted_on)::DATE AS month,
       posted_on AS spent_on,
       employee_no,
       trim(regexp_replace(lower(department), '[^a-z0-9]+', '-', 'g'), '-') AS department_code,
       trim(regexp_replace(lower(merchant), '[^a-z0-9]+', '-', 'g'), '-') AS merchant_code,
       mcc AS merchant_category_code,
       trim(regexp_replace(lower(expense_type), '[^a-z0-9]+', '-', 'g'), '-') AS expense_category_code,
       amount AS amount,
       coalesce(original_amount, amount) AS original_amount,
       coalesce(currency, 'EUR') AS currency_code
FROM batch AS b
