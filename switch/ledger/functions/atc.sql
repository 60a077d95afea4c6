-- atc_refusal_v1: what speaks against a right cryptogram with this counter; null: it is good.
-- The first of a chip always is. `p_seen` has 64 bits: the highest and 63 behind it.
CREATE OR REPLACE FUNCTION atc_refusal_v1(
    p_atc int, p_highest int, p_seen bigint, p_behind int, p_ahead int)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN p_atc > p_highest + p_ahead           THEN 'atc_out_of_window'
        WHEN p_atc > p_highest                     THEN NULL
        WHEN p_atc < p_highest - least(p_behind, 63) THEN 'atc_out_of_window'
        WHEN (p_seen >> (p_highest - p_atc)) & 1 = 1 THEN 'cryptogram_replayed'
    END
$$;

-- atc_seen_v1: the counters seen, as bits behind the highest, once this one is among them.
CREATE OR REPLACE FUNCTION atc_seen_v1(p_atc int, p_highest int, p_seen bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN p_highest IS NULL      THEN 1
        WHEN p_atc <= p_highest     THEN p_seen | (1::bigint << (p_highest - p_atc))
        WHEN p_atc - p_highest < 64 THEN (p_seen << (p_atc - p_highest)) | 1
        ELSE 1
    END
$$;
