SELECT
    expense_category_code AS code,
    mode(expense_category) AS name
FROM batch
GROUP BY expense_category_code
