-- retokenize_v1: give cards their PAN's token under another key, and their PAN sealed anew. One call
-- is one transaction. A card that somebody else is changing is left for another call: nothing is
-- waited for here, so that no decision is in a deadlock with it. Gives the cards that have it now,
-- and those of whose PAN there is another card.
CREATE OR REPLACE FUNCTION retokenize_v1(
    p_account_id      bigint[],
    p_card_id         bigint[],
    p_was_token       bytea[],
    p_token           bytea[],
    p_was_ciphertext  bytea[],
    p_ciphertext      bytea[],
    p_token_version   smallint)
RETURNS TABLE (card_id bigint, outcome text)  -- done, twice
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_taken  bigint[];  -- places in the arrays
BEGIN
    SELECT coalesce(array_agg(taken.place), '{}') INTO v_taken
      FROM (SELECT g.place
              FROM unnest(p_account_id, p_card_id, p_was_ciphertext)
                   WITH ORDINALITY AS g (account_id, card_id, was_ciphertext, place)
              JOIN cards AS c ON c.account_id = g.account_id AND c.card_id = g.card_id
             WHERE c.pan_ciphertext = g.was_ciphertext
               FOR NO KEY UPDATE OF c SKIP LOCKED) AS taken;

    -- The token and what is sealed for it change together, or a card could be opened no more.
    RETURN QUERY
    WITH given AS (
        SELECT g.*
          FROM unnest(p_account_id, p_card_id, p_was_token, p_token, p_ciphertext)
               WITH ORDINALITY AS g (account_id, card_id, was_token, token, ciphertext, place)
         WHERE g.place = ANY (v_taken)),
    twice AS (
        SELECT g.place, g.card_id
          FROM given AS g JOIN pan_tokens AS t ON t.pan_token = g.token
         WHERE g.token <> g.was_token),
    moved AS (
        UPDATE pan_tokens AS t
           SET pan_token = g.token,
               token_version = p_token_version,
               key_token = coalesce(t.key_token, t.pan_token)
          FROM given AS g
         WHERE t.pan_token = g.was_token
           AND t.account_id = g.account_id AND t.card_id = g.card_id
           AND NOT EXISTS (SELECT FROM twice WHERE twice.place = g.place)
        RETURNING g.account_id, g.card_id, g.ciphertext),
    sealed AS (
        UPDATE cards AS c
           SET pan_ciphertext = m.ciphertext
          FROM moved AS m
         WHERE c.account_id = m.account_id AND c.card_id = m.card_id
        RETURNING c.card_id)
    SELECT sealed.card_id, 'done' FROM sealed
     UNION ALL
    SELECT twice.card_id, 'twice' FROM twice;
END
$$;
