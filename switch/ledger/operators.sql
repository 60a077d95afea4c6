-- The statements behind the operator's commands, by name: a name, a sentence, the statement.

-- name: create_account
SELECT * FROM operator_create_account_v1($1, $2, $3, $4, $5, $6);

-- name: change_account
-- Another status or credit limit.
SELECT * FROM operator_change_account_v1($1, $2, $3, $4, $5, $6);

-- name: post
-- Credit or debit.
SELECT * FROM operator_post_v1($1, $2, $3, $4, $5);

-- name: create_card
SELECT * FROM operator_create_card_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: set_card_status
-- Block and unblock.
SELECT * FROM operator_set_card_status_v1($1, $2, $3, $4, $5, $6);

-- name: reset_pin_tries
SELECT * FROM operator_reset_pin_tries_v1($1, $2, $3, $4);

-- name: reissue_card
SELECT * FROM operator_reissue_card_v1($1, $2, $3, $4, $5, $6, $7, $8);

-- name: set_limit
SELECT * FROM operator_set_limit_v1($1, $2, $3, $4, $5, $6, $7, $8);

-- name: remove_limit
SELECT * FROM operator_remove_limit_v1($1, $2, $3, $4, $5, $6);

-- name: set_controls
SELECT * FROM operator_set_controls_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: account
-- An account by its reference.
SELECT a.account_id, a.reference, p.name AS program, a.currency, a.kind, a.status,
       a.posted_minor, a.held_minor, a.credit_limit_minor
  FROM accounts AS a JOIN programs AS p ON p.program_id = a.program_id
 WHERE a.reference = $1;

-- name: account_currency
SELECT currency FROM accounts WHERE account_id = $1;

-- name: account_cards
-- The cards of an account, the newest first.
SELECT card_id, pan_last_four, status, count(*) OVER () AS of_all
  FROM cards WHERE account_id = $1 ORDER BY card_id DESC LIMIT $2;

-- name: account_holds
-- The open holds of an account, the newest first, each with the purchase that it is for.
SELECT h.received_at, h.amount_minor, h.expires_at, z.merchant_name, z.rrn,
       count(*) OVER () AS of_all
  FROM holds AS h
  LEFT JOIN LATERAL (
        SELECT a.merchant_name, a.rrn FROM authorizations AS a
         WHERE a.account_id = h.account_id AND a.authorization_id = h.authorization_id
           AND a.received_at = h.received_at
         LIMIT 1) AS z ON true
 WHERE h.account_id = $1 AND h.state = 'open'
 ORDER BY h.received_at DESC LIMIT $2;

-- name: actions
-- The last actions on an account, or on one card of it.
SELECT done_at, operator, reason, action, card_id, details
  FROM operator_actions
 WHERE account_id = $1 AND ($2::bigint IS NULL OR card_id = $2)
 ORDER BY action_id DESC LIMIT $3;

-- name: cards_by_number
-- Where a card is, by its number.
SELECT account_id, card_id FROM cards WHERE card_id = $1 LIMIT 2;

-- name: cards_by_token
-- Where a card is, by its PAN's tokens.
SELECT account_id, card_id FROM pan_tokens WHERE pan_token = ANY ($1::bytea[]) LIMIT 2;

-- name: card
-- A card, and what of its account and program belongs to it.
SELECT c.account_id, c.card_id, a.reference, a.currency, a.status AS account_status,
       p.name AS program, c.pan_last_four, c.status, c.pin_method, c.pin_tries, p.pin_tries_max,
       c.channels_blocked, c.mcc_blocked, c.countries_allowed
  FROM cards AS c
  JOIN accounts AS a ON a.account_id = c.account_id
  JOIN programs AS p ON p.program_id = c.program_id
 WHERE c.account_id = $1 AND c.card_id = $2;

-- name: card_plastics
-- The plastics of a card, the newest first. Those of one sequence number share a counter.
SELECT expiry, sequence_number, service_code, coalesce(highest, 0) AS atc, is_stopped
  FROM plastics LEFT JOIN chip_counters USING (account_id, card_id, sequence_number)
 WHERE account_id = $1 AND card_id = $2
 ORDER BY expiry DESC, made_at DESC;

-- name: card_limits
-- The limits of a card, and what is used of each in its present period.
SELECT l.scope, l.period, l.amount_minor, l.count,
       coalesce(u.amount_minor, 0) AS used_minor, coalesce(u.count, 0) AS used_count
  FROM limits AS l
  JOIN cards AS c ON c.account_id = l.account_id AND c.card_id = l.card_id
  JOIN programs AS p ON p.program_id = c.program_id
  LEFT JOIN limit_usage AS u
    ON u.account_id = l.account_id AND u.card_id = l.card_id
   AND u.scope = l.scope AND u.period = l.period
   AND u.period_start = period_start_v1(
           l.period, statement_timestamp(), p.time_zone, p.week_starts)
 WHERE l.account_id = $1 AND l.card_id = $2
 ORDER BY l.scope, l.period;

-- name: card_file_updates
-- What networks were last told of a card, by link.
SELECT DISTINCT ON (link) link, action, status, state, response_code, asked_at
  FROM file_updates WHERE account_id = $1 AND card_id = $2
 ORDER BY link, update_id DESC;

-- name: program_names
-- The card programs, in one text.
SELECT string_agg(name, ', ' ORDER BY name) FROM programs;

-- name: record
-- Record an action that is about no account, as one on keys.
SELECT operator_record_v1($1, $2, $3, NULL, NULL, $4::jsonb, $5::jsonb);
