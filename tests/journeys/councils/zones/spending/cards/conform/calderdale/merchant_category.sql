SELECT trim(regexp_replace(replace(lower(merchant_category), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-') AS code, min(merchant_category) AS name
FROM batch
WHERE merchant_category IS NOT NULL
GROUP BY trim(regexp_replace(replace(lower(merchant_category), '&', ' and '), '[^a-z0-9]+', '-', 'g'), '-')
