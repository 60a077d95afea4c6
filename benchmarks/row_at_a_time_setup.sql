-- The yardstick: one authorization a call, with the questions of find_cards_v4 and authorize_v5
-- and the same rows written, by the fastest statements that we found for one (README.md has the
-- others and their figures).
--
-- An approval on a card without limits, which is what a load consists of, is one statement: what
-- it asks stands in the WHERE of the UPDATE that locks and charges the account, and the rows are
-- inserted from what that gives. The account's own figures are read anew where the lock had to be
-- waited for; of two copies of a message at once the second fails on message_keys' unique key,
-- and its sender would call again.
--
-- Whatever is no such approval is asked in policy order below, under the lock, with later
-- statements than the one that takes it. What no load brings is left out: partial approvals,
-- increments, and the answer to an original whose advice was here first.
--
-- Calls that came too late are counted, to be told apart from decisions that are lost.
CREATE SEQUENCE IF NOT EXISTS bench_late;

CREATE OR REPLACE FUNCTION bench_authorize_one(
    p_pan_token              bytea,
    p_message_key            bytea,
    p_rrn_clue               bytea,
    p_decide_by              timestamptz,
    p_expiry                 text,
    p_hold_seconds           int,
    p_refusal_before_pin     text,
    p_refusal_after_pin      text,
    p_kind                   text,
    p_channel                text,
    p_amount_minor           bigint,
    p_cash_minor             bigint,
    p_transaction_minor      bigint,
    p_transaction_currency   text,
    p_processing_code        text,
    p_mti                    text,
    p_stan                   text,
    p_transmission_datetime  text,
    p_rrn                    text,
    p_acquirer               text,
    p_terminal               text,
    p_merchant               text,
    p_merchant_name          text,
    p_mcc                    text,
    p_country                text,
    p_entry_mode             text,
    p_link                   text,
    p_authorization_code     text,
    p_findings               text,
    OUT outcome              text,
    OUT reason               text,
    OUT authorization_code   text,
    OUT available_minor      bigint)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_account_id        bigint;
    v_card_id           bigint;
    v_account_status    text;
    v_now               timestamptz;
    v_card              record;
    v_original          record;
    v_over_amount       boolean;
    v_over_count        boolean;
    v_is_debit          boolean := p_kind IN ('purchase', 'cash', 'cashback') AND p_amount_minor > 0;
    v_authorization_id  bigint;
    -- What may have been here before it: its reversal, or an advice.
    v_clues             bytea[] := ARRAY[p_message_key, substr(p_message_key, 1, 8), p_rrn_clue];
