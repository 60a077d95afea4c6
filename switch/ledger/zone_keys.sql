-- The statements about zone keys, by name: a name, a sentence, the statement.

-- name: zone_keys
-- The keys of some links that are good now, the newest first, those not agreed on last; and what
-- became of the key file's own, even where it ended.
SELECT zone_key_id, link, name, backend, stored, kcv, source,
       valid_from IS NOT NULL AS is_agreed,
       extract(epoch FROM valid_until - clock_timestamp())::float8 AS seconds_left,
       CASE WHEN source <> 'file' THEN extract(epoch FROM valid_from)::float8 END AS since
  FROM zone_keys
 WHERE link = ANY ($1::text[])
   AND (valid_until IS NULL OR valid_until > clock_timestamp() OR source = 'file')
 ORDER BY valid_from DESC NULLS LAST, zone_key_id DESC;

-- name: take_zone_key
SELECT zone_key_take_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: ask_key_exchange
SELECT key_exchange_ask_v1($1, $2);

-- name: claim_key_exchange
SELECT * FROM key_exchange_claim_v1($1, $2);

-- name: offer_zone_key
SELECT key_exchange_offer_v1($1, $2, $3, $4, $5, $6, $7, $8);

-- name: settle_key_exchange
SELECT key_exchange_settle_v1($1, $2, $3, $4);

-- name: zone_keys_shown
-- What operators see of the zone keys of all links, the newest first.
SELECT link, name, kcv, source, valid_from, valid_until,
       CASE WHEN valid_from IS NULL AND valid_until IS NULL THEN 'offered'
            WHEN valid_from IS NULL THEN 'refused'
            WHEN valid_until IS NULL THEN 'present'
            WHEN valid_until > statement_timestamp() THEN 'ending'
            ELSE 'ended' END AS state
  FROM zone_keys
 ORDER BY link, coalesce(valid_from, created_at) DESC, zone_key_id DESC;

-- name: key_exchanges_open
-- The key exchanges that a scheme has not answered.
SELECT link, asked_by, attempts, asked_at
  FROM key_exchanges WHERE state IN ('waiting', 'sent') ORDER BY exchange_id;
