SELECT merchant_category AS code, merchant_category AS name
FROM batch
WHERE merchant_category IS NOT NULL
GROUP BY merchant_category
