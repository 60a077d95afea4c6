-- What an advice, a completion or a reversal asked for beside what its row tells: so that it can
-- be booked again in a trial of other rules (docs/rules.md). Null: a decision, or a version before.
ALTER TABLE authorizations ADD COLUMN asked jsonb;
