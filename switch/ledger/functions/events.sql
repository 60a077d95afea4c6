-- How what happened is told (docs/events.md): in the transaction in which it happens, under the
-- account's lock. Whoever draws a number for an event has a transaction id by then: that lock gives
-- it one, or a row written before. The reader counts on it (settled_events in outbox.sql).

-- tell_v1: an event of an account whose lock the caller holds. `p_was` is the account before, null
-- where its money stayed.
CREATE OR REPLACE FUNCTION tell_v1(
    p_type text, p_account_id bigint, p_was accounts, p_card_id bigint, p_authorization_id bigint,
    p_received_at timestamptz, p_details jsonb)
RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO events (
        account_id, occurred_at, type, card_id, authorization_id, received_at,
        posted_change_minor, held_change_minor, posted_minor, held_minor, credit_limit_minor,
        details)
    SELECT a.account_id, clock_timestamp(), p_type, p_card_id, p_authorization_id, p_received_at,
           a.posted_minor - p_was.posted_minor, a.held_minor - p_was.held_minor,
           CASE WHEN p_was.account_id IS NOT NULL THEN a.posted_minor END,
           CASE WHEN p_was.account_id IS NOT NULL THEN a.held_minor END,
           CASE WHEN p_was.account_id IS NOT NULL THEN a.credit_limit_minor END,
           p_details
      FROM accounts AS a WHERE a.account_id = p_account_id
$$;

-- account_v1: an account as it stands.
CREATE OR REPLACE FUNCTION account_v1(p_account_id bigint)
RETURNS accounts LANGUAGE sql STABLE AS $$
    SELECT * FROM accounts WHERE account_id = p_account_id
$$;

-- tell_of_none_v1: an event of no account. It has a transaction id before it has a number.
CREATE OR REPLACE FUNCTION tell_of_none_v1(p_type text, p_details jsonb)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO events (account_id, occurred_at, type, details)
    VALUES (0, clock_timestamp(), p_type, p_details);
END
$$;

-- tell_opened_v1: accounts that were just added, with their opening balances, and all their cards.
CREATE OR REPLACE FUNCTION tell_opened_v1(p_account_ids bigint[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO events (
        account_id, occurred_at, type, posted_change_minor, held_change_minor, posted_minor,
        held_minor, credit_limit_minor, details)
    SELECT a.account_id, clock_timestamp(), 'account.created', a.posted_minor, a.held_minor,
           a.posted_minor, a.held_minor, a.credit_limit_minor,
           jsonb_build_object('became', jsonb_build_object(
               'currency', a.currency, 'status', a.status,
               'credit_limit_minor', a.credit_limit_minor))
      FROM accounts AS a WHERE a.account_id = ANY (p_account_ids);
    PERFORM tell_cards_v1(ARRAY(SELECT c.card_id FROM cards AS c
                                 WHERE c.account_id = ANY (p_account_ids)));
END
$$;

-- tell_cards_v1: cards that were just added, many at once.
CREATE OR REPLACE FUNCTION tell_cards_v1(p_card_ids bigint[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO events (account_id, occurred_at, type, card_id, details)
    SELECT c.account_id, clock_timestamp(), 'card.created', c.card_id,
           jsonb_build_object('became', jsonb_build_object('status', c.status))
      FROM cards AS c WHERE c.card_id = ANY (p_card_ids);
END
$$;

-- renumber_events_v1: go on with numbers that no event ever had. After a restore, or with a standby that
-- did not have all, the sequence stands where it stood then, and what was told since was told under
-- the numbers that come next. So whoever connects lifts it to the microseconds since 1970, by the
-- database's clock, one after the other. It never goes back: the clock is read under the lock, and
-- what is drawn meanwhile is less than the second by which the sequence must be behind it.
CREATE OR REPLACE FUNCTION renumber_events_v1()
RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now  bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(8583, 10);
    v_now := extract(epoch FROM clock_timestamp()) * 1000000;
    IF v_now - coalesce(pg_sequence_last_value('event_ids'), 0) > 1000000 THEN
        PERFORM setval('event_ids', v_now);
    END IF;
END
$$;
