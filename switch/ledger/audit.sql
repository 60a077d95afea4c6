-- What `switch audit` asks, by name. A rule gives one row for each thing that it looked at: the
-- account, what of it (null: the account itself), and whether the rule holds. Its first line of
-- comment is the rule. $1 < account_id <= $2 is the batch.

-- name: hold_still
-- Before the snapshot is taken: from here on no partition that it sees is detached under it.
LOCK TABLE ONLY authorizations, ONLY postings IN ACCESS SHARE MODE;

-- name: accounts
-- How many accounts there are.
SELECT count(*) FROM accounts;

-- name: batch
-- The last account of the batch after one, and how many it has; null where no more follow.
SELECT max(account_id) AS last, count(*)
  FROM (SELECT account_id FROM accounts WHERE account_id > $1
         ORDER BY account_id LIMIT $2) AS batch;

-- name: found
-- What a rule found: how much it looked at, how much is wrong, and the first $3 of that.
SELECT count(*) AS checked,
       count(*) FILTER (WHERE NOT is_right) AS wrong,
       coalesce((array_agg(account_id || coalesce('/' || item, '') ORDER BY account_id, item)
                     FILTER (WHERE NOT is_right))[1:$3::int], '{}') AS named
  FROM (:rule) AS judged(account_id, item, is_right)

-- name: posted
-- An account has posted the sum of its postings.
SELECT account_id, NULL, a.posted_minor IS NOT DISTINCT FROM coalesce(p.minor, 0)
  FROM (SELECT account_id, posted_minor FROM accounts
         WHERE account_id > $1 AND account_id <= $2) AS a
  FULL JOIN (SELECT account_id, sum(amount_minor) AS minor FROM postings
              WHERE account_id > $1 AND account_id <= $2
              GROUP BY account_id) AS p USING (account_id)

-- name: held
-- An account holds the sum of its open holds.
SELECT account_id, NULL, a.held_minor IS NOT DISTINCT FROM coalesce(h.minor, 0)
  FROM (SELECT account_id, held_minor FROM accounts
         WHERE account_id > $1 AND account_id <= $2) AS a
  FULL JOIN (SELECT account_id, sum(amount_minor) AS minor FROM holds
              WHERE account_id > $1 AND account_id <= $2 AND state = 'open'
              GROUP BY account_id) AS h USING (account_id)

-- name: entries
-- A posting is in its account's currency, and what is posted with a scheme is booked by a message.
SELECT p.account_id, p.booking_id,
       p.currency IS NOT DISTINCT FROM a.currency
       AND (p.contra <> 'settlement' OR p.booking_id IS NOT NULL)
       AND (p.booking_id IS NULL OR z.authorization_id IS NOT NULL OR p.booking_id <= (
                SELECT last_id FROM taken_away WHERE table_name = 'authorizations')
            IS TRUE)
  FROM postings AS p
  LEFT JOIN accounts AS a ON a.account_id = p.account_id
  LEFT JOIN authorizations AS z
         ON z.account_id = p.account_id AND z.authorization_id = p.booking_id
        AND z.account_id > $1 AND z.account_id <= $2
 WHERE p.account_id > $1 AND p.account_id <= $2

-- name: bookings
-- What stands posted by a message is the sum of the postings that it booked, debit or credit.
SELECT z.account_id, z.authorization_id,
       coalesce(p.minor, 0) = CASE WHEN is_credit_v1(z.kind) THEN 1 ELSE -1 END * z.posted_minor
  FROM authorizations AS z
  LEFT JOIN (SELECT account_id, booking_id, sum(amount_minor) AS minor FROM postings
              WHERE account_id > $1 AND account_id <= $2 AND booking_id IS NOT NULL
              GROUP BY account_id, booking_id) AS p
         ON p.account_id = z.account_id AND p.booking_id = z.authorization_id
 WHERE z.account_id > $1 AND z.account_id <= $2
   AND z.received_at >= coalesce(
           (SELECT before FROM taken_away WHERE table_name = 'postings'), '-infinity')

