-- What a database in service has: :messages journal rows of the load cards over the past months,
-- half of them authorizations and half the completions that followed, with their message keys,
-- closed holds and postings. Told apart by link = 'history'. The books are right afterwards:
-- `switch audit` finds nothing.
--
-- :months is for how long; rows of one month stand together, and cards are spread over each.
SET work_mem = '256MB';
SET synchronous_commit = off;

SELECT make_partition_v1(parent, month::date)
  FROM unnest(ARRAY['authorizations', 'postings']) AS parent,
       generate_series(date_trunc('month', now() AT TIME ZONE 'UTC')
                           - make_interval(months => :months),
                       date_trunc('month', now() AT TIME ZONE 'UTC'), interval '1 month') AS month
\g /dev/null

CREATE TEMP TABLE bought AS
WITH load AS (
    SELECT array_agg(account_id) AS accounts FROM accounts WHERE reference LIKE 'load-%'
)
SELECT nextval('authorization_ids') AS root_id, nextval('authorization_ids') AS completion_id,
       n, accounts[1 + abs(hashint8(n)::bigint) % array_length(accounts, 1)] AS account_id,
       100 + n % 900 AS minor,
       now() - make_interval(months => :months) * (1 - n::float8 / (:messages / 2)) AS bought_at
  FROM load, generate_series(1, :messages / 2) AS n;

INSERT INTO authorizations (
    account_id, authorization_id, received_at, card_id, link, scheme, mti, message_key, stan,
    transmission_datetime, rrn, acquirer, terminal, merchant, merchant_name, mcc, country,
    entry_mode, processing_code, kind, channel, transaction_minor, transaction_currency,
    amount_minor, cash_minor, authorization_code, available_minor, purchase_id,
    purchase_received_at, standing_minor, posted_minor, using_minor)
SELECT b.account_id, message.id, message.at, b.account_id, 'history', 'demo', message.mti,
       substr(sha256(int8send(message.id)), 1, 16), lpad((b.n % 1000000)::text, 6, '0'),
       to_char(message.at, 'MMDDHH24MISS'), lpad(b.n::text, 12, '0'), '476173', 'TERM0001',
       'MERCHANT0000001', 'ACME STORE               BERLIN       DE', '5411', '276', '901',
       '000000', 'purchase', 'stripe', b.minor, '978', b.minor, 0,
       lpad((b.n % 1000000)::text, 6, '0'), 0, message.purchase_id, message.purchase_at,
       message.standing, message.posted, message.standing
  FROM bought AS b
 CROSS JOIN LATERAL (VALUES
        ('0100', b.root_id, b.bought_at, NULL::bigint, NULL::timestamptz, b.minor, 0),
        ('0220', b.completion_id, b.bought_at, b.root_id, b.bought_at, 0, b.minor))
       AS message(mti, id, at, purchase_id, purchase_at, standing, posted);

INSERT INTO message_keys (account_id, message_key, authorization_id, received_at)
SELECT account_id, substr(sha256(int8send(id)), 1, 16), id, bought_at
  FROM bought CROSS JOIN LATERAL (VALUES (root_id), (completion_id)) AS message(id);

INSERT INTO holds (
    account_id, purchase_id, authorization_id, received_at, amount_minor, state, expires_at)
SELECT account_id, root_id, root_id, bought_at, minor, 'completed',
       bought_at + interval '7 days'
  FROM bought;

INSERT INTO postings (
    account_id, posting_id, posted_at, contra, scheme, currency, amount_minor, authorization_id,
    booking_id)
SELECT account_id, nextval('posting_ids'), bought_at, 'settlement', 'demo', '978', -minor,
       completion_id, completion_id
  FROM bought;

UPDATE accounts AS a SET posted_minor = a.posted_minor - spent.minor
  FROM (SELECT account_id, sum(minor) AS minor FROM bought GROUP BY account_id) AS spent
 WHERE a.account_id = spent.account_id;

VACUUM ANALYZE;
