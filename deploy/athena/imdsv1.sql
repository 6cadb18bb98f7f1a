-- Who still got a token by IMDSv1: `credpin tokens --imdsv1`, with the consumers.
SELECT DISTINCT
  account,
  role,
  instance,
  access_key_id,
  consumer."user" AS "user",
  consumer.exe AS exe,
  consumer.unit AS unit,
  consumer.container AS container
FROM credpin_checked
WHERE imds_version = '1'
ORDER BY account, role, instance, access_key_id
