-- Distributes the ledger by account over the nodes of a Citus cluster. docs/scaling.md says what of it
-- was tried (none of it on Citus), and what Citus is still to refuse.
--
-- Once, as the owner, through the coordinator, on a database that was migrated and is empty:
--
--     psql --set ON_ERROR_STOP=1 --file deploy/distribute.sql "$URL"
--
-- A table that a later migration adds is in none of the lists below: a test says so.

-- What stands in the way of it. No unique index may be without the account: of a reference,
-- operator_create_account_v1 sees by itself. No table may have triggers: cards get no new version,
-- and so none may be kept (database.cards_kept = 0).
DROP INDEX accounts_reference;
CREATE INDEX accounts_reference ON accounts (reference);
DROP TRIGGER cards_changed ON cards;
DROP TRIGGER plastics_changed ON plastics;
DROP TRIGGER pan_tokens_deleted ON pan_tokens;
DROP TRIGGER pan_tokens_changed ON pan_tokens;
DROP TRIGGER accounts_changed ON accounts;

-- A sequence goes to every node, with numbers of its own there, where a column has it as its default.
ALTER TABLE authorizations ALTER COLUMN authorization_id SET DEFAULT nextval('authorization_ids');
ALTER TABLE postings ALTER COLUMN posting_id SET DEFAULT nextval('posting_ids');

-- A node plans what is asked in a call for the call's own account.
ALTER FUNCTION authorize_of_v1(bigint, authorization_v2[]) RESET plan_cache_mode;
ALTER FUNCTION book_of_v1(bigint, booking_v1[]) RESET plan_cache_mode;
ALTER FUNCTION find_card_of_v1(bigint, bytea) RESET plan_cache_mode;

-- Small tables that every node has whole: how a card's program decides, and whose a PAN's token is.
SELECT create_reference_table('programs');
SELECT create_reference_table('pan_tokens');

-- What moves with an account is where its account is.
SELECT create_distributed_table('accounts', 'account_id');
SELECT create_distributed_table('cards', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('plastics', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('chip_counters', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('limits', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('limit_usage', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('authorizations', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('message_keys', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('approvals_repeated', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('early_marks', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('holds', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('postings', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('presentments', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('events', 'account_id', colocate_with => 'accounts');
SELECT create_distributed_table('file_updates', 'account_id', colocate_with => 'accounts');

-- What is of no account stays with the coordinator: no decision reads it.
-- stays: refused, operator_actions, clearing_files, taken_away, zone_keys, key_exchanges, event_cursors
-- stays: schema_migrations, schema_functions

-- Every node has every function, for they call each other. Again after each `switch migrate`.
SELECT create_distributed_function(p.oid::regprocedure)
  FROM pg_proc AS p
 WHERE p.pronamespace = 'public'::regnamespace
   AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e');

-- A call of these is made whole on the node that has the account.
SELECT create_distributed_function(
    'authorize_of_v1(bigint, authorization_v2[])', 'p_account_id', colocate_with => 'accounts');
SELECT create_distributed_function(
    'book_of_v1(bigint, booking_v1[])', 'p_account_id', colocate_with => 'accounts');
SELECT create_distributed_function(
    'find_card_of_v1(bigint, bytea)', 'p_account_id', colocate_with => 'accounts');
SELECT create_distributed_function(
    'unwind_v2(bigint, bytea, text)', 'p_account_id', colocate_with => 'accounts');
SELECT create_distributed_function(
    'stand_in_v1(bigint, booking_v1, bytea, timestamptz, text, text, text, int)', 'p_account_id',
    colocate_with => 'accounts');
SELECT create_distributed_function(
    'untold_v1(bigint, bytea, text)', 'p_account_id', colocate_with => 'accounts');
SELECT create_distributed_function(
    'expire_holds_of_v1(bigint)', 'p_account_id', colocate_with => 'accounts');
SELECT create_distributed_function(
    'settle_file_update_v1(bigint, bigint, text, text, text, text)', 'p_account_id',
    colocate_with => 'accounts');
