SELECT 'birmingham/' || trim(regexp_replace(replace(lower(directorate), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-') AS code, min(trim(directorate)) AS name
FROM batch
GROUP BY 'birmingham/' || trim(regexp_replace(replace(lower(directorate), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-')
