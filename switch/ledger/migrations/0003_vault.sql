-- Token keys are exchanged: a card's token changes, and what its messages are known by does not.

-- What message keys, marks and clues of a card are made with: random for a new card, so that it tells
-- nothing of the PAN to who has an old token key. Null: its token, as for every card of before, whose
-- messages are known by that; it is kept here when the token changes.
ALTER TABLE pan_tokens
    ADD COLUMN key_token bytea CHECK (length(key_token) BETWEEN 16 AND 32);
ALTER TABLE pan_tokens ALTER COLUMN key_token SET DEFAULT uuid_send(gen_random_uuid());

-- The start looks at one card of each version.
CREATE INDEX pan_tokens_token_version ON pan_tokens (token_version);

-- What is done to keys is done to no account.
ALTER TABLE operator_actions ALTER COLUMN account_id DROP NOT NULL;
