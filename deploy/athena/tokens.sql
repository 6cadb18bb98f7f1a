-- Every token: a row for each that a host recorded. What two hosts say of the same key are two rows. No
-- token is taken for live longer than 36 hours after the last record of it, whatever the record says.
CREATE OR REPLACE VIEW credpin_tokens AS
SELECT
  access_key_id,
  account,
  min(region) AS region,
  role,
  instance,
  min(issued_at) AS issued,
  least(max(expires_at), max(made) + INTERVAL '36' HOUR) AS expires,
  least(max(expires_at), max(made) + INTERVAL '36' HOUR) > current_timestamp AS live,
  bool_or(imds_version = '1') AS imdsv1,
  bool_or(imds_version = '2') AS imdsv2,
  count(DISTINCT concat(
    imds_version, ' ', consumer.peer, ' ', coalesce(CAST(consumer.uid AS varchar), ''), ' ',
    coalesce(consumer."user", ''), ' ', coalesce(consumer.exe, ''), ' ', coalesce(consumer.unit, ''), ' ',
    coalesce(consumer.container, ''))) AS consumers
FROM credpin_checked
WHERE regexp_like(access_key_id, '^[A-Za-z0-9]{2}IA[A-Za-z0-9]{12,124}$')
GROUP BY access_key_id, account, role, instance
