-- What `switch rules try` asks, by name: a name, a sentence, the statement. Those of the first part
-- read the live database, in one snapshot; those of the second work in the scratch database, whose
-- own functions stand in trial/. $1 is a batch of accounts, $2 when the period begins, $3
-- when it ends.

-- name: gone
-- The tables of which rows that a trial needs may be gone, and before when.
SELECT table_name, before FROM taken_away
 WHERE table_name IN ('authorizations', 'postings', 'holds', 'early_marks')
   AND before > CASE table_name WHEN 'early_marks' THEN $1::timestamptz ELSE $2::timestamptz END
 ORDER BY before DESC, table_name LIMIT 1;

-- name: programs
-- Every card program.
SELECT * FROM programs ORDER BY program_id;

-- name: unknown_cards
-- Those of some card numbers that are none.
SELECT number FROM unnest($1::bigint[]) AS number
 WHERE NOT EXISTS (SELECT FROM cards AS c WHERE c.card_id = number) ORDER BY number;

-- name: accounts_with_requests
-- The accounts with a request in the period, and with a card that the rules are for.
SELECT a.account_id, a.currency
  FROM (SELECT DISTINCT z.account_id FROM authorizations AS z
         WHERE z.received_at >= $1 AND z.received_at < $2 AND z.account_id > 0
           AND substr(z.mti, 2, 2) IN ('10', '20')) AS asked
  JOIN accounts AS a ON a.account_id = asked.account_id
 WHERE ($5::text IS NULL OR a.currency = $5)
   AND EXISTS (SELECT FROM cards AS c
                WHERE c.account_id = a.account_id
                  AND ($3::int[] IS NULL OR c.program_id = ANY ($3))
                  AND ($4::bigint[] IS NULL OR c.card_id = ANY ($4)))
 ORDER BY a.account_id;

-- name: accounts
-- The accounts, with what was posted when the period began. A posting is of the moment of its
-- message, which took the time a little before it; that of an unwinding, of when it was unwound.
-- What `switch maintain` carried from one month to another changes no balance.
SELECT a.account_id, a.reference, a.program_id, a.currency, a.credit_limit_minor,
       a.posted_minor - coalesce((
           SELECT sum(p.amount_minor) FROM postings AS p
            WHERE p.account_id = a.account_id AND p.posted_at >= $2
              AND (p.contra <> 'opening'
                   OR p.note IS DISTINCT FROM 'brought forward'
                  AND p.note IS DISTINCT FROM 'carried forward')
              -- Only of the first minute are the messages looked up.
              AND NOT (p.contra = 'settlement' AND p.posted_at < $2 + interval '1 minute'
                       AND EXISTS (
                           SELECT FROM authorizations AS z
                            CROSS JOIN LATERAL (
                                   SELECT CASE WHEN p.authorization_id = p.booking_id
                                                AND z.unwound_at <= p.posted_at
                                               THEN z.unwound_at ELSE z.received_at END
                                  ) AS m(moment)
                            WHERE z.account_id = p.account_id
                              AND z.authorization_id IN (p.authorization_id, p.booking_id)
                           HAVING max(m.moment) >= $2 - interval '1 minute'
                              AND max(m.moment) < $2))
           ), 0)::bigint AS posted_minor
  FROM accounts AS a WHERE a.account_id = ANY ($1);

-- name: cards
-- Their cards, without PAN and PIN.
SELECT account_id, card_id, program_id, pan_last_four, channels_blocked, mcc_blocked,
       countries_allowed
  FROM cards WHERE account_id = ANY ($1);

-- name: limits
SELECT account_id, card_id, scope, period, amount_minor, count FROM limits
 WHERE account_id = ANY ($1);

-- name: limits_set
-- When operators set those limits that they set before the period, and have not removed before it.
SELECT account_id, card_id, scope, period, done_at AS set_at
  FROM (SELECT DISTINCT ON (x.account_id, x.card_id, s.scope, s.period)
               x.account_id, x.card_id, s.scope, s.period, x.action, x.done_at
          FROM operator_actions AS x
         CROSS JOIN LATERAL jsonb_to_record(
                coalesce(nullif(x.details -> 'was', 'null'), x.details -> 'became')
               ) AS s(scope text, period text)
         WHERE x.account_id = ANY ($1) AND x.done_at < $2
           AND (x.action = 'remove_limit'
                OR x.action = 'set_limit' AND x.details -> 'was' = 'null')
         ORDER BY x.account_id, x.card_id, s.scope, s.period, x.action_id DESC) AS newest
 WHERE action = 'set_limit';

-- name: counted
-- From when on debits are counted toward a limit, where some were before the period began.
SELECT account_id, card_id, scope, period, period_start, counted_from FROM limit_usage
 WHERE account_id = ANY ($1) AND counted_from < $2;

