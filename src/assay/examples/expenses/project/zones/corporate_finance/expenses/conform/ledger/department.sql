SELECT trim(regexp_replace(lower(department), '[^a-z0-9]+', '-', 'g'), '-') AS code, min(trim(department)) AS name
FROM batch
GROUP BY trim(regexp_replace(lower(department), '[^a-z0-9]+', '-', 'g'), '-')
