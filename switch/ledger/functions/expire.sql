-- expire_holds_v2: release holds that are past their time, at most p_most accounts of them.
-- Accounts that another process works on are left for the next sweep, so that two
-- sweepers share the work and release each hold once. Gives how many were released.
CREATE OR REPLACE FUNCTION expire_holds_v2(p_most int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_account_id bigint;
    v_due        bigint[];
    v_released   int := 0;
    v_hold       holds;
    v_root       authorizations;
    v_was        accounts;
    v_now        timestamptz := clock_timestamp();  -- a value goes by the index
BEGIN
    SELECT array_agg(DISTINCT due.account_id ORDER BY due.account_id) INTO v_due
      FROM (SELECT account_id FROM holds
             WHERE state = 'open' AND expires_at <= v_now
             ORDER BY expires_at LIMIT p_most) AS due;

    FOREACH v_account_id IN ARRAY coalesce(v_due, '{}') LOOP
        PERFORM FROM accounts WHERE account_id = v_account_id FOR NO KEY UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        FOR v_hold IN
            SELECT * FROM holds
             WHERE account_id = v_account_id AND state = 'open'
               AND expires_at <= v_now
             ORDER BY received_at, authorization_id
        LOOP
            SELECT y.* INTO v_root FROM holds AS h
             CROSS JOIN LATERAL (
                    SELECT * FROM authorizations AS z
                     WHERE z.account_id = h.account_id AND z.authorization_id = h.purchase_id
                       AND z.received_at = h.received_at
                     LIMIT 1) AS y
             WHERE h.account_id = v_account_id AND h.purchase_id = v_hold.purchase_id
               AND h.authorization_id = v_hold.purchase_id;
            v_was := account_v1(v_account_id);
            PERFORM release_v1(v_root, v_hold.authorization_id, v_hold.amount_minor, 'expired');
            PERFORM settle_use_v1(v_account_id, v_root.authorization_id, v_root.received_at);
            PERFORM tell_v1(
                'hold.expired', v_account_id, v_was, v_root.card_id, v_hold.authorization_id,
                v_hold.received_at, NULL);
            v_released := v_released + 1;
        END LOOP;
    END LOOP;
    RETURN v_released;
END
$$;
