-- clear_v1: book a batch of records of one clearing file: presentments and their reversals
-- (docs/clearing.md). One call is one transaction. One import runs at a time, so what is read of
-- presentments before the accounts are locked stays so.
CREATE OR REPLACE FUNCTION clear_v1(
    p_file_id            bytea,
    p_line               int[],
    p_reference          text[],
    p_original_key       bytea[],  -- of a reversal: its presentment's message key
    p_tolerance_percent  int[],
    p_bookings           booking_v1[])
RETURNS TABLE (
    line     int,
    outcome  text)  -- that of presentments, or done, locked, unbookable: nothing was done
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_locked   bigint[];
    v_booking  booking_v1;
    v_record   presentments;
    v_first    presentments;
BEGIN
    PERFORM open_suspense_v1(ARRAY(SELECT b.account_id FROM unnest(p_bookings) AS b));

    -- A statement of its own: what is read below must be read by a later snapshot. An account
    -- that a decision holds is skipped: its records come again.
    SELECT coalesce(array_agg(taken.account_id), '{}') INTO v_locked
      FROM (SELECT a.account_id FROM accounts AS a
             WHERE a.account_id = ANY (
                       SELECT b.account_id FROM unnest(p_bookings) AS b
                        UNION
                       SELECT s.account_id FROM presentments AS s
                        WHERE s.message_key = ANY (p_original_key))
             ORDER BY a.account_id
               FOR NO KEY UPDATE SKIP LOCKED) AS taken;

    FOR v_place IN 1 .. cardinality(p_line) LOOP
        v_booking := p_bookings[v_place];
        line := p_line[v_place];
        v_record := NULL;
        v_record.account_id := v_booking.account_id;
        v_record.file_id := p_file_id;
        v_record.line := line;
        v_record.kind := v_booking.task;
        v_record.message_key := v_booking.message_key;
        v_record.original_key := p_original_key[v_place];
        v_record.reference := p_reference[v_place];
        v_record.is_final := v_booking.is_final;
        v_record.confirmed_minor := 0;
        v_record.moved_minor := 0;
        v_first := cleared_v1(v_booking.message_key);

        IF EXISTS (SELECT FROM presentments AS s
                    WHERE s.file_id = p_file_id AND s.line = p_line[v_place]) THEN
            v_record.outcome := 'done';
        ELSIF v_first.message_key IS NOT NULL THEN
            v_record := same_again_v1(v_record, v_first, v_booking);
        ELSIF NOT v_booking.account_id = ANY (v_locked) THEN
            v_record.outcome := 'locked';
        ELSIF v_record.original_key IS NULL THEN
            v_record := present_v1(v_record, v_booking, p_tolerance_percent[v_place]);
        ELSE
            v_record := reverse_presentment_v1(v_record, v_booking, v_locked);
        END IF;

        outcome := v_record.outcome;
        IF outcome NOT IN ('done', 'locked', 'unbookable') THEN
            INSERT INTO presentments SELECT v_record.*;
            IF v_record.original_key IS NULL AND outcome NOT IN ('duplicate', 'conflict') THEN
                PERFORM carry_out_reversals_v1(v_record);
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- cleared_v1: the record that was booked under a message key, in whatever file.
CREATE OR REPLACE FUNCTION cleared_v1(p_message_key bytea)
RETURNS presentments LANGUAGE sql STABLE AS $$
    SELECT * FROM presentments
     WHERE message_key = p_message_key AND outcome NOT IN ('duplicate', 'conflict')
     LIMIT 1
$$;

-- cleared_row_v1: the journal row of a record.
CREATE OR REPLACE FUNCTION cleared_row_v1(p_record presentments)
RETURNS authorizations LANGUAGE sql STABLE AS $$
    SELECT * FROM authorizations
     WHERE account_id = p_record.account_id AND authorization_id = p_record.authorization_id
       AND received_at = p_record.received_at
     LIMIT 1
$$;

-- same_again_v1: a record of which the first stands in another line or file: noted, not booked.
CREATE OR REPLACE FUNCTION same_again_v1(
    p_record presentments, p_first presentments, p booking_v1)
RETURNS presentments LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_row authorizations := cleared_row_v1(p_first);
BEGIN
    p_record.account_id := p_first.account_id;
    p_record.authorization_id := p_first.authorization_id;
    p_record.received_at := p_first.received_at;
    p_record.outcome := CASE
        WHEN (v_row.transaction_minor, v_row.transaction_currency)
             <> (p.transaction_minor, p.transaction_currency) THEN 'conflict'
        ELSE 'duplicate' END;
    RETURN p_record;
END
$$;
