SELECT 'calderdale/unknown' || '/' || 'calderdale/' || trim(regexp_replace(replace(lower(replace(expense_area, '(obsolete)', '')), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-') || '/' || strftime(spent_on, '%Y-%m') AS report_key,
       'calderdale/unknown' AS employee_code,
       'calderdale/' || trim(regexp_replace(replace(lower(replace(expense_area, '(obsolete)', '')), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-') AS department_code,
       date_trunc('month', spent_on)::DATE AS month
FROM batch
GROUP BY ALL
