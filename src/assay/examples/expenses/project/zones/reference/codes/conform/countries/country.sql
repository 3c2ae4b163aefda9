SELECT code, name, currency_code
FROM batch
