-- The records of the last days that do not contradict the name of their object: what a host made up about
-- another one is left out, as `credpin` leaves it out. A time that is none is NULL, and fails no query.
CREATE OR REPLACE VIEW credpin_checked AS
WITH named AS (
  SELECT
    *,
    regexp_extract("$path", '(i-[0-9a-f]+)/[^/]+$', 1) AS instance,
    regexp_extract("$path", '/([0-9a-f-]{36})-[0-9]{20}[.]jsonl$', 1) AS boot,
    TRY_CAST(regexp_extract("$path", '-([0-9]{20})[.]jsonl$', 1) AS bigint) AS first_seq,
    try(from_iso8601_timestamp("time")) AS made,
    try(from_iso8601_timestamp(issued)) AS issued_at,
    try(from_iso8601_timestamp(expires)) AS expires_at
  FROM credpin_records
  WHERE dt >= date_format(current_timestamp - INTERVAL '48' HOUR, '%Y-%m-%d')
    AND dt <= date_format(current_timestamp + INTERVAL '1' HOUR, '%Y-%m-%d')
)
SELECT
  account, region, instance, boot, seq, made, role, access_key_id, issued_at, expires_at, imds_version,
  consumer
FROM named
WHERE "schema" = 1
  AND coalesce(instance_id, '') IN ('', instance)
  AND boot_id = boot
  AND seq >= first_seq
  AND date_format(made AT TIME ZONE 'UTC', '%Y-%m-%dT%H') = dt || 'T' || hr
  AND date_trunc('hour', made) >= date_trunc('hour', current_timestamp - INTERVAL '48' HOUR)
  AND date_trunc('hour', made) <= current_timestamp + INTERVAL '1' HOUR
  AND issued_at IS NOT NULL
  AND expires_at IS NOT NULL