-- name: decisions
-- An approved authorization has its hold, an approved financial request its posting.
SELECT z.account_id, z.authorization_id,
       CASE substr(z.mti, 2, 1) WHEN '1' THEN h.authorization_id IS NOT NULL
                                ELSE p.booking_id IS NOT NULL END
  FROM authorizations AS z
  LEFT JOIN holds AS h
         ON h.account_id = z.account_id AND h.purchase_id = z.authorization_id
        AND h.authorization_id = z.authorization_id
        AND h.account_id > $1 AND h.account_id <= $2
  LEFT JOIN (SELECT DISTINCT account_id, booking_id FROM postings
              WHERE account_id > $1 AND account_id <= $2 AND booking_id IS NOT NULL) AS p
         ON p.account_id = z.account_id AND p.booking_id = z.authorization_id
 WHERE z.account_id > $1 AND z.account_id <= $2
   AND z.received_at >= coalesce(
           (SELECT max(before) FROM taken_away WHERE table_name IN ('postings', 'holds')),
           '-infinity')
   AND z.reason IS NULL AND substr(z.mti, 2, 2) IN ('10', '20')
   AND coalesce(z.purchase_id, z.authorization_id) = z.authorization_id
   AND z.amount_minor > 0
   AND (z.kind IN ('purchase', 'cash', 'cashback')
        OR (is_credit_v1(z.kind) AND substr(z.mti, 2, 2) = '20'))

-- name: purchases
-- What stands for a purchase is what is held and posted for it, and stands on its root alone.
SELECT account_id, purchase_id,
       sum(stands_minor) = sum(moved_minor) AND bool_or(is_root)
       AND bool_and(is_root OR stands_minor = 0)
  FROM (SELECT z.account_id, coalesce(z.purchase_id, z.authorization_id) AS purchase_id,
               coalesce(z.purchase_id, z.authorization_id) = z.authorization_id AS is_root,
               coalesce(z.purchase_received_at, z.received_at) AS root_received_at,
               z.standing_minor AS stands_minor, z.posted_minor AS moved_minor
          FROM authorizations AS z
         WHERE z.account_id > $1 AND z.account_id <= $2
         UNION ALL
        SELECT h.account_id, h.purchase_id, false, NULL, 0, h.amount_minor
          FROM holds AS h
         WHERE h.account_id > $1 AND h.account_id <= $2 AND h.state = 'open') AS part
 GROUP BY account_id, purchase_id
HAVING coalesce(min(root_received_at) >= (
           SELECT before FROM taken_away WHERE table_name = 'authorizations'), true)

-- name: undone
-- What was unwound or reversed holds nothing, and so does a decline that no advice overruled.
SELECT z.account_id, z.authorization_id,
       h.authorization_id IS NULL AND (z.posted_minor = 0 OR z.reversed_at IS NOT NULL)
  FROM authorizations AS z
  LEFT JOIN holds AS h
         ON h.account_id = z.account_id
        AND h.purchase_id = coalesce(z.purchase_id, z.authorization_id)
        AND h.authorization_id = z.authorization_id AND h.state = 'open'
        AND h.account_id > $1 AND h.account_id <= $2
 WHERE z.account_id > $1 AND z.account_id <= $2
   AND (z.reversed_at IS NOT NULL
        OR (z.advised_at IS NULL AND (z.unwound_at IS NOT NULL OR z.reason IS NOT NULL)))

-- name: uses
-- A purchase uses no more of the limits than stands for it, and no more of it is cash.
SELECT account_id, coalesce(purchase_id, authorization_id),
       sum(using_minor) <= sum(standing_minor) AND bool_and(using_cash_minor <= using_minor)
  FROM authorizations
 WHERE account_id > $1 AND account_id <= $2
 GROUP BY account_id, coalesce(purchase_id, authorization_id)
HAVING coalesce(min(coalesce(purchase_received_at, received_at)) >= (
           SELECT before FROM taken_away WHERE table_name = 'authorizations'), true)

