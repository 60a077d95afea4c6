-- would_decline_v1: what the ledger's own questions would have said to a debit, without its PIN.
CREATE OR REPLACE FUNCTION would_decline_v1(p booking_v1, p_amount_minor bigint)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        p.would_have_declined,
        CASE WHEN c.status <> 'active' THEN c.status END,
        CASE WHEN a.status <> 'open' THEN 'account_closed' END,
        CASE WHEN NOT permitted_v1(p.channel, p.cash_minor, p.mcc, p.country,
                                   c.channels_blocked, c.mcc_blocked, c.countries_allowed)
             THEN 'not_permitted' END,
        CASE WHEN limited.over_amount THEN 'limit_amount' END,
        CASE WHEN limited.over_count THEN 'limit_count' END,
        CASE WHEN p_amount_minor > a.posted_minor + a.credit_limit_minor - a.held_minor
             THEN 'insufficient_funds' END)
      FROM accounts AS a
      JOIN cards    AS c ON c.account_id = a.account_id AND c.card_id = p.card_id
      JOIN programs AS g ON g.program_id = c.program_id
     CROSS JOIN LATERAL limited_v1(p.account_id, p.card_id, p.kind, p.channel, p_amount_minor,
                                   p.cash_minor, clock_timestamp(), g.time_zone, g.week_starts)
           AS limited
     WHERE a.account_id = p.account_id AND p_amount_minor > 0
       AND p.kind IN ('purchase', 'cash', 'cashback')
$$;

-- speak_for_v1: an advice says what becomes of what is held for a purchase: an unwinding of ours
-- that comes later leaves it.
CREATE OR REPLACE FUNCTION speak_for_v1(p_root authorizations)
RETURNS void LANGUAGE sql VOLATILE AS $$
    UPDATE authorizations AS z SET advised_at = clock_timestamp()
      FROM (SELECT p_root.authorization_id AS id, p_root.received_at AS at
             UNION
            SELECT h.authorization_id, h.received_at FROM holds AS h
             WHERE h.account_id = p_root.account_id AND h.purchase_id = p_root.authorization_id
               AND h.state = 'open') AS member
     WHERE z.account_id = p_root.account_id AND z.authorization_id = member.id
       AND z.received_at = member.at
$$;

-- advise_v1: book what was decided elsewhere: a stand-in's approval is held whatever we would
-- have said, and never twice; its decline releases what we hold.
CREATE OR REPLACE FUNCTION advise_v1(p booking_v1, OUT effect text, OUT moved_minor bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_root        authorizations;
    v_row         authorizations;
    v_amount      bigint;
    v_held        bigint := 0;
    v_is_reversed boolean;
    v_expires_at  timestamptz := clock_timestamp() + make_interval(secs => p.hold_seconds);
BEGIN
    moved_minor := 0;

    -- The purchase that it speaks of, where something of it is here.
    IF p.scheme_clue IS NOT NULL THEN
        v_root := by_scheme_id_v1(p, '{10,12,22}');
    END IF;
    IF v_root.authorization_id IS NULL AND p.rrn_clue IS NOT NULL THEN
        v_root := by_rrn_v1(p, '{10,12,22}', false, false);
    END IF;
    IF v_root.authorization_id IS NULL THEN
        v_root := by_trace_v1(p.account_id, p.original_traces[1], NULL);
    END IF;
    IF v_root.authorization_id IS NULL THEN
        v_root := by_mark_v1(p.account_id, p.own_traces || p.rrn_clue || p.scheme_clue);
    END IF;
    IF is_credit_v1(v_root.kind) <> is_credit_v1(p.kind) THEN
        v_root := NULL;
    END IF;
    v_root := root_v1(v_root);

    v_amount := coalesce(p.amount_minor,
                         billed_v1(v_root, p.transaction_minor, p.transaction_currency));
    IF p.may_suspend
       AND NOT was_reversed_v1(p) AND v_root.reversed_at IS NULL
       AND (v_amount IS NULL
            OR (v_root.authorization_id IS NULL AND p.is_approved AND is_shut_v1(p))) THEN
        effect := 'unbookable';
        RETURN;
    END IF;

    v_is_reversed := was_reversed_v1(p) OR v_root.reversed_at IS NOT NULL;
    v_row := journal_v1(
        p, v_root, coalesce(v_amount, 0),
        CASE WHEN v_root.authorization_id IS NULL
             THEN coalesce(would_decline_v1(p, v_amount), p.would_have_declined)
             WHEN substr(v_root.mti, 2, 2) = '10' THEN v_root.reason
             ELSE v_root.would_have_declined END);
    IF v_root.authorization_id IS NULL THEN
        v_root := v_row;
        PERFORM leave_marks_v1(p, v_row, CASE WHEN p.is_approved THEN 'approved' ELSE 'declined' END);
    ELSE
        v_held := held_v1(p.account_id, v_root.authorization_id);
        -- Its original, if that is still to come, answers as the last word was.
        UPDATE early_marks AS e
           SET verdict = CASE WHEN p.is_approved THEN 'approved' ELSE 'declined' END,
               authorization_id = v_row.authorization_id, received_at = v_row.received_at,
               left_by = substr(p.mti, 2, 2)
          FROM authorizations AS z
         WHERE v_root.standing_minor <= v_held
           AND e.account_id = p.account_id AND e.verdict <> 'reversed'
           AND z.account_id = e.account_id AND z.authorization_id = e.authorization_id
           AND z.received_at = e.received_at
           AND coalesce(z.purchase_id, z.authorization_id) = v_root.authorization_id;
    END IF;

    -- After this point everything is recorded; what follows only moves money.
    IF v_is_reversed THEN
        UPDATE authorizations SET reversed_at = clock_timestamp()
         WHERE account_id = p.account_id AND authorization_id = v_row.authorization_id
           AND received_at = v_row.received_at;
        effect := 'reversed_before_original';
    ELSIF v_root.standing_minor > v_held THEN
        effect := 'recorded';  -- it is completed already
    ELSIF p.is_approved AND v_amount > 0 AND p.kind IN ('purchase', 'cash', 'cashback') THEN
        PERFORM speak_for_v1(v_root);
        PERFORM release_v1(v_root, NULL, v_held, 'released');
        PERFORM open_hold_v1(v_root, v_amount, v_expires_at);
        PERFORM settle_use_v1(p.account_id, v_root.authorization_id, v_root.received_at);
        effect := 'held';
        moved_minor := v_amount - v_held;
    ELSIF NOT p.is_approved AND v_held > 0 THEN
        PERFORM speak_for_v1(v_root);
        PERFORM release_v1(v_root, NULL, v_held, 'released');
        PERFORM settle_use_v1(p.account_id, v_root.authorization_id, v_root.received_at);
        effect := 'released';
        moved_minor := v_held;
    ELSE
        effect := 'recorded';
    END IF;
END
$$;
