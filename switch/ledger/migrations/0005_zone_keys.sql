-- Zone PIN keys that change while the switch runs, and how they are exchanged with a scheme (0800).

-- What operators do to keys is about no account.
ALTER TABLE operator_actions ALTER COLUMN account_id DROP NOT NULL;

-- The zone keys of a link after the one of its key file, each as its backend keeps it: enciphered.
CREATE TABLE zone_keys (
    zone_key_id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    link                   text        NOT NULL,
    name                   text        NOT NULL,  -- of the key of the key file that it stands for
    usage                  text        NOT NULL CHECK (usage ~ '^[A-Z0-9]{2}$'),  -- TR-31
    backend                text        NOT NULL,
    stored                 text        NOT NULL,  -- software: a TR-31 block; '': the key file's own
    kcv                    text        NOT NULL CHECK (kcv ~ '^[0-9A-F]{6}([0-9A-F]{4})?$'),
    source                 text        NOT NULL CHECK (source IN ('file', 'operator', 'scheme', 'switch')),
    stan                   text,                  -- of the 0800 that brought it
    transmission_datetime  text,
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    valid_from             timestamptz,           -- null: not agreed on yet, but read where it comes
    valid_until            timestamptz            -- null: until another takes its place
);
CREATE INDEX zone_keys_link ON zone_keys (link, name, zone_key_id);

-- Appended; afterwards a key becomes valid once, and its end is set.
CREATE FUNCTION zone_keys_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.valid_from IS NULL OR NEW.valid_from = OLD.valid_from)
       AND to_jsonb(OLD) - 'valid_from' - 'valid_until' = to_jsonb(NEW) - 'valid_from' - 'valid_until'
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'zone_keys is append-only, but for when a key is valid';
END
$$;
CREATE TRIGGER zone_keys_stay BEFORE UPDATE OR DELETE ON zone_keys
    FOR EACH ROW EXECUTE FUNCTION zone_keys_stay();

-- New zone keys that a scheme is to be sent, until it has answered.
CREATE TABLE key_exchanges (
    exchange_id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    link                   text        NOT NULL,
    asked_by               text        NOT NULL CHECK (asked_by IN ('operator', 'scheme')),
    state                  text        NOT NULL DEFAULT 'waiting'
                           CHECK (state IN ('waiting', 'sent', 'accepted', 'refused')),
    attempts               int         NOT NULL DEFAULT 0,
    zone_key_id            bigint,                -- null: the key is still to be made
    key_data               text,                  -- what the 0800 carries: the key under the zone master key
    stan                   text,
    transmission_datetime  text,
    response_code          text,
    asked_at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at            timestamptz
);
CREATE UNIQUE INDEX key_exchanges_one_at_a_time
    ON key_exchanges (link) WHERE state IN ('waiting', 'sent');
