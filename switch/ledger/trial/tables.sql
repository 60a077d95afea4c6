-- The scratch database of `switch rules try`: the tables that hold what was recorded, and how it is
-- let happen again. What decides and books are the ledger's own functions; what stands here hands
-- them what the journal tells, each thing at its moment, and takes what they cannot know from it.

SET check_function_bodies = off;  -- they call each other

CREATE TABLE trial_accounts (LIKE accounts INCLUDING DEFAULTS);
CREATE TABLE trial_cards (
    account_id bigint, card_id bigint, program_id int, pan_last_four text, channels_blocked text[],
    mcc_blocked text[], countries_allowed text[], PRIMARY KEY (account_id, card_id));
CREATE TABLE trial_limits (LIKE limits INCLUDING INDEXES);
CREATE TABLE trial_limits_then (LIKE limits INCLUDING INDEXES);  -- when the period began
CREATE TABLE trial_limits_set (
    account_id bigint, card_id bigint, scope text, period text, set_at timestamptz,
    PRIMARY KEY (account_id, card_id, scope, period));
CREATE TABLE trial_counted (
    account_id bigint, card_id bigint, scope text, period text, period_start date,
    counted_from timestamptz, PRIMARY KEY (account_id, card_id, scope, period, period_start));
CREATE TABLE trial_used (
    account_id bigint, card_id bigint, authorization_id bigint, received_at timestamptz, kind text,
    channel text, using_minor bigint, using_cash_minor bigint);
CREATE TABLE trial_marks (account_id bigint, clue bytea, acquirer text, noted_at timestamptz);
CREATE TABLE trial_presentments (LIKE presentments);
CREATE TABLE trial_postings (LIKE postings);
CREATE TABLE trial_actions (
    action_id bigint, done_at timestamptz, action text, account_id bigint, card_id bigint,
    details jsonb);
-- The journal as it was recorded, and what of a request is not in it but follows from it.
CREATE TABLE trial_rows (
    LIKE authorizations,
    program_id         int,
    hold_seconds       int,
    books              text,
    rrn_clue           bytea,
    scheme_clue        bytea,
    tolerance_percent  int);

-- What is tried.
CREATE TABLE trial_ruled (account_id bigint, card_id bigint, PRIMARY KEY (account_id, card_id));
CREATE TABLE trial_rule_limits (
    currency text, scope text, period text, amount_minor bigint, count int, removes boolean);
CREATE TABLE trial_rule_controls (
    channels_blocked text[], channels_allowed text[], mcc_blocked text[], mcc_allowed text[],
    sets_countries boolean, countries_allowed text[]);

-- The outcome.
CREATE TABLE trial_answers (
    account_id bigint, authorization_id bigint, now_authorization_id bigint,
    received_at timestamptz, is_request boolean, rrn text, stan text, mti text,
    pan_last_four text, kind text, amount_minor bigint, currency text, was text, now text,
    was_partial_minor bigint, now_partial_minor bigint, was_available_minor bigint,
    now_available_minor bigint,
    is_other boolean GENERATED ALWAYS AS (
        was <> now OR was_partial_minor IS DISTINCT FROM now_partial_minor) STORED);

-- What happened, in order.
CREATE TABLE trial_events (
    ordinal     bigint PRIMARY KEY,
    moment      timestamptz NOT NULL,
    what        text NOT NULL,  -- request, booking, presentment, unwinding, mark, posting, action, begin, end
    account_id  bigint,
    item        bigint,         -- the row's number, the posting's, the action's
    clue        bytea);         -- of a mark

-- trial_rules_v1: note what is tried, and which cards it is for.
CREATE FUNCTION trial_rules_v1(p_rules jsonb) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO trial_ruled
    SELECT account_id, card_id FROM trial_cards
     WHERE (p_rules -> 'programs' = 'null' OR p_rules -> 'programs' @> to_jsonb(program_id))
       AND (p_rules -> 'cards' = 'null' OR p_rules -> 'cards' @> to_jsonb(card_id));
    INSERT INTO trial_rule_limits
    SELECT * FROM jsonb_populate_recordset(NULL::trial_rule_limits, p_rules -> 'limits');
    INSERT INTO trial_rule_controls
    SELECT * FROM jsonb_populate_record(NULL::trial_rule_controls, p_rules -> 'controls')
     WHERE p_rules -> 'controls' <> 'null';
$$;

-- trial_prepare_v1: partitions, empty accounts and cards that nothing speaks against, and the order
-- of what happened. Gives how many things.
CREATE FUNCTION trial_prepare_v1(p_from timestamptz, p_to timestamptz)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_events bigint;
BEGIN
    CREATE UNIQUE INDEX ON trial_rows (account_id, authorization_id);
    CREATE INDEX ON trial_rows (account_id, message_key);
    CREATE INDEX ON trial_presentments (account_id, authorization_id);
    CREATE UNIQUE INDEX ON trial_actions (action_id);
    CREATE INDEX ON trial_postings (account_id, posting_id);
    CREATE INDEX ON trial_marks (account_id, clue);

    PERFORM make_partition_v1(parent, month::date)
      FROM (SELECT date_trunc('month', least(min(received_at), p_from) AT TIME ZONE 'UTC') AS first,
                   date_trunc('month', p_to AT TIME ZONE 'UTC') AS last
              FROM trial_rows) AS months
     CROSS JOIN generate_series(months.first, months.last, interval '1 month') AS month
     CROSS JOIN unnest(ARRAY['authorizations', 'postings']) AS parent;
    -- Nobody reads what is told here.
    CREATE TABLE events_of_trial PARTITION OF events DEFAULT;

    INSERT INTO accounts (account_id, reference, program_id, currency, credit_limit_minor)
    SELECT account_id, reference, program_id, currency, credit_limit_minor FROM trial_accounts;
    INSERT INTO cards (account_id, card_id, program_id, pan_ciphertext, pan_last_four, status)
    SELECT account_id, card_id, program_id, '', pan_last_four, 'active' FROM trial_cards;

    INSERT INTO trial_events (ordinal, moment, what, account_id, item, clue)
    SELECT row_number() OVER (ORDER BY e.moment, e.what <> 'begin', e.item), e.*
      FROM (
        SELECT z.received_at,
               CASE WHEN substr(z.mti, 2, 2) IN ('10', '20') THEN 'request'
                    WHEN s.line IS NOT NULL THEN 'presentment'
                    ELSE 'booking' END,
               z.account_id, z.authorization_id, NULL::bytea
          FROM trial_rows AS z
          LEFT JOIN trial_presentments AS s
                 ON s.account_id = z.account_id AND s.authorization_id = z.authorization_id
         UNION ALL
        SELECT unwound_at, 'unwinding', account_id, authorization_id, NULL FROM trial_rows
         WHERE unwound_at < p_to
         UNION ALL
        SELECT noted_at, 'mark', account_id, NULL, clue FROM trial_marks
         UNION ALL
        SELECT posted_at, 'posting', account_id, posting_id, NULL FROM trial_postings
         UNION ALL
        SELECT done_at, 'action', account_id, action_id, NULL FROM trial_actions
         WHERE done_at < p_to
         UNION ALL
        SELECT p_from, 'begin', NULL, NULL, NULL
         UNION ALL
        SELECT p_to, 'end', NULL, NULL, NULL) AS e(moment, what, account_id, item, clue);
    GET DIAGNOSTICS v_events = ROW_COUNT;
    ANALYZE;
    RETURN v_events;
END
$$;
