-- What `switch maintain` does, by name: a name, a sentence, the statement.

-- name: take_turn
-- Be the only one that maintains, until the connection ends.
SELECT pg_try_advisory_lock(8583, 2);

-- name: make_partitions
-- See that the coming months have their partitions.
SELECT make_partitions_v1($1);

-- name: cutoffs
-- Before when postings and journal go, in whole months, and before when what is short-lived goes:
-- keys and marks must not outlive the rows that they lead to.
SELECT months.go_before, greatest(months.go_before, now() - make_interval(days => $2)) AS keys_before
  FROM (SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => $1))
                   AT TIME ZONE 'UTC' AS go_before) AS months;

-- name: old_partitions
-- The months that are to go, and what is to be done next with each.
SELECT * FROM old_partitions_v1($1);

-- name: old_event_days
-- The days of events that are to go, and what is to be done next with each.
SELECT * FROM old_event_days_v1($1, $2);

-- name: events_before
-- Before when days of events go.
SELECT now() - make_interval(days => $1);

-- name: open_holds
-- How many holds are open of authorizations before a moment.
SELECT count(*) FROM holds WHERE state = 'open' AND received_at < $1;

-- name: carry_postings
-- Close a month of postings for some accounts, and bring what it comes to forward.
SELECT last_account_id, carried FROM carry_postings_v1($1, $2, $3, $4);

-- name: uncarried
-- Accounts whose postings of a month do not come to nothing.
SELECT count(*)
  FROM (SELECT account_id FROM postings WHERE posted_at >= $1 AND posted_at < $2
         GROUP BY account_id HAVING sum(amount_minor) <> 0) AS left_over;

-- name: last_authorization
-- The highest number in a month of the journal.
SELECT max(authorization_id) FROM authorizations WHERE received_at >= $1 AND received_at < $2;

-- name: note_taken
-- Note what is about to go, for whoever would miss it.
INSERT INTO taken_away AS t (table_name, before, last_id) VALUES ($1, $2, $3)
ON CONFLICT (table_name) DO UPDATE
   SET before = greatest(t.before, excluded.before), last_id = greatest(t.last_id, excluded.last_id);

-- name: pages
-- How many pages a table has.
SELECT pg_relation_size(to_regclass($1)) / current_setting('block_size')::int;

-- name: journal_before
-- Before when the journal's months are gone; null where none is.
SELECT before FROM taken_away WHERE table_name = 'authorizations';

-- name: purge_message_keys
-- Of some pages, the keys of messages that will not be repeated any more.
DELETE FROM message_keys
 WHERE ctid >= ('(' || $1::bigint || ',0)')::tid AND ctid < ('(' || $2::bigint || ',0)')::tid
   AND received_at < $3;

-- name: purge_early_marks
-- Of some pages, the marks whose original never came.
DELETE FROM early_marks
 WHERE ctid >= ('(' || $1::bigint || ',0)')::tid AND ctid < ('(' || $2::bigint || ',0)')::tid
   AND noted_at < $3;

-- name: purge_approvals_repeated
-- Of some pages, what repeats were told long ago.
DELETE FROM approvals_repeated
 WHERE ctid >= ('(' || $1::bigint || ',0)')::tid AND ctid < ('(' || $2::bigint || ',0)')::tid
   AND told_at < $3;

-- name: purge_refused
-- Of some pages, requests for cards that are not ours.
DELETE FROM refused
 WHERE ctid >= ('(' || $1::bigint || ',0)')::tid AND ctid < ('(' || $2::bigint || ',0)')::tid
   AND received_at < $3;

-- name: purge_limit_usage
-- Of some pages, what was used in periods that are over.
DELETE FROM limit_usage
 WHERE ctid >= ('(' || $1::bigint || ',0)')::tid AND ctid < ('(' || $2::bigint || ',0)')::tid
   AND period_start < ($3::timestamptz)::date - 32;

-- name: purge_holds
-- Of some pages, holds that are closed and whose months of the journal are gone.
DELETE FROM holds
 WHERE ctid >= ('(' || $1::bigint || ',0)')::tid AND ctid < ('(' || $2::bigint || ',0)')::tid
   AND state <> 'open' AND received_at < $3;
