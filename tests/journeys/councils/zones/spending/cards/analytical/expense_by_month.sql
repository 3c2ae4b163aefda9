SELECT l.month, d.name AS department, e.name AS expense_category, count(*) AS lines,
       sum(coalesce(l.gross_amount, l.net_amount))::DECIMAL(14, 2) AS amount,
       coalesce(sum(coalesce(l.gross_amount, l.net_amount)) FILTER (WHERE coalesce(l.gross_amount, l.net_amount) < 0), 0)::DECIMAL(14, 2) AS refunds
FROM operational.expense_line AS l
INNER JOIN operational.department AS d ON d.code = l.department_code
LEFT JOIN operational.expense_category AS e ON e.code = l.expense_category_code
GROUP BY l.month, d.name, e.name
