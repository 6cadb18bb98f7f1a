-- What each role has: live tokens, on how many instances, and those that were handed out by IMDSv1.
SELECT
  account,
  role,
  count(*) AS tokens,
  count_if(live) AS live,
  count(DISTINCT instance) AS instances,
  count_if(imdsv1) AS imdsv1
FROM credpin_tokens
GROUP BY account, role
ORDER BY account, role
