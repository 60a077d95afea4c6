-- find_cards_v1: what the rules need to know of the cards behind some PAN tokens.
-- A token that is not ours gives no row.
CREATE OR REPLACE FUNCTION find_cards_v1(p_pan_token bytea[])
RETURNS TABLE (
    pan_token       bytea,
    account_id      bigint,
    card_id         bigint,
    program_id      int,
    expiry          text,
    status          text,
    account_status  text,
    currency        text,
    pin_method      text,
    pin_reference   text,
    service_code    text)
LANGUAGE sql STABLE AS $$
    SELECT t.pan_token, t.account_id, t.card_id, c.program_id, c.expiry, c.status,
           a.status, a.currency, c.pin_method, c.pin_reference, c.service_code
      FROM pan_tokens AS t
      JOIN cards      AS c ON c.account_id = t.account_id AND c.card_id = t.card_id
      JOIN accounts   AS a ON a.account_id = t.account_id
     WHERE t.pan_token = ANY (p_pan_token)
$$;
