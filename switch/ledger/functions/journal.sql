-- open_suspense_v1: see that the suspense accounts among these are there. The number tells which it
-- is: -(program_id * 1000 + currency).
CREATE OR REPLACE FUNCTION open_suspense_v1(p_account_ids bigint[])
RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO accounts (account_id, reference, program_id, currency, kind)
    SELECT DISTINCT id, 'suspense ' || (-id / 1000) || '/' || lpad((-id % 1000)::text, 3, '0'),
           -id / 1000, lpad((-id % 1000)::text, 3, '0'), 'suspense'
      FROM unnest(p_account_ids) AS id
     WHERE id < 0 AND NOT EXISTS (SELECT FROM accounts AS a WHERE a.account_id = id)
    ON CONFLICT (account_id) DO NOTHING
$$;

-- journal_v1: record an advice, a completion or a reversal, under its own message key. It belongs
-- to a purchase, or is one. What it brings is told as it came; what it moves is moved by others.
CREATE OR REPLACE FUNCTION journal_v1(
    p booking_v1, p_root authorizations, p_amount_minor bigint, p_would_have_declined text)
RETURNS authorizations LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_row authorizations;
BEGIN
    INSERT INTO authorizations (
        account_id, authorization_id, received_at, card_id, link, scheme, mti, message_key,
        stan, transmission_datetime, rrn, acquirer, terminal, merchant, merchant_name, mcc,
        country, entry_mode, processing_code, kind, channel, transaction_minor,
        transaction_currency, amount_minor, cash_minor, reason, response_code,
        authorization_code, would_have_declined, scheme_transaction_id, available_minor,
        purchase_id, purchase_received_at, asked)
    SELECT p.account_id, nextval('authorization_ids'), clock_timestamp(), p.card_id, p.link,
           p.scheme, p.mti, p.message_key, p.stan, p.transmission_datetime, p.rrn, p.acquirer,
           p.terminal, p.merchant, p.merchant_name, p.mcc, p.country, p.entry_mode,
           p.processing_code, p.kind, p.channel, p.transaction_minor, p.transaction_currency,
           p_amount_minor, p.cash_minor,
           CASE WHEN NOT p.is_approved THEN 'declined_elsewhere' END, p.response_code,
           p.authorization_code, p_would_have_declined, p.scheme_transaction_id,
           a.posted_minor + a.credit_limit_minor - a.held_minor,
           p_root.authorization_id, p_root.received_at,
           ROW(p.task, p.is_approved, p.is_final, p.original_traces, p.original_classes,
               p.original_acquirer, p.original_code, p.rrn_clue, p.scheme_clue, p.own_traces,
               p.leave_clues, p.amount_minor, p.keep_transaction_minor, p.keep_minor,
               p.hold_seconds, p.would_have_declined)::asked_v1
      FROM accounts AS a WHERE a.account_id = p.account_id
    RETURNING * INTO v_row;
    INSERT INTO message_keys (account_id, message_key, authorization_id, received_at)
    VALUES (p.account_id, p.message_key, v_row.authorization_id, v_row.received_at);
    RETURN v_row;
END
$$;

-- leave_marks_v1: what came before its original is found under the clues that one will have. A
-- reversal's mark stays whatever else comes.
CREATE OR REPLACE FUNCTION leave_marks_v1(p booking_v1, p_row authorizations, p_verdict text)
RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO early_marks (
        account_id, clue, verdict, left_by, acquirer, authorization_id, received_at)
    SELECT DISTINCT p.account_id, clue, p_verdict, substr(p.mti, 2, 2),
           CASE WHEN clue = ANY (p.original_traces) THEN coalesce(p.original_acquirer, '')
                ELSE '' END,
           p_row.authorization_id, p_row.received_at
      FROM unnest(p.leave_clues) AS clue
    ON CONFLICT (account_id, clue, is_reversal, acquirer) DO UPDATE
       SET verdict = excluded.verdict, left_by = excluded.left_by,
           authorization_id = excluded.authorization_id,
           received_at = excluded.received_at, noted_at = excluded.noted_at
$$;

-- was_reversed_v1: whether a reversal of this very message was here before it.
CREATE OR REPLACE FUNCTION was_reversed_v1(p booking_v1)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM early_marks
                    WHERE account_id = p.account_id AND clue = ANY (p.own_traces)
                      AND verdict = 'reversed'
                      AND acquirer IN ('', ltrim(p.acquirer, '0')))
$$;

-- is_shut_v1: whether nothing new may be booked on the account.
CREATE OR REPLACE FUNCTION is_shut_v1(p booking_v1)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT p.may_suspend AND status = 'closed' FROM accounts WHERE account_id = p.account_id
$$;

-- is_foreign_v1: whether a message is in another currency than the account's: without a billing
-- amount it is booked in suspense.
CREATE OR REPLACE FUNCTION is_foreign_v1(p booking_v1)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT currency <> p.transaction_currency FROM accounts WHERE account_id = p.account_id
$$;

-- is_suspended_v1: whether the original of a message went to suspense: of it only the key is here.
CREATE OR REPLACE FUNCTION is_suspended_v1(p booking_v1)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM unnest(p.original_traces) AS trace
          JOIN message_keys AS k
            ON k.account_id = p.account_id
           AND k.message_key BETWEEN trace || '\x0000000000000000' AND trace || '\xffffffffffffffff'
         WHERE k.authorization_id = 0)
$$;
