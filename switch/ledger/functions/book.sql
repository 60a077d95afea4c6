-- book_v1: book a batch of what already happened: advices, completions, reversals. One call is one
-- transaction. None is ever declined. Those of one account are booked in the order given.
CREATE OR REPLACE FUNCTION book_v1(p_bookings booking_v1[])
RETURNS TABLE (
    ordinal      int,    -- the booking's place in the batch, from 1
    outcome      text,   -- booked, repeated, locked, or unbookable: book it in suspense
    effect       text,   -- held, released, posted, reversed, remembered, recorded, nothing, …
    moved_minor  bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_booking  booking_v1;
    v_locked   bigint[];
    v_was      accounts;
BEGIN
    PERFORM open_suspense_v1(ARRAY(SELECT b.account_id FROM unnest(p_bookings) AS b));

    -- A statement of its own: what is read below must be read by a later snapshot. An account
    -- that another process holds is skipped: its bookings come again, and stall nobody here.
    SELECT coalesce(array_agg(taken.account_id), '{}') INTO v_locked
      FROM (SELECT a.account_id FROM accounts AS a
             WHERE a.account_id = ANY (SELECT b.account_id FROM unnest(p_bookings) AS b)
             ORDER BY a.account_id
               FOR NO KEY UPDATE SKIP LOCKED) AS taken;

    ordinal := 0;
    FOREACH v_booking IN ARRAY p_bookings LOOP
        ordinal := ordinal + 1;
        effect := NULL;
        moved_minor := 0;
        IF NOT v_booking.account_id = ANY (v_locked) THEN
            outcome := 'locked';
        ELSIF v_booking.task = 'remember' THEN
            outcome := 'booked';
            effect := 'remembered';
            PERFORM leave_marks_v1(v_booking, NULL, 'reversed');
        ELSE
            -- Of what is in suspense only the key is here: it stays there, whatever came since.
            SELECT CASE WHEN k.authorization_id = 0 THEN 'unbookable' ELSE 'repeated' END
              INTO outcome
              FROM message_keys AS k
             WHERE k.account_id = v_booking.account_id
               AND k.message_key = v_booking.message_key;
        END IF;
        IF outcome IS NULL THEN
            outcome := 'booked';
            v_was := account_v1(v_booking.account_id);
            CASE v_booking.task
                WHEN 'advise'   THEN SELECT * INTO effect, moved_minor FROM advise_v1(v_booking);
                WHEN 'complete' THEN SELECT * INTO effect, moved_minor FROM complete_v1(v_booking);
                WHEN 'reverse'  THEN SELECT * INTO effect, moved_minor FROM reverse_v1(v_booking);
            END CASE;
            IF effect = 'unbookable' THEN
                outcome := effect;
                INSERT INTO message_keys (account_id, message_key, authorization_id, received_at)
                VALUES (v_booking.account_id, v_booking.message_key, 0, clock_timestamp());
            ELSE
                PERFORM tell_booking_v1(v_booking, v_was, effect);
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- tell_booking_v1: an advice, a completion or a reversal that was just booked.
CREATE OR REPLACE FUNCTION tell_booking_v1(p booking_v1, p_was accounts, p_effect text)
RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT tell_v1(
        CASE p.task WHEN 'advise'   THEN 'advice.booked'
                    WHEN 'complete' THEN 'completion.booked'
                    WHEN 'reverse'  THEN 'reversal.booked' END,
        p.account_id, p_was, p.card_id, k.authorization_id, k.received_at,
        jsonb_build_object('effect', p_effect))
      FROM message_keys AS k
     WHERE k.account_id = p.account_id AND k.message_key = p.message_key
$$;
