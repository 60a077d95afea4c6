-- How the scratch database is set back to when the period began, and which rules are tried there.

-- trial_begin_v1: balances, limits, controls and use of limits as they were when the period began,
-- and then the rules that are tried.
CREATE FUNCTION trial_begin_v1(p_from timestamptz) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_action trial_actions;
BEGIN
    INSERT INTO postings (account_id, posting_id, posted_at, contra, amount_minor, currency)
    SELECT a.account_id, nextval('posting_ids'), p_from, 'opening',
           a.posted_minor - coalesce(p.minor, 0), a.currency
      FROM trial_accounts AS a
      LEFT JOIN (SELECT account_id, sum(amount_minor)::bigint AS minor FROM postings
                  GROUP BY account_id) AS p ON p.account_id = a.account_id
     WHERE a.posted_minor <> coalesce(p.minor, 0);
    UPDATE accounts AS a SET posted_minor = t.posted_minor
      FROM trial_accounts AS t WHERE t.account_id = a.account_id;

    INSERT INTO limits SELECT * FROM trial_limits;
    UPDATE cards AS c
       SET channels_blocked = t.channels_blocked, mcc_blocked = t.mcc_blocked,
           countries_allowed = t.countries_allowed
      FROM trial_cards AS t WHERE (t.account_id, t.card_id) = (c.account_id, c.card_id);
    -- What operators changed since is changed back, the newest first.
    FOR v_action IN SELECT * FROM trial_actions ORDER BY action_id DESC LOOP
        PERFORM trial_undo_v1(v_action);
    END LOOP;

    INSERT INTO trial_limits_then SELECT * FROM limits;
    PERFORM trial_rule_v1(NULL, NULL);
    PERFORM trial_count_v1(p_from);
END
$$;

-- trial_undo_v1: let be what was before an operator changed it.
CREATE FUNCTION trial_undo_v1(p_action trial_actions) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_was jsonb := nullif(p_action.details -> 'was', 'null');
BEGIN
    CASE p_action.action
        WHEN 'set_credit_limit' THEN
            UPDATE accounts SET credit_limit_minor = (v_was ->> 'credit_limit_minor')::bigint
             WHERE account_id = p_action.account_id;
        WHEN 'set_controls' THEN
            PERFORM trial_control_v1(p_action.account_id, p_action.card_id, v_was);
        ELSE
            DELETE FROM limits AS l
             USING jsonb_to_record(coalesce(v_was, p_action.details -> 'became'))
                AS s(scope text, period text)
             WHERE (l.account_id, l.card_id) = (p_action.account_id, p_action.card_id)
               AND (l.scope, l.period) = (s.scope, s.period);
            INSERT INTO limits
            SELECT p_action.account_id, p_action.card_id, s.*
              FROM jsonb_to_record(v_was)
                AS s(scope text, period text, amount_minor bigint, count int)
             WHERE v_was IS NOT NULL;
    END CASE;
END
$$;

-- trial_control_v1: let a card's controls be as some details tell.
CREATE FUNCTION trial_control_v1(p_account_id bigint, p_card_id bigint, p_controls jsonb)
RETURNS void LANGUAGE sql VOLATILE AS $$
    UPDATE cards AS c
       SET channels_blocked = s.channels_blocked, mcc_blocked = s.mcc_blocked,
           countries_allowed = s.countries_allowed
      FROM jsonb_populate_record(NULL::cards, p_controls) AS s
     WHERE c.account_id = p_account_id AND c.card_id = p_card_id
$$;

-- trial_rule_v1: let the rules that are tried be those of one card; null: of all that they are for.
CREATE FUNCTION trial_rule_v1(p_account_id bigint, p_card_id bigint)
RETURNS void LANGUAGE sql VOLATILE AS $$
    DELETE FROM limits AS l USING trial_rule_limits AS t, trial_ruled AS r
     WHERE t.removes AND (r.account_id, r.card_id) = (l.account_id, l.card_id)
       AND (p_card_id IS NULL OR (r.account_id, r.card_id) = (p_account_id, p_card_id))
       AND (l.scope, l.period) = (t.scope, t.period);
    INSERT INTO limits AS l (account_id, card_id, scope, period, amount_minor, count)
    SELECT r.account_id, r.card_id, t.scope, t.period, t.amount_minor, t.count
      FROM trial_ruled AS r
      JOIN accounts AS a ON a.account_id = r.account_id
      JOIN trial_rule_limits AS t ON NOT t.removes AND t.currency = a.currency
     WHERE p_card_id IS NULL OR (r.account_id, r.card_id) = (p_account_id, p_card_id)
    ON CONFLICT (account_id, card_id, scope, period) DO UPDATE
       SET amount_minor = coalesce(excluded.amount_minor, l.amount_minor),
           count = coalesce(excluded.count, l.count);
    UPDATE cards AS c
       SET channels_blocked = operator_altered_v1(
               c.channels_blocked, t.channels_blocked, t.channels_allowed),
           mcc_blocked = operator_altered_v1(c.mcc_blocked, t.mcc_blocked, t.mcc_allowed),
           countries_allowed = CASE WHEN t.sets_countries THEN t.countries_allowed
                                    ELSE c.countries_allowed END
      FROM trial_rule_controls AS t, trial_ruled AS r
     WHERE (r.account_id, r.card_id) = (c.account_id, c.card_id)
       AND (p_card_id IS NULL OR (r.account_id, r.card_id) = (p_account_id, p_card_id));
