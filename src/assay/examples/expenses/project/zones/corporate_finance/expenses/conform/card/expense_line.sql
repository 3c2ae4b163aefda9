-- The workbook's rows have no key: where a row stands is its name.
SELECT
    'card/' || _period || '/' || _sheet || '/' || _row AS line_key,
    report_key,
    _period AS period,
    month,
    spent_on,
    employee_no,
    department_code,
    merchant_code,
    mcc AS merchant_category_code,
    expense_category_code,
    amount,
    original_amount,
    currency AS currency_code,
    country AS country_code
FROM batch
