SELECT 'calderdale/' || trim(regexp_replace(replace(lower(replace(expense_area, '(obsolete)', '')), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-') AS code, min(trim(replace(expense_area, ' (obsolete)', ''))) AS name
FROM batch
GROUP BY 'calderdale/' || trim(regexp_replace(replace(lower(replace(expense_area, '(obsolete)', '')), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-')
