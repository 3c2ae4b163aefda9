SELECT 'calderdale/unknown' AS code, 'unknown' AS name
FROM batch
GROUP BY ALL
