SELECT 'birmingham/' || category_code AS code, min(coalesce(category, category_code)) AS name
FROM batch
WHERE category_code IS NOT NULL
GROUP BY category_code