-- name: rows
-- The journal of the period; and of before it every message of a purchase that something happened
-- to since, or of which something is held.
WITH alive AS (
    SELECT h.account_id, h.purchase_id FROM holds AS h
     WHERE h.account_id = ANY ($1) AND h.received_at < $2
       AND (h.state = 'open' OR (h.state = 'expired' AND h.expires_at >= $2))
     UNION
    SELECT z.account_id, coalesce(z.purchase_id, z.authorization_id) FROM authorizations AS z
     WHERE z.account_id = ANY ($1)
       AND CASE WHEN z.received_at < $2
                THEN greatest(z.reversed_at, z.unwound_at, z.advised_at) >= $2
                ELSE z.purchase_received_at < $2 END)
SELECT z.*, c.program_id, t.key_token
  FROM authorizations AS z
 CROSS JOIN LATERAL (
        SELECT cards.program_id FROM cards
         WHERE cards.account_id = z.account_id AND cards.card_id = z.card_id LIMIT 1) AS c
  LEFT JOIN LATERAL (
        SELECT coalesce(pan_tokens.key_token, pan_tokens.pan_token) FROM pan_tokens
         WHERE pan_tokens.account_id = z.account_id AND pan_tokens.card_id = z.card_id
         LIMIT 1) AS t(key_token) ON true
 WHERE z.account_id = ANY ($1) AND z.received_at < $3
   AND (z.received_at >= $2
        OR (z.account_id, coalesce(z.purchase_id, z.authorization_id)) IN (SELECT * FROM alive));

-- name: used
-- What messages of before the period use of limits, from the day $3 on.
SELECT account_id, card_id, authorization_id, received_at, kind, channel, using_minor,
       using_cash_minor
  FROM authorizations
 WHERE account_id = ANY ($1) AND received_at >= $3 AND received_at < $2 AND using_minor > 0;

-- name: marks
-- Marks of reversals that were here before the period, and of unwindings within it. A message
-- leaves its mark a little after it took the time.
SELECT account_id, clue, acquirer, noted_at FROM early_marks
 WHERE account_id = ANY ($1) AND verdict = 'reversed' AND noted_at < $3
   AND (noted_at < $2 OR received_at < $2 OR authorization_id IS NULL);

-- name: presentments
-- What clearing files brought before the period's end, $2.
SELECT * FROM presentments
 WHERE account_id = ANY ($1) AND received_at < $2 AND outcome NOT IN ('duplicate', 'conflict');

-- name: postings
-- What was posted in the period beside messages.
SELECT account_id, posting_id, posted_at, contra, amount_minor, currency FROM postings
 WHERE account_id = ANY ($1) AND posted_at >= $2 AND posted_at < $3 AND contra <> 'settlement'
   AND (contra <> 'opening' OR note IS DISTINCT FROM 'brought forward'
                           AND note IS DISTINCT FROM 'carried forward');

-- name: actions
-- What operators changed since the period began.
SELECT action_id, done_at, action, account_id, card_id, details FROM operator_actions
 WHERE account_id = ANY ($1) AND done_at >= $2
   AND action IN ('set_limit', 'remove_limit', 'set_controls', 'set_credit_limit');

-- name: is_new
-- Of the scratch database: whether nothing is in it yet.
SELECT NOT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                    WHERE n.nspname = 'public');

-- name: clock
-- The clock of the scratch database: the moment that is played. It stands before pg_catalog's.
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT current_setting('trial.moment')::timestamptz
$$;

-- name: take_rules
-- What is tried, for cards of programs, or of some numbers.
SELECT trial_rules_v1($1::jsonb);

-- name: prepare
-- Everything is copied: partitions, and the order in which things happened. Gives how many.
SELECT trial_prepare_v1($1, $2);

-- name: play
-- Let happen what comes after one thing, at most so many. Gives the last.
SELECT trial_play_v1($1, $2, $3);

-- name: compare
-- Hold what happened beside what was recorded.
SELECT trial_compare_v1($1);

-- name: outcome
-- What the requests of the period were answered, and what they would have been, by currency.
SELECT was, now, currency, is_other, count(*) AS number, sum(amount_minor)::bigint AS amount_minor
  FROM trial_answers WHERE is_request
 GROUP BY was, now, currency, is_other
 ORDER BY count(*) DESC, was, now, currency;

-- name: examples
-- The first of those that would have been answered otherwise.
SELECT received_at, rrn, stan, mti, pan_last_four, kind, amount_minor, currency, was, now,
       was_partial_minor, now_partial_minor
  FROM trial_answers WHERE is_request AND is_other
 ORDER BY received_at, authorization_id LIMIT $1;

-- name: beside
-- What a reader should know beside it.
SELECT * FROM trial_beside_v1() WHERE number > 0;
