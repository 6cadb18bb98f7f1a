-- Every live token: `credpin tokens --live`.
SELECT access_key_id, account, region, role, instance, issued, expires, imdsv1, consumers
FROM credpin_tokens
WHERE live
ORDER BY account, role, instance, issued
