SELECT trim(regexp_replace(replace(lower(supplier), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-') AS code, min(trim(supplier)) AS name
FROM batch
GROUP BY trim(regexp_replace(replace(lower(supplier), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-')
