SELECT merchant_code AS code, min(merchant) AS name
FROM batch
GROUP BY merchant_code
