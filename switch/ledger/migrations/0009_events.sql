-- What happened, for others: docs/events.md. Existing accounts are told of as they stand, so that
-- who reads from the beginning has every balance. Stop the switches, migrate, start: a decision of
-- the version before that commits while this runs is told of by its account's next one.

-- A number is drawn under the account's lock, and none is drawn ahead: numbers of one account are
-- in the order of what happened.
CREATE SEQUENCE event_ids;

-- Appended, never changed, and dropped by the day. Of a message it has the place in the journal.
CREATE TABLE events (
    account_id           bigint      NOT NULL,  -- 0: of no account
    event_id             bigint      NOT NULL DEFAULT nextval('event_ids'),
    occurred_at          timestamptz NOT NULL,
    type                 text        NOT NULL,
    card_id              bigint,
    authorization_id     bigint,
    received_at          timestamptz,
    posted_change_minor  bigint,                -- null, with the rest: it changed nothing
    held_change_minor    bigint,
    posted_minor         bigint,                -- after it
    held_minor           bigint,
    credit_limit_minor   bigint,
    details              jsonb                  -- no PAN, no key
) PARTITION BY RANGE (occurred_at);
CREATE INDEX events_event_id ON events (event_id);

-- Up to where the publisher has published.
CREATE TABLE event_cursors (
    name          text        PRIMARY KEY,
    published_id  bigint      NOT NULL,
    moved_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The first days; make_partitions_v1 makes the others.
DO $$
DECLARE
    v_day date;
BEGIN
    FOR v_day IN SELECT (now() AT TIME ZONE 'UTC')::date + n FROM generate_series(0, 7) AS n LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L) '
            'WITH (autovacuum_enabled = false)',
            'events_' || to_char(v_day, 'YYYY_MM_DD'),
            v_day || ' 00:00:00+00', (v_day + 1) || ' 00:00:00+00');
    END LOOP;
END
$$;

INSERT INTO events (
    account_id, occurred_at, type, posted_change_minor, held_change_minor, posted_minor,
    held_minor, credit_limit_minor)
SELECT account_id, clock_timestamp(), 'account.carried', posted_minor, held_minor, posted_minor,
       held_minor, credit_limit_minor
  FROM accounts;
