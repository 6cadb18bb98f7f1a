-- Records that are missing among those of a host: lost, not shipped yet, or taken out of the store. The
-- first ones of a boot are missing for sure only where the host has an earlier boot among the records: else
-- they may be older than what is looked at.
WITH numbers AS (
  SELECT account, region, instance, boot, seq, min(made) AS since, max(made) AS until
  FROM credpin_checked
  GROUP BY account, region, instance, boot, seq
),
boots AS (
  SELECT account, region, instance, boot, min(since) AS since, max(until) AS until
  FROM numbers
  GROUP BY account, region, instance, boot
),
earlier AS (
  SELECT later.account, later.region, later.instance, later.boot, max(other.until) AS until
  FROM boots AS later
  JOIN boots AS other
    ON other.account = later.account
    AND other.region = later.region
    AND other.instance = later.instance
    AND other.boot <> later.boot
    AND other.until <= later.since
  GROUP BY later.account, later.region, later.instance, later.boot
),
steps AS (
  SELECT
    account, region, instance, boot, seq, since,
    lag(seq) OVER (PARTITION BY account, region, instance, boot ORDER BY seq) AS before_seq,
    lag(until) OVER (PARTITION BY account, region, instance, boot ORDER BY seq) AS before_until
  FROM numbers
)
SELECT
  steps.account,
  steps.region,
  steps.instance,
  steps.boot,
  coalesce(before_seq, 0) + 1 AS first,
  seq - 1 AS last,
  coalesce(before_until, earlier.until) AS made_after,
  since AS made_before,
  coalesce(before_until, earlier.until) IS NOT NULL AS certain
FROM steps
LEFT JOIN earlier
  ON earlier.account = steps.account
  AND earlier.region = steps.region
  AND earlier.instance = steps.instance
  AND earlier.boot = steps.boot
WHERE seq > coalesce(before_seq, 0) + 1
ORDER BY steps.account, steps.region, steps.instance, steps.boot, first
