-- What moves money, a step each. Every caller holds the account's lock, and every step keeps
-- posted_minor, held_minor and the purchase's standing_minor in agreement with what it moved.

-- is_credit_v1: whether what a message moves goes toward the account.
CREATE OR REPLACE FUNCTION is_credit_v1(p_kind text)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_kind IN ('refund', 'credit')
$$;

-- post_v1: move money between the account and the scheme's settlement account. Above zero
-- credits the account. The booking is the journal row whose posted_minor this changes; the cause
-- is the message that asked for it.
CREATE OR REPLACE FUNCTION post_v1(
    p_booking authorizations, p_cause_id bigint, p_amount_minor bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_is_credit boolean := is_credit_v1(p_booking.kind);
BEGIN
    IF p_amount_minor = 0 THEN
        RETURN;
    END IF;
    INSERT INTO postings (account_id, posting_id, posted_at, contra, scheme, currency,
                          amount_minor, authorization_id, booking_id)
    SELECT p_booking.account_id, nextval('posting_ids'), clock_timestamp(), 'settlement',
           p_booking.scheme, a.currency, p_amount_minor, p_cause_id, p_booking.authorization_id
      FROM accounts AS a WHERE a.account_id = p_booking.account_id;
    UPDATE accounts SET posted_minor = posted_minor + p_amount_minor
     WHERE account_id = p_booking.account_id;
    UPDATE authorizations
       SET posted_minor = posted_minor
                          + CASE WHEN v_is_credit THEN p_amount_minor ELSE -p_amount_minor END
     WHERE account_id = p_booking.account_id AND authorization_id = p_booking.authorization_id
       AND received_at = p_booking.received_at;
    UPDATE authorizations
       SET standing_minor = standing_minor
                            + CASE WHEN v_is_credit THEN p_amount_minor ELSE -p_amount_minor END
     WHERE account_id = p_booking.account_id
       AND authorization_id = coalesce(p_booking.purchase_id, p_booking.authorization_id)
       AND received_at = coalesce(p_booking.purchase_received_at, p_booking.received_at);
END
$$;

-- open_hold_v1: set money aside for a purchase, on its root's row. One that was closed opens again.
CREATE OR REPLACE FUNCTION open_hold_v1(
    p_root authorizations, p_amount_minor bigint, p_expires_at timestamptz)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO holds (account_id, purchase_id, authorization_id, received_at, amount_minor,
                       state, expires_at)
    VALUES (p_root.account_id, p_root.authorization_id, p_root.authorization_id,
            p_root.received_at, p_amount_minor, 'open', p_expires_at)
    ON CONFLICT (account_id, purchase_id, authorization_id) DO UPDATE
       SET amount_minor = excluded.amount_minor, state = 'open', expires_at = excluded.expires_at;
    UPDATE accounts SET held_minor = held_minor + p_amount_minor
     WHERE account_id = p_root.account_id;
    UPDATE authorizations SET standing_minor = standing_minor + p_amount_minor
     WHERE account_id = p_root.account_id AND authorization_id = p_root.authorization_id
       AND received_at = p_root.received_at;
END
$$;

-- held_v1: what is held for a purchase, or for one authorization of it.
CREATE OR REPLACE FUNCTION held_v1(
    p_account_id bigint, p_purchase_id bigint, p_authorization_id bigint DEFAULT NULL)
RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(amount_minor), 0)::bigint FROM holds
     WHERE account_id = p_account_id AND purchase_id = p_purchase_id AND state = 'open'
       AND (p_authorization_id IS NULL OR authorization_id = p_authorization_id)
$$;

-- release_v1: give back so much of what is held for a purchase, or for one authorization of it:
-- the newest hold first. A hold of which nothing is left is closed in the state given. Gives how
-- much was released.
CREATE OR REPLACE FUNCTION release_v1(
    p_root authorizations, p_authorization_id bigint, p_amount_minor bigint, p_state text)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_hold  record;
    v_less  bigint;
    v_left  bigint := p_amount_minor;
