-- How a message finds the row that it is about: always of its own card, the newest where
-- several fit. Nothing is found beyond the time that message keys are kept.

-- memory_v1: how long after a message another one finds it by anything but its trace.
CREATE OR REPLACE FUNCTION memory_v1() RETURNS interval LANGUAGE sql IMMUTABLE AS $$
    SELECT interval '60 days'
$$;

-- root_v1: the row that carries a row's purchase.
CREATE OR REPLACE FUNCTION root_v1(p_row authorizations)
RETURNS authorizations LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_root authorizations;
BEGIN
    IF p_row.purchase_id IS NULL THEN
        RETURN p_row;
    END IF;
    SELECT * INTO v_root FROM authorizations
     WHERE account_id = p_row.account_id AND authorization_id = p_row.purchase_id
       AND received_at = p_row.purchase_received_at;
    RETURN v_root;
END
$$;

-- by_trace_v1: by MTI, STAN and transmission time, whose digest begins every message key. An
-- acquirer of null is any.
CREATE OR REPLACE FUNCTION by_trace_v1(p_account_id bigint, p_trace bytea, p_acquirer text)
RETURNS authorizations LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_row authorizations;
BEGIN
    SELECT z.* INTO v_row
      FROM message_keys AS k
     CROSS JOIN LATERAL (
            SELECT * FROM authorizations AS y
             WHERE y.account_id = k.account_id AND y.authorization_id = k.authorization_id
               AND y.received_at = k.received_at
             LIMIT 1) AS z
     WHERE k.account_id = p_account_id
       AND k.message_key BETWEEN p_trace || '\x0000000000000000' AND p_trace || '\xffffffffffffffff'
       AND (p_acquirer IS NULL OR ltrim(z.acquirer, '0') = p_acquirer)
     ORDER BY z.received_at DESC, z.authorization_id DESC
     LIMIT 1;
    RETURN v_row;
END
$$;

-- by_mark_v1: by the mark that an advice or a completion left, for it came before its original.
CREATE OR REPLACE FUNCTION by_mark_v1(p_account_id bigint, p_clues bytea[])
RETURNS authorizations LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_row authorizations;
BEGIN
    SELECT z.* INTO v_row
      FROM early_marks AS e
     CROSS JOIN LATERAL (
            SELECT * FROM authorizations AS y
             WHERE y.account_id = e.account_id AND y.authorization_id = e.authorization_id
               AND y.received_at = e.received_at
             LIMIT 1) AS z
     WHERE e.account_id = p_account_id AND e.clue = ANY (p_clues) AND e.verdict <> 'reversed'
     ORDER BY e.received_at DESC
     LIMIT 1;
    RETURN v_row;
END
$$;

-- by_rrn_v1: by RRN: with the code under which it was approved, or of the same acquirer and
-- terminal; where the message says so, with the same amount.
CREATE OR REPLACE FUNCTION by_rrn_v1(
    p booking_v1, p_classes text[], p_with_code boolean, p_with_amount boolean)
RETURNS authorizations LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_row    authorizations;
    v_since  timestamptz := clock_timestamp() - memory_v1();  -- a value prunes partitions
BEGIN
    SELECT z.* INTO v_row
      FROM authorizations AS z
     WHERE z.account_id = p.account_id AND z.rrn = p.rrn AND z.card_id = p.card_id
       AND z.received_at > v_since
       AND substr(z.mti, 2, 2) = ANY (p_classes)
       AND (NOT p_with_code OR z.authorization_code = p.original_code)
       AND (p_with_code OR (ltrim(z.acquirer, '0') = ltrim(p.acquirer, '0')
                            AND z.terminal = p.terminal))
       AND (NOT p_with_amount OR (z.transaction_minor = p.transaction_minor
                                  AND z.transaction_currency = p.transaction_currency))
     ORDER BY z.received_at DESC, z.authorization_id DESC
     LIMIT 1;
    RETURN v_row;
END
$$;

-- by_scheme_id_v1: by the scheme's own transaction id.
CREATE OR REPLACE FUNCTION by_scheme_id_v1(p booking_v1, p_classes text[])
RETURNS authorizations LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_row    authorizations;
    v_since  timestamptz := clock_timestamp() - memory_v1();  -- a value prunes partitions
BEGIN
    SELECT z.* INTO v_row
      FROM authorizations AS z
     WHERE z.account_id = p.account_id AND z.card_id = p.card_id
       AND z.scheme_transaction_id = p.scheme_transaction_id
       AND z.received_at > v_since
       AND substr(z.mti, 2, 2) = ANY (p_classes)
     ORDER BY z.received_at DESC, z.authorization_id DESC
     LIMIT 1;
    RETURN v_row;
END
$$;

-- billed_v1: an amount in the account's currency, by the rate of its original: the original's
-- billed amount × new ÷ the original's transaction amount, half up. Null where it tells none.
CREATE OR REPLACE FUNCTION billed_v1(
    p_original authorizations, p_transaction_minor bigint, p_transaction_currency text)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_original.transaction_currency = p_transaction_currency
             AND p_original.transaction_minor > 0 AND p_original.amount_minor > 0
        THEN (SELECT CASE WHEN billed.minor < 1e15 THEN billed.minor::bigint END  -- else: no rate
                FROM (SELECT div(2::numeric * p_original.amount_minor * p_transaction_minor
                                 + p_original.transaction_minor,
                                 2::numeric * p_original.transaction_minor)) AS billed(minor))
    END
$$;

-- earlier_v1: what an original is to answer that comes after its advice or completion, and whose
-- purchase it is. Nothing where the mark cannot be its: a credit is no debit, and an RRN alone,
-- which an acquirer may use again, must come with the same amount.
CREATE OR REPLACE FUNCTION earlier_v1(
    p_account_id bigint, p_mark early_marks, p_kind text, p_by_rrn boolean,
    p_transaction_minor bigint, p_transaction_currency text)
RETURNS earlier_v1 LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_row   authorizations;
    v_root  authorizations;
BEGIN
    SELECT * INTO v_row FROM authorizations AS z
     WHERE z.account_id = p_account_id AND z.authorization_id = p_mark.authorization_id
       AND z.received_at = p_mark.received_at;
    IF is_credit_v1(v_row.kind) <> is_credit_v1(p_kind)
       OR (p_by_rrn AND (v_row.transaction_minor, v_row.transaction_currency)
                        IS DISTINCT FROM (p_transaction_minor, p_transaction_currency)) THEN
        RETURN NULL;
    END IF;
    v_root := root_v1(v_row);
    RETURN (v_row.authorization_code, v_row.response_code, v_root.reversed_at,
            v_root.authorization_id, v_root.received_at)::earlier_v1;
END
$$;
