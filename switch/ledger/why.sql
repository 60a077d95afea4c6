-- What `switch why` and the search ask: a name, a sentence, the statement. They only read.

-- name: careful
-- For this transaction: give up before anybody else notices, take one processor, and plan for the
-- values that are asked.
SELECT set_config('statement_timeout', $1, true),
       set_config('max_parallel_workers_per_gather', '0', true),
       set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true);

-- name: by_rrn
-- Messages by RRN, the newest first.
SELECT z.account_id, z.authorization_id, z.received_at, z.link, z.mti, z.stan, z.rrn,
       z.authorization_code, z.transaction_minor, z.transaction_currency, z.reason,
       c.pan_last_four
  FROM authorizations AS z
  LEFT JOIN cards AS c ON c.account_id = z.account_id AND c.card_id = z.card_id
 WHERE z.rrn = ANY ($1::text[]) AND z.received_at >= $2 AND z.received_at < $3
 ORDER BY z.received_at DESC, z.authorization_id DESC LIMIT $4;

-- name: by_number_lately
-- Messages by STAN or by authorization code, the newest first. No index leads there: the message
-- keys of a short time do, each to its row.
WITH lately AS MATERIALIZED (
    SELECT account_id, authorization_id, received_at FROM message_keys
     WHERE received_at >= $2 AND received_at < $3
)
SELECT z.account_id, z.authorization_id, z.received_at, z.link, z.mti, z.stan, z.rrn,
       z.authorization_code, z.transaction_minor, z.transaction_currency, z.reason,
       c.pan_last_four
  FROM lately AS k
 CROSS JOIN LATERAL (
        SELECT * FROM authorizations AS y
         WHERE y.account_id = k.account_id AND y.authorization_id = k.authorization_id
           AND y.received_at = k.received_at
         LIMIT 1) AS z
  LEFT JOIN cards AS c ON c.account_id = z.account_id AND c.card_id = z.card_id
 WHERE z.stan = ANY ($1::text[]) OR z.authorization_code = ANY ($1::text[])
 ORDER BY z.received_at DESC, z.authorization_id DESC LIMIT $4;

-- name: by_number
-- The same further back: it reads the months.
SELECT z.account_id, z.authorization_id, z.received_at, z.link, z.mti, z.stan, z.rrn,
       z.authorization_code, z.transaction_minor, z.transaction_currency, z.reason,
       c.pan_last_four
  FROM authorizations AS z
  LEFT JOIN cards AS c ON c.account_id = z.account_id AND c.card_id = z.card_id
 WHERE (z.stan = ANY ($1::text[]) OR z.authorization_code = ANY ($1::text[]))
   AND z.received_at >= $2 AND z.received_at < $3
 ORDER BY z.received_at DESC, z.authorization_id DESC LIMIT $4;

-- name: by_last_four
-- Messages about the cards that end so, the newest first: all, or those with an RRN, STAN or code.
SELECT z.account_id, z.authorization_id, z.received_at, z.link, z.mti, z.stan, z.rrn,
       z.authorization_code, z.transaction_minor, z.transaction_currency, z.reason,
       c.pan_last_four
  FROM cards AS c
 CROSS JOIN LATERAL (
        SELECT * FROM authorizations AS y
         WHERE y.account_id = c.account_id AND y.card_id = c.card_id
           AND y.received_at >= $2 AND y.received_at < $3
           AND ($4::text[] IS NULL OR y.rrn = ANY ($4) OR y.stan = ANY ($4)
                OR y.authorization_code = ANY ($4))
         ORDER BY y.received_at DESC, y.authorization_id DESC LIMIT $5) AS z
 WHERE c.pan_last_four = $1
 ORDER BY z.received_at DESC, z.authorization_id DESC LIMIT $5;

-- name: refused
-- Requests for cards that are not ours, by RRN or STAN, the newest first.
SELECT r.received_at, r.link, r.mti, r.stan, r.rrn, r.transaction_minor, r.transaction_currency,
       r.reason
  FROM refused AS r
 WHERE (r.rrn = ANY ($1::text[]) OR r.stan = ANY ($1::text[]))
   AND r.received_at >= $2 AND r.received_at < $3
 ORDER BY r.received_at DESC LIMIT $4;

