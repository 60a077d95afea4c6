-- What `switch keys retokenize` asks and changes: a name, a sentence, the statement.

-- name: take_turn
-- Be the only one that does it, until the connection ends.
SELECT pg_try_advisory_lock(8583, 4);

-- name: left
-- How many cards are under another token key or data key than these versions.
SELECT count(*)
  FROM cards AS c JOIN pan_tokens AS t ON t.account_id = c.account_id AND t.card_id = c.card_id
 WHERE t.token_version <> $1 OR substr(c.pan_ciphertext, 1, 1) <> $2;

-- name: page
-- The next of them after a card, by the order of their keys.
SELECT c.account_id, c.card_id, t.pan_token, c.pan_ciphertext
  FROM cards AS c JOIN pan_tokens AS t ON t.account_id = c.account_id AND t.card_id = c.card_id
 WHERE (c.account_id, c.card_id) > ($3, $4)
   AND (t.token_version <> $1 OR substr(c.pan_ciphertext, 1, 1) <> $2)
 ORDER BY c.account_id, c.card_id LIMIT $5;

-- name: retokenize
-- Change some of them; gives those of which the change is there.
SELECT * FROM retokenize_v1($1, $2, $3, $4, $5, $6, $7);

-- name: record
-- Note that it was begun, or how it ended.
SELECT operator_record_v1($1, $2, $3, NULL, NULL, NULL, $4);
