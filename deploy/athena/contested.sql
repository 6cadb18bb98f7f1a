-- Keys that several hosts say they were given: one of them does not tell the truth.
SELECT access_key_id, count(DISTINCT instance) AS hosts, array_join(array_sort(array_agg(DISTINCT instance)), ' ') AS instances
FROM credpin_tokens
GROUP BY access_key_id
HAVING count(DISTINCT instance) > 1
ORDER BY access_key_id