-- name: usage
-- What is used of a limit in a period is the sum of what the messages of that period use.
WITH counted AS MATERIALIZED (
    SELECT u.*, p.time_zone, p.week_starts
      FROM limit_usage AS u
      LEFT JOIN cards    AS c ON c.account_id = u.account_id AND c.card_id = u.card_id
      LEFT JOIN programs AS p ON p.program_id = c.program_id
     WHERE u.account_id > $1 AND u.account_id <= $2
       AND u.period_start > coalesce(
               (SELECT before FROM taken_away WHERE table_name = 'authorizations'),
               '-infinity')::date
),
using_it AS (
    SELECT z.account_id, z.card_id, z.received_at, z.kind, z.channel,
           z.using_minor, z.using_cash_minor, t.period,
           period_start_v1(t.period, z.received_at, p.time_zone, p.week_starts) AS period_start
      FROM authorizations AS z
      JOIN cards    AS c ON c.account_id = z.account_id AND c.card_id = z.card_id
      JOIN programs AS p ON p.program_id = c.program_id
     CROSS JOIN (VALUES ('day'), ('week'), ('month')) AS t(period)
     WHERE z.account_id > $1 AND z.account_id <= $2 AND z.using_minor > 0
       AND z.received_at >= (SELECT min(period_start) - 1 FROM counted)  -- whatever the time zone
)
SELECT u.account_id, u.card_id || ' ' || u.scope || ' ' || u.period || ' ' || u.period_start,
       u.amount_minor = coalesce(sum(use.minor), 0) AND u.count = count(use.minor)
  FROM counted AS u
  LEFT JOIN using_it AS z
         ON z.account_id = u.account_id AND z.card_id = u.card_id
        AND z.period = u.period AND z.period_start = u.period_start
        AND z.received_at >= u.counted_from
 CROSS JOIN LATERAL (
        SELECT limit_use_v1(u.scope, z.kind, z.channel,
                            z.using_minor, z.using_cash_minor)) AS use(minor)
 GROUP BY u.account_id, u.card_id, u.scope, u.period, u.period_start, u.amount_minor, u.count

-- name: keys
-- A message is recorded once, under its own message key, as long as keys are kept.
SELECT account_id, authorization_id, z.is_there IS TRUE AND k.is_there IS TRUE
  FROM (SELECT account_id, message_key, authorization_id, received_at, true AS is_there
          FROM authorizations
         WHERE account_id > $1 AND account_id <= $2
           AND received_at >= coalesce(
                   (SELECT before FROM taken_away WHERE table_name = 'message_keys'),
                   '-infinity')) AS z
  FULL JOIN (SELECT account_id, message_key, authorization_id, received_at, true AS is_there
               FROM message_keys
              WHERE account_id > $1 AND account_id <= $2
                AND authorization_id <> 0  -- what is in suspense has its row there
                AND received_at >= coalesce(
                        (SELECT before FROM taken_away WHERE table_name = 'message_keys'),
                        '-infinity')) AS k
       USING (account_id, message_key, authorization_id, received_at)

-- name: expiry
-- An open hold is released when its time is over, or within the minute.
SELECT h.account_id, h.authorization_id, h.expires_at >= now() - interval '60 seconds'
  FROM holds AS h
 WHERE h.account_id > $1 AND h.account_id <= $2 AND h.state = 'open'

-- name: untold
-- What moved money with an answer that was sent has its row. Gives the places of those without,
-- by link, MTI, STAN and RRN, received between $6 and $7. A repeat has the row of its first copy, of
-- any link and with another origin in its MTI. No index leads there: it reads every authorization of
-- that time.
SELECT told.place
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[])
       WITH ORDINALITY AS told(link, mti, stan, rrn, is_repeat, place)
 WHERE NOT EXISTS (
        SELECT FROM authorizations AS z
         WHERE left(z.mti, 3) = left(told.mti, 3) AND z.stan = told.stan AND z.rrn = told.rrn
           AND (z.link = told.link AND z.mti = told.mti OR told.is_repeat)
           AND z.received_at BETWEEN $6 AND $7)
   -- What was approved while the ledger was away is an advice, booked when it was back.
   AND NOT EXISTS (
        SELECT FROM authorizations AS z
         WHERE z.stood_in_at BETWEEN $6 AND $7 AND z.received_at >= $6
           AND left(z.mti, 2) = left(told.mti, 2) AND z.stan = told.stan AND z.rrn = told.rrn
           AND (z.link = told.link OR told.is_repeat))
 ORDER BY told.place
