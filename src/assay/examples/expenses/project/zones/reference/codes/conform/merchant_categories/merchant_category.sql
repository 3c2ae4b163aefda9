SELECT code, name
FROM batch
