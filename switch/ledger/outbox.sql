-- What the publisher and `switch events tail` ask, by name: a name, a sentence, the statement.

-- name: take_turn
-- Be the only one that publishes, until the connection ends.
SELECT pg_try_advisory_lock(8583, 9);

-- name: is_read_only
-- Whether this server takes no writes.
SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean;

-- name: begin
-- A publisher that is new here begins with the oldest event that is kept.
INSERT INTO event_cursors (name, published_id) VALUES ('publisher', 0) ON CONFLICT DO NOTHING;

-- name: published
-- Up to where events are published; null where nobody ever published.
SELECT published_id FROM event_cursors WHERE name = 'publisher';

-- name: move
-- Note that events are out up to $2, where nobody else has moved on from $1.
UPDATE event_cursors SET published_id = $2, moved_at = clock_timestamp()
 WHERE name = 'publisher' AND published_id = $1;

-- name: last
-- The last number that was drawn for an event, as pg_sequences has it.
SELECT coalesce(pg_sequence_last_value('event_ids'), 0);

-- name: waiting
-- How many events after $1 there are, at most $2.
SELECT count(*) FROM (SELECT FROM events AS e WHERE e.event_id > $1 LIMIT $2) AS ahead;

-- name: mark
-- A transaction id younger than those of all that drew a number until now.
SELECT pg_current_xact_id()::text::bigint;

-- name: oldest_running
-- Every transaction with a lower id has ended, and what it wrote is seen from here on.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint;

-- name: waiting_seconds
-- How long the oldest event after one has waited; none: null.
SELECT extract(epoch FROM clock_timestamp() - e.occurred_at)::float8
  FROM events AS e WHERE e.event_id > $1 ORDER BY e.event_id LIMIT 1;

-- name: nth_last
-- After which event the last $2 up to $1 begin, of those of an account (null: all) and of types that
-- begin so.
SELECT min(newest.event_id) - 1
  FROM (SELECT e.event_id FROM events AS e
         WHERE e.event_id <= $1 AND ($3::bigint IS NULL OR e.account_id = $3)
           AND starts_with(e.type, $4)
         ORDER BY e.event_id DESC LIMIT $2) AS newest;

-- name: stretch
-- The events after $1 and up to $2, at most $3 of them, as they are published: docs/events.md. Of
-- the journal's row only what never changes is told.
SELECT e.event_id,
       CASE WHEN e.account_id <> 0 THEN e.account_id::text
            ELSE coalesce('card-' || left(e.details ->> 'pan_token', 16), 'keys') END AS account,
       e.type,
       json_strip_nulls(json_build_object(
           'version', 1,
           'event_id', lpad(e.event_id::text, 19, '0'),
           'type', e.type,
           'occurred_at', to_char(e.occurred_at AT TIME ZONE 'UTC',
                                  'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'account', CASE WHEN e.account_id <> 0 THEN e.account_id::text END,
           'card', CASE WHEN c.card_id IS NOT NULL THEN json_build_object(
               'card_id', c.card_id::text, 'last_four', c.pan_last_four) END,
           'money', CASE WHEN e.posted_minor IS NOT NULL THEN json_build_object(
               'posted_change_minor', e.posted_change_minor,
               'held_change_minor', e.held_change_minor,
               'posted_minor', e.posted_minor, 'held_minor', e.held_minor,
               'credit_limit_minor', e.credit_limit_minor, 'currency', a.currency) END,
           'message', CASE WHEN z.authorization_id IS NOT NULL THEN json_build_object(
               'authorization_id', z.authorization_id::text,
               'purchase_id', coalesce(z.purchase_id, z.authorization_id)::text,
               'link', z.link, 'scheme', z.scheme, 'mti', z.mti, 'stan', z.stan,
               'transmission_datetime', z.transmission_datetime, 'rrn', z.rrn,
               'acquirer', z.acquirer, 'terminal', z.terminal, 'merchant', z.merchant,
               'merchant_name', z.merchant_name, 'mcc', z.mcc, 'country', z.country, 'entry_mode', z.entry_mode,
               'processing_code', z.processing_code, 'kind', z.kind, 'channel', z.channel,
               'transaction_minor', z.transaction_minor,
               'transaction_currency', z.transaction_currency,
               'amount_minor', z.amount_minor, 'partial_minor', z.partial_minor,
               'reason', z.reason, 'authorization_code', z.authorization_code,
               'response_code', z.response_code,
               'scheme_transaction_id', z.scheme_transaction_id) END,
           'details', e.details))::text AS body
  FROM (SELECT * FROM events AS x
         WHERE x.event_id > $1 AND x.event_id <= $2 AND ($4::bigint IS NULL OR x.account_id = $4)
           AND starts_with(x.type, $5)
         ORDER BY x.event_id LIMIT $3) AS e
  LEFT JOIN LATERAL (
        SELECT currency FROM accounts WHERE account_id = e.account_id LIMIT 1) AS a ON true
  LEFT JOIN LATERAL (
        SELECT * FROM authorizations AS y
         WHERE y.account_id = e.account_id AND y.authorization_id = e.authorization_id
           AND y.received_at = e.received_at
         LIMIT 1) AS z ON true
  LEFT JOIN LATERAL (
        SELECT card_id, pan_last_four FROM cards AS y
         WHERE y.account_id = e.account_id AND y.card_id = e.card_id
         LIMIT 1) AS c ON true
 ORDER BY e.event_id;
