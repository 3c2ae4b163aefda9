SELECT 'birmingham/' || right(card_number, 4) AS code, 'birmingham/' || right(card_number, 4) AS name
FROM batch
GROUP BY 'birmingham/' || right(card_number, 4)