-- name: row
-- A row of the journal, with its account, card and program as they are now.
SELECT z.received_at, z.link, z.mti, z.stan, z.transmission_datetime, z.rrn, z.acquirer, z.terminal,
       z.merchant, z.merchant_name, z.mcc, z.country, z.entry_mode, z.processing_code, z.kind,
       z.channel, z.transaction_minor, z.transaction_currency, z.amount_minor, z.cash_minor,
       z.reason, z.authorization_code, z.available_minor, z.unwind_asked_at, z.unwound_at,
       z.purchase_id, z.partial_minor, z.would_have_declined, z.response_code, z.scheme,
       z.scheme_transaction_id, z.is_increment, z.reversed_at, z.advised_at, z.stood_in_at, z.findings, z.account_id,
       z.authorization_id, z.card_id,
       a.reference, a.currency, a.kind AS account_kind, a.status AS account_status, a.posted_minor,
       a.credit_limit_minor, p.name AS program, p.pin_tries_max,
       c.pan_last_four, c.status AS card_status, c.channels_blocked, c.mcc_blocked,
       c.countries_allowed
  FROM authorizations AS z
  JOIN accounts AS a ON a.account_id = z.account_id
  JOIN programs AS p ON p.program_id = a.program_id
  LEFT JOIN cards AS c ON c.account_id = z.account_id AND c.card_id = z.card_id
 WHERE z.account_id = $1 AND z.authorization_id = $2 AND z.received_at = $3;

-- name: refused_row
-- A request for a card that was not ours.
SELECT r.received_at, r.link, r.mti, r.stan, r.transmission_datetime, r.rrn, r.processing_code,
       r.transaction_minor, r.transaction_currency, r.reason
  FROM refused AS r
 WHERE r.received_at = $1 AND r.stan = ANY ($2::text[]);

-- name: changed_since
-- What operators did to an account and a card of it since a moment, the oldest first.
SELECT action, card_id, details -> 'was' AS was, details -> 'became' AS became, done_at
  FROM operator_actions
 WHERE account_id = $1 AND (card_id IS NULL OR card_id = $2) AND done_at > $3
 ORDER BY action_id;

-- name: posted_since
-- What was posted to an account by a message and since. Opening postings carry a balance over, and
-- move nothing.
SELECT coalesce(sum(amount_minor), 0)::bigint
  FROM postings
 WHERE account_id = $1 AND contra <> 'opening' AND posted_at >= $3
   AND (posted_at > $3 OR authorization_id >= $2);

-- name: purchase
-- The other messages of a purchase, by the row that carries it, in order of time.
SELECT z.authorization_id, z.received_at, z.mti, z.stan, z.amount_minor, z.reason, z.response_code,
       z.posted_minor, z.is_increment, z.reversed_at, z.unwound_at
  FROM authorizations AS z
 WHERE z.account_id = $1 AND (z.purchase_id = $2 OR z.authorization_id = $2)
   AND z.authorization_id <> $3
 ORDER BY z.received_at, z.authorization_id LIMIT $4;

-- name: holds
-- What was held for a purchase.
SELECT authorization_id, received_at, amount_minor, state, expires_at
  FROM holds WHERE account_id = $1 AND purchase_id = $2
 ORDER BY received_at, authorization_id LIMIT $3;

-- name: moved
-- What some messages posted, in order of time.
SELECT posted_at, amount_minor, authorization_id
  FROM postings
 WHERE account_id = $1 AND authorization_id = ANY ($2::bigint[]) AND posted_at >= $3
 ORDER BY posted_at, posting_id LIMIT $4;

-- name: presented
-- What clearing files brought for a purchase.
SELECT received_at, authorization_id, kind, outcome, is_final, confirmed_minor, moved_minor
  FROM presentments WHERE account_id = $1 AND purchase_id = $2
 ORDER BY received_at, line LIMIT $3;

-- name: repeated
-- When repeats of an approval were told of it.
SELECT r.told_at
  FROM authorizations AS z
  JOIN approvals_repeated AS r ON r.account_id = z.account_id AND r.message_key = z.message_key
 WHERE z.account_id = $1 AND z.authorization_id = $2 AND z.received_at = $3
 ORDER BY r.told_at LIMIT $4;
