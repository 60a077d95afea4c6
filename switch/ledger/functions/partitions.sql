-- make_partition_v1: see that a table has its partition for a month. Gives its name where it made
-- it. The partition is made apart and then attached: no decision waits for that.
CREATE OR REPLACE FUNCTION make_partition_v1(p_table text, p_month date)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_name text := format('%s_%s', p_table, to_char(p_month, 'YYYY_MM'));
BEGIN
    IF to_regclass(v_name) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
        v_name, p_table);
    EXECUTE format(
        'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        p_table, v_name,
        p_month::text || ' 00:00:00+00',
        (p_month + interval '1 month')::date::text || ' 00:00:00+00');
    RETURN v_name;
END
$$;

-- event_days_ahead_v1: days whose partitions of events are made ahead of time: a sweep that fails
-- for a week costs nothing.
CREATE OR REPLACE FUNCTION event_days_ahead_v1()
RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT 7
$$;

-- make_event_day_v1: see that the events of a day have their partition. Gives its name where it
-- made it. Its rows are never changed and it is dropped as a whole: there is nothing to vacuum.
CREATE OR REPLACE FUNCTION make_event_day_v1(p_day date)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_name text := 'events_' || to_char(p_day, 'YYYY_MM_DD');
BEGIN
    IF to_regclass(v_name) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'CREATE TABLE %I (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE) '
        'WITH (autovacuum_enabled = false)', v_name);
    EXECUTE format(
        'ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        v_name, p_day || ' 00:00:00+00', (p_day + 1) || ' 00:00:00+00');
    RETURN v_name;
END
$$;

-- make_partitions_v1: see that this month and the next ones, this day's events and those of the
-- next days have their partitions.
-- Gives the names of those it made. Two processes at once do not collide.
CREATE OR REPLACE FUNCTION make_partitions_v1(p_months_ahead int)
RETURNS SETOF text LANGUAGE plpgsql VOLATILE
-- The role that serves need not own the tables: it makes partitions as their owner.
SECURITY DEFINER SET search_path = public, pg_temp
-- Beside a detaching that has not ended it would wait: better the next sweep.
SET lock_timeout = '200ms' AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(8583, 1);
    RETURN QUERY
    SELECT made.name
      FROM generate_series(
               date_trunc('month', now() AT TIME ZONE 'UTC'),
               date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => least(p_months_ahead, 24)),
               interval '1 month') AS month
     CROSS JOIN unnest(ARRAY['authorizations', 'postings']) AS parent
     CROSS JOIN LATERAL make_partition_v1(parent, month::date) AS made(name)
     WHERE made.name IS NOT NULL;
    RETURN QUERY
    SELECT made.name
      FROM generate_series(0, event_days_ahead_v1()) AS ahead
     CROSS JOIN LATERAL make_event_day_v1((now() AT TIME ZONE 'UTC')::date + ahead) AS made(name)
     WHERE made.name IS NOT NULL;
END
$$;

-- old_partitions_v1: the months that end by a moment and are not yet set apart, oldest first, and
-- what is to be done next with each. A month of postings comes before the same of the journal.
CREATE OR REPLACE FUNCTION old_partitions_v1(p_ends_by timestamptz)
RETURNS TABLE (
    parent     text,
    name       text,
    starts     timestamptz,
    ends       timestamptz,
    step       text,  -- detach, finalize, rename
    statement  text)
LANGUAGE sql STABLE AS $$
    SELECT parent, name, starts, ends, step,
           CASE step
               WHEN 'rename' THEN format('ALTER TABLE %I RENAME TO %I', name, name || '_detached')
               WHEN 'detach' THEN
                   format('ALTER TABLE %I DETACH PARTITION %I CONCURRENTLY', parent, name)
               ELSE format('ALTER TABLE %I DETACH PARTITION %I FINALIZE', parent, name)
           END
      FROM (SELECT left(c.relname, -8) AS parent, c.relname::text AS name,
                   month AT TIME ZONE 'UTC' AS starts,
                   (month + interval '1 month') AT TIME ZONE 'UTC' AS ends,
                   CASE WHEN i.inhrelid IS NULL THEN 'rename'
                        WHEN i.inhdetachpending THEN 'finalize'
                        ELSE 'detach' END AS step
              FROM pg_class AS c
             CROSS JOIN LATERAL (
                    SELECT to_date(right(c.relname, 7), 'YYYY_MM')::timestamp) AS named(month)
              LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
             WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid)
               AND c.relname ~ '^(authorizations|postings)_[0-9]{4}_(0[1-9]|1[0-2])$') AS partition
     WHERE ends <= p_ends_by OR step = 'finalize'
     ORDER BY starts, parent DESC
