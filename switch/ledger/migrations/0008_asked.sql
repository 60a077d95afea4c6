-- What an advice, a completion or a reversal asked for beside what its row tells: so that it can
-- be booked again in a trial of other rules (docs/rules.md). As in booking_v1.
CREATE TYPE asked_v1 AS (
    task                    text,
    is_approved             boolean,
    is_final                boolean,
    original_traces         bytea[],
    original_classes        text[],
    original_acquirer       text,
    original_code           text,
    rrn_clue                bytea,
    scheme_clue             bytea,
    own_traces              bytea[],
    leave_clues             bytea[],
    amount_minor            bigint,
    keep_transaction_minor  bigint,
    keep_minor              bigint,
    hold_seconds            int,
    would_have_declined     text
);
-- Null: a decision, or written by a version before.
ALTER TABLE authorizations ADD COLUMN asked asked_v1;
