SELECT l.line_key, l.month, l.spent_on, l.employee_no, d.name AS department, m.name AS merchant,
       l.merchant_category_code, e.name AS expense_category, l.net_amount, l.tax_amount, l.gross_amount,
       l.currency_code, l.approved
FROM operational.expense_line AS l
INNER JOIN operational.department AS d ON d.code = l.department_code
INNER JOIN operational.expense_category AS e ON e.code = l.expense_category_code
INNER JOIN operational.merchant AS m ON m.code = l.merchant_code
