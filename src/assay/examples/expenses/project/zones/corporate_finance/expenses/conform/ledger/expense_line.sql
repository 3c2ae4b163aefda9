-- The ledger knows amounts in the currency of the line. A currency that the reference zone does not publish
-- leaves the amount empty, which the canonical table refuses: the batch is rejected and names the rows.
SELECT
    'ledger/' || b.transaction_no AS line_key,
    b.report_key,
    strftime(b.spent_on, '%Y-%m') AS period,
    b.month,
    b.spent_on,
    b.employee_no,
    b.department_code,
    b.merchant_code,
    b.mcc AS merchant_category_code,
    b.expense_category_code,
    round(b.original_amount * c.eur_rate, 2)::DECIMAL(14, 2) AS amount,
    b.original_amount,
    b.currency AS currency_code,
    NULL::VARCHAR AS country_code
FROM batch AS b
LEFT JOIN reference.published.currency AS c ON c.code = b.currency
