-- The statements that add many accounts or cards at once: a name, a sentence, the statement.
-- The rows of a file stand in a temporary table; line is where in the file.

-- name: accounts_table
CREATE TEMPORARY TABLE imported_accounts (
    line                int    NOT NULL,
    account_id          bigint NOT NULL DEFAULT nextval('account_ids'),
    reference           text   NOT NULL,
    program             text   NOT NULL,
    currency            text   NOT NULL,
    opening_minor       bigint NOT NULL,
    credit_limit_minor  bigint NOT NULL
) ON COMMIT DROP;

-- name: accounts_ready
-- The planner must know how many there are.
ANALYZE imported_accounts;

-- name: accounts_problems
-- What of the file cannot be, with the database as it is; and how many such things there are.
SELECT found.*, count(*) OVER () AS of_all
  FROM (SELECT i.line, 'reference', 'an account has it already'
          FROM imported_accounts AS i JOIN accounts AS a ON a.reference = i.reference
         UNION ALL
        SELECT i.line, 'program', 'there is no such card program'
          FROM imported_accounts AS i
         WHERE NOT EXISTS (SELECT FROM programs AS p WHERE p.name = i.program)
       ) AS found (line, field, problem)
 ORDER BY found.line, found.field LIMIT $1;

-- name: add_accounts
INSERT INTO accounts (
    account_id, reference, program_id, currency, posted_minor, credit_limit_minor)
SELECT i.account_id, i.reference, p.program_id, i.currency, i.opening_minor, i.credit_limit_minor
  FROM imported_accounts AS i JOIN programs AS p ON p.name = i.program;

-- name: post_openings
-- Opening balances are postings too, so that every balance is derivable.
INSERT INTO postings (account_id, posting_id, posted_at, contra, amount_minor, currency, note)
SELECT i.account_id, nextval('posting_ids'), clock_timestamp(), 'opening', i.opening_minor,
       i.currency, $1
  FROM imported_accounts AS i WHERE i.opening_minor <> 0;

-- name: record_accounts
INSERT INTO operator_actions (operator, reason, action, account_id, details)
SELECT $1, $2, 'import_account', i.account_id,
       jsonb_build_object('was', NULL, 'became', jsonb_build_object(
           'program', i.program, 'currency', i.currency, 'status', 'open',
           'posted_minor', i.opening_minor, 'credit_limit_minor', i.credit_limit_minor,
           'file', $3::text, 'line', i.line))
  FROM imported_accounts AS i;

-- name: tell_accounts
SELECT tell_opened_v1(ARRAY(SELECT i.account_id FROM imported_accounts AS i ORDER BY i.line));

-- name: cards_table
CREATE TEMPORARY TABLE imported_cards (
    line             int      NOT NULL,
    card_id          bigint   NOT NULL DEFAULT nextval('card_ids'),
    reference        text     NOT NULL,
    pan_tokens       bytea[]  NOT NULL,  -- under all live keys, the newest first
    token_version    smallint NOT NULL,
    pan_ciphertext   bytea    NOT NULL,
    pan_last_four    text     NOT NULL,
    expiry           text     NOT NULL,
    service_code     text     NOT NULL,
    sequence_number  text     NOT NULL,
    status           text     NOT NULL,
    pin_method       text,
    pin_reference    text
) ON COMMIT DROP;

-- name: cards_ready
-- The planner must know how many there are.
ANALYZE imported_cards;

-- name: cards_problems
-- What of the file cannot be, with the database as it is; and how many such things there are.
SELECT found.*, count(*) OVER () AS of_all
  FROM (SELECT i.line, 'account',
               CASE WHEN a.account_id IS NULL THEN 'there is no account with this reference'
                    WHEN a.kind <> 'cardholder' THEN 'is a suspense account'
                    ELSE 'is closed' END
          FROM imported_cards AS i LEFT JOIN accounts AS a ON a.reference = i.reference
         WHERE a.account_id IS NULL OR a.kind <> 'cardholder' OR a.status <> 'open'
         UNION ALL
        SELECT i.line, 'pan', 'a card has it already'
          FROM imported_cards AS i
         CROSS JOIN LATERAL unnest(i.pan_tokens) AS known (pan_token)
          JOIN pan_tokens AS t ON t.pan_token = known.pan_token
       ) AS found (line, field, problem)
 ORDER BY found.line, found.field LIMIT $1;

-- name: add_tokens
INSERT INTO pan_tokens (pan_token, token_version, account_id, card_id)
SELECT i.pan_tokens[1], i.token_version, a.account_id, i.card_id
  FROM imported_cards AS i JOIN accounts AS a ON a.reference = i.reference;

-- name: add_cards
-- Nobody finds a new card before the commit: it races with no decision, and no account is locked.
INSERT INTO cards (account_id, card_id, program_id, pan_ciphertext, pan_last_four, status,
                   pin_method, pin_reference)
SELECT a.account_id, i.card_id, a.program_id, i.pan_ciphertext, i.pan_last_four, i.status,
       i.pin_method, i.pin_reference
  FROM imported_cards AS i JOIN accounts AS a ON a.reference = i.reference;

-- name: add_plastics
INSERT INTO plastics (account_id, card_id, sequence_number, expiry, service_code)
SELECT a.account_id, i.card_id, i.sequence_number, i.expiry, i.service_code
  FROM imported_cards AS i JOIN accounts AS a ON a.reference = i.reference;

-- name: record_cards
INSERT INTO operator_actions (operator, reason, action, account_id, card_id, details)
SELECT $1, $2, 'import_card', a.account_id, i.card_id,
       jsonb_build_object('was', NULL, 'became', jsonb_build_object(
           'status', i.status, 'expiry', i.expiry, 'sequence_number', i.sequence_number,
           'service_code', i.service_code, 'file', $3::text, 'line', i.line))
  FROM imported_cards AS i JOIN accounts AS a ON a.reference = i.reference;

-- name: tell_cards
SELECT tell_cards_v1(ARRAY(SELECT i.card_id FROM imported_cards AS i ORDER BY i.line));
