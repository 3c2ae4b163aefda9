SELECT b.mcc AS code, max(c.name) AS name
FROM batch AS b
LEFT JOIN reference.published.merchant_category AS c ON c.code = b.mcc
WHERE b.mcc IS NOT NULL
GROUP BY b.mcc
