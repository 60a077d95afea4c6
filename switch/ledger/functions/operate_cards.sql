-- What operators do to cards. As operate.sql: one function is one transaction under the account's
-- lock, with its record; `outcome` is done, unchanged, or what speaks against it.

-- operator_lock_card_v1: take the account's lock, then read the card.
CREATE OR REPLACE FUNCTION operator_lock_card_v1(p_account_id bigint, p_card_id bigint)
RETURNS cards LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_card cards;
BEGIN
    PERFORM FROM accounts WHERE account_id = p_account_id FOR NO KEY UPDATE;
    SELECT * INTO v_card FROM cards WHERE account_id = p_account_id AND card_id = p_card_id;
    RETURN v_card;
END
$$;

-- operator_create_card_v1: add a card with its first plastic. `p_pan_tokens` are the PAN's tokens
-- under all live keys, the newest first: a card is new where none of them is known.
CREATE OR REPLACE FUNCTION operator_create_card_v1(
    IN p_operator text, IN p_reason text, IN p_account_id bigint, IN p_pan_tokens bytea[],
    IN p_token_version smallint, IN p_pan_ciphertext bytea, IN p_pan_last_four text,
    IN p_expiry text, IN p_service_code text, IN p_sequence_number text, IN p_status text,
    OUT outcome text, OUT was jsonb, OUT became jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_account accounts;
    v_card_id bigint := nextval('card_ids');
BEGIN
    SELECT * INTO v_account FROM accounts WHERE account_id = p_account_id FOR NO KEY UPDATE;
    outcome := CASE
        WHEN NOT FOUND                        THEN 'no_account'
        WHEN v_account.kind <> 'cardholder'   THEN 'suspense'
        WHEN v_account.status <> 'open'       THEN 'account_closed'
        WHEN EXISTS (SELECT FROM pan_tokens WHERE pan_token = ANY (p_pan_tokens))
                                              THEN 'card_exists'
        ELSE 'done' END;
    IF outcome <> 'done' THEN
        RETURN;
    END IF;
    INSERT INTO pan_tokens (pan_token, token_version, account_id, card_id)
    VALUES (p_pan_tokens[1], p_token_version, p_account_id, v_card_id)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN  -- another process was quicker
        outcome := 'card_exists';
        RETURN;
    END IF;
    INSERT INTO cards (account_id, card_id, program_id, pan_ciphertext, pan_last_four, status)
    VALUES (p_account_id, v_card_id, v_account.program_id, p_pan_ciphertext, p_pan_last_four,
            p_status);
    INSERT INTO plastics (account_id, card_id, sequence_number, expiry, service_code)
    VALUES (p_account_id, v_card_id, p_sequence_number, p_expiry, p_service_code);
    became := jsonb_build_object(
        'status', p_status, 'expiry', p_expiry, 'sequence_number', p_sequence_number,
        'service_code', p_service_code);
    PERFORM operator_record_v1(p_operator, p_reason, 'create_card', p_account_id, v_card_id,
                               NULL, became);
    became := became || jsonb_build_object('card_id', v_card_id);
END
$$;

-- operator_file_update_v1: have networks told of a card's status, by the links to them.
CREATE OR REPLACE FUNCTION operator_file_update_v1(
    p_account_id bigint, p_card_id bigint, p_links text[], p_action text, p_status text)
RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO file_updates (account_id, card_id, link, action, status)
    SELECT p_account_id, p_card_id, l.link, p_action, p_status
      FROM unnest(p_links) AS l (link)
$$;

-- operator_set_card_status_v1: another status; closed is final. `p_links` are told of a block.
-- Where the card is active again, the links are told whose last word of it was a block.
CREATE OR REPLACE FUNCTION operator_set_card_status_v1(
    IN p_operator text, IN p_reason text, IN p_account_id bigint, IN p_card_id bigint,
    IN p_status text, IN p_links text[],
    OUT outcome text, OUT was jsonb, OUT became jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_card   cards  := operator_lock_card_v1(p_account_id, p_card_id);
    v_action text   := CASE p_status WHEN 'active' THEN 'delete' ELSE 'add' END;
    v_links  text[] := operator_altered_v1(p_links, '{}', '{}');
    v_told   text[];  -- whose network knows it already
BEGIN
    SELECT coalesce(array_agg(last.link), '{}') INTO v_told
      FROM (SELECT DISTINCT ON (u.link) u.link, u.action, u.status FROM file_updates AS u
             WHERE u.account_id = p_account_id AND u.card_id = p_card_id AND u.state <> 'refused'
             ORDER BY u.link, u.update_id DESC) AS last
     WHERE last.action = 'add' AND last.status = p_status;
    v_links := operator_altered_v1(v_links, '{}', v_told);
    outcome := CASE
        WHEN v_card.card_id IS NULL                                  THEN 'no_card'
        WHEN v_card.status = 'closed' AND p_status <> 'closed'       THEN 'card_closed'
        WHEN v_card.status = p_status AND v_links = '{}'             THEN 'unchanged'
        ELSE 'done' END;
    IF outcome <> 'done' THEN
        RETURN;
    END IF;
    IF p_status = 'active' THEN
        SELECT coalesce(array_agg(last.link ORDER BY last.link), '{}') INTO v_links
          FROM (SELECT DISTINCT ON (u.link) u.link, u.action FROM file_updates AS u
                 WHERE u.account_id = p_account_id AND u.card_id = p_card_id
                   AND u.state <> 'refused'
                 ORDER BY u.link, u.update_id DESC) AS last
         WHERE last.action = 'add';
    END IF;
    UPDATE cards SET status = p_status WHERE account_id = p_account_id AND card_id = p_card_id;
    PERFORM operator_file_update_v1(p_account_id, p_card_id, v_links, v_action, p_status);
    was := jsonb_build_object('status', v_card.status);
    became := jsonb_build_object('status', p_status, 'told', v_links);
    PERFORM operator_record_v1(
        p_operator, p_reason, CASE p_status WHEN 'active' THEN 'unblock' ELSE 'block' END,
        p_account_id, p_card_id, was, became);
END
$$;

-- operator_reset_pin_tries_v1: no wrong PIN is counted any more.
CREATE OR REPLACE FUNCTION operator_reset_pin_tries_v1(
    IN p_operator text, IN p_reason text, IN p_account_id bigint, IN p_card_id bigint,
    OUT outcome text, OUT was jsonb, OUT became jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_card cards := operator_lock_card_v1(p_account_id, p_card_id);
BEGIN
    outcome := CASE WHEN v_card.card_id IS NULL THEN 'no_card'
                    WHEN v_card.pin_tries = 0   THEN 'unchanged'
                    ELSE 'done' END;
    IF outcome <> 'done' THEN
        RETURN;
    END IF;
    UPDATE cards SET pin_tries = 0 WHERE account_id = p_account_id AND card_id = p_card_id;
    was := jsonb_build_object('pin_tries', v_card.pin_tries);
    became := jsonb_build_object('pin_tries', 0);
    PERFORM operator_record_v1(p_operator, p_reason, 'reset_pin_tries', p_account_id, p_card_id,
                               was, became);
END
$$;

-- operator_reissue_card_v1: add a plastic. The others stay valid until their own end, unless they
-- are stopped. Without a service code it has that of the newest.
-- A chip counts from the beginning, also one under a sequence number that had one before.
CREATE OR REPLACE FUNCTION operator_reissue_card_v1(
    IN p_operator text, IN p_reason text, IN p_account_id bigint, IN p_card_id bigint,
    IN p_expiry text, IN p_sequence_number text, IN p_service_code text, IN p_stops_old boolean,
    OUT outcome text, OUT was jsonb, OUT became jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_card         cards := operator_lock_card_v1(p_account_id, p_card_id);
    v_service_code text  := p_service_code;
    v_stopped      text[] := '{}';
BEGIN
    IF v_service_code IS NULL THEN
        SELECT service_code INTO v_service_code FROM plastics
         WHERE account_id = p_account_id AND card_id = p_card_id
         ORDER BY made_at DESC, expiry DESC LIMIT 1;
    END IF;
    outcome := CASE WHEN v_card.card_id IS NULL     THEN 'no_card'
                    WHEN v_card.status = 'closed'   THEN 'card_closed'
                    WHEN v_service_code IS NULL     THEN 'no_service_code'
                    ELSE 'done' END;
    IF outcome <> 'done' THEN
        RETURN;
    END IF;
    INSERT INTO plastics (account_id, card_id, sequence_number, expiry, service_code)
    VALUES (p_account_id, p_card_id, p_sequence_number, p_expiry, v_service_code)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        outcome := 'plastic_exists';
        RETURN;
    END IF;
    DELETE FROM chip_counters
     WHERE account_id = p_account_id AND card_id = p_card_id
       AND sequence_number = p_sequence_number;
    IF p_stops_old THEN
        WITH stopped AS (
            UPDATE plastics SET is_stopped = true
             WHERE account_id = p_account_id AND card_id = p_card_id AND NOT is_stopped
               AND (expiry, sequence_number) <> (p_expiry, p_sequence_number)
            RETURNING expiry, sequence_number)
        SELECT coalesce(array_agg(expiry || '/' || sequence_number ORDER BY expiry), '{}')
          INTO v_stopped FROM stopped;
    END IF;
    became := jsonb_build_object(
        'expiry', p_expiry, 'sequence_number', p_sequence_number, 'service_code', v_service_code,
        'stopped', v_stopped);
    PERFORM operator_record_v1(p_operator, p_reason, 'reissue', p_account_id, p_card_id,
                               NULL, became);
END
$$;
