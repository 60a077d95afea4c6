-- The life of a purchase after its authorization: docs/life.md. It changes what the version before
-- works with, and writes tables anew: stop the switches, migrate, start.

DROP FUNCTION IF EXISTS authorize_v1, unwind_v1, release_hold_v1, give_back_usage_v1,
    expire_holds_v1, find_cards_v1;

-- How long a hold stands is a rule by merchant category, in programs.settings.
UPDATE programs
   SET settings = settings || jsonb_build_object(
           'hold_hours', jsonb_build_object('default', hold_days * 24))
 WHERE NOT settings ? 'hold_hours';
ALTER TABLE programs DROP COLUMN hold_days;

-- Suspense accounts take what cannot be booked: -(program_id * 1000 + currency).
ALTER TABLE accounts ADD COLUMN kind text NOT NULL DEFAULT 'cardholder'
    CHECK (kind IN ('cardholder', 'suspense'));
ALTER TABLE accounts ADD CHECK ((account_id < 0) = (kind = 'suspense'));

-- The journal: every message about a card of ours, of whatever class.
ALTER TABLE authorizations
    ADD COLUMN purchase_id                bigint,       -- the row that carries the purchase; null: this one
    ADD COLUMN purchase_received_at       timestamptz,
    ADD COLUMN standing_minor             bigint NOT NULL DEFAULT 0 CHECK (standing_minor >= 0),   -- held and posted for the purchase
    ADD COLUMN posted_minor               bigint NOT NULL DEFAULT 0 CHECK (posted_minor >= 0),     -- stands posted by this message
    ADD COLUMN using_minor                bigint NOT NULL DEFAULT 0 CHECK (using_minor >= 0),      -- counts toward limits
    ADD COLUMN using_cash_minor           bigint NOT NULL DEFAULT 0 CHECK (using_cash_minor >= 0),
    ADD COLUMN partial_minor              bigint,       -- approved, where less than asked; billed
    ADD COLUMN partial_transaction_minor  bigint,       -- the same in the transaction's currency
    ADD COLUMN would_have_declined        text,         -- of an advice: what we would have said
    ADD COLUMN response_code              text,         -- DE39 that an advice brought
    ADD COLUMN scheme                     text NOT NULL DEFAULT 'demo',
    ADD COLUMN scheme_transaction_id      text,
    ADD COLUMN is_increment               boolean NOT NULL DEFAULT false,  -- adds to an earlier purchase
    ADD COLUMN reversed_at                timestamptz,  -- wholly
    ADD COLUMN advised_at                 timestamptz;  -- an advice spoke for it: unwinding leaves it
ALTER TABLE authorizations ALTER COLUMN scheme DROP DEFAULT;
-- The account stands second: a row's own key is the better way to it.
CREATE INDEX authorizations_rrn ON authorizations (rrn, account_id);
CREATE INDEX authorizations_scheme_transaction_id
    ON authorizations (scheme_transaction_id, account_id) WHERE scheme_transaction_id IS NOT NULL;

UPDATE authorizations AS z
   SET standing_minor = h.amount_minor, using_minor = h.amount_minor, using_cash_minor = z.cash_minor
  FROM holds AS h
 WHERE h.state = 'open' AND z.account_id = h.account_id
   AND z.authorization_id = h.authorization_id AND z.received_at = h.received_at;

-- The holds of a purchase stand together; an increment's joins its original's.
ALTER TABLE holds ADD COLUMN purchase_id bigint;
UPDATE holds SET purchase_id = authorization_id;
ALTER TABLE holds
    DROP CONSTRAINT holds_pkey,
    ALTER COLUMN purchase_id SET NOT NULL,
    ADD PRIMARY KEY (account_id, purchase_id, authorization_id),
    DROP CONSTRAINT holds_state_check,
    ADD CHECK (state IN ('open', 'expired', 'unwound', 'reversed', 'completed', 'released'));

-- One row is one double entry: the account on one side; the contra account, by scheme and
-- currency, on the other. It cannot be out of balance.
ALTER TABLE postings
    DROP CONSTRAINT postings_contra_check,
    ADD CHECK (contra IN ('opening', 'settlement', 'operator')),
    ADD COLUMN scheme      text,    -- whose settlement account
    ADD COLUMN currency    text,    -- of the amount, the account's own
    ADD COLUMN booking_id  bigint,  -- the journal row whose posted_minor this changes
    ADD COLUMN note        text;    -- an operator's reason
