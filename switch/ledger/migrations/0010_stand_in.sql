-- What was approved while the ledger was away is told apart: docs/standin.md.

-- When this issuer approved it by itself, by the clock of the switch; it was booked when the ledger
-- was back. Null: decided here, or elsewhere.
ALTER TABLE authorizations ADD COLUMN stood_in_at timestamptz;
