SELECT
    l.line_key,
    l.month,
    l.spent_on,
    l.employee_no,
    d.name AS department,
    m.name AS merchant,
    k.name AS merchant_category,
    e.name AS expense_category,
    c.name AS country,
    l.amount,
    l.original_amount,
    l.currency_code
FROM operational.expense_line AS l
INNER JOIN operational.department AS d ON d.code = l.department_code
INNER JOIN operational.expense_category AS e ON e.code = l.expense_category_code
INNER JOIN operational.merchant AS m ON m.code = l.merchant_code
LEFT JOIN operational.merchant_category AS k ON k.code = l.merchant_category_code
LEFT JOIN reference.published.country AS c ON c.code = l.country_code
