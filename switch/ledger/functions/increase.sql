-- increased_v2: the purchase that an increment adds to: found by the trace of an earlier message of
-- it, else by the scheme's transaction id, where something is still held for it.
CREATE OR REPLACE FUNCTION increased_v2(
    p_account_id bigint, p_card_id bigint, p_trace bytea, p_scheme_transaction_id text)
RETURNS place_v1 LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_row    authorizations;
    v_since  timestamptz := clock_timestamp() - memory_v1();
BEGIN
    IF p_trace IS NOT NULL THEN
        v_row := by_trace_v1(p_account_id, p_trace, NULL);
    END IF;
    IF v_row.authorization_id IS NULL AND p_scheme_transaction_id IS NOT NULL THEN
        SELECT * INTO v_row FROM authorizations AS z
         WHERE z.account_id = p_account_id AND z.card_id = p_card_id
           AND z.scheme_transaction_id = p_scheme_transaction_id
           AND z.received_at > v_since
           AND substr(z.mti, 2, 2) IN ('10', '12')
         ORDER BY z.received_at DESC, z.authorization_id DESC
         LIMIT 1;
    END IF;
    v_row := root_v1(v_row);
    IF held_v1(p_account_id, v_row.authorization_id) > 0 THEN
        RETURN (v_row.authorization_id, v_row.received_at)::place_v1;
    END IF;
    RETURN NULL;
END
$$;
