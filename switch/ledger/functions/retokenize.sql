-- retokenize_v1: give cards their PAN's token under another key, and their PAN sealed anew. One call
-- is one transaction. A card that somebody else is changing is left for another call: nothing is
-- waited for here, so that no decision is in a deadlock with it. Gives the cards that have it now.
CREATE OR REPLACE FUNCTION retokenize_v1(
    p_account_id      bigint[],
    p_card_id         bigint[],
    p_was_token       bytea[],
    p_token           bytea[],
    p_was_ciphertext  bytea[],
    p_ciphertext      bytea[],
    p_token_version   smallint)
RETURNS TABLE (account_id bigint, card_id bigint, outcome text)  -- done, or twice: of that PAN there is a card
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_taken  int[];  -- places in the arrays
BEGIN
    SELECT coalesce(array_agg(taken.place), '{}') INTO v_taken
      FROM (SELECT given.place
              FROM unnest(p_account_id, p_card_id, p_was_ciphertext)
                   WITH ORDINALITY AS given (account_id, card_id, was_ciphertext, place)
              JOIN cards AS c ON c.account_id = given.account_id AND c.card_id = given.card_id
             WHERE c.pan_ciphertext = given.was_ciphertext
               FOR NO KEY UPDATE OF c SKIP LOCKED) AS taken;

    RETURN QUERY
    SELECT p_account_id[place], p_card_id[place], 'twice'
      FROM unnest(v_taken) AS place
     WHERE p_token[place] <> p_was_token[place]
       AND EXISTS (SELECT FROM pan_tokens WHERE pan_token = p_token[place]);

    -- The token and what is sealed for it change together, or a card could be opened no more.
    RETURN QUERY
    WITH moved AS (
        UPDATE pan_tokens AS t
           SET pan_token = p_token[place],
               token_version = p_token_version,
               key_token = coalesce(t.key_token, t.pan_token)
          FROM unnest(v_taken) AS place
         WHERE t.pan_token = p_was_token[place]
           AND t.account_id = p_account_id[place] AND t.card_id = p_card_id[place]
           AND (p_token[place] = p_was_token[place]
                OR NOT EXISTS (SELECT FROM pan_tokens WHERE pan_token = p_token[place]))
        RETURNING place)
    UPDATE cards AS c
       SET pan_ciphertext = p_ciphertext[moved.place]
      FROM moved
     WHERE c.account_id = p_account_id[moved.place] AND c.card_id = p_card_id[moved.place]
    RETURNING c.account_id, c.card_id, 'done';
END
$$;
