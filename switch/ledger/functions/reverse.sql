-- reversed_v1: the row that a reversal speaks of, and whether it speaks of a hold: of an
-- authorization or its stand-in advice, be that known only by the completion that came first.
CREATE OR REPLACE FUNCTION reversed_v1(
    p booking_v1, OUT original authorizations, OUT is_of_hold boolean)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    FOR v_place IN 1 .. cardinality(p.original_traces) LOOP
        original := by_trace_v1(p.account_id, p.original_traces[v_place], p.original_acquirer);
        EXIT WHEN original.authorization_id IS NOT NULL;
        original := by_mark_v1(p.account_id, ARRAY[p.original_traces[v_place]]);
        IF original.authorization_id IS NOT NULL THEN
            is_of_hold := p.original_classes[v_place] IN ('10', '12');
            EXIT;
        END IF;
    END LOOP;
    -- A DE90 may have another's clock or institution in it: what the message says itself counts too.
    IF original.authorization_id IS NULL AND p.rrn_clue IS NOT NULL THEN
        original := by_rrn_v1(p, '{10,12,20,22}', false, true);
    END IF;
    is_of_hold := coalesce(is_of_hold, false) OR substr(original.mti, 2, 1) = '1';
    -- An 0200 and its advice, whichever came first, posted on the first one's row.
    IF (substr(original.mti, 2, 2) = '22' AND substr((root_v1(original)).mti, 2, 2) = '20')
       OR (substr(original.mti, 2, 2) = '20' AND original.purchase_id IS NOT NULL) THEN
        original := root_v1(original);
    END IF;
END
$$;

-- reverse_v1: give back what a message held or posted, wholly or down to what is to remain.
CREATE OR REPLACE FUNCTION reverse_v1(p booking_v1, OUT effect text, OUT moved_minor bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_found     record;
    v_original  authorizations;
    v_root      authorizations;
    v_row       authorizations;
    v_keep      bigint := 0;
    v_own       bigint;  -- only of this authorization's hold; null: of all its purchase's
    v_is_over   boolean;
BEGIN
    moved_minor := 0;
    SELECT * INTO v_found FROM reversed_v1(p);
    v_original := v_found.original;
    v_root := root_v1(v_original);
    IF v_original.authorization_id IS NULL AND p.may_suspend
       AND (is_foreign_v1(p) OR is_shut_v1(p) OR is_suspended_v1(p)) THEN
        -- It may be in suspense. If it is not there either, it is remembered here, too.
        effect := 'unbookable';
        RETURN;
    END IF;

    v_row := journal_v1(p, v_root, coalesce(p.amount_minor, v_original.amount_minor, 0), NULL);
    IF v_original.authorization_id IS NULL THEN
        PERFORM leave_marks_v1(p, v_row, 'reversed');
        effect := 'remembered';
        RETURN;
    END IF;
    effect := 'nothing';
    IF substr(v_original.mti, 2, 1) = '4' THEN
        RETURN;  -- a reversal is not reversed
    END IF;
    IF substr(v_original.mti, 3, 1) = '2' AND v_original.reason IS NOT NULL THEN
        -- An advice of a decline: there is nothing of it to give back. It may have been found by
        -- the mark it left for a request that is still to come.
        PERFORM leave_marks_v1(p, v_row, 'reversed');
        RETURN;
    END IF;
    IF p.keep_transaction_minor > 0 THEN
        -- Where nothing tells a rate, everything stays.
        v_keep := coalesce(
            p.keep_minor,
            billed_v1(v_original, p.keep_transaction_minor, v_original.transaction_currency),
            v_root.standing_minor);
    END IF;

    -- After this point everything is recorded; what follows only moves money.
    IF NOT v_found.is_of_hold THEN
        -- What clearing has confirmed was collected: only clearing takes it back.
        moved_minor := greatest(
            0, v_original.posted_minor - greatest(v_keep, confirmed_v1(v_root)));
        PERFORM post_v1(v_original, v_row.authorization_id,
                        CASE WHEN is_credit_v1(v_original.kind) THEN -1 ELSE 1 END * moved_minor);
        v_is_over := moved_minor = v_original.posted_minor AND v_keep = 0;
    ELSE
        IF v_original.is_increment THEN
            v_own := v_original.authorization_id;
            moved_minor := greatest(
                0, held_v1(p.account_id, v_root.authorization_id, v_own) - v_keep);
        ELSE
            moved_minor := least(held_v1(p.account_id, v_root.authorization_id),
                                 greatest(0, v_root.standing_minor - v_keep));
        END IF;
        moved_minor := release_v1(v_root, v_own, moved_minor, 'reversed');
        SELECT v_keep = 0 AND (v_own IS NOT NULL OR standing_minor = 0) INTO v_is_over
          FROM authorizations
         WHERE account_id = v_root.account_id AND authorization_id = v_root.authorization_id
           AND received_at = v_root.received_at;
    END IF;
    PERFORM settle_use_v1(p.account_id, v_root.authorization_id, v_root.received_at);
    IF moved_minor > 0 THEN
        effect := 'reversed';
    END IF;

    -- What is over answers its repeats so, and an advice that comes after it books nothing.
    UPDATE authorizations SET reversed_at = coalesce(reversed_at, clock_timestamp())
     WHERE v_is_over AND account_id = p.account_id
       AND ((authorization_id = v_original.authorization_id
             AND received_at = v_original.received_at)
            OR (v_own IS NULL AND standing_minor = 0
                AND authorization_id = v_root.authorization_id
                AND received_at = v_root.received_at));
END
$$;
