SELECT 'calderdale/' || trim(regexp_replace(replace(lower(expense_type), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-') AS code, min(expense_type) AS name
FROM batch
GROUP BY 'calderdale/' || trim(regexp_replace(replace(lower(expense_type), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-')
