-- authorize_v3: decide a batch of authorizations and, where approved, hold the funds or post them.
-- One call is one transaction. `p_round` numbers the requests of one account within
-- the batch from 0, in order of arrival: each round is decided on what the earlier ones left.
CREATE OR REPLACE FUNCTION authorize_v3(
    p_round                  int[],
    p_account_id bigint[], p_card_id bigint[],
    p_message_key            bytea[],
    p_decide_by              timestamptz[],
    p_refusal_before_pin text[], p_hsm_fault boolean[],
    p_pin_verdict text[], p_refusal_after_pin text[],
    p_kind text[], p_channel text[],
    p_amount_minor bigint[], p_cash_minor bigint[],
    p_transaction_minor bigint[], p_transaction_currency text[],
    p_processing_code        text[],
    p_mti text[], p_stan text[], p_transmission_datetime text[], p_rrn text[],
    p_acquirer text[], p_terminal text[], p_merchant text[], p_merchant_name text[],
    p_mcc text[], p_country text[], p_entry_mode text[], p_link text[],
    p_authorization_code     text[],
    p_issuer_authentication  text[],
    p_books                  text[],     -- hold, posting, or nothing
    p_hold_seconds           int[],
    p_takes_partial          boolean[],  -- the terminal takes less than it asked for
    p_rrn_clue               bytea[],    -- with the next: under which an advice may have been
    p_scheme_clue            bytea[],    -- here first
    p_is_increment           boolean[],  -- of an earlier purchase, which the next two find
    p_original_trace         bytea[],
    p_scheme_transaction_id  text[],
    p_scheme                 text[],
    p_sequence_number text[], p_atc int[],  -- of a right cryptogram: whose counter, and where it
    p_atc_behind int[], p_atc_ahead int[])  -- may stand to the highest; null: as far as it likes
RETURNS TABLE (
    ordinal                int,   -- the request's place in the batch, from 1
    outcome                text,  -- decided, repeated, locked, late, unavailable
    reason                 text,  -- null: approved
    authorization_code     text,
    available_minor        bigint,
    issuer_authentication  text,
    partial_minor              bigint,  -- approved and billed, where less than asked for
    partial_transaction_minor  bigint,
    response_code          text)  -- DE39 as an advice that was here first brought it
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_locked  bigint[];
    v_now     timestamptz;