UPDATE postings AS p SET currency = a.currency FROM accounts AS a WHERE a.account_id = p.account_id;
ALTER TABLE postings ALTER COLUMN currency SET NOT NULL;

-- What a message leaves that came before the one it is about, under the clue that one will have:
-- a whole message key (16 bytes), a trace, an RRN's or a scheme id's digest (8 bytes).
CREATE TABLE early_marks (
    account_id        bigint      NOT NULL,
    clue              bytea       NOT NULL,
    verdict           text        NOT NULL CHECK (verdict IN ('reversed', 'approved', 'declined')),
    acquirer          text        NOT NULL DEFAULT '',  -- of the original, without leading zeros; '': any
    left_by           text        NOT NULL DEFAULT '',  -- class and function of what left it: 12, 22
    authorization_id  bigint,     -- the row that came first; null: an unwinding
    received_at       timestamptz,
    noted_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    is_reversal       boolean     NOT NULL GENERATED ALWAYS AS (verdict = 'reversed') STORED,
    PRIMARY KEY (account_id, clue, is_reversal, acquirer)
);
INSERT INTO early_marks (account_id, clue, verdict, noted_at)
SELECT account_id, message_key, 'reversed', noted_at FROM reversals_early;
DROP TABLE reversals_early;

-- One advice, completion or reversal: what book_v1 takes.
CREATE TYPE booking_v1 AS (
    account_id              bigint,
    card_id                 bigint,
    message_key             bytea,
    task                    text,     -- advise, complete, reverse; remember: a reversal's mark alone
    is_approved             boolean,  -- as its DE39 says
    is_final                boolean,  -- a completion: the last of its hold
    may_suspend             boolean,  -- what cannot be booked here is booked elsewhere
    original_traces         bytea[],  -- where to look for the original, in this order
    original_classes        text[],   -- class and function of each: 10, 12, 20, 22
    original_acquirer       text,     -- as DE90 has it, without leading zeros; null: any
    original_code           text,     -- its authorization code
    rrn_clue                bytea,    -- null: no RRN to go by
    scheme_clue             bytea,
    own_traces              bytea[],  -- under which an earlier message may have left a mark
    leave_clues             bytea[],  -- under which to leave one, where no original is there
    kind                    text,
    channel                 text,
    amount_minor            bigint,   -- billed; null: to be converted by the original
    cash_minor              bigint,
    transaction_minor       bigint,
    transaction_currency    text,
    keep_transaction_minor  bigint,   -- of a reversal: what is to remain; null: nothing
    keep_minor              bigint,   -- the same billed, where the message tells it
    hold_seconds            int,
    would_have_declined     text,     -- by the questions before the ledger's own
    processing_code         text,
    mti                     text,
    stan                    text,
    transmission_datetime   text,
    rrn                     text,
    acquirer                text,
    terminal                text,
    merchant                text,
    merchant_name           text,
    mcc                     text,
    country                 text,
    entry_mode              text,
    link                    text,
    scheme                  text,
    scheme_transaction_id   text,
    authorization_code      text,
    response_code           text
);

-- Plastics of one PAN: after a reissue the old one is valid until its own end.
CREATE TABLE plastics (
    account_id       bigint   NOT NULL,
    card_id          bigint   NOT NULL,
    sequence_number  text     NOT NULL CHECK (sequence_number ~ '^[0-9]{2}$'),
    expiry           text     NOT NULL CHECK (expiry ~ '^[0-9]{2}(0[1-9]|1[0-2])$'),  -- YYMM
    service_code     text     NOT NULL CHECK (service_code ~ '^[0-9]{3}$'),
    atc              int      NOT NULL DEFAULT 0 CHECK (atc BETWEEN 0 AND 65535),  -- the highest seen
    is_stopped       boolean  NOT NULL DEFAULT false,  -- replaced before its end
    made_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, card_id, expiry, sequence_number)
) WITH (fillfactor = 80);
INSERT INTO plastics (account_id, card_id, sequence_number, expiry, service_code)
SELECT account_id, card_id, '00', expiry, service_code FROM cards;
ALTER TABLE cards DROP COLUMN expiry, DROP COLUMN service_code;