$$;

-- old_event_days_v1: the days of events that end by a moment and have nothing after the last one
-- that is published, oldest first, and what is to be done next with each. No number: all may go.
CREATE OR REPLACE FUNCTION old_event_days_v1(p_ends_by timestamptz, p_published_id bigint)
RETURNS TABLE (
    parent     text,
    name       text,
    starts     timestamptz,
    ends       timestamptz,
    step       text,  -- detach, finalize, drop
    statement  text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_last bigint;
BEGIN
    parent := 'events';
    FOR name, starts, step IN
        SELECT c.relname, to_date(right(c.relname, 10), 'YYYY_MM_DD')::timestamp AT TIME ZONE 'UTC',
               CASE WHEN i.inhrelid IS NULL THEN 'drop'
                    WHEN i.inhdetachpending THEN 'finalize'
                    ELSE 'detach' END
          FROM pg_class AS c LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
         WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid)
           AND c.relname ~ '^events_[0-9]{4}_(0[1-9]|1[0-2])_[0-3][0-9]$'
         ORDER BY c.relname
    LOOP
        ends := starts + interval '1 day';
        CONTINUE WHEN step <> 'finalize' AND ends > p_ends_by;
        IF p_published_id IS NOT NULL THEN
            EXECUTE format('SELECT max(event_id) FROM %I', name) INTO v_last;
            CONTINUE WHEN v_last > p_published_id;
        END IF;
        statement := CASE step
            WHEN 'drop'   THEN format('DROP TABLE %I', name)
            WHEN 'detach' THEN format('ALTER TABLE events DETACH PARTITION %I CONCURRENTLY', name)
            ELSE format('ALTER TABLE events DETACH PARTITION %I FINALIZE', name) END;
        RETURN NEXT;
    END LOOP;
END
$$;

-- carry_postings_v1: for the accounts after one, at most so many, close a month of postings and
-- bring its sum forward into the current one: two entries of one statement, so that the sum of an
-- account's postings stays the same at every instant, with the month and without it. Again, it
-- finds nothing to carry. Gives the last of the accounts, null where there are no more.
CREATE OR REPLACE FUNCTION carry_postings_v1(
    p_starts timestamptz, p_ends timestamptz, p_after bigint, p_most int,
    OUT last_account_id bigint, OUT carried int)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT max(account_id) INTO last_account_id
      FROM (SELECT account_id FROM accounts WHERE account_id > p_after
             ORDER BY account_id LIMIT p_most) AS batch;
    WITH summed AS (
        SELECT account_id, currency, sum(amount_minor)::bigint AS minor
          FROM postings
         WHERE posted_at >= p_starts AND posted_at < p_ends
           AND account_id > p_after AND account_id <= last_account_id
         GROUP BY account_id, currency
        HAVING sum(amount_minor) <> 0
    ),
    entered AS (
        INSERT INTO postings (
            account_id, posting_id, posted_at, contra, amount_minor, currency, note)
        SELECT s.account_id, nextval('posting_ids'), entry.posted_at, 'opening',
               entry.sign * s.minor, s.currency, entry.note
          FROM summed AS s
         CROSS JOIN (VALUES
                (p_ends - interval '1 microsecond', -1, 'carried forward'),
                (clock_timestamp(), 1, 'brought forward')) AS entry(posted_at, sign, note)
    )
    SELECT count(*) INTO carried FROM summed;
END
$$;