BEGIN
    FOR v_hold IN
        SELECT authorization_id, amount_minor FROM holds
         WHERE account_id = p_root.account_id AND purchase_id = p_root.authorization_id
           AND (p_authorization_id IS NULL OR authorization_id = p_authorization_id)
           AND state = 'open'
         ORDER BY received_at DESC, authorization_id DESC
    LOOP
        EXIT WHEN v_left <= 0;
        v_less := least(v_left, v_hold.amount_minor);
        v_left := v_left - v_less;
        UPDATE holds
           SET state = CASE WHEN v_less = amount_minor THEN p_state ELSE state END,
               amount_minor = CASE WHEN v_less = amount_minor THEN amount_minor
                                   ELSE amount_minor - v_less END
         WHERE account_id = p_root.account_id AND purchase_id = p_root.authorization_id
           AND authorization_id = v_hold.authorization_id;
    END LOOP;
    UPDATE accounts SET held_minor = held_minor - (p_amount_minor - v_left)
     WHERE account_id = p_root.account_id AND p_amount_minor > v_left;
    UPDATE authorizations SET standing_minor = standing_minor - (p_amount_minor - v_left)
     WHERE account_id = p_root.account_id AND authorization_id = p_root.authorization_id
       AND received_at = p_root.received_at AND p_amount_minor > v_left;
    RETURN p_amount_minor - v_left;
END
$$;

-- use_less_v1: let one authorization use no more of its card's limits than so much, in the period
-- in which we received it.
CREATE OR REPLACE FUNCTION use_less_v1(p_row authorizations, p_most_minor bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE limit_usage AS u
       SET amount_minor = u.amount_minor - was.minor + coalesce(will.minor, 0),
           count = u.count - CASE WHEN will.minor IS NULL THEN 1 ELSE 0 END
      FROM cards    AS c
      JOIN programs AS p ON p.program_id = c.program_id
     CROSS JOIN (VALUES ('all'), ('purchase'), ('cash'), ('ecommerce'), ('contactless')) AS s(scope)
     CROSS JOIN (VALUES ('day'), ('week'), ('month')) AS t(period)
     CROSS JOIN LATERAL (
            SELECT limit_use_v1(s.scope, p_row.kind, p_row.channel,
                                p_row.using_minor, p_row.using_cash_minor)) AS was(minor)
     CROSS JOIN LATERAL (
            SELECT limit_use_v1(s.scope, p_row.kind, p_row.channel, p_most_minor,
                                least(p_row.using_cash_minor, p_most_minor))) AS will(minor)
     WHERE c.account_id = p_row.account_id AND c.card_id = p_row.card_id
       AND was.minor IS NOT NULL
       AND u.account_id = p_row.account_id AND u.card_id = p_row.card_id
       AND u.scope = s.scope AND u.period = t.period
       AND u.period_start = period_start_v1(t.period, p_row.received_at, p.time_zone, p.week_starts)
       AND u.counted_from <= p_row.received_at;
    UPDATE authorizations
       SET using_minor = p_most_minor, using_cash_minor = least(using_cash_minor, p_most_minor)
     WHERE account_id = p_row.account_id AND authorization_id = p_row.authorization_id
       AND received_at = p_row.received_at;
END
$$;

-- settle_use_v1: a purchase uses no more of the limits than what stands for it. Its newest
-- authorization gives back first.
CREATE OR REPLACE FUNCTION settle_use_v1(p_account_id bigint, p_root_id bigint, p_root_at timestamptz)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_left  bigint;
    v_row   authorizations;
BEGIN
    SELECT standing_minor INTO v_left FROM authorizations
     WHERE account_id = p_account_id AND authorization_id = p_root_id AND received_at = p_root_at;
    FOR v_row IN
        SELECT z.*
          FROM (SELECT p_root_id AS id, p_root_at AS at
                 UNION
                SELECT h.authorization_id, h.received_at FROM holds AS h
                 WHERE h.account_id = p_account_id AND h.purchase_id = p_root_id) AS member
         CROSS JOIN LATERAL (
                SELECT * FROM authorizations AS y
                 WHERE y.account_id = p_account_id AND y.authorization_id = member.id
                   AND y.received_at = member.at
                 LIMIT 1) AS z
         WHERE z.using_minor > 0
         ORDER BY z.received_at, z.authorization_id
    LOOP
        IF v_row.using_minor > v_left THEN
            PERFORM use_less_v1(v_row, v_left);
        END IF;
        v_left := greatest(0, v_left - v_row.using_minor);
    END LOOP;
END
$$;
