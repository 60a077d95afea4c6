-- The ledger: who may spend, what was decided, what is held, what was posted.
-- account_id leads every key that moves with an account, so that the schema
-- distributes by account. Amounts are minor units of the account's currency.
-- Nothing hot is indexed that an update changes, and no foreign key hangs on a
-- hot table: the functions are the only writers.

CREATE TABLE programs (
    program_id     int         PRIMARY KEY,
    name           text        NOT NULL UNIQUE,
    currency       text        NOT NULL CHECK (currency ~ '^[0-9]{3}$'),
    pin_tries_max  smallint    NOT NULL CHECK (pin_tries_max > 0),
    hold_days      smallint    NOT NULL CHECK (hold_days > 0),
    time_zone      text        NOT NULL,
    week_starts    smallint    NOT NULL CHECK (week_starts BETWEEN 1 AND 7),  -- ISO 8601: 1 is Monday
    settings       jsonb       NOT NULL  -- what is verified, and how: read by the rules, not by SQL
);

CREATE TABLE accounts (
    account_id          bigint PRIMARY KEY,
    reference           text   NOT NULL,
    program_id          int    NOT NULL,
    currency            text   NOT NULL CHECK (currency ~ '^[0-9]{3}$'),
    status              text   NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed')),
    posted_minor        bigint NOT NULL DEFAULT 0,
    held_minor          bigint NOT NULL DEFAULT 0 CHECK (held_minor >= 0),
    credit_limit_minor  bigint NOT NULL DEFAULT 0 CHECK (credit_limit_minor >= 0)
    -- Nothing forbids a negative available balance: an advice may overdraw.
) WITH (fillfactor = 60);

-- The way from a PAN to its card: small, and the only table not led by the account.
CREATE TABLE pan_tokens (
    pan_token      bytea    PRIMARY KEY CHECK (length(pan_token) = 32),
    token_version  smallint NOT NULL,
    account_id     bigint   NOT NULL,
    card_id        bigint   NOT NULL
);

CREATE TABLE cards (
    account_id         bigint   NOT NULL,
    card_id            bigint   NOT NULL,
    program_id         int      NOT NULL,
    pan_ciphertext     bytea    NOT NULL,
    pan_last_four      text     NOT NULL CHECK (pan_last_four ~ '^[0-9]{4}$'),
    expiry             text     NOT NULL CHECK (expiry ~ '^[0-9]{2}(0[1-9]|1[0-2])$'),  -- YYMM
    service_code       text     NOT NULL CHECK (service_code ~ '^[0-9]{3}$'),
    status             text     NOT NULL CHECK (
        status IN ('active', 'inactive', 'blocked', 'lost', 'stolen', 'closed')),
    pin_method         text     CHECK (pin_method IN ('visa_pvv', 'ibm3624')),
    pin_reference      text,    -- Visa: index and PVV, five digits; IBM 3624: the offset
    pin_tries          smallint NOT NULL DEFAULT 0 CHECK (pin_tries >= 0),
    channels_blocked   text[]   NOT NULL DEFAULT '{}',
    mcc_blocked        text[]   NOT NULL DEFAULT '{}',
    countries_allowed  text[],  -- null: every country
    PRIMARY KEY (account_id, card_id),
    CHECK ((pin_method IS NULL) = (pin_reference IS NULL))
) WITH (fillfactor = 80);

CREATE TABLE limits (
    account_id    bigint NOT NULL,
    card_id       bigint NOT NULL,
    scope         text   NOT NULL CHECK (
        scope IN ('all', 'purchase', 'cash', 'ecommerce', 'contactless')),
    period        text   NOT NULL CHECK (period IN ('transaction', 'day', 'week', 'month')),
    amount_minor  bigint CHECK (amount_minor >= 0),
    count         int    CHECK (count >= 0),
    PRIMARY KEY (account_id, card_id, scope, period),
    CHECK (amount_minor IS NOT NULL OR count IS NOT NULL)
);

-- What approved debits have used of a limit in one period; given back to that
-- same period when the debit is undone.
CREATE TABLE limit_usage (
    account_id    bigint NOT NULL,
    card_id       bigint NOT NULL,
    scope         text   NOT NULL,
    period        text   NOT NULL,
    period_start  date   NOT NULL,  -- in the program's time zone
    amount_minor  bigint NOT NULL,
    count         int    NOT NULL,
    counted_from  timestamptz NOT NULL,  -- older debits of the period are not in it
    PRIMARY KEY (account_id, card_id, scope, period, period_start)
) WITH (fillfactor = 60);

