-- What operators do to accounts and cards. Each function is one transaction: it takes the
-- account's lock as a decision does, changes what it is asked to, and records who did it and why.
-- `outcome` is done, unchanged, or what speaks against it; then nothing is changed or recorded.
-- `was` and `became` hold no PAN and nothing of a PIN but how many tries were counted.

-- operator_record_v1: note one action. The functions below call it beside their change.
CREATE OR REPLACE FUNCTION operator_record_v1(
    p_operator text, p_reason text, p_action text, p_account_id bigint, p_card_id bigint,
    p_was jsonb, p_became jsonb)
RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO operator_actions (operator, reason, action, account_id, card_id, details)
    VALUES (p_operator, p_reason, p_action, p_account_id, p_card_id,
            jsonb_build_object('was', p_was, 'became', p_became));
    SELECT operator_tell_v1(p_action, p_account_id, p_card_id, p_was, p_became)
$$;

-- operator_tell_v1: the event of one action. Who did it, why, and under which key of their own, is
-- not told.
CREATE OR REPLACE FUNCTION operator_tell_v1(
    p_action text, p_account_id bigint, p_card_id bigint, p_was jsonb, p_became jsonb)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_details jsonb := jsonb_build_object(
                           'action', p_action, 'was', p_was, 'became', p_became - 'key');
    v_was     accounts;
BEGIN
    IF p_account_id IS NULL THEN
        PERFORM tell_of_none_v1('key.changed', v_details);
        RETURN;
    END IF;
    IF p_card_id IS NULL THEN
        v_was := account_v1(p_account_id);
        v_was.posted_minor := v_was.posted_minor - coalesce(
            (p_became ->> 'posted_minor')::bigint - (p_was ->> 'posted_minor')::bigint, 0);
    END IF;
    PERFORM tell_v1(
        CASE WHEN p_card_id IS NULL THEN 'account.' ELSE 'card.' END
        || CASE WHEN p_action IN ('create_account', 'create_card') THEN 'created'
                WHEN p_action IN ('credit', 'debit') THEN 'posted'
                ELSE 'changed' END,
        p_account_id, v_was, p_card_id, NULL, NULL, v_details);
END
$$;

-- operator_create_account_v1: open an account without money.
CREATE OR REPLACE FUNCTION operator_create_account_v1(
    IN p_operator text, IN p_reason text, IN p_reference text, IN p_program text,
    IN p_currency text, IN p_credit_limit_minor bigint,
    OUT outcome text, OUT was jsonb, OUT became jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_program_id int;
    v_account_id bigint;
BEGIN
    SELECT program_id INTO v_program_id FROM programs WHERE name = p_program;
    IF NOT FOUND THEN
        outcome := 'no_program';
        RETURN;
    END IF;
    INSERT INTO accounts (account_id, reference, program_id, currency, credit_limit_minor)
    VALUES (nextval('account_ids'), p_reference, v_program_id, p_currency, p_credit_limit_minor)
    ON CONFLICT (reference) DO NOTHING
    RETURNING account_id INTO v_account_id;
    IF NOT FOUND THEN
        outcome := 'account_exists';
        RETURN;
    END IF;
    outcome := 'done';
    became := jsonb_build_object('program', p_program, 'currency', p_currency, 'status', 'open',
                                 'credit_limit_minor', p_credit_limit_minor);
    PERFORM operator_record_v1(p_operator, p_reason, 'create_account', v_account_id, NULL,
                               NULL, became);
    became := became || jsonb_build_object('account_id', v_account_id);
END
$$;

-- operator_change_account_v1: another status or credit limit; null leaves it as it is.
CREATE OR REPLACE FUNCTION operator_change_account_v1(
    IN p_operator text, IN p_reason text, IN p_action text, IN p_account_id bigint,
    IN p_status text, IN p_credit_limit_minor bigint,
    OUT outcome text, OUT was jsonb, OUT became jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_account accounts;
BEGIN
    SELECT * INTO v_account FROM accounts WHERE account_id = p_account_id FOR NO KEY UPDATE;
    IF NOT FOUND OR v_account.kind <> 'cardholder' THEN
        outcome := CASE WHEN FOUND THEN 'suspense' ELSE 'no_account' END;
        RETURN;
    END IF;
    was := jsonb_build_object('status', v_account.status,
                              'credit_limit_minor', v_account.credit_limit_minor);
    became := jsonb_build_object(
        'status', coalesce(p_status, v_account.status),
        'credit_limit_minor', coalesce(p_credit_limit_minor, v_account.credit_limit_minor));
    IF was = became THEN
        outcome := 'unchanged';
        RETURN;
    END IF;
    outcome := 'done';
    UPDATE accounts
       SET status = coalesce(p_status, status),
           credit_limit_minor = coalesce(p_credit_limit_minor, credit_limit_minor)
     WHERE account_id = p_account_id;
    PERFORM operator_record_v1(p_operator, p_reason, p_action, p_account_id, NULL, was, became);
END
$$;

-- operator_post_v1: credit (above zero) or debit an account, with its posting. It may overdraw,
-- and a closed or suspense account takes it too: what stands on one must be cleared somehow.
-- A key that the account has seen posts nothing: repeated, or key_conflict for another amount.
CREATE OR REPLACE FUNCTION operator_post_v1(
    IN p_operator text, IN p_reason text, IN p_account_id bigint, IN p_amount_minor bigint,
    IN p_key text,
    OUT outcome text, OUT was jsonb, OUT became jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_account accounts;
    v_earlier bigint;
BEGIN
    SELECT * INTO v_account FROM accounts WHERE account_id = p_account_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        outcome := 'no_account';
        RETURN;
    END IF;
    IF p_key IS NOT NULL THEN
        SELECT (details -> 'became' ->> 'amount_minor')::bigint INTO v_earlier
          FROM operator_actions
         WHERE account_id = p_account_id AND action IN ('credit', 'debit')
           AND details -> 'became' ->> 'key' = p_key
         LIMIT 1;
        IF FOUND THEN
            outcome := CASE WHEN v_earlier = p_amount_minor THEN 'repeated' ELSE 'key_conflict' END;
            RETURN;
        END IF;
    END IF;
    outcome := 'done';
    INSERT INTO postings (account_id, posting_id, posted_at, contra, amount_minor, currency, note)
    VALUES (p_account_id, nextval('posting_ids'), clock_timestamp(), 'operator', p_amount_minor,
            v_account.currency, p_reason);
    UPDATE accounts SET posted_minor = posted_minor + p_amount_minor
     WHERE account_id = p_account_id;
    was := jsonb_build_object('posted_minor', v_account.posted_minor);
    became := jsonb_build_object('posted_minor', v_account.posted_minor + p_amount_minor,
                                 'amount_minor', p_amount_minor, 'key', p_key);
    PERFORM operator_record_v1(
        p_operator, p_reason, CASE WHEN p_amount_minor > 0 THEN 'credit' ELSE 'debit' END,
        p_account_id, NULL, was, became);
END
$$;
