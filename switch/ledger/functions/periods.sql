-- period_start_v1: the first day of the period that holds a moment, in the program's time zone.
CREATE OR REPLACE FUNCTION period_start_v1(
    p_period text, p_at timestamptz, p_time_zone text, p_week_starts smallint)
RETURNS date LANGUAGE sql STABLE AS $$
    SELECT CASE p_period
        WHEN 'week' THEN
            day - (extract(isodow FROM day)::int - p_week_starts + 7) % 7
        WHEN 'month' THEN date_trunc('month', day)::date
        ELSE day
    END
    FROM (SELECT (p_at AT TIME ZONE p_time_zone)::date AS day) AS moment
$$;

-- limit_use_v1: how much of a limit a debit uses; null where the scope does not take it.
-- Cashback is a purchase as a whole, and its cash counts as cash too.
CREATE OR REPLACE FUNCTION limit_use_v1(
    p_scope text, p_kind text, p_channel text, p_amount_minor bigint, p_cash_minor bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_scope
        WHEN 'all'      THEN p_amount_minor
        WHEN 'purchase' THEN CASE WHEN p_kind IN ('purchase', 'cashback') THEN p_amount_minor END
        WHEN 'cash'     THEN nullif(p_cash_minor, 0)
        ELSE                 CASE WHEN p_channel = p_scope THEN p_amount_minor END
    END
$$;