-- Every decision and the answer given. A month of receipt is a partition.
CREATE TABLE authorizations (
    account_id              bigint      NOT NULL,
    authorization_id        bigint      NOT NULL,
    received_at             timestamptz NOT NULL,
    card_id                 bigint      NOT NULL,
    link                    text        NOT NULL,
    mti                     text        NOT NULL,
    message_key             bytea       NOT NULL,
    stan                    text        NOT NULL,
    transmission_datetime   text        NOT NULL,
    rrn                     text        NOT NULL,
    acquirer                text        NOT NULL,
    terminal                text        NOT NULL,
    merchant                text,
    merchant_name           text,
    mcc                     text,
    country                 text,
    entry_mode              text,
    processing_code         text        NOT NULL,
    kind                    text        NOT NULL,  -- purchase, cash, cashback, refund, inquiry, verification, unknown
    channel                 text        NOT NULL,
    transaction_minor       bigint      NOT NULL,  -- in the transaction's currency
    transaction_currency    text        NOT NULL,
    amount_minor            bigint      NOT NULL,  -- billed, in the account's currency
    cash_minor              bigint      NOT NULL,  -- the part of it that is cash
    reason                  text,                  -- null: approved
    authorization_code      text,
    available_minor         bigint      NOT NULL,  -- after this decision
    issuer_authentication   text,                  -- tag 91 of an approval: a repeat gets it again
    unwind_asked_at         timestamptz,           -- its answer did not leave in time
    unwound_at              timestamptz,           -- and it was taken back
    PRIMARY KEY (account_id, authorization_id, received_at)
) PARTITION BY RANGE (received_at);

CREATE SEQUENCE authorization_ids CACHE 100;

-- What makes a message a repeat. Apart from the partitions, for a repeat over
-- midnight of the month's end is a repeat.
CREATE TABLE message_keys (
    account_id        bigint      NOT NULL,
    message_key       bytea       NOT NULL,
    authorization_id  bigint      NOT NULL,
    received_at       timestamptz NOT NULL,
    PRIMARY KEY (account_id, message_key)
);
CREATE INDEX message_keys_received_at ON message_keys USING brin (received_at);

-- Repeats that were told of an approval, each by the code of its own attempt. While there is
-- one, the approval is not taken back.
CREATE TABLE approvals_repeated (
    account_id          bigint      NOT NULL,
    message_key         bytea       NOT NULL,
    authorization_code  text        NOT NULL,
    told_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, message_key, authorization_code)
);

-- A reversal that was here before its original: the late original is declined.
CREATE TABLE reversals_early (
    account_id   bigint      NOT NULL,
    message_key  bytea       NOT NULL,
    noted_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, message_key)
);

CREATE TABLE holds (
    account_id        bigint      NOT NULL,
    authorization_id  bigint      NOT NULL,
    received_at       timestamptz NOT NULL,  -- of the authorization, to find its partition
    amount_minor      bigint      NOT NULL CHECK (amount_minor > 0),
    state             text        NOT NULL CHECK (state IN ('open', 'expired', 'unwound')),
    expires_at        timestamptz NOT NULL,
    PRIMARY KEY (account_id, authorization_id)
);
CREATE INDEX holds_expiring ON holds (expires_at) WHERE state = 'open';

-- Double entry in one row: the account on one side, the contra on the other, so
-- that no row is shared between accounts. Appended, never changed.
CREATE TABLE postings (
    account_id        bigint      NOT NULL,
    posting_id        bigint      NOT NULL,
    posted_at         timestamptz NOT NULL,
    contra            text        NOT NULL CHECK (contra IN ('opening', 'settlement')),
    amount_minor      bigint      NOT NULL,  -- above zero credits the account
    authorization_id  bigint,
    PRIMARY KEY (account_id, posting_id, posted_at)
) PARTITION BY RANGE (posted_at);

CREATE SEQUENCE posting_ids CACHE 100;

-- Requests for cards that are not ours. No account, so no lock: a run of
-- guessed PANs contends on nothing.
CREATE TABLE refused (
    pan_token              bytea       NOT NULL,
    message_key            bytea       NOT NULL,
    received_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    link                   text        NOT NULL,
    mti                    text        NOT NULL,
    stan                   text        NOT NULL,
    transmission_datetime  text        NOT NULL,
    rrn                    text        NOT NULL,
    processing_code        text        NOT NULL,
    transaction_minor      bigint      NOT NULL,
    transaction_currency   text        NOT NULL,
    reason                 text        NOT NULL,
    PRIMARY KEY (pan_token, message_key)
);
CREATE INDEX refused_received_at ON refused USING brin (received_at);
