-- refuse_v1: record requests for cards that are not ours. No account, no lock; a repeat changes nothing.
-- An event draws its number after the row of its request was written.
CREATE OR REPLACE FUNCTION refuse_v1(
    p_pan_token              bytea[],
    p_message_key            bytea[],
    p_link                   text[],
    p_mti                    text[],
    p_stan                   text[],
    p_transmission_datetime  text[],
    p_rrn                    text[],
    p_processing_code        text[],
    p_transaction_minor      bigint[],
    p_transaction_currency   text[],
    p_reason                 text[])
RETURNS void LANGUAGE sql VOLATILE AS $$
    WITH noted AS (
        INSERT INTO refused (
            pan_token, message_key, link, mti, stan, transmission_datetime, rrn,
            processing_code, transaction_minor, transaction_currency, reason)
        SELECT * FROM unnest(
            p_pan_token, p_message_key, p_link, p_mti, p_stan, p_transmission_datetime, p_rrn,
            p_processing_code, p_transaction_minor, p_transaction_currency, p_reason)
        ON CONFLICT DO NOTHING
        RETURNING *
    )
    INSERT INTO events (account_id, occurred_at, type, details)
    SELECT 0, r.received_at, 'request.refused', jsonb_build_object(
               'pan_token', encode(r.pan_token, 'hex'), 'link', r.link, 'mti', r.mti,
               'stan', r.stan, 'transmission_datetime', r.transmission_datetime, 'rrn', r.rrn,
               'processing_code', r.processing_code, 'transaction_minor', r.transaction_minor,
               'transaction_currency', r.transaction_currency, 'reason', r.reason)
      FROM noted AS r
$$;
