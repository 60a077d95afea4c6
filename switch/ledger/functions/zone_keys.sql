-- Zone keys: which a link has, and how one takes another's place. One link at a time.

-- zone_key_lock_v1: from here to the end of the transaction nobody else changes a link's keys.
CREATE OR REPLACE FUNCTION zone_key_lock_v1(p_link text)
RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('zone_keys ' || p_link, 0))
$$;

-- zone_key_add_v1: note a key, after that of the key file where it is the first.
CREATE OR REPLACE FUNCTION zone_key_add_v1(
    p_link text, p_name text, p_usage text, p_backend text, p_stored text, p_kcv text,
    p_source text, p_stan text, p_transmission_datetime text, p_file_kcv text)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_id bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM zone_keys WHERE link = p_link AND name = p_name) THEN
        INSERT INTO zone_keys (link, name, usage, backend, stored, kcv, source, valid_from)
        VALUES (p_link, p_name, p_usage, p_backend, '', p_file_kcv, 'file', clock_timestamp());
    END IF;
    INSERT INTO zone_keys (link, name, usage, backend, stored, kcv, source, stan,
                           transmission_datetime)
    VALUES (p_link, p_name, p_usage, p_backend, p_stored, p_kcv, p_source, p_stan,
            p_transmission_datetime)
    RETURNING zone_key_id INTO v_id;
    RETURN v_id;
END
$$;

-- zone_key_begin_v1: a key is the link's from now on; the others end after the overlap.
CREATE OR REPLACE FUNCTION zone_key_begin_v1(p_zone_key_id bigint, p_overlap_s int)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    UPDATE zone_keys SET valid_from = v_now, valid_until = NULL WHERE zone_key_id = p_zone_key_id;
    UPDATE zone_keys AS other
       SET valid_until = v_now + make_interval(secs => p_overlap_s)
      FROM zone_keys AS this
     WHERE this.zone_key_id = p_zone_key_id AND other.zone_key_id <> p_zone_key_id
       AND other.link = this.link AND other.name = this.name AND other.valid_from IS NOT NULL
       AND (other.valid_until IS NULL
            OR other.valid_until > v_now + make_interval(secs => p_overlap_s));
    PERFORM tell_of_none_v1('key.changed', jsonb_build_object(
                'action', 'zone_key', 'link', k.link, 'name', k.name, 'kcv', k.kcv,
                'source', k.source))
       FROM zone_keys AS k WHERE k.zone_key_id = p_zone_key_id;
END
$$;

-- zone_key_take_v1: a key takes the place of the present one. `taken`; `unchanged` where it is the
-- present one; `repeated` where the same message brought it before, whatever came since;
-- `used_before` where a scheme brings a key that this link had: what was recorded on a line once
-- must not become good again.
CREATE OR REPLACE FUNCTION zone_key_take_v1(
    p_link text, p_name text, p_usage text, p_backend text, p_stored text, p_kcv text,
    p_source text, p_stan text, p_transmission_datetime text, p_file_kcv text, p_overlap_s int)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_present text;
    v_before  zone_keys;
BEGIN
    PERFORM zone_key_lock_v1(p_link);
    SELECT kcv INTO v_present FROM zone_keys
     WHERE link = p_link AND name = p_name AND valid_from IS NOT NULL
     ORDER BY valid_from DESC, zone_key_id DESC LIMIT 1;
    IF coalesce(v_present, p_file_kcv) = p_kcv THEN
        RETURN 'unchanged';
    END IF;
    IF p_source = 'scheme' THEN
        SELECT * INTO v_before FROM zone_keys
         WHERE link = p_link AND name = p_name AND kcv = p_kcv
         ORDER BY zone_key_id DESC LIMIT 1;
        IF FOUND THEN
            RETURN CASE WHEN v_before.stan = p_stan
                         AND v_before.transmission_datetime = p_transmission_datetime
                        THEN 'repeated' ELSE 'used_before' END;
        END IF;
    END IF;
    PERFORM zone_key_begin_v1(
        zone_key_add_v1(p_link, p_name, p_usage, p_backend, p_stored, p_kcv, p_source, p_stan,
                        p_transmission_datetime, p_file_kcv),
        p_overlap_s);
    RETURN 'taken';
END
$$;

