-- What `switch clearing` asks: a name, a sentence, the statement.

-- name: take_turn
-- Be the only one that imports, until the connection ends.
SELECT pg_try_advisory_lock(8583, 3);

-- name: plan
-- Tell the planner something, until the connection ends.
SELECT set_config($1, $2, false);

-- name: begin_file
-- Know a file; again, it is the one that was begun.
INSERT INTO clearing_files (file_id, name, lines, operator) VALUES ($1, $2, $3, $4)
ON CONFLICT (file_id) DO NOTHING;

-- name: lines_done
-- The lines of a file that are settled.
SELECT line FROM presentments WHERE file_id = $1;

-- name: known_keys
-- Those of some keys under which a record, or a reversal that waits for one, was here.
SELECT message_key FROM presentments WHERE message_key = ANY ($1::bytea[])
 UNION
SELECT original_key FROM presentments WHERE original_key = ANY ($1::bytea[]);

-- name: clear
-- Book a batch of records.
SELECT * FROM clear_v1($1, $2, $3, $4, $5, $6);

-- name: finish_file
-- Every line of it is settled.
UPDATE clearing_files SET finished_at = coalesce(finished_at, clock_timestamp()) WHERE file_id = $1;

-- name: files
-- The newest files, and how many lines of each are settled.
SELECT f.*, s.settled
  FROM clearing_files AS f
 CROSS JOIN LATERAL (SELECT count(*) AS settled FROM presentments WHERE file_id = f.file_id) AS s
 ORDER BY f.began_at DESC LIMIT $1;

-- name: files_named
-- The files whose number begins so.
SELECT f.*, s.settled
  FROM clearing_files AS f
 CROSS JOIN LATERAL (SELECT count(*) AS settled FROM presentments WHERE file_id = f.file_id) AS s
 WHERE encode(f.file_id, 'hex') LIKE $1 || '%'
 ORDER BY f.began_at DESC LIMIT 2;

-- name: outcomes
-- What became of a file's records: how many, and what moved, by currency.
SELECT s.kind, s.outcome, a.currency, count(*), sum(s.moved_minor)::bigint AS moved_minor
  FROM presentments AS s
 CROSS JOIN LATERAL (
        SELECT currency FROM accounts WHERE account_id = s.account_id LIMIT 1) AS a
 WHERE s.file_id = $1
 GROUP BY s.kind, s.outcome, a.currency
 ORDER BY s.kind, s.outcome, a.currency;

-- name: exceptions
-- The records of a file that somebody should look at: those whose outcome is one of $2.
SELECT s.line, s.kind, s.outcome, s.reference, s.moved_minor, s.authorization_id,
       a.reference AS account, a.currency, c.pan_last_four,
       z.transaction_minor, z.transaction_currency
  FROM presentments AS s
 CROSS JOIN LATERAL (
        SELECT reference, currency FROM accounts WHERE account_id = s.account_id LIMIT 1) AS a
  LEFT JOIN LATERAL cleared_row_v1(s) AS z ON true
  LEFT JOIN LATERAL (
        SELECT pan_last_four FROM cards
         WHERE account_id = z.account_id AND card_id = z.card_id LIMIT 1) AS c ON true
 WHERE s.file_id = $1 AND s.outcome = ANY ($2)
 ORDER BY s.line LIMIT $3;
