SELECT l.line_key, l.council, l.month, l.spent_on, p.name AS employee, d.name AS department, m.name AS merchant,
       k.name AS merchant_category, e.name AS expense_category, coalesce(l.gross_amount, l.net_amount) AS amount,
       l.currency_code
FROM operational.expense_line AS l
INNER JOIN operational.employee AS p ON p.code = l.employee_code
INNER JOIN operational.department AS d ON d.code = l.department_code
INNER JOIN operational.merchant AS m ON m.code = l.merchant_code
LEFT JOIN operational.merchant_category AS k ON k.code = l.merchant_category_code
LEFT JOIN operational.expense_category AS e ON e.code = l.expense_category_code
