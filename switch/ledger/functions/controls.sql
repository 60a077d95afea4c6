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

-- limit_use_v1: how much of a limit a debit uses; null where the scope does not take it, or
-- nothing is used. Cashback is a purchase as a whole, and its cash counts as cash too.
CREATE OR REPLACE FUNCTION limit_use_v1(
    p_scope text, p_kind text, p_channel text, p_amount_minor bigint, p_cash_minor bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT nullif(CASE p_scope
        WHEN 'all'      THEN p_amount_minor
        WHEN 'purchase' THEN CASE WHEN p_kind IN ('purchase', 'cashback') THEN p_amount_minor END
        WHEN 'cash'     THEN p_cash_minor
        ELSE                 CASE WHEN p_channel = p_scope THEN p_amount_minor END
    END, 0)
$$;

-- limit_figures_v1: a card's limits that take a debit: how much each lets pass, what was used of it
-- in the period that holds a moment, what this one uses, and whether it would pass it.
CREATE OR REPLACE FUNCTION limit_figures_v1(
    p_account_id bigint, p_card_id bigint, p_kind text, p_channel text, p_amount_minor bigint,
    p_cash_minor bigint, p_at timestamptz, p_time_zone text, p_week_starts smallint)
RETURNS TABLE (
    scope text, period text, limit_minor bigint, used_minor bigint, this_minor bigint,
    limit_count int, used_count bigint, over_amount boolean, over_count boolean)
LANGUAGE sql STABLE AS $$
    SELECT l.scope, l.period, l.amount_minor, used.amount_minor, use.amount_minor, l.count,
           used.count, l.amount_minor < used.amount_minor + use.amount_minor,
           l.count < used.count + 1
      FROM limits AS l
     CROSS JOIN LATERAL (
            SELECT limit_use_v1(l.scope, p_kind, p_channel, p_amount_minor, p_cash_minor)
           ) AS use(amount_minor)
     CROSS JOIN LATERAL (
            SELECT coalesce(sum(u.amount_minor), 0)::bigint, coalesce(sum(u.count), 0)
              FROM limit_usage AS u
             WHERE u.account_id = l.account_id AND u.card_id = l.card_id
               AND u.scope = l.scope AND u.period = l.period
               AND u.period_start = period_start_v1(l.period, p_at, p_time_zone, p_week_starts)
               AND l.period <> 'transaction') AS used(amount_minor, count)
     WHERE l.account_id = p_account_id AND l.card_id = p_card_id AND use.amount_minor IS NOT NULL
$$;

-- limited_v1: whether a debit would pass its card's limits, by amount and by count, in the periods
-- that hold a moment.
CREATE OR REPLACE FUNCTION limited_v1(
    p_account_id bigint, p_card_id bigint, p_kind text, p_channel text, p_amount_minor bigint,
    p_cash_minor bigint, p_at timestamptz, p_time_zone text, p_week_starts smallint)
RETURNS TABLE (over_amount boolean, over_count boolean) LANGUAGE sql STABLE AS $$
    SELECT bool_or(f.over_amount), bool_or(f.over_count)
      FROM limit_figures_v1(p_account_id, p_card_id, p_kind, p_channel, p_amount_minor,
                            p_cash_minor, p_at, p_time_zone, p_week_starts) AS f
$$;

-- limit_answer_v1: what its card's limits say to a debit, by the calendar of the card's program: a
-- reason to refuse it, and the figures of each, in the words that its findings keep.
CREATE OR REPLACE FUNCTION limit_answer_v1(
    p_account_id bigint, p_card_id bigint, p_kind text, p_channel text, p_amount_minor bigint,
    p_cash_minor bigint, p_at timestamptz)
RETURNS limit_answer_v1 LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN bool_or(f.over_amount) THEN 'limit_amount'
                WHEN bool_or(f.over_count)  THEN 'limit_count' END,
           string_agg(format('limit.%s.%s=%s:%s:%s:%s:%s', f.scope, f.period, f.limit_minor,
                             f.used_minor, f.this_minor, f.limit_count, f.used_count),
                      ' ' ORDER BY f.scope, f.period)
      FROM cards AS c
      JOIN programs AS p ON p.program_id = c.program_id
     CROSS JOIN LATERAL limit_figures_v1(
                p_account_id, p_card_id, p_kind, p_channel, p_amount_minor, p_cash_minor, p_at,
                p.time_zone, p.week_starts) AS f
     WHERE c.account_id = p_account_id AND c.card_id = p_card_id
$$;

-- permitted_v1: whether a card's controls let a request pass: channel, merchant category, country.
CREATE OR REPLACE FUNCTION permitted_v1(
    p_channel text, p_cash_minor bigint, p_mcc text, p_country text,
    p_channels_blocked text[], p_mcc_blocked text[], p_countries_allowed text[])
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT NOT (p_channel = ANY (p_channels_blocked)
                OR (p_cash_minor > 0 AND 'cash' = ANY (p_channels_blocked))
                OR coalesce(p_mcc = ANY (p_mcc_blocked), p_mcc_blocked <> '{}')
                OR NOT coalesce(p_country = ANY (p_countries_allowed), p_countries_allowed IS NULL))
$$;
