SELECT transaction_no AS line_key,
       date_trunc('month', booked_on)::DATE AS month,
       booked_on AS spent_on,
       employee_no,
       department_code,
       merchant_code,
       mcc AS merchant_category_code,
       lower(replace(expense_type, ' ', '-')) AS expense_category_code,
       net_amount,
       tax_amount,
       gross_amount,
       currency AS currency_code,
       approved
FROM batch
