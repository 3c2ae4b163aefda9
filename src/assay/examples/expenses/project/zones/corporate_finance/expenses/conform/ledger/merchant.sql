SELECT
    merchant_code AS code,
    mode(merchant) AS name
FROM batch
GROUP BY merchant_code
