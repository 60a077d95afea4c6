-- authorize_v4: decide a batch of authorizations and, where approved, hold the funds or post them.
-- One call is one transaction. A request's round numbers those of its account within the batch
-- from 0, in order of arrival: each round is decided on what the earlier ones left.
--
-- Most requests end in this page: a journal row, a message key, a hold, and the account's figure.
-- What follows beside that stands in authorize_after.sql, and is called for those that have it.
CREATE OR REPLACE FUNCTION authorize_v4(p_requests authorization_v1[])
RETURNS decision_v1[] LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_accounts      bigint[];
    v_locked        bigint[];
    v_last          int;
    v_now           timestamptz;
    v_decided       decision_v1[];
    v_consequences  consequence_v1[];
    v_repeated      int[];
    v_all           decision_v1[];
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

    -- An empty batch runs an empty round: it makes the plan before money waits for it.
    FOR v_round IN 0 .. coalesce(v_last, 0) LOOP
        WITH moved AS MATERIALIZED (
            SELECT d.*,
                   CASE WHEN d.is_held THEN d.granted_minor ELSE 0 END AS hold_minor,
                   CASE WHEN NOT d.is_posted THEN 0
                        WHEN d.is_debit THEN -d.granted_minor
                        ELSE d.granted_minor END                       AS post_minor
              FROM (
            SELECT j.*,
                   CASE WHEN j.outcome = 'decided' THEN nextval('authorization_ids') END
                                                    AS authorization_id,
                   j.outcome = 'decided' AND j.reason IS NULL AS is_approved,
                   CASE WHEN j.is_advised THEN j.early_code ELSE j.authorization_code END
                                                    AS given_code,
                   CASE WHEN j.partial_transaction_minor IS NULL THEN j.amount_minor
                        ELSE j.available_before END AS granted_minor,
                   j.outcome = 'decided' AND j.reason IS NULL AND NOT j.is_advised AND j.is_debit
                       AND j.books = 'hold'         AS is_held,
                   j.outcome = 'decided' AND j.reason IS NULL AND NOT j.is_advised
                       AND j.books = 'posting' AND j.amount_minor > 0 AS is_posted,
                   coalesce(j.root_id, first.root_id)                   AS purchase_id,
                   coalesce(j.root_received_at, first.root_received_at) AS purchase_received_at
              FROM (
            -- The questions, in policy order: coalesce stops at the first refusal.
            SELECT q.*,
                   partial.transaction_minor AS partial_transaction_minor,
                   CASE WHEN q.is_open AND NOT q.is_advised AND q.refusal_so_far IS NULL
                         AND q.hsm_fault THEN 'unavailable'
                        ELSE q.found END AS outcome,
                   q.is_open AND NOT q.is_advised AND q.refusal_so_far IS NULL
                       AND NOT q.hsm_fault AS reaches_pin,
                   CASE WHEN q.is_advised THEN NULL ELSE coalesce(
                       q.refusal_so_far,
                       CASE WHEN q.pin_verdict IS NULL THEN NULL
                            WHEN q.pin_tries >= q.pin_tries_max THEN 'pin_tries_exceeded'
                            WHEN q.pin_verdict = 'mismatch' AND q.pin_tries + 1 >= q.pin_tries_max
                                THEN 'pin_tries_exceeded'
                            WHEN q.pin_verdict <> 'match' THEN 'pin_mismatch'
                       END,
                       q.refusal_after_pin,
                       CASE WHEN NOT permitted_v1(
                                q.channel, q.cash_minor, q.mcc, q.country,
                                q.channels_blocked, q.mcc_blocked, q.countries_allowed)
                            THEN 'not_permitted' END,
                       CASE WHEN q.is_debit AND limited.over_amount THEN 'limit_amount' END,
                       CASE WHEN q.is_debit AND limited.over_count  THEN 'limit_count' END,
                       CASE WHEN q.is_debit AND q.amount_minor > q.available_before
                             AND partial.transaction_minor IS NULL
                            THEN 'insufficient_funds' END
                   ) END AS reason
              FROM (
            -- What was here before it, and what its card and account say by themselves.
            SELECT l.*,
                   early.root_id, early.root_received_at,
                   early.authorization_code AS early_code,
                   early.response_code      AS early_response_code,
                   l.found = 'decided'      AS is_open,
                   coalesce(l.early_verdict = 'approved' AND early.root_id IS NOT NULL
                            AND early.reversed_at IS NULL, false) AS is_advised,
                   coalesce(
                       CASE WHEN l.early_verdict = 'reversed' OR early.reversed_at IS NOT NULL
                            THEN 'reversed_before_original'
                            WHEN l.early_verdict = 'declined' AND early.root_id IS NOT NULL
                            THEN 'declined_elsewhere' END,
                       l.refusal_before_pin,
                       CASE WHEN l.card_status <> 'active' THEN l.card_status END,
                       CASE WHEN l.account_status <> 'open' THEN 'account_closed' END,
                       l.atc_refusal
                   ) AS refusal_so_far
              FROM (
            -- What is known of each request's account, card and past, now that the lock is held.
            SELECT r.*,
                   CASE WHEN NOT r.account_id = ANY (v_locked) THEN 'locked'
                        WHEN r.decide_by < v_now               THEN 'late'
                        WHEN k.authorization_id IS NOT NULL    THEN 'repeated'
                        WHEN r.card_version <> c.version       THEN 'stale'
                        ELSE 'decided' END     AS found,
                   r.kind IN ('purchase', 'cash', 'cashback') AND r.amount_minor > 0 AS is_debit,
                   a.posted_minor + a.credit_limit_minor - a.held_minor AS available_before,
                   a.status                        AS account_status,
                   a.currency                      AS account_currency,
                   c.status                        AS card_status,
                   c.pin_tries, c.channels_blocked, c.mcc_blocked, c.countries_allowed,
                   p.pin_tries_max, p.time_zone, p.week_starts,
                   m.is_limited IS TRUE            AS has_limits,
                   e.verdict                       AS early_verdict,
                   e.authorization_id              AS early_id,
                   e.received_at                   AS early_received_at,
                   e.clue = r.rrn_clue             AS is_early_by_rrn,
                   n.highest                       AS atc_highest,
                   n.seen                          AS atc_seen,
                   atc_refusal_v1(r.atc, n.highest, n.seen, r.atc_behind, r.atc_ahead)
                                                   AS atc_refusal
              FROM unnest(p_requests) WITH ORDINALITY AS r(
                    round, account_id, card_id, card_version, message_key, decide_by,
                    refusal_before_pin, hsm_fault, pin_verdict, refusal_after_pin, kind, channel,
                    amount_minor, cash_minor, transaction_minor, transaction_currency,
                    processing_code, mti, stan, transmission_datetime, rrn, acquirer, terminal,
                    merchant, merchant_name, mcc, country, entry_mode, link, authorization_code,
                    issuer_authentication, books, hold_seconds, takes_partial, rrn_clue,
                    scheme_clue, is_increment, original_trace, scheme_transaction_id, scheme,
                    sequence_number, atc, atc_behind, atc_ahead, ordinal)
              JOIN accounts AS a ON a.account_id = r.account_id
              JOIN cards    AS c ON c.account_id = r.account_id AND c.card_id = r.card_id
              JOIN programs AS p ON p.program_id = c.program_id
              -- LATERAL … LIMIT 1: a plan made while these tables were empty looks each row
              -- up by its key all the same. A join's would read them whole as they grow.
              LEFT JOIN LATERAL (
                    SELECT x.authorization_id FROM message_keys AS x
                     WHERE x.account_id = r.account_id AND x.message_key = r.message_key
                     LIMIT 1) AS k ON true
              -- What was here before it: its reversal or its unwinding, an advice, a completion.
              LEFT JOIN LATERAL (
                    SELECT x.verdict, x.authorization_id, x.received_at, x.clue
                      FROM early_marks AS x
                     WHERE x.account_id = r.account_id
                       AND x.clue = ANY (ARRAY[r.message_key, substr(r.message_key, 1, 8),
                                               r.scheme_clue, r.rrn_clue])
                       AND x.acquirer IN ('', ltrim(r.acquirer, '0'))
                       -- A stand-in advice speaks of no 0200.
                       AND (x.left_by <> '12' OR substr(r.mti, 2, 2) <> '20')
                     ORDER BY x.verdict = 'reversed' DESC, x.clue IS NOT DISTINCT FROM r.rrn_clue,
                              x.noted_at DESC
                     LIMIT 1) AS e ON true
              LEFT JOIN LATERAL (
                    SELECT true FROM limits AS x
                     WHERE x.account_id = r.account_id AND x.card_id = r.card_id
                     LIMIT 1) AS m(is_limited) ON true
              LEFT JOIN LATERAL (
                    SELECT x.highest, x.seen FROM chip_counters AS x
                     WHERE r.atc IS NOT NULL AND x.account_id = r.account_id
                       AND x.card_id = r.card_id AND x.sequence_number = r.sequence_number
                     LIMIT 1) AS n ON true
             WHERE r.round = v_round
                   ) AS l
              -- LIMIT: the function is not even called where there is nothing to ask.
              LEFT JOIN LATERAL (
                    SELECT * FROM early_v1(
                            l.account_id, l.early_id, l.early_received_at, l.kind,
                            l.is_early_by_rrn, l.transaction_minor, l.transaction_currency)
                     WHERE l.early_id IS NOT NULL AND l.early_verdict <> 'reversed'
                     LIMIT 1) AS early ON true
                   ) AS q
              LEFT JOIN LATERAL (
                    SELECT * FROM limited_v1(
                            q.account_id, q.card_id, q.kind, q.channel, q.amount_minor,
                            q.cash_minor, v_now, q.time_zone, q.week_starts)
                     WHERE q.is_debit AND q.has_limits
                     LIMIT 1) AS limited ON true
              -- What is available instead, in the transaction's currency; null: nothing is.
             CROSS JOIN LATERAL (
                    SELECT CASE
                        WHEN q.takes_partial AND q.kind = 'purchase' AND NOT q.is_advised
                             AND q.available_before > 0 AND q.amount_minor > q.available_before
                             AND q.refusal_after_pin IS NULL
                        THEN nullif(div(q.transaction_minor::numeric * q.available_before,
                                        q.amount_minor)::bigint, 0)
                    END) AS partial(transaction_minor)
                   ) AS j
              -- The purchase that an increment adds to, as long as something is held for it.
              LEFT JOIN LATERAL (
                    SELECT h.purchase_id, z.received_at
                      FROM increased_v1(j.account_id, j.card_id, j.original_trace,
                                        j.scheme_transaction_id) AS h(purchase_id)
                     CROSS JOIN LATERAL (
                            SELECT y.received_at FROM holds AS y
                             WHERE y.account_id = j.account_id AND y.purchase_id = h.purchase_id
                               AND y.authorization_id = h.purchase_id
                             LIMIT 1) AS z
                     WHERE j.is_increment AND NOT j.is_advised
                     LIMIT 1) AS first(root_id, root_received_at) ON true
                   ) AS d
        ),

        -- Nothing below may refuse: the decision is made.
        journal AS (
            INSERT INTO authorizations (
                account_id, authorization_id, received_at, card_id, link, mti, message_key,
                stan, transmission_datetime, rrn, acquirer, terminal, merchant, merchant_name,
                mcc, country, entry_mode, processing_code, kind, channel,
                transaction_minor, transaction_currency, amount_minor, cash_minor,
                reason, authorization_code, available_minor, issuer_authentication,
                purchase_id, purchase_received_at, standing_minor, posted_minor, using_minor,
                using_cash_minor, partial_minor, partial_transaction_minor, response_code,
                scheme, scheme_transaction_id, is_increment, reversed_at)
            SELECT d.account_id, d.authorization_id, v_now, d.card_id, d.link, d.mti, d.message_key,
                   d.stan, d.transmission_datetime, d.rrn, d.acquirer, d.terminal, d.merchant,
                   d.merchant_name, d.mcc, d.country, d.entry_mode, d.processing_code, d.kind,
                   d.channel, d.transaction_minor, d.transaction_currency, d.amount_minor,
                   d.cash_minor, d.reason,
                   CASE WHEN d.is_approved THEN d.given_code END,
                   d.available_before - d.hold_minor + d.post_minor,
                   CASE WHEN d.is_approved THEN d.issuer_authentication END,
                   d.purchase_id, d.purchase_received_at,
                   CASE WHEN d.purchase_id IS NULL THEN d.hold_minor + abs(d.post_minor) ELSE 0 END,
                   abs(d.post_minor),
                   CASE WHEN d.is_debit THEN d.hold_minor + abs(d.post_minor) ELSE 0 END,
                   CASE WHEN d.is_held OR d.is_posted
                        THEN least(d.cash_minor, d.granted_minor) ELSE 0 END,
                   CASE WHEN d.partial_transaction_minor IS NOT NULL AND d.is_approved
                        THEN d.granted_minor END,
                   CASE WHEN d.is_approved THEN d.partial_transaction_minor END,
                   CASE WHEN d.reason = 'declined_elsewhere' OR d.is_advised
                        THEN d.early_response_code END,
                   d.scheme, d.scheme_transaction_id,
                   d.is_increment AND d.root_id IS NULL AND d.purchase_id IS NOT NULL,
                   CASE WHEN d.reason = 'reversed_before_original' THEN v_now END
              FROM moved AS d WHERE d.outcome = 'decided'
        ),
        keyed AS (
            INSERT INTO message_keys (account_id, message_key, authorization_id, received_at)
            SELECT d.account_id, d.message_key, d.authorization_id, v_now
              FROM moved AS d WHERE d.outcome = 'decided'
        ),
        held AS (
            INSERT INTO holds (
                account_id, purchase_id, authorization_id, received_at, amount_minor, state,
                expires_at)
            SELECT d.account_id, coalesce(d.purchase_id, d.authorization_id), d.authorization_id,
                   v_now, d.hold_minor, 'open', v_now + make_interval(secs => d.hold_seconds)
              FROM moved AS d WHERE d.hold_minor > 0
        ),
        spent AS (
            UPDATE accounts AS a
               SET held_minor = a.held_minor + d.hold_minor,
                   posted_minor = a.posted_minor + d.post_minor
              FROM moved AS d
             WHERE (d.hold_minor > 0 OR d.post_minor <> 0) AND a.account_id = d.account_id
        )
        SELECT array_agg(ROW(
                   d.ordinal, d.outcome,
                   CASE WHEN d.outcome = 'decided' THEN d.reason END,
                   CASE WHEN d.is_approved THEN d.given_code END,
                   CASE WHEN d.outcome = 'decided'
                        THEN d.available_before - d.hold_minor + d.post_minor END,
                   CASE WHEN d.is_approved THEN d.issuer_authentication END,
                   CASE WHEN d.is_approved AND d.partial_transaction_minor IS NOT NULL
                        THEN d.granted_minor END,
                   CASE WHEN d.is_approved THEN d.partial_transaction_minor END,
                   CASE WHEN d.reason = 'declined_elsewhere' OR d.is_advised
                        THEN d.early_response_code END)::decision_v1)
                   FILTER (WHERE d.outcome <> 'repeated'),
               array_agg(d.ordinal::int) FILTER (WHERE d.outcome = 'repeated'),
               array_agg(ROW(
                   d.account_id, d.card_id, d.authorization_id, d.purchase_id,
                   d.purchase_received_at, d.root_id, d.early_id, d.kind, d.channel, d.scheme,
                   d.account_currency, d.granted_minor, d.cash_minor, d.hold_minor, d.post_minor,
                   d.hold_seconds, d.is_approved, d.is_advised, d.is_increment,
                   d.has_limits AND d.is_debit AND (d.is_held OR d.is_posted),
                   d.time_zone, d.week_starts, pin.tries, d.sequence_number,
                   CASE WHEN d.atc_refusal IS NULL THEN d.atc END, d.atc_highest, d.atc_seen
                   )::consequence_v1)
                   FILTER (WHERE d.outcome = 'decided' AND (
                       d.post_minor <> 0 OR d.is_increment OR d.root_id IS NOT NULL
                       OR (d.has_limits AND (d.is_held OR d.is_posted)) OR d.atc IS NOT NULL OR pin.tries IS NOT NULL))
          INTO v_decided, v_repeated, v_consequences
          FROM moved AS d
          -- A wrong PIN counts a try and a right one clears the count, whatever came after it;
          -- a right one never reopens a count that is used up.
         CROSS JOIN LATERAL (
                SELECT CASE WHEN d.reaches_pin AND d.pin_tries < d.pin_tries_max THEN
                           CASE d.pin_verdict WHEN 'mismatch' THEN d.pin_tries + 1
                                              WHEN 'match'    THEN nullif(0, d.pin_tries) END
                       END) AS pin(tries);
        IF v_consequences IS NOT NULL THEN
            PERFORM authorize_after_v1(v_consequences, v_now);
        END IF;
        IF v_repeated IS NOT NULL THEN
            v_decided := v_decided || authorize_again_v1(p_requests, v_repeated);
        END IF;
        v_all := v_all || v_decided;
    END LOOP;
    RETURN coalesce(v_all, '{}');
END
$$;
