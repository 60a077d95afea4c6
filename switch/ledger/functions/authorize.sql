-- authorize_v1: decide a batch of authorizations and, where approved, hold the funds.
-- One call is one transaction. `p_round` numbers the requests of one account within
-- the batch from 0, in order of arrival: each round is decided on what the earlier ones left.
CREATE OR REPLACE FUNCTION authorize_v1(
    p_round                  int[],
    p_account_id             bigint[],
    p_card_id                bigint[],
    p_message_key            bytea[],
    p_decide_by              timestamptz[],
    p_refusal_before_pin     text[],
    p_hsm_fault              boolean[],
    p_pin_verdict            text[],
    p_refusal_after_pin      text[],
    p_kind                   text[],
    p_channel                text[],
    p_amount_minor           bigint[],
    p_cash_minor             bigint[],
    p_transaction_minor      bigint[],
    p_transaction_currency   text[],
    p_processing_code        text[],
    p_mti                    text[],
    p_stan                   text[],
    p_transmission_datetime  text[],
    p_rrn                    text[],
    p_acquirer               text[],
    p_terminal               text[],
    p_merchant               text[],
    p_merchant_name          text[],
    p_mcc                    text[],
    p_country                text[],
    p_entry_mode             text[],
    p_link                   text[],
    p_authorization_code     text[],
    p_issuer_authentication  text[])
