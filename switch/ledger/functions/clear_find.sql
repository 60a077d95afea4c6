-- How a presentment finds what we decided of its purchase. It looks at what never changes of what
-- came online, and at no other presentment: whatever order files come in, it finds the same.

-- authorized_v1: what was authorized by the messages of a row's purchase, its increments included:
-- in the transaction's currency, and billed.
CREATE OR REPLACE FUNCTION authorized_v1(
    p_row authorizations, OUT transaction_minor bigint, OUT billed_minor bigint)
LANGUAGE sql STABLE AS $$
    SELECT greatest(coalesce(p_row.partial_transaction_minor, p_row.transaction_minor),
                    sum(coalesce(z.partial_transaction_minor, z.transaction_minor)))::bigint,
           greatest(coalesce(p_row.partial_minor, p_row.amount_minor),
                    sum(coalesce(z.partial_minor, z.amount_minor)))::bigint
      FROM holds AS h
     CROSS JOIN LATERAL (
            SELECT * FROM authorizations AS y
             WHERE y.account_id = h.account_id AND y.authorization_id = h.authorization_id
               AND y.received_at = h.received_at
             LIMIT 1) AS z
     WHERE h.account_id = p_row.account_id
       AND h.purchase_id = coalesce(p_row.purchase_id, p_row.authorization_id)
       AND z.transaction_currency = p_row.transaction_currency
$$;

-- fits_v1: whether a presentment's amount may be that of a purchase: at most what was authorized
-- and so many percent more, for tips and the like. Any less may be.
CREATE OR REPLACE FUNCTION fits_v1(p_row authorizations, p booking_v1, p_tolerance_percent int)
RETURNS boolean LANGUAGE sql STABLE COST 1000 AS $$
    SELECT CASE
        WHEN p_row.transaction_currency = p.transaction_currency
        THEN 100::numeric * p.transaction_minor
             <= (100 + p_tolerance_percent) * authorized.transaction_minor
        ELSE coalesce(100::numeric * p.amount_minor
                      <= (100 + p_tolerance_percent) * authorized.billed_minor, false) END
      FROM authorized_v1(p_row) AS authorized
$$;

-- presentable_v1: whether a row is one that a presentment may speak of.
CREATE OR REPLACE FUNCTION presentable_v1(p_row authorizations, p booking_v1)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT p_row.card_id = p.card_id
           AND p_row.received_at > clock_timestamp() - memory_v1()
           AND substr(p_row.mti, 2, 2) IN ('10', '12', '20', '22')
           AND is_credit_v1(p_row.kind) = is_credit_v1(p.kind)
$$;

-- presented_v1: the row that a presentment speaks of: by the scheme's transaction id; else by the
-- RRN with the authorization code, or with the acquirer and an amount that fits; else by the code
-- and an amount that fits. Of several an approved one before others, then the newest. On a
-- suspense account, which many cards share, a code alone is not looked for.
CREATE OR REPLACE FUNCTION presented_v1(p booking_v1, p_tolerance_percent int)
RETURNS authorizations LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_row    authorizations;
    v_since  timestamptz := clock_timestamp() - memory_v1();
BEGIN
    IF p.scheme_transaction_id IS NOT NULL THEN
        SELECT z.* INTO v_row FROM authorizations AS z
         WHERE z.account_id = p.account_id AND z.scheme_transaction_id = p.scheme_transaction_id
           AND presentable_v1(z, p)
         ORDER BY z.reason IS NULL AND z.unwound_at IS NULL DESC,
                  z.received_at DESC, z.authorization_id DESC
         LIMIT 1;
    END IF;
    IF v_row.authorization_id IS NULL AND p.rrn <> '' THEN
        SELECT z.* INTO v_row FROM authorizations AS z
         WHERE z.account_id = p.account_id AND z.rrn = p.rrn AND presentable_v1(z, p)
           AND (z.authorization_code = p.original_code
                OR (ltrim(z.acquirer, '0') = p.original_acquirer
                    AND fits_v1(z, p, p_tolerance_percent)))
         ORDER BY z.reason IS NULL AND z.unwound_at IS NULL DESC,
                  z.received_at DESC, z.authorization_id DESC
         LIMIT 1;
    END IF;
    IF v_row.authorization_id IS NULL AND p.original_code IS NOT NULL AND p.account_id > 0 THEN
        SELECT z.* INTO v_row FROM authorizations AS z
         WHERE z.account_id = p.account_id AND z.authorization_code = p.original_code
           AND z.received_at > v_since
           AND presentable_v1(z, p) AND fits_v1(z, p, p_tolerance_percent)
         ORDER BY z.reason IS NULL AND z.unwound_at IS NULL DESC,
                  z.received_at DESC, z.authorization_id DESC
         LIMIT 1;
    END IF;
    RETURN v_row;
END
$$;

-- is_presented_v1: whether a clearing file has posted a purchase already.
CREATE OR REPLACE FUNCTION is_presented_v1(p_root authorizations)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM presentments
                    WHERE account_id = p_root.account_id
                      AND purchase_id = p_root.authorization_id)
$$;

-- confirmed_v1: how much of what was posted online for a purchase its presentments confirmed.
CREATE OR REPLACE FUNCTION confirmed_v1(p_root authorizations)
RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(confirmed_minor), 0)::bigint FROM presentments
     WHERE account_id = p_root.account_id AND purchase_id = p_root.authorization_id
$$;
