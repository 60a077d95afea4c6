-- The statements of the ledger, by name: a name, a sentence, the statement.

-- name: authorize
-- Decide a batch.
SELECT authorize_v5($1);

-- name: standing
-- Of which cluster a primary is, and on which of its timelines: the first eight digits of the names
-- of its log's files.
SELECT system_identifier,
       ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer
  FROM pg_control_system();

-- name: book
-- Book a batch of advices, completions and reversals.
SELECT * FROM book_v1($1);

-- name: authorize_of
-- Decide requests of one account.
SELECT authorize_of_v1($1, $2);

-- name: book_of
-- Book advices, completions and reversals of one account.
SELECT * FROM book_of_v1($1, $2);

-- name: find_cards
-- The cards behind some PAN tokens.
SELECT * FROM find_cards_v4($1);

-- name: token_owners
-- The accounts of some PAN tokens.
SELECT account_id, pan_token FROM pan_tokens WHERE pan_token = ANY ($1::bytea[]);

-- name: find_card_of
-- The card of an account behind a PAN token.
SELECT * FROM find_card_of_v1($1, $2);

-- name: cards_from
-- So many cards behind the tokens that follow one, in their order.
SELECT * FROM find_cards_v4(ARRAY(
    SELECT t.pan_token FROM pan_tokens AS t WHERE t.pan_token > $1 ORDER BY t.pan_token LIMIT $2));

-- name: refuse
-- Record requests for cards that are not ours.
SELECT refuse_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: unwind
-- Take back an authorization whose answer did not leave in time.
SELECT unwind_v2($1, $2, $3);

-- name: renumber_events
-- Go on with numbers that no event ever had.
SELECT renumber_events_v1();

-- name: stand_in
-- Book what was approved while the ledger was away.
SELECT stand_in_v1($1, $2, $3, to_timestamp($4), $5, $6, $7, $8);

-- name: untold
-- Note that an approval's answer found its connection gone.
SELECT untold_v1($1, $2, $3);

-- name: expire_holds
-- Release holds that are past their time.
SELECT expire_holds_v2($1);

-- name: accounts_due
-- The accounts of so many holds that are past their time.
SELECT DISTINCT due.account_id
  FROM (SELECT account_id FROM holds
         WHERE state = 'open' AND expires_at <= clock_timestamp()
         ORDER BY expires_at LIMIT $1) AS due;

-- name: expire_holds_of
-- Release holds of one account that are past their time.
SELECT expire_holds_of_v1($1);

-- name: make_partitions
-- See that the coming months have their partitions.
SELECT make_partitions_v1($1);

-- name: programs
-- Every card program.
SELECT program_id, name, settings FROM programs ORDER BY program_id;

-- name: is_empty
-- Whether there is no card program yet.
SELECT NOT EXISTS (SELECT FROM programs);

-- name: other_programs
-- The card programs that have another name, in one text; null where there are none.
SELECT string_agg(name, ', ' ORDER BY name) FROM programs WHERE name <> $1;

-- name: card_of_each_version
-- One card of each version of the token key, its token and its sealed PAN: enough to tell whether
-- the vault's keys are the database's.
WITH RECURSIVE versions AS (
    (SELECT token_version FROM pan_tokens ORDER BY token_version LIMIT 1)
    UNION ALL
    SELECT (SELECT t.token_version FROM pan_tokens AS t
             WHERE t.token_version > v.token_version ORDER BY t.token_version LIMIT 1)
      FROM versions AS v WHERE v.token_version IS NOT NULL)
SELECT t.pan_token, c.pan_ciphertext
  FROM versions AS v
 CROSS JOIN LATERAL (
       SELECT * FROM pan_tokens WHERE token_version = v.token_version LIMIT 1) AS t
 CROSS JOIN LATERAL (
       SELECT cards.pan_ciphertext FROM cards
        WHERE cards.account_id = t.account_id AND cards.card_id = t.card_id LIMIT 1) AS c;

