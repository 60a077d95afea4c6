-- find_cards_v4: what the rules need to know of the cards behind some PAN tokens.
-- A token that is not ours gives no row. A card comes with its plastics, the newest
-- expiry first, one place of the three arrays each; those that were stopped are not there.
CREATE OR REPLACE FUNCTION find_cards_v4(p_pan_token bytea[])
RETURNS TABLE (
    pan_token         bytea,
    account_id        bigint,
    card_id           bigint,
    program_id        int,
    status            text,
    account_status    text,
    currency          text,
    pin_method        text,
    pin_reference     text,
    version           bigint,  -- of these facts: a decision names it
    key_token         bytea,  -- what the card's message keys and clues are made with
    sequence_numbers  text[],
    expiries          text[],
    service_codes     text[])
LANGUAGE sql STABLE AS $$
    SELECT t.pan_token, t.account_id, t.card_id, c.program_id, c.status,
           a.status, a.currency, c.pin_method, c.pin_reference, c.version,
           coalesce(t.key_token, t.pan_token),
           coalesce(p.sequence_numbers, '{}'), coalesce(p.expiries, '{}'),
           coalesce(p.service_codes, '{}')
      FROM pan_tokens AS t
     CROSS JOIN LATERAL (
           SELECT cards.program_id, cards.status, cards.pin_method, cards.pin_reference,
                  cards.version
             FROM cards
            WHERE cards.account_id = t.account_id AND cards.card_id = t.card_id LIMIT 1) AS c
     CROSS JOIN LATERAL (
           SELECT accounts.status, accounts.currency
             FROM accounts WHERE accounts.account_id = t.account_id LIMIT 1) AS a
     CROSS JOIN LATERAL (
           SELECT array_agg(plastics.sequence_number ORDER BY expiry DESC, made_at DESC),
                  array_agg(plastics.expiry          ORDER BY expiry DESC, made_at DESC),
                  array_agg(plastics.service_code    ORDER BY expiry DESC, made_at DESC)
             FROM plastics
            WHERE plastics.account_id = t.account_id AND plastics.card_id = t.card_id
              AND NOT plastics.is_stopped) AS p (sequence_numbers, expiries, service_codes)
     WHERE t.pan_token = ANY (p_pan_token)
$$;
