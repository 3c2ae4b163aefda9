-- Only the categories in use, with the names that the reference zone publishes.
SELECT
    b.mcc AS code,
    max(k.name) AS name
FROM batch AS b
LEFT JOIN reference.published.merchant_category AS k ON k.code = b.mcc
WHERE b.mcc IS NOT NULL
GROUP BY b.mcc
