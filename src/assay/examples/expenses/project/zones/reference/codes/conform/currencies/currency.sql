SELECT code, name, minor_units, eur_rate
FROM batch
