-- One authorization can be explained afterwards: docs/why.md.

-- What was found out for a decision, as names and words: what became of each thing that was
-- verified, PIN tries and use of limits before it. Null: decided by a version that kept none.
ALTER TABLE authorizations ADD COLUMN findings text;

-- The journal of some hours is found without reading the month. A few kilobytes: what comes later
-- stands later in the table.
CREATE INDEX authorizations_received_at ON authorizations USING brin (received_at);
CREATE INDEX cards_last_four ON cards (pan_last_four);
