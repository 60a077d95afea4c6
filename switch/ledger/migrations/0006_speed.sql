-- A batch of decisions is one array of requests, and its answer one array of decisions.
CREATE TYPE authorization_v1 AS (
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
    atc_ahead                int       -- null: as far before it as it likes
);

CREATE TYPE decision_v1 AS (
    ordinal                    int,   -- the request's place in the batch, from 1
    outcome                    text,  -- decided, repeated, locked, late, stale, unavailable
    reason                     text,  -- null: approved
    authorization_code         text,
    available_minor            bigint,
    issuer_authentication      text,
    partial_minor              bigint,  -- approved and billed, where less than asked for
    partial_transaction_minor  bigint,
    response_code              text     -- DE39 as an advice that was here first brought it
);

-- A request as it was judged: what is to be written of it.
CREATE TYPE judgement_v1 AS (
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
    response_code              text
);

-- What follows a decision beside journal, message key, hold and account: most have none of it.
CREATE TYPE consequence_v1 AS (
    account_id            bigint,
    card_id               bigint,
    authorization_id      bigint,
    purchase_id           bigint,
    purchase_received_at  timestamptz,
    root_id               bigint,
    early_id              bigint,   -- of the advice that was here first
    kind                  text,
    channel               text,
    scheme                text,
    currency              text,     -- the account's
    granted_minor         bigint,
    cash_minor            bigint,
    hold_minor            bigint,
    post_minor            bigint,
    hold_seconds          int,
    is_increment          boolean,
    extends               boolean,  -- what is held for its purchase
    uses_limits           boolean,
    pin_tries             int,      -- after it; null: they stay as they are
    sequence_number       text,
    atc                   int,      -- null: no counter is used up
    atc_highest           int,      -- before it
    atc_seen              bigint
);

-- What came before an original, as far as its answer and its purchase go.
CREATE TYPE earlier_v1 AS (
    authorization_code  text,
    response_code       text,
    reversed_at         timestamptz,
    root_id             bigint,
    root_received_at    timestamptz
);

-- A row of the journal, by what finds it beside its account.
CREATE TYPE place_v1 AS (authorization_id bigint, received_at timestamptz);

-- A card's facts as the rules know them have a version: whoever kept an older one asks anew.
-- Every way of changing them gives a new one, also by hand. It never comes again, not even for a
-- card that was deleted and made anew. PIN tries are none of those facts.
CREATE SEQUENCE card_versions CACHE 100;
ALTER TABLE cards ADD COLUMN version bigint NOT NULL DEFAULT nextval('card_versions');

CREATE FUNCTION cards_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := nextval('card_versions');
    RETURN NEW;
END
$$;
CREATE TRIGGER cards_changed
    BEFORE UPDATE OF program_id, status, pin_method, pin_reference ON cards
    FOR EACH ROW EXECUTE FUNCTION cards_changed();

CREATE FUNCTION card_parts_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE cards SET version = nextval('card_versions')
         WHERE account_id = OLD.account_id AND card_id = OLD.card_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        UPDATE cards SET version = nextval('card_versions')
         WHERE account_id = NEW.account_id AND card_id = NEW.card_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER plastics_changed AFTER INSERT OR UPDATE OR DELETE ON plastics
    FOR EACH ROW EXECUTE FUNCTION card_parts_changed();
CREATE TRIGGER pan_tokens_deleted AFTER DELETE ON pan_tokens
    FOR EACH ROW EXECUTE FUNCTION card_parts_changed();
-- Not where a PAN only gets its token under a new key: it is the same card's.
CREATE TRIGGER pan_tokens_changed AFTER UPDATE ON pan_tokens
    FOR EACH ROW WHEN (
        (OLD.account_id, OLD.card_id, coalesce(OLD.key_token, OLD.pan_token))
        IS DISTINCT FROM (NEW.account_id, NEW.card_id, coalesce(NEW.key_token, NEW.pan_token)))
    EXECUTE FUNCTION card_parts_changed();

CREATE FUNCTION accounts_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cards SET version = nextval('card_versions') WHERE account_id = NEW.account_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER accounts_changed AFTER UPDATE OF status, currency ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_changed();
