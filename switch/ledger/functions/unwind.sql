-- unwind_v2: take back what one attempt at a message did, for its answer did not leave in time.
-- The code tells attempts apart. An attempt that was approved takes its approval back, unless a
-- repeat was told of it meanwhile; such a repeat, when it is itself too late, takes its word back,
-- and then the approval goes. What an advice has confirmed meanwhile stays. Where nothing is there
-- a mark is left, so that a backend which commits it later declines. Gives unwound, told, advised,
-- marked, or nothing.
CREATE OR REPLACE FUNCTION unwind_v2(
    p_account_id bigint, p_message_key bytea, p_authorization_code text)
RETURNS text LANGUAGE plpgsql VOLATILE
-- An account that a stranger holds must not keep the others waiting: this one is tried again.
SET lock_timeout = '1s' AS $$
DECLARE
    v_key       message_keys;
    v_approval  authorizations;
    v_root      authorizations;
    v_was       accounts;
BEGIN
    PERFORM FROM accounts WHERE account_id = p_account_id FOR NO KEY UPDATE;

    SELECT * INTO v_key FROM message_keys
     WHERE account_id = p_account_id AND message_key = p_message_key;
    IF NOT FOUND THEN
        INSERT INTO early_marks (account_id, clue, verdict)
        VALUES (p_account_id, p_message_key, 'reversed') ON CONFLICT DO NOTHING;
        RETURN 'marked';
    END IF;

    DELETE FROM approvals_repeated
     WHERE account_id = p_account_id AND message_key = p_message_key
       AND authorization_code = p_authorization_code;
    UPDATE authorizations
       SET unwind_asked_at = CASE WHEN authorization_code = p_authorization_code
                                  THEN clock_timestamp() ELSE unwind_asked_at END
     WHERE account_id = p_account_id AND authorization_id = v_key.authorization_id
       AND received_at = v_key.received_at AND reason IS NULL AND unwound_at IS NULL
    RETURNING * INTO v_approval;
    IF v_approval.unwind_asked_at IS NULL THEN
        RETURN 'nothing';
    END IF;
    IF EXISTS (SELECT FROM approvals_repeated
                WHERE account_id = p_account_id AND message_key = p_message_key) THEN
        RETURN 'told';
    END IF;

    UPDATE authorizations SET unwound_at = clock_timestamp()
     WHERE account_id = p_account_id AND authorization_id = v_key.authorization_id
       AND received_at = v_key.received_at;
    v_root := root_v1(v_approval);
    IF v_approval.advised_at IS NOT NULL THEN
        RETURN 'advised';
    END IF;
    v_was := account_v1(p_account_id);
    PERFORM release_v1(
        v_root, v_approval.authorization_id,
        held_v1(p_account_id, v_root.authorization_id, v_approval.authorization_id), 'unwound');
    PERFORM post_v1(
        v_approval, v_approval.authorization_id,
        CASE WHEN is_credit_v1(v_approval.kind) THEN -1 ELSE 1 END * v_approval.posted_minor);
    PERFORM settle_use_v1(p_account_id, v_root.authorization_id, v_root.received_at);
    PERFORM tell_v1(
        'authorization.unwound', p_account_id, v_was, v_approval.card_id,
        v_approval.authorization_id, v_approval.received_at, NULL);
    RETURN 'unwound';
END
$$;

-- untold_v1: an approval's answer found its connection gone. It stays for the repeat; but a repeat
-- that is told nothing either takes it with it.
CREATE OR REPLACE FUNCTION untold_v1(
    p_account_id bigint, p_message_key bytea, p_authorization_code text)
RETURNS void LANGUAGE plpgsql VOLATILE
SET lock_timeout = '1s' AS $$
BEGIN
    PERFORM FROM accounts WHERE account_id = p_account_id FOR NO KEY UPDATE;
    UPDATE authorizations AS z SET unwind_asked_at = clock_timestamp()
      FROM message_keys AS k
     WHERE k.account_id = p_account_id AND k.message_key = p_message_key
       AND z.account_id = k.account_id AND z.authorization_id = k.authorization_id
       AND z.received_at = k.received_at
       AND z.authorization_code = p_authorization_code AND z.unwind_asked_at IS NULL;
END
$$;
