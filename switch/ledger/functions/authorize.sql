-- authorize_v5: decide a batch of authorizations and, where approved, hold the funds or post them.
-- One call is one transaction. A request's round numbers those of its account within the batch
-- from 0, in order of arrival: each round is decided on what the earlier ones left.
CREATE OR REPLACE FUNCTION authorize_v5(p_requests authorization_v2[])
RETURNS decision_v1[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_accounts  bigint[];
    v_locked    bigint[];
    v_last      int;
    v_now       timestamptz;
    v_seconds   float8;  -- the same
    v_ordinals  int[];  -- of a later round's requests in the batch
    v_batch     authorization_v2[] := p_requests;
    v_judged    judgement_v2[];
    v_answers   decision_v1[];
    v_decided   decision_v1[] := '{}';
    v_consequences  consequence_v1[];
    v_repeats   boolean;
BEGIN
    SELECT array_agg(r.account_id), max(r.round) INTO v_accounts, v_last
      FROM unnest(p_requests) AS r;
    -- From here to COMMIT nobody else spends from these accounts. The lock is a statement
    -- of its own, for what is read below must be read by a later snapshot. An account that
    -- another process holds is skipped: its request comes again, and stalls nobody here.
    SELECT coalesce(array_agg(taken.account_id), '{}') INTO v_locked
      FROM (SELECT a.account_id FROM accounts AS a
             WHERE a.account_id = ANY (v_accounts)
             ORDER BY a.account_id
               FOR NO KEY UPDATE SKIP LOCKED) AS taken;
    v_now := clock_timestamp();
    v_seconds := extract(epoch FROM v_now);

    -- An empty batch runs an empty round: it makes the plans before money waits for them.
    FOR v_round IN 0 .. coalesce(v_last, 0) LOOP
        IF v_last > 0 THEN
            SELECT array_agg(r.ordinal ORDER BY r.ordinal),
                   array_agg(p_requests[r.ordinal] ORDER BY r.ordinal)
              INTO v_ordinals, v_batch
              FROM (SELECT x.round, x.ordinality::int AS ordinal
                      FROM unnest(p_requests) WITH ORDINALITY AS x) AS r
             WHERE r.round = v_round;
        END IF;

        -- Each step below knows what the one inside it found out, and OFFSET 0 keeps it from being
        -- worked out again. What is looked up for some requests only is asked for inside CASE; a
        -- LIMIT has each row looked up by its key, also where the plan was made on empty tables.
        SELECT array_agg(ROW(
                   d.outcome, d.reason, d.authorization_id, d.given_code, d.available_before,
                   d.granted_minor, d.hold_minor, d.post_minor, d.partial_transaction_minor,
                   d.root_id, d.purchase_id, d.purchase_received_at, d.response_code, d.found_here
                   )::judgement_v2 ORDER BY d.ordinal),
               array_agg(ROW(
                   coalesce(v_ordinals[d.ordinal], d.ordinal), d.outcome,
                   CASE WHEN d.outcome = 'decided' THEN d.reason END,
                   CASE WHEN d.is_approved THEN d.given_code END,
                   CASE WHEN d.outcome = 'decided'
                        THEN d.available_before - d.hold_minor + d.post_minor END,
                   CASE WHEN d.is_approved THEN d.issuer_authentication END,
                   CASE WHEN d.is_approved AND d.partial_transaction_minor IS NOT NULL
                        THEN d.granted_minor END,
                   CASE WHEN d.is_approved THEN d.partial_transaction_minor END,
                   CASE WHEN d.outcome = 'decided' THEN d.response_code END
                   )::decision_v1 ORDER BY d.ordinal),
               array_agg(ROW(
                   d.account_id, d.card_id, d.authorization_id, d.purchase_id,
                   d.purchase_received_at, d.root_id, d.early_id, d.kind, d.channel, d.scheme,
                   d.currency, d.granted_minor, d.cash_minor, d.hold_minor, d.post_minor,
                   d.hold_seconds, d.is_increment, d.is_increment AND d.moves, d.uses_limits,
                   d.tries, d.sequence_number, d.atc_used, d.atc_highest, d.atc_seen
                   )::consequence_v1)
                   FILTER (WHERE d.outcome = 'decided' AND (
                       d.post_minor <> 0 OR d.uses_limits OR d.tries IS NOT NULL
                       OR d.atc_used IS NOT NULL OR d.is_increment OR d.root_id IS NOT NULL)),
               bool_or(d.outcome = 'repeated')
          INTO v_judged, v_answers, v_consequences, v_repeats
          FROM (
        -- What becomes of it.
        SELECT j.ordinal, j.account_id, j.card_id, j.outcome, j.reason, j.available_before,
               j.granted_minor, j.kind, j.channel, j.scheme, j.currency, j.cash_minor,
               j.hold_seconds, j.is_increment, j.moves, j.sequence_number, j.atc_highest, j.atc_seen,
               j.issuer_authentication, j.partial_transaction_minor,
               (j.early).authorization_id AS early_id, (j.earlier).root_id AS root_id,
               j.outcome = 'decided' AND j.reason IS NULL AS is_approved,
               CASE WHEN j.outcome = 'decided' THEN nextval('authorization_ids') END
                   AS authorization_id,
               CASE WHEN j.is_advised THEN (j.earlier).authorization_code
                    ELSE j.authorization_code END AS given_code,
               CASE WHEN j.reason = 'declined_elsewhere' OR j.is_advised
                    THEN (j.earlier).response_code END AS response_code,
               coalesce((j.earlier).root_id, (j.increased).authorization_id) AS purchase_id,
               coalesce((j.earlier).root_received_at, (j.increased).received_at)
                   AS purchase_received_at,
               CASE WHEN j.moves AND j.is_debit AND j.books = 'hold' THEN j.granted_minor
                    ELSE 0 END AS hold_minor,
               CASE WHEN NOT j.moves OR j.books <> 'posting' OR j.amount_minor <= 0 THEN 0
                    WHEN j.is_debit THEN -j.granted_minor
                    ELSE j.granted_minor END AS post_minor,
               j.moves AND j.is_debit AND j.has_limits AND j.books <> 'nothing' AS uses_limits,
               -- A right cryptogram is used up, whatever else was decided.
               CASE WHEN j.atc_refusal IS NULL THEN j.atc END AS atc_used,
               -- A wrong PIN counts a try and a right one clears the count, whatever came after
               -- it; a right one never reopens a count that is used up.
               CASE WHEN j.reaches_pin AND j.pin_tries < j.pin_tries_max THEN
                   CASE j.pin_verdict WHEN 'mismatch' THEN j.pin_tries + 1
                                      WHEN 'match'    THEN nullif(0, j.pin_tries) END
               END AS tries,
               -- What the ledger alone knows of how it came to this: most have nothing of it.
               CASE WHEN j.pin_verdict IS NOT NULL OR j.atc_refusal IS NOT NULL OR j.has_limits
                    THEN nullif(concat_ws(
                        ' ',
                        CASE WHEN j.atc_refusal IS NOT NULL
                             THEN 'atc=' || j.atc || '/' || j.atc_highest END,
                        CASE WHEN j.reaches_pin AND j.pin_verdict IS NOT NULL
                             THEN 'pin_tries=' || j.pin_tries || '/' || j.pin_tries_max END,
                        (j.limits).figures), '') END AS found_here
          FROM (
        SELECT q.*, q.outcome = 'decided' AND q.reason IS NULL AND NOT q.is_advised AS moves,
               CASE WHEN q.partial_transaction_minor IS NULL THEN q.amount_minor
                    ELSE q.available_before END AS granted_minor
          FROM (
        -- The questions, in policy order: coalesce stops at the first refusal.
        SELECT f.*,
               CASE WHEN f.found = 'decided' AND NOT f.is_advised AND f.refusal_so_far IS NULL
                     AND f.hsm_fault THEN 'unavailable'
                    ELSE f.found END AS outcome,
               f.found = 'decided' AND NOT f.is_advised AND f.refusal_so_far IS NULL
                   AND NOT f.hsm_fault AS reaches_pin,
               -- What is available instead, in the transaction's currency; null: nothing is.
               CASE WHEN NOT f.is_advised THEN f.part_minor END AS partial_transaction_minor,
               CASE WHEN f.is_advised THEN NULL ELSE coalesce(
                   f.refusal_so_far,
                   CASE WHEN f.pin_verdict IS NULL THEN NULL
                        WHEN f.pin_tries >= f.pin_tries_max THEN 'pin_tries_exceeded'
                        WHEN f.pin_verdict = 'mismatch' AND f.pin_tries + 1 >= f.pin_tries_max
                            THEN 'pin_tries_exceeded'
                        WHEN f.pin_verdict <> 'match' THEN 'pin_mismatch'
                   END,
                   f.refusal_after_pin,
                   CASE WHEN NOT permitted_v1(
                            f.channel, f.cash_minor, f.mcc, f.country,
                            f.channels_blocked, f.mcc_blocked, f.countries_allowed)
                        THEN 'not_permitted' END,
                   (f.limits).refusal,
                   CASE WHEN f.is_debit AND f.amount_minor > f.available_before
                         AND f.part_minor IS NULL
                        THEN 'insufficient_funds' END
               ) END AS reason,
               -- The purchase that an increment adds to, as long as something is held for it.
               CASE WHEN f.is_increment AND NOT f.is_advised
                    THEN increased_v2(f.account_id, f.card_id, f.original_trace,
                                      f.scheme_transaction_id) END AS increased
          FROM (
        -- What was here before it, and what its card and account say by themselves.
        SELECT l.*,
               coalesce((l.early).verdict = 'approved' AND (l.earlier).root_id IS NOT NULL
                        AND (l.earlier).reversed_at IS NULL, false) AS is_advised,
               coalesce(
                   CASE WHEN (l.early).verdict = 'reversed' OR (l.earlier).reversed_at IS NOT NULL
                        THEN 'reversed_before_original'
                        WHEN (l.early).verdict = 'declined' AND (l.earlier).root_id IS NOT NULL
                        THEN 'declined_elsewhere' END,
                   l.refusal_before_pin,
                   CASE WHEN l.card_status <> 'active' THEN l.card_status END,
                   CASE WHEN l.account_status <> 'open' THEN 'account_closed' END,
                   l.atc_refusal
               ) AS refusal_so_far
          FROM (
        SELECT k.*,
               atc_refusal_v1(k.atc, k.atc_highest, k.atc_seen, k.atc_behind, k.atc_ahead)
                   AS atc_refusal,
               CASE WHEN (k.early).authorization_id IS NOT NULL AND (k.early).verdict <> 'reversed'
                    THEN earlier_v1(k.account_id, k.early, k.kind,
                                    (k.early).clue = k.rrn_clue,
                                    k.transaction_minor, k.transaction_currency)
               END AS earlier,
               CASE WHEN k.takes_partial AND k.kind = 'purchase'
                     AND k.available_before > 0 AND k.amount_minor > k.available_before
                     AND k.refusal_after_pin IS NULL
                    THEN nullif(div(k.transaction_minor::numeric * k.available_before,
                                    k.amount_minor)::bigint, 0)
               END AS part_minor,
               CASE WHEN k.has_limits AND k.is_debit AND k.found = 'decided'
                     AND k.refusal_before_pin IS NULL
                    THEN limit_answer_v1(
                            k.account_id, k.card_id, k.kind, k.channel, k.amount_minor,
                            k.cash_minor, v_now) END AS limits
          FROM (
        -- What is known of each request's account, card and past, now that the lock is held.
        SELECT r.ordinal::int AS ordinal, r.account_id, r.card_id, r.refusal_before_pin,
               r.hsm_fault, r.pin_verdict, r.refusal_after_pin, r.kind, r.channel, r.amount_minor,
               r.cash_minor, r.transaction_minor, r.transaction_currency, r.mcc, r.country,
               r.authorization_code, r.issuer_authentication, r.books, r.takes_partial,
               r.is_increment, r.original_trace, r.scheme_transaction_id, r.scheme, r.rrn_clue,
               r.hold_seconds, r.sequence_number, r.atc, r.atc_behind, r.atc_ahead,
               CASE WHEN c.version IS NULL OR a.account_id IS NULL THEN 'stale'
                    WHEN NOT r.account_id = ANY (v_locked) THEN 'locked'
                    WHEN r.decide_by < v_seconds           THEN 'late'
                    WHEN r.card_version <> c.version       THEN 'stale'
                    WHEN (SELECT true FROM message_keys AS x
                           WHERE x.account_id = r.account_id AND x.message_key = r.message_key
                           LIMIT 1)                        THEN 'repeated'
                    ELSE 'decided' END     AS found,
               r.kind IN ('purchase', 'cash', 'cashback') AND r.amount_minor > 0 AS is_debit,
               a.posted_minor + a.credit_limit_minor - a.held_minor AS available_before,
               a.status                        AS account_status,
               a.currency,
               c.status                        AS card_status,
               c.pin_tries, c.channels_blocked, c.mcc_blocked, c.countries_allowed,
               CASE WHEN r.pin_verdict IS NOT NULL
                    THEN (SELECT p.pin_tries_max FROM programs AS p
                           WHERE p.program_id = c.program_id LIMIT 1) END AS pin_tries_max,
               coalesce((SELECT true FROM limits AS x
                          WHERE x.account_id = r.account_id AND x.card_id = r.card_id
                          LIMIT 1), false) AS has_limits,
               -- Its reversal or its unwinding, an advice, a completion.
               (SELECT x FROM early_marks AS x
                 WHERE x.account_id = r.account_id
                   AND x.clue = ANY (ARRAY[r.message_key, substr(r.message_key, 1, 8),
                                           r.scheme_clue, r.rrn_clue])
                   AND x.acquirer IN ('', ltrim(r.acquirer, '0'))
                   -- A stand-in advice speaks of no 0200.
                   AND (x.left_by <> '12' OR substr(r.mti, 2, 2) <> '20')
                 ORDER BY x.verdict = 'reversed' DESC, x.clue IS NOT DISTINCT FROM r.rrn_clue,
                          x.noted_at DESC
                 LIMIT 1) AS early,
               CASE WHEN r.atc IS NOT NULL
                    THEN (SELECT x.highest FROM chip_counters AS x
                           WHERE x.account_id = r.account_id AND x.card_id = r.card_id
                             AND x.sequence_number = r.sequence_number LIMIT 1) END AS atc_highest,
               CASE WHEN r.atc IS NOT NULL
                    THEN (SELECT x.seen FROM chip_counters AS x
                           WHERE x.account_id = r.account_id AND x.card_id = r.card_id
                             AND x.sequence_number = r.sequence_number LIMIT 1) END AS atc_seen
          FROM unnest(v_batch) WITH ORDINALITY AS r(
                round, kind, channel, transaction_minor, transaction_currency, hold_seconds,
                processing_code, mti, stan, transmission_datetime, rrn, acquirer, terminal,
                merchant, merchant_name, mcc, country, entry_mode, link, scheme,
                scheme_transaction_id, account_id, card_id, card_version, message_key, decide_by,
                refusal_before_pin, hsm_fault, pin_verdict, refusal_after_pin, amount_minor,
                cash_minor, authorization_code, issuer_authentication, books, takes_partial,
                rrn_clue, scheme_clue, is_increment, original_trace, sequence_number, atc,
                atc_behind, atc_ahead, findings, ordinal)
          LEFT JOIN accounts AS a ON a.account_id = r.account_id
          LEFT JOIN cards    AS c ON c.account_id = r.account_id AND c.card_id = r.card_id
        OFFSET 0) AS k
        OFFSET 0) AS l
        OFFSET 0) AS f
        OFFSET 0) AS q
        OFFSET 0) AS j
        OFFSET 0) AS d;

        -- Nothing below may refuse: the decisions are made.
        WITH moved AS MATERIALIZED (
            SELECT * FROM ROWS FROM (unnest(v_batch), unnest(v_judged)) AS d(
                round, kind, channel, transaction_minor, transaction_currency, hold_seconds,
                processing_code, mti, stan, transmission_datetime, rrn, acquirer, terminal,
                merchant, merchant_name, mcc, country, entry_mode, link, scheme,
                scheme_transaction_id, account_id, card_id, card_version, message_key, decide_by,
                refusal_before_pin, hsm_fault, pin_verdict, refusal_after_pin, amount_minor,
                cash_minor, asked_code, issuer_authentication, books, takes_partial, rrn_clue,
                scheme_clue, is_increment, original_trace, sequence_number, atc, atc_behind,
                atc_ahead, findings, outcome, reason, authorization_id, authorization_code,
                available_before, granted_minor, hold_minor, post_minor, partial_transaction_minor,
                root_id, purchase_id, purchase_received_at, response_code, found_here)
             WHERE d.outcome = 'decided'
        ),
        journal AS (
            INSERT INTO authorizations (
                account_id, authorization_id, received_at, card_id, link, mti, message_key,
                stan, transmission_datetime, rrn, acquirer, terminal, merchant, merchant_name,
                mcc, country, entry_mode, processing_code, kind, channel,
                transaction_minor, transaction_currency, amount_minor, cash_minor,
                reason, authorization_code, available_minor, issuer_authentication,
                purchase_id, purchase_received_at, standing_minor, posted_minor, using_minor,
                using_cash_minor, partial_minor, partial_transaction_minor, response_code,
                scheme, scheme_transaction_id, is_increment, reversed_at, findings)
            SELECT d.account_id, d.authorization_id, v_now, d.card_id, d.link, d.mti, d.message_key,
                   d.stan, d.transmission_datetime, d.rrn, d.acquirer, d.terminal, d.merchant,
                   d.merchant_name, d.mcc, d.country, d.entry_mode, d.processing_code, d.kind,
                   d.channel, d.transaction_minor, d.transaction_currency, d.amount_minor,
                   d.cash_minor, d.reason,
                   CASE WHEN d.reason IS NULL THEN d.authorization_code END,
                   d.available_before - d.hold_minor + d.post_minor,
                   CASE WHEN d.reason IS NULL THEN d.issuer_authentication END,
                   d.purchase_id, d.purchase_received_at,
                   CASE WHEN d.purchase_id IS NULL THEN d.hold_minor + abs(d.post_minor) ELSE 0 END,
                   abs(d.post_minor),
                   d.hold_minor + greatest(0, -d.post_minor),
                   CASE WHEN d.hold_minor > 0 OR d.post_minor <> 0
                        THEN least(d.cash_minor, d.granted_minor) ELSE 0 END,
                   CASE WHEN d.reason IS NULL AND d.partial_transaction_minor IS NOT NULL
                        THEN d.granted_minor END,
                   CASE WHEN d.reason IS NULL THEN d.partial_transaction_minor END,
                   d.response_code, d.scheme, d.scheme_transaction_id,
                   d.is_increment AND d.root_id IS NULL AND d.purchase_id IS NOT NULL,
                   CASE WHEN d.reason = 'reversed_before_original' THEN v_now END,
                   CASE WHEN d.found_here IS NULL THEN d.findings
                        ELSE concat_ws(' ', d.findings, d.found_here) END
              FROM moved AS d
        ),
        keyed AS (
            INSERT INTO message_keys (account_id, message_key, authorization_id, received_at)
            SELECT d.account_id, d.message_key, d.authorization_id, v_now FROM moved AS d
        ),
        held AS (
            INSERT INTO holds (
                account_id, purchase_id, authorization_id, received_at, amount_minor, state,
                expires_at)
            SELECT d.account_id, coalesce(d.purchase_id, d.authorization_id), d.authorization_id,
                   v_now, d.hold_minor, 'open', v_now + make_interval(secs => d.hold_seconds)
              FROM moved AS d WHERE d.hold_minor > 0
        ),
        paid AS (
            UPDATE accounts AS a
               SET held_minor = a.held_minor + d.hold_minor,
                   posted_minor = a.posted_minor + d.post_minor
              FROM moved AS d
             WHERE (d.hold_minor > 0 OR d.post_minor <> 0) AND a.account_id = d.account_id
            RETURNING a.account_id, d.card_id, d.authorization_id, d.post_minor, d.hold_minor,
                      a.posted_minor, a.held_minor, a.credit_limit_minor
        )
        INSERT INTO events (
            account_id, occurred_at, type, card_id, authorization_id, received_at,
            posted_change_minor, held_change_minor, posted_minor, held_minor, credit_limit_minor)
        SELECT p.account_id, v_now, 'authorization.approved', p.card_id, p.authorization_id, v_now,
               p.post_minor, p.hold_minor, p.posted_minor, p.held_minor, p.credit_limit_minor
          FROM paid AS p
         UNION ALL
        SELECT d.account_id, v_now,
               CASE WHEN d.reason IS NULL THEN 'authorization.approved'
                    ELSE 'authorization.declined' END,
               d.card_id, d.authorization_id, v_now, NULL, NULL, NULL, NULL, NULL
          FROM moved AS d WHERE d.hold_minor = 0 AND d.post_minor = 0;

        IF v_consequences IS NOT NULL THEN
            PERFORM authorize_after_v1(v_consequences, v_now);
        END IF;
        IF v_repeats THEN
            v_answers := authorize_again_v2(p_requests, v_answers);
        END IF;
        v_decided := v_decided || v_answers;
    END LOOP;
    RETURN v_decided;
END
$$;
