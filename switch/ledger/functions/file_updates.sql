-- What networks are told of cards (0302): the work that waits in file_updates. A row is taken for
-- one attempt at a time, by whichever process comes first.

-- claim_file_updates_v1: take what the network behind a link is to be told now, at most p_most.
-- What one network is told of one card goes in the order in which it was asked for, the next when
-- the one before is answered. A claimed row is due again after the seconds in p_pauses, by the
-- number of its attempt: then it was not answered. One that was sent before keeps its STAN and DE7.
CREATE OR REPLACE FUNCTION claim_file_updates_v1(p_link text, p_most int, p_pauses float8[])
RETURNS TABLE (
    account_id             bigint,
    update_id              bigint,
    card_id                bigint,
    action                 text,
    status                 text,
    attempts               int,
    is_repeat              boolean,
    stan                   text,
    transmission_datetime  text,
    pan_token              bytea,
    pan_ciphertext         bytea)
LANGUAGE sql VOLATILE AS $$
    WITH due AS (
        SELECT u.account_id, u.update_id, u.state = 'sent' AS is_repeat
          FROM file_updates AS u
         WHERE u.state IN ('waiting', 'sent') AND u.next_at <= statement_timestamp()
           AND u.link = p_link
           AND NOT EXISTS (
               SELECT FROM file_updates AS before
                WHERE before.account_id = u.account_id AND before.update_id < u.update_id
                  AND before.card_id = u.card_id AND before.link = u.link
                  AND before.state IN ('waiting', 'sent'))
         ORDER BY u.next_at LIMIT p_most
           FOR UPDATE OF u SKIP LOCKED),
    claimed AS (
        UPDATE file_updates AS u
           SET state = 'sent',
               attempts = u.attempts + 1,
               stan = coalesce(u.stan, lpad(nextval('file_update_stans')::text, 6, '0')),
               transmission_datetime = coalesce(
                   u.transmission_datetime,
                   to_char(clock_timestamp() AT TIME ZONE 'UTC', 'MMDDHH24MISS')),
               next_at = clock_timestamp() + make_interval(
                   secs => p_pauses[least(u.attempts + 1, cardinality(p_pauses))])
          FROM due
         WHERE u.account_id = due.account_id AND u.update_id = due.update_id
        RETURNING u.*, due.is_repeat)
    SELECT u.account_id, u.update_id, u.card_id, u.action, u.status, u.attempts, u.is_repeat,
           u.stan, u.transmission_datetime, t.pan_token, c.pan_ciphertext
      FROM claimed AS u
     CROSS JOIN LATERAL (
           SELECT pan_tokens.pan_token FROM pan_tokens
            WHERE pan_tokens.account_id = u.account_id AND pan_tokens.card_id = u.card_id
            LIMIT 1) AS t
     CROSS JOIN LATERAL (
           SELECT cards.pan_ciphertext FROM cards
            WHERE cards.account_id = u.account_id AND cards.card_id = u.card_id LIMIT 1) AS c
     ORDER BY u.update_id
$$;

-- settle_file_update_v1: what the network answered: accepted, refused, or waiting where it is to
-- be told anew, as another message. False where that was not the message that stands sent.
CREATE OR REPLACE FUNCTION settle_file_update_v1(
    p_account_id bigint, p_update_id bigint, p_stan text, p_transmission_datetime text,
    p_state text, p_response_code text)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE file_updates
       SET state = p_state,
           response_code = p_response_code,
           answered_at = clock_timestamp(),
           stan = CASE WHEN p_state <> 'waiting' THEN stan END,
           transmission_datetime = CASE WHEN p_state <> 'waiting' THEN transmission_datetime END
     WHERE account_id = p_account_id AND update_id = p_update_id AND state = 'sent'
       AND stan = p_stan AND transmission_datetime = p_transmission_datetime;
    RETURN FOUND;
END
$$;
