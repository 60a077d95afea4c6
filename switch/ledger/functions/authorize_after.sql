-- What follows a decision in the same transaction, under the same locks. Nothing here may refuse.

-- authorize_after_v1: what some of a round's decisions bring beside journal, hold and account. Each
-- statement runs where one of them needs it.
CREATE OR REPLACE FUNCTION authorize_after_v1(
    p_decided consequence_v1[], p_now timestamptz)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_posts       boolean;
    v_uses        boolean;
    v_counts      boolean;
    v_tries       boolean;
    v_adds        boolean;
    v_was_spoken  boolean;
BEGIN
    SELECT bool_or(d.post_minor <> 0), bool_or(d.uses_limits), bool_or(d.atc IS NOT NULL),
           bool_or(d.pin_tries IS NOT NULL), bool_or(d.is_increment), bool_or(d.root_id IS NOT NULL)
      INTO v_posts, v_uses, v_counts, v_tries, v_adds, v_was_spoken
      FROM unnest(p_decided) AS d;

    IF v_posts THEN
        INSERT INTO postings (
            account_id, posting_id, posted_at, contra, scheme, currency, amount_minor,
            authorization_id, booking_id)
        SELECT d.account_id, nextval('posting_ids'), p_now, 'settlement', d.scheme, d.currency,
               d.post_minor, d.authorization_id, d.authorization_id
          FROM unnest(p_decided) AS d WHERE d.post_minor <> 0;
    END IF;

    IF v_uses THEN
        INSERT INTO limit_usage AS u (
            account_id, card_id, scope, period, period_start, amount_minor, count, counted_from)
        SELECT l.account_id, l.card_id, l.scope, l.period,
               period_start_v1(l.period, p_now, p.time_zone, p.week_starts),
               use.amount_minor, 1, p_now
          FROM unnest(p_decided) AS d
          JOIN cards    AS c ON c.account_id = d.account_id AND c.card_id = d.card_id
          JOIN programs AS p ON p.program_id = c.program_id
          JOIN limits   AS l ON l.account_id = d.account_id AND l.card_id = d.card_id
         CROSS JOIN LATERAL (
                SELECT limit_use_v1(l.scope, d.kind, d.channel, d.granted_minor,
                                    least(d.cash_minor, d.granted_minor))) AS use(amount_minor)
         WHERE d.uses_limits AND l.period <> 'transaction' AND use.amount_minor IS NOT NULL
        ON CONFLICT (account_id, card_id, scope, period, period_start) DO UPDATE
           SET amount_minor = u.amount_minor + excluded.amount_minor,
               count = u.count + excluded.count;
    END IF;

    -- A right cryptogram is used up, whatever else was decided.
    IF v_counts THEN
        INSERT INTO chip_counters AS c (account_id, card_id, sequence_number, highest, seen)
        SELECT d.account_id, d.card_id, d.sequence_number, greatest(d.atc, d.atc_highest),
               atc_seen_v1(d.atc, d.atc_highest, d.atc_seen)
          FROM unnest(p_decided) AS d WHERE d.atc IS NOT NULL
        ON CONFLICT (account_id, card_id, sequence_number) DO UPDATE
           SET highest = excluded.highest, seen = excluded.seen;
    END IF;

    IF v_tries THEN
        UPDATE cards AS c SET pin_tries = d.pin_tries
          FROM unnest(p_decided) AS d
         WHERE d.pin_tries IS NOT NULL AND c.account_id = d.account_id AND c.card_id = d.card_id;
    END IF;

    -- An increment stands for its purchase, and everything held for that stays as long.
    IF v_adds THEN
        UPDATE authorizations AS z SET standing_minor = z.standing_minor + d.hold_minor
          FROM unnest(p_decided) AS d
         WHERE d.is_increment AND d.hold_minor > 0 AND z.account_id = d.account_id
           AND z.authorization_id = d.purchase_id AND z.received_at = d.purchase_received_at;
        UPDATE holds AS h SET expires_at = p_now + make_interval(secs => d.hold_seconds)
          FROM unnest(p_decided) AS d
         WHERE d.extends AND h.account_id = d.account_id AND h.purchase_id = d.purchase_id AND h.state = 'open';
    END IF;

    -- One original a mark: what else comes with the same RRN is another purchase.
    IF v_was_spoken THEN
        DELETE FROM early_marks AS e USING unnest(p_decided) AS d
         WHERE d.root_id IS NOT NULL AND e.account_id = d.account_id
           AND e.authorization_id = d.early_id AND e.verdict <> 'reversed';
    END IF;
END
$$;

-- authorize_again_v2: the same decisions, with what repeats are told: the answer that the original
-- got, and no money moves.
CREATE OR REPLACE FUNCTION authorize_again_v2(
    p_requests authorization_v2[], p_decided decision_v1[])
RETURNS decision_v1[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_request  authorization_v2;
    v_answer   decision_v1;
BEGIN
    FOR v_place IN 1 .. cardinality(p_decided) LOOP
        CONTINUE WHEN p_decided[v_place].outcome <> 'repeated';
        v_request := p_requests[p_decided[v_place].ordinal];
        SELECT p_decided[v_place].ordinal, 'repeated',
               CASE WHEN o.transaction_minor <> v_request.transaction_minor
                      OR o.transaction_currency <> v_request.transaction_currency
                      OR o.amount_minor <> v_request.amount_minor
                      OR o.processing_code <> v_request.processing_code THEN 'duplicate_conflict'
                    WHEN o.reason IS NULL
                     AND coalesce(o.unwound_at, o.reversed_at, root.reversed_at) IS NOT NULL
                    THEN 'reversed'
                    ELSE o.reason
               END,
               o.authorization_code, o.available_minor, o.issuer_authentication,
               o.partial_minor, o.partial_transaction_minor, o.response_code
          INTO v_answer
          FROM message_keys AS k
         CROSS JOIN LATERAL (
                SELECT * FROM authorizations AS z
                 WHERE z.account_id = k.account_id AND z.authorization_id = k.authorization_id
                   AND z.received_at = k.received_at
                 LIMIT 1) AS o
          LEFT JOIN LATERAL (
                SELECT z.reversed_at FROM authorizations AS z
                 WHERE z.account_id = k.account_id AND z.authorization_id = o.purchase_id
                   AND z.received_at = o.purchase_received_at
                 LIMIT 1) AS root ON o.purchase_id IS NOT NULL
         WHERE k.account_id = v_request.account_id AND k.message_key = v_request.message_key;
        IF NOT FOUND THEN  -- its key is there and its row is not: nobody knows the answer
            v_answer := (p_decided[v_place].ordinal, 'unavailable',
                         NULL, NULL, NULL, NULL, NULL, NULL, NULL)::decision_v1;
        -- What a repeat is told must stay: an unwinding of its original comes too late.
        ELSIF v_answer.reason IS NULL THEN
            INSERT INTO approvals_repeated (account_id, message_key, authorization_code)
            VALUES (v_request.account_id, v_request.message_key, v_request.authorization_code)
            ON CONFLICT DO NOTHING;
        END IF;
        p_decided[v_place] := v_answer;
    END LOOP;
    RETURN p_decided;
END
$$;
