SELECT lower(replace(expense_type, ' ', '-')) AS code, min(expense_type) AS name
FROM batch
GROUP BY lower(replace(expense_type, ' ', '-'))