-- name: audit
-- Accounts whose balances do not follow from their postings and open holds. None is right.
SELECT a.account_id
  FROM accounts AS a
  LEFT JOIN (SELECT account_id, sum(amount_minor) AS minor
               FROM postings GROUP BY account_id) AS posted USING (account_id)
  LEFT JOIN (SELECT account_id, sum(amount_minor) AS minor
               FROM holds WHERE state = 'open' GROUP BY account_id) AS held USING (account_id)
 WHERE a.posted_minor <> coalesce(posted.minor, 0)
    OR a.held_minor <> coalesce(held.minor, 0)
 ORDER BY a.account_id;

-- name: empty_everything
-- Forget all programs, accounts, cards and history: for a demo that starts anew.
TRUNCATE programs, accounts, cards, pan_tokens, limits, limit_usage, authorizations,
         message_keys, early_marks, approvals_repeated, holds, postings, refused, plastics,
         chip_counters, operator_actions, file_updates, clearing_files, presentments, taken_away,
         zone_keys, key_exchanges, events, event_cursors;

-- name: operators_worked
-- Whether operators changed anything here.
SELECT EXISTS (SELECT FROM operator_actions);

-- name: add_program
INSERT INTO programs (
    program_id, name, currency, pin_tries_max, time_zone, week_starts, settings)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: add_limit
INSERT INTO limits (account_id, card_id, scope, period, amount_minor, count)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: open_accounts
-- Opening balances are postings too, so that every balance is derivable.
WITH opened AS (
    UPDATE accounts SET posted_minor = posted_minor + opening.amount_minor
      FROM unnest($1::bigint[], $2::bigint[]) AS opening(id, amount_minor)
     WHERE account_id = opening.id AND opening.amount_minor <> 0
    RETURNING account_id, opening.amount_minor, currency
)
INSERT INTO postings (account_id, posting_id, posted_at, contra, amount_minor, currency)
SELECT account_id, nextval('posting_ids'), clock_timestamp(), 'opening', amount_minor, currency
  FROM opened;

-- name: tell_opened
-- Tell of accounts that were just added with their cards.
SELECT tell_opened_v1($1);

-- name: analyze
-- Tell the planner how large the tables are that a load has just filled.
ANALYZE programs, accounts, cards, plastics, pan_tokens, limits;

-- name: load_cards_there
-- How many of the demo's cards for load tests there are.
SELECT count(*) FROM accounts WHERE reference LIKE 'load-%';

-- name: approvals_missing
-- How many of these approvals, as a replay was told them, have no row. No index leads there:
-- it reads every authorization since a moment, or all where none is given.
SELECT count(*)
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS told(stan, moment, rrn, code)
 WHERE NOT EXISTS (
        SELECT FROM authorizations AS z
         WHERE z.stan = told.stan AND z.transmission_datetime = told.moment AND z.rrn = told.rrn
           AND z.reason IS NULL AND (told.code = '' OR z.authorization_code = told.code)
           AND z.received_at >= coalesce($5::timestamptz, '-infinity'));

-- name: standing_differs
-- Purchases, as a scheme knows them by RRN, of which something else stands here.
SELECT told.rrn, told.minor AS told, coalesce(here.minor, 0)::bigint AS stands
  FROM unnest($1::text[], $2::bigint[]) AS told(rrn, minor)
  LEFT JOIN (SELECT rrn, sum(standing_minor) AS minor
               FROM authorizations
              WHERE received_at >= $3::timestamptz
              GROUP BY rrn) AS here ON here.rrn = told.rrn
 WHERE told.minor <> coalesce(here.minor, 0)
 ORDER BY told.rrn;

-- name: claim_file_updates
-- Take what the network behind a link is to be told of cards now.
SELECT * FROM claim_file_updates_v1($1, $2, $3);

-- name: settle_file_update
-- Keep what a network answered.
SELECT settle_file_update_v1($1, $2, $3, $4, $5, $6);

-- name: unanswered_file_updates
-- How much networks are still to be told or to answer.
SELECT count(*) FROM file_updates WHERE state IN ('waiting', 'sent');