$$;

-- trial_count_v1: what of each limit was used when the period began. A limit that was not there is
-- counted as if it had been since its own period's beginning; one that was removed since, from when
-- an operator had set it.
CREATE FUNCTION trial_count_v1(p_from timestamptz) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO limit_usage (
        account_id, card_id, scope, period, period_start, amount_minor, count, counted_from)
    SELECT l.account_id, l.card_id, l.scope, l.period, this.period_start, sum(use.minor),
           count(use.minor), min(since.counted_from)
      FROM limits   AS l
      JOIN cards    AS c ON c.account_id = l.account_id AND c.card_id = l.card_id
      JOIN programs AS p ON p.program_id = c.program_id
     CROSS JOIN LATERAL (
            SELECT period_start_v1(l.period, p_from, p.time_zone, p.week_starts)
           ) AS this(period_start)
      LEFT JOIN trial_counted AS k
             ON (k.account_id, k.card_id, k.scope, k.period, k.period_start)
              = (l.account_id, l.card_id, l.scope, l.period, this.period_start)
      LEFT JOIN trial_limits_then AS t
             ON (t.account_id, t.card_id, t.scope, t.period)
              = (l.account_id, l.card_id, l.scope, l.period)
      LEFT JOIN trial_limits_set AS s
             ON (s.account_id, s.card_id, s.scope, s.period)
              = (l.account_id, l.card_id, l.scope, l.period)
     CROSS JOIN LATERAL (
            SELECT CASE WHEN k.counted_from IS NOT NULL THEN k.counted_from
                        WHEN t.scope IS NULL
                          OR trial_was_removed_v1(l.account_id, l.card_id, l.scope, l.period)
                        THEN greatest(
                            s.set_at, this.period_start::timestamp AT TIME ZONE p.time_zone) END
           ) AS since(counted_from)
      JOIN trial_use_before_v1(p_from) AS z
        ON z.account_id = l.account_id AND z.card_id = l.card_id
       AND z.received_at >= since.counted_from
       AND period_start_v1(l.period, z.received_at, p.time_zone, p.week_starts)
           = this.period_start
     CROSS JOIN LATERAL (
            SELECT limit_use_v1(l.scope, z.kind, z.channel, z.using_minor, z.using_cash_minor)
           ) AS use(minor)
     WHERE l.period <> 'transaction' AND use.minor IS NOT NULL
     GROUP BY l.account_id, l.card_id, l.scope, l.period, this.period_start
$$;

-- trial_was_removed_v1: whether an operator has taken a limit away since the period began, and
-- with it the note of when its counting began.
CREATE FUNCTION trial_was_removed_v1(
    p_account_id bigint, p_card_id bigint, p_scope text, p_period text)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM trial_actions AS x
         WHERE x.action = 'remove_limit'
           AND (x.account_id, x.card_id) = (p_account_id, p_card_id)
           AND x.details -> 'was' @> jsonb_build_object('scope', p_scope, 'period', p_period))
$$;

-- trial_use_before_v1: what messages of before the period used of limits when it began: those that
-- were played, as they stand now; the others as they are, for nothing has happened to them since.
CREATE FUNCTION trial_use_before_v1(p_from timestamptz)
RETURNS SETOF trial_used LANGUAGE sql STABLE AS $$
    SELECT account_id, card_id, authorization_id, received_at, kind, channel, using_minor,
           using_cash_minor
      FROM authorizations WHERE received_at < p_from AND using_minor > 0
     UNION ALL
    SELECT u.* FROM trial_used AS u
     WHERE NOT EXISTS (SELECT FROM trial_rows AS z
                        WHERE z.account_id = u.account_id
                          AND z.authorization_id = u.authorization_id)
$$;
