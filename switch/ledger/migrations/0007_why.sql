-- One authorization can be explained afterwards: docs/why.md.

-- What was found out for a decision, as names and words: what became of each thing that was
-- verified, PIN tries and use of limits before it. Null: decided by a version that kept none.
ALTER TABLE authorizations ADD COLUMN findings text;

-- The search by a card's last four digits. None of the cards' updates changes them.
CREATE INDEX cards_last_four ON cards (pan_last_four);

-- The same as authorization_v1, with findings. The versions stand side by side.
CREATE TYPE authorization_v2 AS (
    round                    int,      -- among the requests of its account in the batch, from 0
    kind                     text,
    channel                  text,
    transaction_minor        bigint,
    transaction_currency     text,
    hold_seconds             int,
    processing_code          text,
    mti                      text,
    stan                     text,
    transmission_datetime    text,
    rrn                      text,
    acquirer                 text,
    terminal                 text,
    merchant                 text,
    merchant_name            text,
    mcc                      text,
    country                  text,
    entry_mode               text,
    link                     text,
    scheme                   text,
    scheme_transaction_id    text,
    account_id               bigint,
    card_id                  bigint,
    card_version             bigint,   -- of the card, as it was known when the request was judged
    message_key              bytea,
    decide_by                float8,   -- seconds since 1970, by the clock of the database
    refusal_before_pin       text,
    hsm_fault                boolean,
    pin_verdict              text,
    refusal_after_pin        text,
    amount_minor             bigint,   -- billed, in the account's currency
    cash_minor               bigint,
    authorization_code       text,
    issuer_authentication    text,
    books                    text,     -- hold, posting, or nothing
    takes_partial            boolean,  -- the terminal takes less than it asked for
    rrn_clue                 bytea,    -- with the next: under which an advice may have been here first
    scheme_clue              bytea,
    is_increment             boolean,  -- of an earlier purchase, which the next two find
    original_trace           bytea,
    sequence_number          text,     -- of a right cryptogram: whose counter it is,
    atc                      int,      -- and where it may stand to the highest that was seen;
    atc_behind               int,
    atc_ahead                int,      -- null: as far before it as it likes
    findings                 text      -- what became of each thing that was verified
);

-- The same as judgement_v1, with what the ledger found out.
CREATE TYPE judgement_v2 AS (
    outcome                    text,   -- as a decision's
    reason                     text,
    authorization_id           bigint,
    authorization_code         text,   -- to be given with an approval
    available_before           bigint,
    granted_minor              bigint, -- what an approval is for, in the account's currency
    hold_minor                 bigint,
    post_minor                 bigint, -- above zero: toward the account
    partial_transaction_minor  bigint,
    root_id                    bigint, -- of the purchase that an approving advice spoke of before
    purchase_id                bigint, -- of an earlier message that carries the purchase
    purchase_received_at       timestamptz,
    response_code              text,
    found_here                 text    -- what goes to its findings; null: nothing
);

-- What its card's limits say to a debit.
CREATE TYPE limit_answer_v1 AS (refusal text, figures text);