BEGIN
    -- From here to COMMIT nobody else spends from these accounts. The lock is a statement
    -- of its own, for what is read below must be read by a later snapshot. An account that
    -- another process holds is skipped: its request comes again, and stalls nobody here.
    SELECT coalesce(array_agg(taken.account_id), '{}') INTO v_locked
      FROM (SELECT a.account_id FROM accounts AS a
             WHERE a.account_id = ANY (p_account_id)
             ORDER BY a.account_id
               FOR NO KEY UPDATE SKIP LOCKED) AS taken;
    v_now := clock_timestamp();

    -- An empty batch runs an empty round: it makes the plan before money waits for it.
    FOR v_round IN 0 .. (SELECT coalesce(max(r), 0) FROM unnest(p_round) AS r) LOOP
        RETURN QUERY
        WITH requests AS MATERIALIZED (
            SELECT r.*
              FROM unnest(
                    p_round, p_account_id, p_card_id, p_message_key, p_decide_by,
                    p_refusal_before_pin, p_hsm_fault, p_pin_verdict, p_refusal_after_pin,
                    p_kind, p_channel, p_amount_minor, p_cash_minor, p_transaction_minor,
                    p_transaction_currency, p_processing_code, p_mti, p_stan,
                    p_transmission_datetime, p_rrn, p_acquirer, p_terminal, p_merchant,
                    p_merchant_name, p_mcc, p_country, p_entry_mode, p_link,
                    p_authorization_code, p_issuer_authentication, p_books, p_hold_seconds,
                    p_takes_partial, p_rrn_clue, p_scheme_clue, p_is_increment, p_original_trace,
                    p_scheme_transaction_id, p_scheme, p_sequence_number, p_atc, p_atc_behind,
                    p_atc_ahead)
                   WITH ORDINALITY AS r(
                    round, account_id, card_id, message_key, decide_by, refusal_before_pin,
                    hsm_fault, pin_verdict, refusal_after_pin, kind, channel, amount_minor,
                    cash_minor, transaction_minor, transaction_currency, processing_code, mti,
                    stan, transmission_datetime, rrn, acquirer, terminal, merchant,
                    merchant_name, mcc, country, entry_mode, link, authorization_code,
                    issuer_authentication, books, hold_seconds, takes_partial, rrn_clue,
                    scheme_clue, is_increment, original_trace, scheme_transaction_id, scheme,
                    sequence_number, atc, atc_behind, atc_ahead, ordinal)
             WHERE r.round = v_round
        ),
        -- What is known of each request's account, card and past, now that the lock is held.
        located AS MATERIALIZED (
            SELECT r.*,
                   r.account_id = ANY (v_locked)   AS is_locked,
                   r.decide_by < v_now             AS is_late,
                   r.kind IN ('purchase', 'cash', 'cashback') AND r.amount_minor > 0 AS is_debit,
                   a.posted_minor + a.credit_limit_minor - a.held_minor AS available_before,
                   a.status                        AS account_status,
                   a.currency                      AS account_currency,
                   c.status                        AS card_status,
                   c.pin_tries, c.channels_blocked, c.mcc_blocked, c.countries_allowed,
                   p.pin_tries_max, p.time_zone, p.week_starts,
                   k.authorization_id              AS original_id,
                   k.received_at                   AS original_received_at,
                   e.verdict                       AS early_verdict,
                   e.authorization_id              AS early_id,
                   e.received_at                   AS early_received_at,
                   e.clue = r.rrn_clue             AS is_early_by_rrn,
                   n.highest                       AS atc_highest,
                   n.seen                          AS atc_seen,
                   atc_refusal_v1(r.atc, n.highest, n.seen, r.atc_behind, r.atc_ahead)
                                                   AS atc_refusal
              FROM requests AS r
              JOIN accounts AS a ON a.account_id = r.account_id
              JOIN cards    AS c ON c.account_id = r.account_id AND c.card_id = r.card_id
              JOIN programs AS p ON p.program_id = c.program_id
              -- LATERAL … LIMIT 1: a plan made while these tables were empty looks each row
              -- up by its key all the same. A join's would read them whole as they grow.
              LEFT JOIN LATERAL (
                    SELECT m.authorization_id, m.received_at FROM message_keys AS m
                     WHERE m.account_id = r.account_id AND m.message_key = r.message_key
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
                    SELECT x.highest, x.seen FROM chip_counters AS x
                     WHERE r.atc IS NOT NULL AND x.account_id = r.account_id
                       AND x.card_id = r.card_id AND x.sequence_number = r.sequence_number
                     LIMIT 1) AS n ON true
        ),
        -- A repeat gets the answer its original got, and moves no money.
        repeated AS (
            SELECT l.ordinal, l.account_id, l.message_key, l.authorization_code AS attempt,
                   CASE WHEN o.transaction_minor <> l.transaction_minor
                          OR o.transaction_currency <> l.transaction_currency
                          OR o.amount_minor <> l.amount_minor
                          OR o.processing_code <> l.processing_code THEN 'duplicate_conflict'
                        WHEN o.reason IS NULL
                         AND coalesce(o.unwound_at, o.reversed_at, root.reversed_at) IS NOT NULL
                        THEN 'reversed'
                        ELSE o.reason
                   END AS reason,
                   o.authorization_code, o.available_minor, o.issuer_authentication,
                   o.partial_minor, o.partial_transaction_minor, o.response_code
              FROM located AS l
             CROSS JOIN LATERAL (
                    SELECT * FROM authorizations AS z
                     WHERE z.account_id = l.account_id
                       AND z.authorization_id = l.original_id
                       AND z.received_at = l.original_received_at
                     LIMIT 1) AS o
              LEFT JOIN LATERAL (
                    SELECT z.reversed_at FROM authorizations AS z
                     WHERE z.account_id = l.account_id
                       AND z.authorization_id = o.purchase_id
                       AND z.received_at = o.purchase_received_at
                     LIMIT 1) AS root ON o.purchase_id IS NOT NULL
             WHERE l.is_locked AND NOT l.is_late AND l.original_id IS NOT NULL
        ),
        asked AS MATERIALIZED (
            SELECT l.*,
                   early.root_id, early.root_received_at,
                   early.authorization_code AS early_code,
                   early.response_code      AS early_response_code,
                   coalesce(l.early_verdict = 'approved' AND early.root_id IS NOT NULL
                            AND early.reversed_at IS NULL, false) AS is_advised,
                   coalesce(
                       CASE WHEN l.early_verdict = 'reversed' OR early.reversed_at IS NOT NULL
                            THEN 'reversed_before_original'
                            WHEN l.early_verdict = 'declined' AND early.root_id IS NOT NULL THEN 'declined_elsewhere' END,
                       l.refusal_before_pin,
                       CASE WHEN l.card_status <> 'active' THEN l.card_status END,
                       CASE WHEN l.account_status <> 'open' THEN 'account_closed' END,
                       l.atc_refusal
                   ) AS refusal_so_far
              FROM located AS l
              -- LIMIT: the function is not even called where there is nothing to ask.
              LEFT JOIN LATERAL (
                    SELECT * FROM early_v1(
                            l.account_id, l.early_id, l.early_received_at, l.kind,
                            l.is_early_by_rrn, l.transaction_minor, l.transaction_currency)
                     WHERE l.early_id IS NOT NULL AND l.early_verdict <> 'reversed'
                     LIMIT 1) AS early ON true
             WHERE l.is_locked AND NOT l.is_late AND l.original_id IS NULL
        ),
        -- The questions, in policy order: coalesce stops at the first refusal.
        judged AS MATERIALIZED (
            SELECT q.*,
                   NOT q.is_advised AND q.refusal_so_far IS NULL AND q.hsm_fault AS is_unavailable,
                   NOT q.is_advised AND q.refusal_so_far IS NULL AND NOT q.hsm_fault AS reaches_pin,
                   partial.transaction_minor AS partial_transaction_minor,
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
              FROM asked AS q
              LEFT JOIN LATERAL limited_v1(
                    q.account_id, q.card_id, q.kind, q.channel, q.amount_minor, q.cash_minor,
                    v_now, q.time_zone, q.week_starts) AS limited ON q.is_debit
              -- What is available instead, in the transaction's currency; null: nothing is.
             CROSS JOIN LATERAL (
                    SELECT CASE
                        WHEN q.takes_partial AND q.kind = 'purchase' AND NOT q.is_advised
                             AND q.available_before > 0 AND q.amount_minor > q.available_before
                             AND q.refusal_after_pin IS NULL
                        THEN nullif(div(q.transaction_minor::numeric * q.available_before,
                                        q.amount_minor)::bigint, 0)
                    END) AS partial(transaction_minor)
        ),
        decided AS MATERIALIZED (
            SELECT j.*,
                   nextval('authorization_ids')     AS authorization_id,
                   j.reason IS NULL                 AS is_approved,
                   CASE WHEN j.is_advised THEN j.early_code ELSE j.authorization_code END
                                                    AS given_code,
                   CASE WHEN j.partial_transaction_minor IS NULL THEN j.amount_minor
                        ELSE j.available_before END AS granted_minor,
                   j.reason IS NULL AND NOT j.is_advised AND j.is_debit
                       AND j.books = 'hold'         AS is_held,
                   j.reason IS NULL AND NOT j.is_advised AND j.books = 'posting'
                       AND j.amount_minor > 0       AS is_posted,
                   coalesce(j.root_id, first.root_id)                   AS purchase_id,
                   coalesce(j.root_received_at, first.root_received_at) AS purchase_received_at
              FROM judged AS j
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
             WHERE NOT j.is_unavailable
        ),
        moved AS MATERIALIZED (
            SELECT d.*,
                   CASE WHEN d.is_held THEN d.granted_minor ELSE 0 END AS hold_minor,
                   CASE WHEN NOT d.is_posted THEN 0
                        WHEN d.is_debit THEN -d.granted_minor
                        ELSE d.granted_minor END                       AS post_minor
              FROM decided AS d
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
        posted AS (
            INSERT INTO postings (
                account_id, posting_id, posted_at, contra, scheme, currency, amount_minor,
                authorization_id, booking_id)
            SELECT d.account_id, nextval('posting_ids'), v_now, 'settlement', d.scheme,
                   d.account_currency, d.post_minor, d.authorization_id, d.authorization_id
              FROM moved AS d WHERE d.post_minor <> 0
        ),
        spent AS (
            UPDATE accounts AS a
               SET held_minor = a.held_minor + d.hold_minor,
                   posted_minor = a.posted_minor + d.post_minor
              FROM moved AS d
             WHERE (d.hold_minor > 0 OR d.post_minor <> 0) AND a.account_id = d.account_id
        ),
        -- An increment stands for its purchase, and everything held for that stays as long.
        increased AS (
            UPDATE authorizations AS z SET standing_minor = z.standing_minor + d.hold_minor
              FROM moved AS d
             WHERE d.is_increment AND d.hold_minor > 0 AND z.account_id = d.account_id
               AND z.authorization_id = d.purchase_id AND z.received_at = d.purchase_received_at
        ),
        extended AS (
            UPDATE holds AS h SET expires_at = v_now + make_interval(secs => d.hold_seconds)
              FROM moved AS d
             WHERE d.is_increment AND d.is_approved AND NOT d.is_advised AND h.account_id = d.account_id
               AND h.purchase_id = d.purchase_id AND h.state = 'open'
        ),
        -- One original a mark: what else comes with the same RRN is another purchase.
        met AS (
            DELETE FROM early_marks AS e USING moved AS d
             WHERE d.root_id IS NOT NULL AND e.account_id = d.account_id
               AND e.authorization_id = d.early_id AND e.verdict <> 'reversed'
        ),
        -- A right cryptogram is used up, whatever else was decided.
        counted AS (
            INSERT INTO chip_counters AS c (account_id, card_id, sequence_number, highest, seen)
            SELECT d.account_id, d.card_id, d.sequence_number, greatest(d.atc, d.atc_highest),
                   atc_seen_v1(d.atc, d.atc_highest, d.atc_seen)
              FROM moved AS d WHERE d.atc IS NOT NULL AND d.atc_refusal IS NULL
            ON CONFLICT (account_id, card_id, sequence_number) DO UPDATE
               SET highest = excluded.highest, seen = excluded.seen
        ),
        -- A wrong PIN counts a try and a right one clears the count, whatever came after it;
        -- a right one never reopens a count that is used up.
        pinned AS (
            UPDATE cards AS c
               SET pin_tries = CASE d.pin_verdict WHEN 'match' THEN 0 ELSE c.pin_tries + 1 END
              FROM moved AS d
             WHERE d.reaches_pin AND d.pin_tries < d.pin_tries_max
               AND (d.pin_verdict = 'mismatch' OR (d.pin_verdict = 'match' AND d.pin_tries > 0))
               AND c.account_id = d.account_id AND c.card_id = d.card_id
        ),
        -- What a repeat is told must stay: an unwinding of its original comes too late.
        told AS (
            INSERT INTO approvals_repeated (account_id, message_key, authorization_code)
            SELECT r.account_id, r.message_key, r.attempt FROM repeated AS r WHERE r.reason IS NULL
            ON CONFLICT DO NOTHING
        ),
        used AS (
            INSERT INTO limit_usage AS u (
                account_id, card_id, scope, period, period_start, amount_minor, count,
                counted_from)
            SELECT l.account_id, l.card_id, l.scope, l.period,
                   period_start_v1(l.period, v_now, d.time_zone, d.week_starts),
                   use.amount_minor, 1, v_now
              FROM moved AS d
              JOIN limits AS l ON l.account_id = d.account_id AND l.card_id = d.card_id
             CROSS JOIN LATERAL (
                    SELECT limit_use_v1(l.scope, d.kind, d.channel, d.granted_minor,
                                        least(d.cash_minor, d.granted_minor))) AS use(amount_minor)
             WHERE d.is_debit AND (d.is_held OR d.is_posted) AND l.period <> 'transaction' AND use.amount_minor IS NOT NULL
            ON CONFLICT (account_id, card_id, scope, period, period_start) DO UPDATE
               SET amount_minor = u.amount_minor + excluded.amount_minor,
                   count = u.count + excluded.count
        )
        SELECT d.ordinal::int, 'decided', d.reason,
               CASE WHEN d.is_approved THEN d.given_code END,
               d.available_before - d.hold_minor + d.post_minor,
               CASE WHEN d.is_approved THEN d.issuer_authentication END,
               CASE WHEN d.is_approved AND d.partial_transaction_minor IS NOT NULL
                    THEN d.granted_minor END,
               CASE WHEN d.is_approved THEN d.partial_transaction_minor END,
               CASE WHEN d.reason = 'declined_elsewhere' OR d.is_advised
                    THEN d.early_response_code END
          FROM moved AS d
        UNION ALL
        SELECT r.ordinal::int, 'repeated', r.reason, r.authorization_code, r.available_minor,
               r.issuer_authentication, r.partial_minor, r.partial_transaction_minor, r.response_code
          FROM repeated AS r
        UNION ALL
        SELECT j.ordinal::int, 'unavailable', NULL, NULL, NULL, NULL, NULL, NULL, NULL
          FROM judged AS j WHERE j.is_unavailable
        UNION ALL
        SELECT l.ordinal::int, CASE WHEN l.is_locked THEN 'late' ELSE 'locked' END,
               NULL, NULL, NULL, NULL, NULL, NULL, NULL
          FROM located AS l WHERE l.is_late OR NOT l.is_locked;
    END LOOP;
END
$$;
