SELECT trim(regexp_replace(lower(merchant), '[^a-z0-9]+', '-', 'g'), '-') AS code, min(trim(merchant)) AS name
FROM batch
GROUP BY trim(regexp_replace(lower(merchant), '[^a-z0-9]+', '-', 'g'), '-')
