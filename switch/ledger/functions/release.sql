-- give_back_usage_v1: undo what one approved debit used of its card's limits, in its own period.
CREATE OR REPLACE FUNCTION give_back_usage_v1(
    p_account_id bigint, p_authorization_id bigint, p_received_at timestamptz)
RETURNS void LANGUAGE sql VOLATILE AS $$
    UPDATE limit_usage AS u
       SET amount_minor = u.amount_minor - use.amount_minor,
           count = u.count - 1
      FROM authorizations AS z
      JOIN cards    AS c ON c.account_id = z.account_id AND c.card_id = z.card_id
      JOIN programs AS p ON p.program_id = c.program_id
     CROSS JOIN (VALUES ('all'), ('purchase'), ('cash'), ('ecommerce'), ('contactless')) AS s(scope)
     CROSS JOIN (VALUES ('day'), ('week'), ('month')) AS t(period)
     CROSS JOIN LATERAL (
            SELECT limit_use_v1(s.scope, z.kind, z.channel,
                                z.amount_minor, z.cash_minor)) AS use(amount_minor)
     WHERE z.account_id = p_account_id
       AND z.authorization_id = p_authorization_id
       AND z.received_at = p_received_at
       AND use.amount_minor IS NOT NULL
       AND u.account_id = z.account_id AND u.card_id = z.card_id
       AND u.scope = s.scope AND u.period = t.period
       AND u.period_start = period_start_v1(t.period, z.received_at, p.time_zone, p.week_starts)
       AND u.counted_from <= z.received_at
$$;

-- release_hold_v1: close an open hold under its account's lock, which the caller holds.
-- True where there was one to close.
CREATE OR REPLACE FUNCTION release_hold_v1(
    p_account_id bigint, p_authorization_id bigint, p_state text)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_hold holds;
BEGIN
    UPDATE holds SET state = p_state
     WHERE account_id = p_account_id AND authorization_id = p_authorization_id AND state = 'open'
    RETURNING * INTO v_hold;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    UPDATE accounts SET held_minor = held_minor - v_hold.amount_minor
     WHERE account_id = p_account_id;
    PERFORM give_back_usage_v1(p_account_id, p_authorization_id, v_hold.received_at);
    RETURN true;
END
$$;

-- unwind_v1: take back what one attempt at a message did, for its answer did not leave in time.
-- The code tells attempts apart. An attempt that was approved takes its approval back, unless a
-- repeat was told of it meanwhile; such a repeat, when it is itself too late, takes its word back,
-- and then the approval goes. Where nothing is there a mark is left, so that a backend which
-- commits it later declines. Gives unwound, told, marked, or nothing.
CREATE OR REPLACE FUNCTION unwind_v1(
    p_account_id bigint, p_message_key bytea, p_authorization_code text)
RETURNS text LANGUAGE plpgsql VOLATILE
-- An account that a stranger holds must not keep the others waiting: this one is tried again.
SET lock_timeout = '1s' AS $$
DECLARE
    v_key       message_keys;
    v_approval  authorizations;
BEGIN
    PERFORM FROM accounts WHERE account_id = p_account_id FOR NO KEY UPDATE;

    SELECT * INTO v_key FROM message_keys
     WHERE account_id = p_account_id AND message_key = p_message_key;
    IF NOT FOUND THEN
        INSERT INTO reversals_early (account_id, message_key)
        VALUES (p_account_id, p_message_key) ON CONFLICT DO NOTHING;
        RETURN 'marked';
    END IF;

    DELETE FROM approvals_repeated
     WHERE account_id = p_account_id AND message_key = p_message_key
       AND authorization_code = p_authorization_code;
    UPDATE authorizations
       SET unwind_asked_at = CASE WHEN authorization_code = p_authorization_code
                                  THEN clock_timestamp() ELSE unwind_asked_at END
     WHERE account_id = p_account_id AND authorization_id = v_key.authorization_id
       AND received_at = v_key.received_at AND reason IS NULL AND unwound_at IS NULL
    RETURNING * INTO v_approval;
    IF v_approval.unwind_asked_at IS NULL THEN
        RETURN 'nothing';
    END IF;
    IF EXISTS (SELECT FROM approvals_repeated
                WHERE account_id = p_account_id AND message_key = p_message_key) THEN
        RETURN 'told';
    END IF;

    UPDATE authorizations SET unwound_at = clock_timestamp()
     WHERE account_id = p_account_id AND authorization_id = v_key.authorization_id
       AND received_at = v_key.received_at;
    PERFORM release_hold_v1(p_account_id, v_key.authorization_id, 'unwound');
    RETURN 'unwound';
END
$$;

-- expire_holds_v1: release holds that are past their time, at most p_most of them.
-- Accounts that another process works on are left for the next sweep, so that two
-- sweepers share the work and release each hold once. Gives how many were released.
CREATE OR REPLACE FUNCTION expire_holds_v1(p_most int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_account_id bigint;
    v_due        bigint[];
    v_released   int := 0;
    v_hold       record;
BEGIN
    SELECT array_agg(DISTINCT due.account_id ORDER BY due.account_id) INTO v_due
      FROM (SELECT account_id FROM holds
             WHERE state = 'open' AND expires_at <= clock_timestamp()
             ORDER BY expires_at LIMIT p_most) AS due;

    FOREACH v_account_id IN ARRAY coalesce(v_due, '{}') LOOP
        PERFORM FROM accounts WHERE account_id = v_account_id FOR NO KEY UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        FOR v_hold IN
            SELECT authorization_id FROM holds
             WHERE account_id = v_account_id AND state = 'open'
               AND expires_at <= clock_timestamp()
             ORDER BY authorization_id
        LOOP
            IF release_hold_v1(v_account_id, v_hold.authorization_id, 'expired') THEN
                v_released := v_released + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN v_released;
END
$$;
