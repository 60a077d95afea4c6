-- reverse_presentment_v1: give back what a presentment came to, wholly or in part. One whose
-- presentment is not there yet is remembered, and carried out as soon as that comes.
CREATE OR REPLACE FUNCTION reverse_presentment_v1(
    p_record presentments, p booking_v1, p_locked bigint[])
RETURNS presentments LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_presented  presentments   := cleared_v1(p_record.original_key);
    v_original   authorizations := cleared_row_v1(v_presented);
    v_row        authorizations;
BEGIN
    IF v_original.authorization_id IS NOT NULL THEN
        IF NOT v_original.account_id = ANY (p_locked) THEN
            p_record.outcome := 'locked';
            RETURN p_record;
        END IF;
        -- It stands where its presentment does, be that the suspense account.
        p.account_id := v_original.account_id;
        p.card_id := v_original.card_id;
        p_record.account_id := v_original.account_id;
    END IF;
    v_row := journal_v1(
        p, root_v1(v_original),
        coalesce(billed_v1(v_original, p.transaction_minor, p.transaction_currency),
                 p.amount_minor, 0), NULL);
    p_record.authorization_id := v_row.authorization_id;
    p_record.received_at := v_row.received_at;
    p_record.outcome := 'remembered';
    IF v_original.authorization_id IS NOT NULL THEN
        SELECT * INTO p_record.outcome, p_record.moved_minor
          FROM take_back_v1(v_presented, v_row);
    END IF;
    RETURN p_record;
END
$$;

-- carry_out_reversals_v1: do what the reversals say that were here before their presentment.
CREATE OR REPLACE FUNCTION carry_out_reversals_v1(p_presented presentments)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_early    presentments;
    v_outcome  text;
    v_moved    bigint;
BEGIN
    FOR v_early IN
        SELECT * FROM presentments
         WHERE original_key = p_presented.message_key AND outcome = 'remembered'
         ORDER BY received_at, authorization_id
    LOOP
        SELECT * INTO v_outcome, v_moved FROM take_back_v1(p_presented, cleared_row_v1(v_early));
        UPDATE presentments SET outcome = v_outcome, moved_minor = v_moved
         WHERE account_id = v_early.account_id AND file_id = v_early.file_id
           AND line = v_early.line;
    END LOOP;
END
$$;

-- take_back_v1: give back what a presentment came to, as its reversal says: first what it posted
-- itself, then what it confirmed, as far as no message has given that back. Converted by the
-- presentment's own rate. Never more is given back than it came to.
CREATE OR REPLACE FUNCTION take_back_v1(
    p_presented presentments, p_reversal authorizations, OUT outcome text, OUT moved_minor bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_row        authorizations := cleared_row_v1(p_presented);
    v_root       authorizations := root_v1(v_row);
    v_sign       int := CASE WHEN is_credit_v1(v_row.kind) THEN -1 ELSE 1 END;
    v_asked      bigint := billed_v1(
                     v_row, p_reversal.transaction_minor, p_reversal.transaction_currency);
    v_own        bigint;
    v_confirmed  bigint;
    v_was        accounts := account_v1(p_presented.account_id);
BEGIN
    moved_minor := 0;
    IF v_asked IS NULL THEN
        outcome := 'other_currency';
        RETURN;
    END IF;
    v_own := least(v_asked, v_row.posted_minor);
    UPDATE presentments AS s
       SET confirmed_minor = s.confirmed_minor - least(v_asked - v_own, s.confirmed_minor)
      FROM presentments AS was
     WHERE s.account_id = p_presented.account_id AND s.file_id = p_presented.file_id
       AND s.line = p_presented.line
       AND was.account_id = s.account_id AND was.file_id = s.file_id AND was.line = s.line
    RETURNING was.confirmed_minor - s.confirmed_minor INTO v_confirmed;
    PERFORM post_v1(v_row, p_reversal.authorization_id, v_sign * v_own);
    moved_minor := v_sign * (v_own + give_back_online_v1(
        v_root, p_reversal.authorization_id, v_confirmed));
    PERFORM settle_use_v1(p_presented.account_id, v_root.authorization_id, v_root.received_at);
    outcome := CASE WHEN moved_minor = 0 THEN 'nothing' ELSE 'reversed' END;
    PERFORM tell_clearing_v1('clearing.reversed', v_was, p_reversal, outcome);
END
$$;