-- Who did what to cards and accounts, and why. Appended, never changed.
CREATE TABLE operator_actions (
    action_id   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    done_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    operator    text        NOT NULL CHECK (operator <> ''),
    reason      text        NOT NULL CHECK (reason <> ''),
    action      text        NOT NULL,
    account_id  bigint      NOT NULL,
    card_id     bigint,
    details     jsonb       NOT NULL DEFAULT '{}'  -- what it was and what it is; no PAN, no PIN
);
CREATE INDEX operator_actions_account ON operator_actions (account_id, action_id);

CREATE FUNCTION operator_actions_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'operator_actions is append-only';
END
$$;
CREATE TRIGGER operator_actions_stay BEFORE UPDATE OR DELETE ON operator_actions
    FOR EACH ROW EXECUTE FUNCTION operator_actions_stay();

-- Card blocks that a network is to be told of (0302), until it has answered.
CREATE TABLE file_updates (
    account_id     bigint      NOT NULL,
    update_id      bigint      GENERATED ALWAYS AS IDENTITY,
    card_id        bigint      NOT NULL,
    link           text        NOT NULL,
    action         text        NOT NULL CHECK (action IN ('add', 'delete')),
    status         text        NOT NULL,  -- the card's, that the network is told
    state          text        NOT NULL DEFAULT 'waiting'
                   CHECK (state IN ('waiting', 'sent', 'accepted', 'refused')),
    attempts       int         NOT NULL DEFAULT 0,
    stan           text,
    response_code  text,
    asked_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at    timestamptz,
    PRIMARY KEY (account_id, update_id)
);
CREATE INDEX file_updates_due ON file_updates (next_at) WHERE state IN ('waiting', 'sent');

-- Clearing files: what was imported, and what became of each presentment.
CREATE TABLE clearing_files (
    file_id      bytea       PRIMARY KEY CHECK (length(file_id) = 32),  -- SHA-256 of its bytes
    name         text        NOT NULL,
    lines        int         NOT NULL,
    began_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz
);
CREATE TABLE presentments (
    account_id        bigint      NOT NULL,
    file_id           bytea       NOT NULL,
    line              int         NOT NULL,
    kind              text        NOT NULL,
    outcome           text        NOT NULL,
    authorization_id  bigint      NOT NULL,
    received_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, file_id, line)
);
CREATE INDEX presentments_file ON presentments (file_id, line);

-- Operators name an account by its reference and a card by its number. New ones are numbered
-- above those that the demo numbers itself.
CREATE UNIQUE INDEX accounts_reference ON accounts (reference);
CREATE INDEX cards_card_id ON cards (card_id, account_id);
CREATE SEQUENCE account_ids START WITH 10000001;
CREATE SEQUENCE card_ids START WITH 10000001;

-- What `switch maintain` has taken away: older rows of the table may be gone.
CREATE TABLE taken_away (
    table_name  text        PRIMARY KEY,
    before      timestamptz NOT NULL,
    last_id     bigint      -- of authorizations: the highest number that went
);

-- A network is told again what it has not answered: the copy has the STAN and DE7 of the first.
ALTER TABLE file_updates ADD COLUMN transmission_datetime text;
CREATE SEQUENCE file_update_stans MAXVALUE 999999 CYCLE;
CREATE INDEX pan_tokens_card ON pan_tokens (account_id, card_id);

-- What a record of a clearing file did: docs/clearing.md. A reversal that came before its
-- presentment waits here under the key that one will have.
ALTER TABLE clearing_files ADD COLUMN operator text NOT NULL;
ALTER TABLE presentments
    ADD COLUMN message_key      bytea   NOT NULL,            -- its journal row's; a duplicate's is that of the first
    ADD COLUMN original_key     bytea,                       -- of a reversal: the presentment that it takes back
    ADD COLUMN reference        text    NOT NULL,            -- the acquirer's reference number
    ADD COLUMN purchase_id      bigint,
    ADD COLUMN is_final         boolean NOT NULL,
    ADD COLUMN confirmed_minor  bigint  NOT NULL DEFAULT 0,  -- of it: what was posted online
    ADD COLUMN moved_minor      bigint  NOT NULL DEFAULT 0;  -- above zero: toward the account
CREATE INDEX presentments_message_key ON presentments (message_key);
CREATE INDEX presentments_original_key ON presentments (original_key) WHERE original_key IS NOT NULL;
CREATE INDEX presentments_purchase ON presentments (account_id, purchase_id);
CREATE INDEX authorizations_purchase
    ON authorizations (account_id, purchase_id) WHERE purchase_id IS NOT NULL;
