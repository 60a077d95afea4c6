-- stand_in_v1: book what this issuer approved by itself while the ledger was away, as the advice that
-- it is, under the request's own message key: a repeat is told the same. Once, however often it is
-- called. Where another decision has that key (an earlier copy was decided before the outage, or
-- another process stood in for it too) it is booked beside that, as an advice of the same purchase:
-- what was told stands, and is held once. Gives the advice's effect, or repeated.
CREATE OR REPLACE FUNCTION stand_in_v1(
    p_account_id bigint, p_booking booking_v1, p_beside_key bytea, p_decided_at timestamptz,
    p_issuer_authentication text, p_findings text, p_sequence_number text, p_atc int)
RETURNS text LANGUAGE plpgsql VOLATILE
-- An account that a stranger holds must not keep the others waiting: this one is tried again.
SET lock_timeout = '1s' AS $$
DECLARE
    v_booking  booking_v1 := p_booking;
    v_booked   record;
BEGIN
    PERFORM FROM accounts WHERE account_id = p_account_id FOR NO KEY UPDATE;

    SELECT * INTO v_booked FROM book_v1(ARRAY[v_booking]);
    IF v_booked.outcome = 'repeated' AND NOT EXISTS (
        SELECT FROM message_keys AS k
          JOIN authorizations AS z
            ON z.account_id = k.account_id AND z.authorization_id = k.authorization_id
           AND z.received_at = k.received_at
         WHERE k.account_id = p_account_id AND k.message_key = p_booking.message_key
           AND z.stood_in_at IS NOT NULL
           AND z.authorization_code = p_booking.authorization_code) THEN
        v_booking.message_key := p_beside_key;
        SELECT * INTO v_booked FROM book_v1(ARRAY[v_booking]);
    END IF;
    IF v_booked.outcome <> 'booked' THEN
        RETURN v_booked.outcome;
    END IF;

    -- It has spoken for a purchase of its own by itself alone: no word of others keeps its money.
    UPDATE authorizations AS z
       SET stood_in_at = p_decided_at, issuer_authentication = p_issuer_authentication,
           findings = p_findings,
           advised_at = CASE WHEN z.purchase_id IS NOT NULL THEN z.advised_at END
      FROM message_keys AS k
     WHERE k.account_id = p_account_id AND k.message_key = v_booking.message_key
       AND z.account_id = k.account_id AND z.authorization_id = k.authorization_id
       AND z.received_at = k.received_at;

    -- A right cryptogram is used up, also that of an approval that the ledger did not see.
    IF p_atc IS NOT NULL THEN
        INSERT INTO chip_counters AS c (account_id, card_id, sequence_number, highest, seen)
        VALUES (p_account_id, p_booking.card_id, p_sequence_number, p_atc, 1)
        ON CONFLICT (account_id, card_id, sequence_number) DO UPDATE
           SET highest = greatest(p_atc, c.highest), seen = atc_seen_v1(p_atc, c.highest, c.seen)
         WHERE p_atc > c.highest - 64;  -- further back nothing is remembered
    END IF;
    RETURN v_booked.effect;
END
$$;