BEGIN
    WITH spent AS (
        UPDATE accounts AS a
           SET held_minor = a.held_minor + p_amount_minor
          FROM pan_tokens AS t
          JOIN cards    AS c ON c.account_id = t.account_id AND c.card_id = t.card_id
          JOIN programs AS p ON p.program_id = c.program_id
         WHERE t.pan_token = p_pan_token AND a.account_id = t.account_id
           AND v_is_debit AND p_refusal_before_pin IS NULL AND p_refusal_after_pin IS NULL
           AND clock_timestamp() <= p_decide_by
           AND NOT EXISTS (SELECT FROM message_keys AS k
                            WHERE k.account_id = t.account_id AND k.message_key = p_message_key)
           AND NOT EXISTS (SELECT FROM early_marks AS e
                            WHERE e.account_id = t.account_id AND e.clue = ANY (v_clues))
           AND EXISTS (SELECT FROM plastics AS x
                        WHERE x.account_id = t.account_id AND x.card_id = t.card_id
                          AND x.expiry = p_expiry AND NOT x.is_stopped)
           AND c.status = 'active' AND a.status = 'open'
           AND NOT p_channel = ANY (c.channels_blocked)
           AND NOT (p_cash_minor > 0 AND 'cash' = ANY (c.channels_blocked))
           AND (p_mcc = ANY (c.mcc_blocked)) IS NOT TRUE
           AND coalesce(p_country = ANY (c.countries_allowed), c.countries_allowed IS NULL)
           AND NOT EXISTS (SELECT FROM limits AS l
                            WHERE l.account_id = t.account_id AND l.card_id = t.card_id)
           AND p_amount_minor <= a.posted_minor + a.credit_limit_minor - a.held_minor
        RETURNING a.account_id, c.card_id, clock_timestamp() AS received_at,
                  nextval('authorization_ids') AS authorization_id,
                  a.posted_minor + a.credit_limit_minor - a.held_minor AS available_minor,
                  a.posted_minor, a.held_minor, a.credit_limit_minor
    ),
    keyed AS (
        INSERT INTO message_keys (account_id, message_key, authorization_id, received_at)
        SELECT s.account_id, p_message_key, s.authorization_id, s.received_at FROM spent AS s
    ),
    held AS (
        INSERT INTO holds (
            account_id, purchase_id, authorization_id, received_at, amount_minor, state,
            expires_at)
        SELECT s.account_id, s.authorization_id, s.authorization_id, s.received_at,
               p_amount_minor, 'open', s.received_at + make_interval(secs => p_hold_seconds)
          FROM spent AS s
    ),
    told AS (
        INSERT INTO events (
            account_id, occurred_at, type, card_id, authorization_id, received_at,
            posted_change_minor, held_change_minor, posted_minor, held_minor, credit_limit_minor)
        SELECT s.account_id, s.received_at, 'authorization.approved', s.card_id,
               s.authorization_id, s.received_at, 0, p_amount_minor, s.posted_minor, s.held_minor,
               s.credit_limit_minor
          FROM spent AS s
    )
    INSERT INTO authorizations (
        account_id, authorization_id, received_at, card_id, link, scheme, mti, message_key,
        stan, transmission_datetime, rrn, acquirer, terminal, merchant, merchant_name,
        mcc, country, entry_mode, processing_code, kind, channel,
        transaction_minor, transaction_currency, amount_minor, cash_minor,
        authorization_code, available_minor, standing_minor, using_minor, using_cash_minor, findings)
    SELECT s.account_id, s.authorization_id, s.received_at, s.card_id, p_link, 'demo', p_mti, p_message_key,
           p_stan, p_transmission_datetime, p_rrn, p_acquirer, p_terminal, p_merchant,
           p_merchant_name, p_mcc, p_country, p_entry_mode, p_processing_code, p_kind, p_channel,
           p_transaction_minor, p_transaction_currency, p_amount_minor, p_cash_minor,
           p_authorization_code, s.available_minor, p_amount_minor, p_amount_minor, p_cash_minor,
           p_findings
      FROM spent AS s
    RETURNING available_minor INTO available_minor;
    IF FOUND THEN
        outcome := 'decided';
        authorization_code := p_authorization_code;
        RETURN;
    END IF;

    SELECT t.account_id, t.card_id, a.status, a.posted_minor + a.credit_limit_minor - a.held_minor
      INTO v_account_id, v_card_id, v_account_status, available_minor
      FROM pan_tokens AS t JOIN accounts AS a ON a.account_id = t.account_id
     WHERE t.pan_token = p_pan_token
       FOR NO KEY UPDATE OF a;
    v_now := clock_timestamp();
    IF v_account_id IS NULL THEN
        outcome := 'decided'; reason := 'no_card_record';
        RETURN;
    END IF;
    IF p_decide_by < v_now THEN
        PERFORM nextval('bench_late');
        outcome := 'late';
        RETURN;
    END IF;

    SELECT c.status, c.channels_blocked, c.mcc_blocked, c.countries_allowed,
           p.time_zone, p.week_starts, k.authorization_id, k.received_at,
           (SELECT e.verdict FROM early_marks AS e
             WHERE e.account_id = c.account_id AND e.clue = ANY (v_clues)
             ORDER BY e.verdict = 'reversed' DESC, e.noted_at DESC LIMIT 1) AS early_verdict,
           EXISTS (SELECT FROM plastics AS x
                    WHERE x.account_id = c.account_id AND x.card_id = c.card_id
                      AND x.expiry = p_expiry AND NOT x.is_stopped) AS has_plastic,
           EXISTS (SELECT FROM limits AS l
                    WHERE l.account_id = c.account_id AND l.card_id = c.card_id) AS has_limits
      INTO v_card
      FROM cards AS c
      JOIN programs AS p ON p.program_id = c.program_id
      LEFT JOIN message_keys AS k
             ON k.account_id = c.account_id AND k.message_key = p_message_key
     WHERE c.account_id = v_account_id AND c.card_id = v_card_id;

    -- A repeat gets the answer its original got.
    IF v_card.authorization_id IS NOT NULL THEN
        SELECT * INTO v_original FROM authorizations AS o
         WHERE o.account_id = v_account_id AND o.authorization_id = v_card.authorization_id
           AND o.received_at = v_card.received_at;
        outcome := 'repeated';
        reason := CASE WHEN v_original.transaction_minor <> p_transaction_minor
                         OR v_original.transaction_currency <> p_transaction_currency
                         OR v_original.processing_code <> p_processing_code THEN 'duplicate_conflict'
                       WHEN v_original.unwound_at IS NOT NULL
                         OR v_original.reversed_at IS NOT NULL THEN 'reversed'
                       ELSE v_original.reason END;
        authorization_code := v_original.authorization_code;
        available_minor := v_original.available_minor;
        RETURN;
    END IF;

    IF v_card.has_limits AND v_is_debit THEN
        SELECT limited.over_amount, limited.over_count INTO v_over_amount, v_over_count
          FROM limited_v1(v_account_id, v_card_id, p_kind, p_channel, p_amount_minor, p_cash_minor,
                          v_now, v_card.time_zone, v_card.week_starts) AS limited;
    END IF;

    outcome := 'decided';
    reason := CASE
        WHEN v_card.early_verdict = 'reversed' THEN 'reversed_before_original'
        WHEN v_card.early_verdict = 'declined' THEN 'declined_elsewhere'
        WHEN p_refusal_before_pin IS NOT NULL THEN p_refusal_before_pin
        WHEN v_card.status <> 'active' THEN v_card.status
        WHEN v_account_status <> 'open' THEN 'account_closed'
        WHEN NOT v_card.has_plastic THEN 'card_expired'
        WHEN p_refusal_after_pin IS NOT NULL THEN p_refusal_after_pin
        WHEN NOT permitted_v1(
                p_channel, p_cash_minor, p_mcc, p_country, v_card.channels_blocked,
                v_card.mcc_blocked, v_card.countries_allowed) THEN 'not_permitted'
        WHEN v_over_amount THEN 'limit_amount'
        WHEN v_over_count THEN 'limit_count'
        WHEN v_is_debit AND p_amount_minor > available_minor THEN 'insufficient_funds'
    END;
    v_authorization_id := nextval('authorization_ids');
    IF reason IS NULL THEN
        authorization_code := p_authorization_code;
        available_minor := available_minor - CASE WHEN v_is_debit THEN p_amount_minor ELSE 0 END;
    END IF;

    INSERT INTO authorizations (
        account_id, authorization_id, received_at, card_id, link, scheme, mti, message_key,
        stan, transmission_datetime, rrn, acquirer, terminal, merchant, merchant_name,
        mcc, country, entry_mode, processing_code, kind, channel,
        transaction_minor, transaction_currency, amount_minor, cash_minor,
        reason, authorization_code, available_minor, standing_minor, using_minor, using_cash_minor,
        findings)
    VALUES (
        v_account_id, v_authorization_id, v_now, v_card_id, p_link, 'demo', p_mti, p_message_key,
        p_stan, p_transmission_datetime, p_rrn, p_acquirer, p_terminal, p_merchant,
        p_merchant_name, p_mcc, p_country, p_entry_mode, p_processing_code, p_kind, p_channel,
        p_transaction_minor, p_transaction_currency, p_amount_minor, p_cash_minor,
        reason, authorization_code, available_minor,
        CASE WHEN reason IS NULL AND v_is_debit THEN p_amount_minor ELSE 0 END,
        CASE WHEN reason IS NULL AND v_is_debit THEN p_amount_minor ELSE 0 END,
        CASE WHEN reason IS NULL AND v_is_debit THEN p_cash_minor ELSE 0 END, p_findings);
    INSERT INTO message_keys (account_id, message_key, authorization_id, received_at)
    VALUES (v_account_id, p_message_key, v_authorization_id, v_now);
    IF reason IS NOT NULL OR NOT v_is_debit THEN
        INSERT INTO events (account_id, occurred_at, type, card_id, authorization_id, received_at)
        VALUES (v_account_id, v_now,
                CASE WHEN reason IS NULL THEN 'authorization.approved'
                     ELSE 'authorization.declined' END, v_card_id, v_authorization_id, v_now);
        RETURN;
    END IF;

    INSERT INTO holds (
        account_id, purchase_id, authorization_id, received_at, amount_minor, state, expires_at)
    VALUES (v_account_id, v_authorization_id, v_authorization_id, v_now, p_amount_minor, 'open',
            v_now + make_interval(secs => p_hold_seconds));
    WITH spent AS (
        UPDATE accounts SET held_minor = held_minor + p_amount_minor
         WHERE account_id = v_account_id
        RETURNING posted_minor, held_minor, credit_limit_minor
    )
    INSERT INTO events (
        account_id, occurred_at, type, card_id, authorization_id, received_at, posted_change_minor,
        held_change_minor, posted_minor, held_minor, credit_limit_minor)
    SELECT v_account_id, v_now, 'authorization.approved', v_card_id, v_authorization_id, v_now, 0,
           p_amount_minor, s.posted_minor, s.held_minor, s.credit_limit_minor
      FROM spent AS s;
    IF v_card.has_limits THEN
        INSERT INTO limit_usage AS u (
            account_id, card_id, scope, period, period_start, amount_minor, count, counted_from)
        SELECT l.account_id, l.card_id, l.scope, l.period,
               period_start_v1(l.period, v_now, v_card.time_zone, v_card.week_starts),
               use.amount_minor, 1, v_now
          FROM limits AS l
         CROSS JOIN LATERAL (
                SELECT limit_use_v1(l.scope, p_kind, p_channel, p_amount_minor, p_cash_minor)
               ) AS use(amount_minor)
         WHERE l.account_id = v_account_id AND l.card_id = v_card_id
           AND l.period <> 'transaction' AND use.amount_minor IS NOT NULL
        ON CONFLICT (account_id, card_id, scope, period, period_start) DO UPDATE
           SET amount_minor = u.amount_minor + excluded.amount_minor,
               count = u.count + excluded.count;
    END IF;
END
$$;

-- pgbench knows integers only, so each load card gets a second token that SQL can make of its
-- number: as long and as scattered as the real one.
CREATE OR REPLACE FUNCTION bench_token(p_serial bigint) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT sha256(int8send(p_serial))';

INSERT INTO pan_tokens (pan_token, token_version, account_id, card_id)
SELECT bench_token(account_id), 0, account_id, account_id FROM accounts WHERE reference LIKE 'load-%'
ON CONFLICT DO NOTHING;