-- key_exchange_ask_v1: have the scheme behind a link sent a new key. False while one is on its way.
CREATE OR REPLACE FUNCTION key_exchange_ask_v1(p_link text, p_asked_by text)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO key_exchanges (link, asked_by) VALUES (p_link, p_asked_by)
    ON CONFLICT (link) WHERE state IN ('waiting', 'sent') DO NOTHING;
    RETURN FOUND;
END
$$;

-- key_exchange_claim_v1: take what is to be sent over a link now. It is due again after the seconds
-- in p_pauses, by the number of the attempt; a repeat has the STAN and DE7 of its first copy.
CREATE OR REPLACE FUNCTION key_exchange_claim_v1(p_link text, p_pauses float8[])
RETURNS TABLE (
    exchange_id            bigint,
    attempts               int,
    is_repeat              boolean,
    stan                   text,
    transmission_datetime  text,
    key_data               text,
    kcv                    text)
LANGUAGE sql VOLATILE AS $$
    WITH due AS (
        SELECT e.exchange_id, e.key_data IS NOT NULL AS is_repeat
          FROM key_exchanges AS e
         WHERE e.link = p_link AND e.state IN ('waiting', 'sent')
           AND e.next_at <= statement_timestamp()
           FOR UPDATE OF e SKIP LOCKED),
    claimed AS (
        UPDATE key_exchanges AS e
           SET state = 'sent',
               attempts = e.attempts + 1,
               stan = coalesce(e.stan, lpad(nextval('file_update_stans')::text, 6, '0')),
               transmission_datetime = coalesce(
                   e.transmission_datetime,
                   to_char(clock_timestamp() AT TIME ZONE 'UTC', 'MMDDHH24MISS')),
               next_at = clock_timestamp() + make_interval(
                   secs => p_pauses[least(e.attempts + 1, cardinality(p_pauses))])
          FROM due
         WHERE e.exchange_id = due.exchange_id
        RETURNING e.*, due.is_repeat)
    SELECT c.exchange_id, c.attempts, c.is_repeat, c.stan, c.transmission_datetime, c.key_data, k.kcv
      FROM claimed AS c LEFT JOIN zone_keys AS k ON k.zone_key_id = c.zone_key_id
$$;

-- key_exchange_offer_v1: the key that an exchange is about was made. It is read where PIN blocks
-- come under it, and is the link's key once it is agreed on. False where one was made meanwhile.
CREATE OR REPLACE FUNCTION key_exchange_offer_v1(
    p_exchange_id bigint, p_name text, p_usage text, p_backend text, p_stored text, p_kcv text,
    p_key_data text, p_file_kcv text)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_exchange key_exchanges;
BEGIN
    SELECT * INTO v_exchange FROM key_exchanges WHERE exchange_id = p_exchange_id FOR UPDATE;
    IF v_exchange.zone_key_id IS NOT NULL OR v_exchange.state <> 'sent' THEN
        RETURN false;
    END IF;
    PERFORM zone_key_lock_v1(v_exchange.link);
    UPDATE key_exchanges
       SET zone_key_id = zone_key_add_v1(
               v_exchange.link, p_name, p_usage, p_backend, p_stored, p_kcv, 'switch',
               v_exchange.stan, v_exchange.transmission_datetime, p_file_kcv),
           key_data = p_key_data
     WHERE exchange_id = p_exchange_id;
    RETURN true;
END
$$;

-- key_exchange_settle_v1: what the scheme answered: accepted or refused. False where it is settled.
CREATE OR REPLACE FUNCTION key_exchange_settle_v1(
    p_exchange_id bigint, p_state text, p_response_code text, p_overlap_s int)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_exchange key_exchanges;
BEGIN
    UPDATE key_exchanges
       SET state = p_state, response_code = p_response_code, answered_at = clock_timestamp(),
           key_data = NULL
     WHERE exchange_id = p_exchange_id AND state = 'sent'
    RETURNING * INTO v_exchange;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM zone_key_lock_v1(v_exchange.link);
    IF p_state = 'accepted' THEN
        PERFORM zone_key_begin_v1(v_exchange.zone_key_id, p_overlap_s);
    ELSE
        UPDATE zone_keys SET valid_until = clock_timestamp()
         WHERE zone_key_id = v_exchange.zone_key_id;
    END IF;
    RETURN true;
END
$$;