RETURNS TABLE (
    ordinal                int,   -- the request's place in the batch, from 1
    outcome                text,  -- decided, repeated, locked, late, unavailable
    reason                 text,  -- null: approved
    authorization_code     text,
    available_minor        bigint,
    issuer_authentication  text)
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
                    p_kind, p_channel, p_amount_minor, p_cash_minor,
                    p_transaction_minor, p_transaction_currency, p_processing_code,
                    p_mti, p_stan, p_transmission_datetime, p_rrn, p_acquirer,
                    p_terminal, p_merchant, p_merchant_name, p_mcc, p_country, p_entry_mode,
                    p_link, p_authorization_code, p_issuer_authentication)
                   WITH ORDINALITY AS r(
                    round, account_id, card_id, message_key, decide_by,
                    refusal_before_pin, hsm_fault, pin_verdict, refusal_after_pin,
                    kind, channel, amount_minor, cash_minor,
                    transaction_minor, transaction_currency, processing_code,
                    mti, stan, transmission_datetime, rrn, acquirer,
                    terminal, merchant, merchant_name, mcc, country, entry_mode,
                    link, authorization_code, issuer_authentication, ordinal)
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
                   c.status                        AS card_status,
                   c.pin_tries, c.channels_blocked, c.mcc_blocked, c.countries_allowed,
                   p.pin_tries_max, p.hold_days, p.time_zone, p.week_starts,
                   k.authorization_id              AS original_id,
                   k.received_at                   AS original_received_at,
                   e.message_key IS NOT NULL       AS was_reversed_early
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
              LEFT JOIN LATERAL (
                    SELECT x.message_key FROM reversals_early AS x
                     WHERE x.account_id = r.account_id AND x.message_key = r.message_key
                     LIMIT 1) AS e ON true
        ),
        -- A repeat gets the answer its original got, and moves no money.
        repeated AS (
            SELECT l.ordinal, l.account_id, l.message_key, l.authorization_code AS attempt,
                   CASE WHEN o.transaction_minor <> l.transaction_minor
                          OR o.transaction_currency <> l.transaction_currency
                          OR o.amount_minor <> l.amount_minor
                          OR o.processing_code <> l.processing_code THEN 'duplicate_conflict'
                        WHEN o.unwound_at IS NOT NULL THEN 'reversed'
                        ELSE o.reason
                   END AS reason,
                   o.authorization_code, o.available_minor, o.issuer_authentication
              FROM located AS l
             CROSS JOIN LATERAL (
                    SELECT * FROM authorizations AS z
                     WHERE z.account_id = l.account_id
                       AND z.authorization_id = l.original_id
                       AND z.received_at = l.original_received_at
                     LIMIT 1) AS o
             WHERE l.is_locked AND NOT l.is_late AND l.original_id IS NOT NULL
        ),
        asked AS MATERIALIZED (
            SELECT l.*,
                   coalesce(
                       CASE WHEN l.was_reversed_early THEN 'reversed_before_original' END,
                       l.refusal_before_pin,
                       CASE WHEN l.card_status <> 'active' THEN l.card_status END,
                       CASE WHEN l.account_status <> 'open' THEN 'account_closed' END
                   ) AS refusal_so_far
              FROM located AS l
             WHERE l.is_locked AND NOT l.is_late AND l.original_id IS NULL
        ),
        -- The questions, in policy order: coalesce stops at the first refusal.
        judged AS MATERIALIZED (
            SELECT q.*,
                   q.refusal_so_far IS NULL AND q.hsm_fault AS is_unavailable,
                   q.refusal_so_far IS NULL AND NOT q.hsm_fault AS reaches_pin,
                   coalesce(
                       q.refusal_so_far,
                       CASE WHEN q.pin_verdict IS NULL THEN NULL
                            WHEN q.pin_tries >= q.pin_tries_max THEN 'pin_tries_exceeded'
                            WHEN q.pin_verdict = 'mismatch' AND q.pin_tries + 1 >= q.pin_tries_max
                                THEN 'pin_tries_exceeded'
                            WHEN q.pin_verdict <> 'match' THEN 'pin_mismatch'
                       END,
                       q.refusal_after_pin,
                       CASE WHEN q.channel = ANY (q.channels_blocked)
                              OR (q.cash_minor > 0 AND 'cash' = ANY (q.channels_blocked))
                              OR coalesce(q.mcc = ANY (q.mcc_blocked), q.mcc_blocked <> '{}')
                              OR NOT coalesce(q.country = ANY (q.countries_allowed),
                                              q.countries_allowed IS NULL)
                            THEN 'not_permitted' END,
                       CASE WHEN q.is_debit AND limited.over_amount THEN 'limit_amount' END,
                       CASE WHEN q.is_debit AND limited.over_count  THEN 'limit_count' END,
                       CASE WHEN q.is_debit AND q.amount_minor > q.available_before
                            THEN 'insufficient_funds' END
                   ) AS reason
              FROM asked AS q
              LEFT JOIN LATERAL (
                    SELECT bool_or(l.amount_minor < used.amount_minor + use.amount_minor) AS over_amount,
                           bool_or(l.count < used.count + 1)                              AS over_count
                      FROM limits AS l
                     CROSS JOIN LATERAL (
                            SELECT limit_use_v1(l.scope, q.kind, q.channel,
                                                q.amount_minor, q.cash_minor)) AS use(amount_minor)
                     CROSS JOIN LATERAL (
                            SELECT coalesce(sum(u.amount_minor), 0), coalesce(sum(u.count), 0)
                              FROM limit_usage AS u
                             WHERE u.account_id = l.account_id AND u.card_id = l.card_id
                               AND u.scope = l.scope AND u.period = l.period
                               AND u.period_start = period_start_v1(
                                       l.period, v_now, q.time_zone, q.week_starts)
                               AND l.period <> 'transaction') AS used(amount_minor, count)
                     WHERE l.account_id = q.account_id AND l.card_id = q.card_id
                       AND use.amount_minor IS NOT NULL
                   ) AS limited ON q.is_debit
        ),
        decided AS MATERIALIZED (
            SELECT j.*,
                   nextval('authorization_ids') AS authorization_id,
                   j.reason IS NULL             AS is_approved,
                   j.reason IS NULL AND j.is_debit AS is_held,
                   j.available_before
                       - CASE WHEN j.reason IS NULL AND j.is_debit THEN j.amount_minor ELSE 0 END
                       AS available_minor
              FROM judged AS j
             WHERE NOT j.is_unavailable
        ),

        -- Nothing below may refuse: the decision is made.
        journal AS (
            INSERT INTO authorizations (
                account_id, authorization_id, received_at, card_id, link, mti, message_key,
                stan, transmission_datetime, rrn, acquirer, terminal, merchant, merchant_name,
                mcc, country, entry_mode, processing_code, kind, channel,
                transaction_minor, transaction_currency, amount_minor, cash_minor,
                reason, authorization_code, available_minor, issuer_authentication)
            SELECT d.account_id, d.authorization_id, v_now, d.card_id, d.link, d.mti, d.message_key,
                   d.stan, d.transmission_datetime, d.rrn, d.acquirer, d.terminal, d.merchant,
                   d.merchant_name, d.mcc, d.country, d.entry_mode, d.processing_code, d.kind,
                   d.channel, d.transaction_minor, d.transaction_currency, d.amount_minor,
                   d.cash_minor, d.reason,
                   CASE WHEN d.is_approved THEN d.authorization_code END, d.available_minor,
                   CASE WHEN d.is_approved THEN d.issuer_authentication END
              FROM decided AS d
        ),
        keyed AS (
            INSERT INTO message_keys (account_id, message_key, authorization_id, received_at)
            SELECT d.account_id, d.message_key, d.authorization_id, v_now FROM decided AS d
        ),
        held AS (
            INSERT INTO holds (
                account_id, authorization_id, received_at, amount_minor, state, expires_at)
            SELECT d.account_id, d.authorization_id, v_now, d.amount_minor, 'open',
                   v_now + make_interval(days => d.hold_days)
              FROM decided AS d WHERE d.is_held
        ),
        spent AS (
            UPDATE accounts AS a SET held_minor = a.held_minor + d.amount_minor
              FROM decided AS d
             WHERE d.is_held AND a.account_id = d.account_id
        ),
        -- A wrong PIN counts a try and a right one clears the count, whatever came after it;
        -- a right one never reopens a count that is used up.
        pinned AS (
            UPDATE cards AS c
               SET pin_tries = CASE d.pin_verdict WHEN 'match' THEN 0 ELSE c.pin_tries + 1 END
              FROM decided AS d
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
              FROM decided AS d
              JOIN limits AS l ON l.account_id = d.account_id AND l.card_id = d.card_id
             CROSS JOIN LATERAL (
                    SELECT limit_use_v1(l.scope, d.kind, d.channel,
                                        d.amount_minor, d.cash_minor)) AS use(amount_minor)
             WHERE d.is_held AND l.period <> 'transaction' AND use.amount_minor IS NOT NULL
            ON CONFLICT (account_id, card_id, scope, period, period_start) DO UPDATE
               SET amount_minor = u.amount_minor + excluded.amount_minor,
                   count = u.count + excluded.count
        )
        SELECT d.ordinal::int, 'decided', d.reason,
               CASE WHEN d.is_approved THEN d.authorization_code END, d.available_minor,
               CASE WHEN d.is_approved THEN d.issuer_authentication END
          FROM decided AS d
        UNION ALL
        SELECT r.ordinal::int, 'repeated', r.reason, r.authorization_code, r.available_minor,
               r.issuer_authentication
          FROM repeated AS r
        UNION ALL
        SELECT j.ordinal::int, 'unavailable', NULL, NULL, NULL, NULL
          FROM judged AS j WHERE j.is_unavailable
        UNION ALL
        SELECT l.ordinal::int, CASE WHEN l.is_locked THEN 'late' ELSE 'locked' END,
               NULL, NULL, NULL, NULL
          FROM located AS l WHERE l.is_late OR NOT l.is_locked;
    END LOOP;
END
$$;
