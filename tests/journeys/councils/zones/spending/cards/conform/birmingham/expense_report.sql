SELECT 'birmingham/' || right(card_number, 4) || '/' || 'birmingham/' || trim(regexp_replace(replace(lower(directorate), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-') || '/' || strftime(spent_on, '%Y-%m') AS report_key,
       'birmingham/' || right(card_number, 4) AS employee_code,
       'birmingham/' || trim(regexp_replace(replace(lower(directorate), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-') AS department_code,
       date_trunc('month', spent_on)::DATE AS month
FROM batch
GROUP BY ALL
