-- present_v1: post a presentment in full, whatever was held for it; what a message posted online
-- before is confirmed by it and is not posted again. What its purchase comes to in the end is the
-- sum of its presentments, in whatever order they come. Gives the record as it is to be kept, with
-- the outcome unbookable where it belongs on the suspense account.
CREATE OR REPLACE FUNCTION present_v1(
    p_record presentments, p booking_v1, p_tolerance_percent int)
RETURNS presentments LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_found   authorizations := presented_v1(p, p_tolerance_percent);
    v_root    authorizations := root_v1(v_found);
    v_amount  bigint;
    v_row     authorizations;
    v_sign    int := CASE WHEN is_credit_v1(p.kind) THEN 1 ELSE -1 END;
    v_so_far  record;
    v_open    bigint := 0;  -- posted online, and confirmed by no presentment
    v_back    bigint := 0;
    v_was     accounts := account_v1(p.account_id);
BEGIN
    -- What was declined for its currency has no rate.
    v_amount := coalesce(p.amount_minor, nullif(
        billed_v1(v_found, p.transaction_minor, p.transaction_currency), 0));
    IF v_amount IS NULL OR (v_root.authorization_id IS NULL AND is_shut_v1(p)) THEN
        p_record.outcome := 'unbookable';
        RETURN p_record;
    END IF;
    v_row := journal_v1(p, v_root, v_amount, NULL);
    p_record.authorization_id := v_row.authorization_id;
    p_record.received_at := v_row.received_at;
    p_record.purchase_id := coalesce(v_root.authorization_id, v_row.authorization_id);

    -- After this point everything is recorded; what follows only moves money.
    IF v_root.authorization_id IS NULL THEN
        PERFORM post_v1(v_row, v_row.authorization_id, v_sign * v_amount);
        p_record.moved_minor := v_sign * v_amount;
        p_record.outcome := CASE WHEN p.account_id < 0 THEN 'suspense' ELSE 'unmatched' END;
        PERFORM tell_clearing_v1('clearing.posted', v_was, v_row, p_record.outcome);
        RETURN p_record;
    END IF;
    v_so_far := presented_so_far_v1(v_root);
    IF p.task = 'presentment' THEN
        v_open := greatest(0, v_so_far.online_minor - v_so_far.confirmed_minor);
    END IF;
    p_record.confirmed_minor := least(v_amount, v_open);
    PERFORM release_v1(
        v_root, NULL,
        CASE WHEN p.is_final THEN v_so_far.held_minor
             ELSE least(v_amount - p_record.confirmed_minor, v_so_far.held_minor) END,
        'completed');
    PERFORM post_v1(v_row, v_row.authorization_id,
                    v_sign * (v_amount - p_record.confirmed_minor));
    IF p.is_final THEN
        v_back := give_back_online_v1(
            v_root, v_row.authorization_id, v_open - p_record.confirmed_minor);
    END IF;
    PERFORM settle_use_v1(p.account_id, v_root.authorization_id, v_root.received_at);

    p_record.moved_minor := v_sign * (v_amount - p_record.confirmed_minor - v_back);
    p_record.outcome := CASE
        WHEN p.account_id < 0 AND p_record.moved_minor <> 0 THEN 'suspense'
        WHEN p_record.confirmed_minor > 0
            THEN CASE WHEN p_record.moved_minor = 0 THEN 'confirmed' ELSE 'adjusted' END
        WHEN v_found.reason IS NOT NULL THEN 'declined'
        WHEN v_found.unwound_at IS NOT NULL OR v_found.reversed_at IS NOT NULL
          OR v_root.reversed_at IS NOT NULL THEN 'after_reversal'
        WHEN p.task = 'presentment' AND v_so_far.is_presented THEN 'again'
        ELSE 'matched' END;
    PERFORM tell_clearing_v1('clearing.posted', v_was, v_row, p_record.outcome);
    RETURN p_record;
END
$$;

-- tell_clearing_v1: what a record of a clearing file came to. The account is that of `p_was`.
CREATE OR REPLACE FUNCTION tell_clearing_v1(
    p_type text, p_was accounts, p_row authorizations, p_outcome text)
RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT tell_v1(p_type, p_was.account_id, p_was, p_row.card_id, p_row.authorization_id,
                   p_row.received_at, jsonb_build_object('outcome', p_outcome))
$$;

-- presented_so_far_v1: how a purchase stands: what is held, what messages posted online, how much
-- of that presentments have confirmed, and whether its final presentment was here.
CREATE OR REPLACE FUNCTION presented_so_far_v1(
    p_root authorizations,
    OUT held_minor bigint, OUT online_minor bigint, OUT confirmed_minor bigint,
    OUT is_presented boolean)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_cleared  bigint;
BEGIN
    SELECT coalesce(sum(z.posted_minor), 0), coalesce(sum(s.confirmed_minor), 0),
           coalesce(bool_or(s.is_final AND s.kind = 'presentment'
                            AND z.posted_minor + s.confirmed_minor > 0), false)
      INTO v_cleared, confirmed_minor, is_presented
      FROM presentments AS s
     CROSS JOIN LATERAL cleared_row_v1(s) AS z
     WHERE s.account_id = p_root.account_id AND s.purchase_id = p_root.authorization_id;
    held_minor := held_v1(p_root.account_id, p_root.authorization_id);
    online_minor := p_root.standing_minor - held_minor - v_cleared;
END
$$;

-- give_back_online_v1: post back so much of what messages posted online for a purchase, at most
-- all of it: the newest first. Gives how much it was.
CREATE OR REPLACE FUNCTION give_back_online_v1(
    p_root authorizations, p_cause_id bigint, p_amount_minor bigint)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_row   authorizations;
    v_less  bigint;
    v_left  bigint := p_amount_minor;
BEGIN
    IF v_left <= 0 THEN
        RETURN 0;
    END IF;
    FOR v_row IN
        SELECT * FROM authorizations
         WHERE account_id = p_root.account_id AND purchase_id = p_root.authorization_id
           AND substr(mti, 2, 2) IN ('20', '22') AND posted_minor > 0
         UNION ALL
        SELECT * FROM authorizations
         WHERE account_id = p_root.account_id AND authorization_id = p_root.authorization_id
           AND received_at = p_root.received_at AND posted_minor > 0
           AND substr(mti, 2, 2) IN ('20', '22')
         ORDER BY received_at DESC, authorization_id DESC
    LOOP
        v_less := least(v_left, v_row.posted_minor);
        PERFORM post_v1(v_row, p_cause_id,
                        CASE WHEN is_credit_v1(v_row.kind) THEN -1 ELSE 1 END * v_less);
        v_left := v_left - v_less;
        EXIT WHEN v_left = 0;
    END LOOP;
    RETURN p_amount_minor - v_left;
END
$$;
