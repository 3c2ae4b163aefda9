SELECT trim(regexp_replace(lower(expense_type), '[^a-z0-9]+', '-', 'g'), '-') AS code, min(trim(expense_type)) AS name
FROM batch
GROUP BY trim(regexp_replace(lower(expense_type), '[^a-z0-9]+', '-', 'g'), '-')
