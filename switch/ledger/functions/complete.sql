-- completed_v1: the row that a completion speaks of; none where it is a force post.
CREATE OR REPLACE FUNCTION completed_v1(p booking_v1)
RETURNS authorizations LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_row authorizations;
BEGIN
    IF p.original_traces <> '{}' THEN
        v_row := by_trace_v1(p.account_id, p.original_traces[1], p.original_acquirer);
    END IF;
    IF v_row.authorization_id IS NULL AND p.original_code IS NOT NULL
       AND p.rrn_clue IS NOT NULL THEN
        v_row := by_rrn_v1(p, '{10,12,20,22,24}', true, false);
    END IF;
    IF v_row.authorization_id IS NULL AND p.scheme_clue IS NOT NULL THEN
        v_row := by_scheme_id_v1(p, '{10,12,20,22,24}');
    END IF;
    IF v_row.authorization_id IS NULL THEN
        v_row := by_mark_v1(
            p.account_id, p.original_traces || p.own_traces || p.scheme_clue);
    END IF;
    IF v_row.authorization_id IS NULL THEN
        v_row := by_mark_v1(p.account_id, ARRAY[p.rrn_clue]);
        IF v_row.authorization_code <> p.original_code THEN
            RETURN NULL;  -- an RRN that was used again
        END IF;
    END IF;
    IF is_credit_v1(v_row.kind) <> is_credit_v1(p.kind) THEN
        RETURN NULL;
    END IF;
    RETURN v_row;
END
$$;

-- complete_v1: post what a purchase came to, in full, whatever was held for it.
CREATE OR REPLACE FUNCTION complete_v1(p booking_v1, OUT effect text, OUT moved_minor bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_original  authorizations;
    v_root      authorizations;
    v_row       authorizations;
    v_amount    bigint;
    v_sign      int := CASE WHEN is_credit_v1(p.kind) THEN 1 ELSE -1 END;
BEGIN
    moved_minor := 0;
    v_original := completed_v1(p);
    v_root := root_v1(v_original);
    v_amount := coalesce(p.amount_minor,
                         billed_v1(v_original, p.transaction_minor, p.transaction_currency));
    IF p.may_suspend
       AND NOT was_reversed_v1(p)
       AND (v_amount IS NULL
            OR (v_root.authorization_id IS NULL AND p.is_approved AND is_shut_v1(p))) THEN
        effect := 'unbookable';
        RETURN;
    END IF;

    v_row := journal_v1(p, v_root, coalesce(v_amount, 0), NULL);
    IF NOT p.is_approved THEN
        effect := 'recorded';
        RETURN;
    END IF;
    IF v_root.authorization_id IS NULL THEN
        PERFORM leave_marks_v1(p, v_row, 'approved');
    END IF;
    IF was_reversed_v1(p) THEN
        UPDATE authorizations SET reversed_at = clock_timestamp()
         WHERE account_id = p.account_id AND authorization_id = v_row.authorization_id
           AND received_at = v_row.received_at;
        effect := 'reversed_before_original';
        RETURN;
    END IF;

    IF is_presented_v1(v_root) THEN
        effect := 'recorded';  -- clearing has posted it already
        RETURN;
    END IF;

    -- After this point everything is recorded; what follows only moves money.
    effect := 'posted';
    IF v_root.authorization_id IS NULL THEN
        PERFORM post_v1(v_row, v_row.authorization_id, v_sign * v_amount);
        moved_minor := v_amount;
        RETURN;
    END IF;
    IF '20' IN (substr(v_root.mti, 2, 2), substr(v_original.mti, 2, 2)) THEN
        -- Our own 0200 and its advices are one, whichever came first: this tells what it came to.
        moved_minor := v_amount - v_root.posted_minor;
        PERFORM post_v1(v_root, v_row.authorization_id, v_sign * moved_minor);
        UPDATE authorizations SET advised_at = clock_timestamp()
         WHERE account_id = p.account_id AND authorization_id = v_root.authorization_id
           AND received_at = v_root.received_at;
    ELSE
        PERFORM speak_for_v1(v_root);
        PERFORM release_v1(
            v_root, NULL,
            CASE WHEN p.is_final THEN held_v1(p.account_id, v_root.authorization_id)
                 ELSE least(v_amount, held_v1(p.account_id, v_root.authorization_id)) END,
            'completed');
        PERFORM post_v1(v_row, v_row.authorization_id, v_sign * v_amount);
        moved_minor := v_amount;
    END IF;
    PERFORM settle_use_v1(p.account_id, v_root.authorization_id, v_root.received_at);
END
$$;
