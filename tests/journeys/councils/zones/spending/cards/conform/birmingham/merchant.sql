SELECT trim(regexp_replace(replace(lower(merchant), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-') AS code, min(trim(merchant)) AS name
FROM batch
GROUP BY trim(regexp_replace(replace(lower(merchant), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-')
