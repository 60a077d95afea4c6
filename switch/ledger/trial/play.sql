-- How what was recorded happens again: handed to the ledger's own functions, each at its moment. The
-- versions of those, and of the types that they take, are named here and nowhere else of a trial.

-- trial_play_v1: let happen what comes after one thing, at most so many, each at its moment: first
-- as it was, from the beginning of the period on by the rules that are tried. Gives the last.
CREATE FUNCTION trial_play_v1(p_from timestamptz, p_after bigint, p_most int)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_event  trial_events;
    v_last   bigint;
BEGIN
    FOR v_event IN
        SELECT * FROM trial_events WHERE ordinal > p_after ORDER BY ordinal LIMIT p_most
    LOOP
        PERFORM set_config('trial.moment', v_event.moment::text, false);
        WHILE EXISTS (SELECT FROM holds WHERE state = 'open' AND expires_at <= v_event.moment) LOOP
            PERFORM expire_holds_v2(1000);
        END LOOP;
        CASE v_event.what
            WHEN 'request'     THEN PERFORM trial_decide_v1(v_event, v_event.moment < p_from);
            WHEN 'booking'     THEN PERFORM trial_book_v1(v_event);
            WHEN 'presentment' THEN PERFORM trial_present_v1(v_event);
            WHEN 'unwinding'   THEN
                PERFORM unwind_v2(account_id, message_key, authorization_code) FROM trial_rows
                 WHERE account_id = v_event.account_id AND authorization_id = v_event.item;
            WHEN 'mark'        THEN
                -- Not earlier: what came before it was not reversed by it. Those that messages
                -- left are there already, for they were played.
                INSERT INTO early_marks (account_id, clue, verdict, acquirer, noted_at)
                SELECT account_id, clue, 'reversed', acquirer, noted_at FROM trial_marks
                 WHERE account_id = v_event.account_id AND clue = v_event.clue
                   AND noted_at = v_event.moment
                ON CONFLICT DO NOTHING;
            WHEN 'posting'     THEN PERFORM trial_post_v1(v_event);
            WHEN 'action'      THEN PERFORM trial_act_v1(v_event);
            WHEN 'begin'       THEN PERFORM trial_begin_v1(p_from);
            WHEN 'end'         THEN NULL;  -- what was to expire until then is over
        END CASE;
        v_last := v_event.ordinal;
    END LOOP;
    RETURN v_last;
END
$$;

-- trial_decide_v1: decide a request anew. Forced: as it was, with the money that was there.
CREATE FUNCTION trial_decide_v1(p_event trial_events, p_forced boolean)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_row trial_rows;
BEGIN
    SELECT * INTO v_row FROM trial_rows
     WHERE account_id = p_event.account_id AND authorization_id = p_event.item;
    IF p_forced THEN
        UPDATE accounts
           SET posted_minor = held_minor - credit_limit_minor + v_row.available_minor
                              + CASE WHEN v_row.reason IS NULL AND v_row.books <> 'nothing'
                                     THEN coalesce(v_row.partial_minor, v_row.amount_minor)
                                     ELSE 0 END
         WHERE account_id = v_row.account_id;
    END IF;
    PERFORM authorize_v5(ARRAY[trial_request_v1(v_row, p_forced)]);
END
$$;

-- trial_request_v1: a recorded request as it is decided again. What was verified of it is known by
-- its refusal alone: one by a question before the controls stays. Forced, every refusal does.
CREATE FUNCTION trial_request_v1(z trial_rows, p_forced boolean)
RETURNS authorization_v2 LANGUAGE sql STABLE AS $$
    SELECT jsonb_populate_record(NULL::authorization_v2, to_jsonb(z) || jsonb_build_object(
        'round', 0,
        'decide_by', 'infinity',
        'hsm_fault', false,
        'refusal_before_pin',
            CASE WHEN p_forced OR z.reason NOT IN (
                     'not_permitted', 'limit_amount', 'limit_count', 'insufficient_funds')
                 THEN z.reason END,
        'authorization_code', coalesce(z.authorization_code, ''),
        'takes_partial', z.partial_minor IS NOT NULL,
        'original_trace', (
            SELECT substr(r.message_key, 1, 8) FROM trial_rows AS r
             WHERE z.is_increment AND r.account_id = z.account_id
               AND r.authorization_id = z.purchase_id),
        'rrn_clue', CASE WHEN NOT z.is_increment THEN z.rrn_clue END,
        'scheme_clue', CASE WHEN NOT z.is_increment THEN z.scheme_clue END))
$$;

-- trial_book_v1: book a recorded advice, completion or reversal again.
CREATE FUNCTION trial_book_v1(p_event trial_events) RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT book_v1(ARRAY[trial_booking_v1(z)]) FROM trial_rows AS z
     WHERE z.account_id = p_event.account_id AND z.authorization_id = p_event.item
$$;

-- trial_present_v1: book a recorded line of a clearing file again.
CREATE FUNCTION trial_present_v1(p_event trial_events) RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT clear_v1(s.file_id, ARRAY[s.line], ARRAY[s.reference], ARRAY[s.original_key],
                    ARRAY[z.tolerance_percent], ARRAY[trial_booking_v1(z)])
      FROM trial_rows AS z
      JOIN trial_presentments AS s
        ON s.account_id = z.account_id AND s.authorization_id = z.authorization_id
     WHERE z.account_id = p_event.account_id AND z.authorization_id = p_event.item
$$;

-- trial_booking_v1: a recorded advice, completion, reversal or presentment as it is booked again.
-- What it asked for stands in its row; where an older version wrote that, it is what it came to.
CREATE FUNCTION trial_booking_v1(z trial_rows) RETURNS booking_v1 LANGUAGE sql STABLE AS $$
    SELECT jsonb_populate_record(
        NULL::booking_v1,
        to_jsonb(z) || '{"may_suspend": true}' || coalesce(to_jsonb(z.asked), (
            SELECT jsonb_build_object(
                'task', coalesce(
                    (SELECT s.kind FROM trial_presentments AS s
                      WHERE s.account_id = z.account_id
                        AND s.authorization_id = z.authorization_id),
                    CASE substr(z.mti, 2, 2) WHEN '12' THEN 'advise' WHEN '22' THEN 'complete'
                                             ELSE 'reverse' END),
                'is_approved', z.reason IS NULL,
                'is_final', true,
                'original_traces', array_remove(ARRAY[substr(r.message_key, 1, 8)], NULL),
                'original_classes', array_remove(ARRAY[substr(r.mti, 2, 2)], NULL),
                'original_acquirer', CASE WHEN z.link = 'clearing' THEN ltrim(z.acquirer, '0') END,
                'original_code', z.authorization_code,
                'own_traces', ARRAY[substr(z.message_key, 1, 8)],
                'leave_clues', CASE WHEN substr(z.mti, 2, 2) IN ('12', '22')
                    THEN array_remove(ARRAY[z.rrn_clue, z.scheme_clue], NULL) ELSE '{}' END)
              FROM (SELECT 1) AS one
              LEFT JOIN trial_rows AS r
                     ON r.account_id = z.account_id AND r.authorization_id = z.purchase_id)))
$$;

-- trial_post_v1: post what was posted beside messages.
CREATE FUNCTION trial_post_v1(p_event trial_events) RETURNS void LANGUAGE sql VOLATILE AS $$
    WITH posted AS (
        INSERT INTO postings (account_id, posting_id, posted_at, contra, amount_minor, currency)
        SELECT account_id, nextval('posting_ids'), posted_at, contra, amount_minor, currency
          FROM trial_postings
         WHERE account_id = p_event.account_id AND posting_id = p_event.item
        RETURNING account_id, amount_minor)
    UPDATE accounts AS a SET posted_minor = a.posted_minor + p.amount_minor
      FROM posted AS p WHERE a.account_id = p.account_id
$$;

-- trial_act_v1: change what an operator changed, but for what is tried.
CREATE FUNCTION trial_act_v1(p_event trial_events) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_action  trial_actions;
    v_became  jsonb;
BEGIN
    SELECT * INTO v_action FROM trial_actions WHERE action_id = p_event.item;
    v_became := v_action.details -> 'became';
    CASE v_action.action
        WHEN 'set_credit_limit' THEN
            UPDATE accounts SET credit_limit_minor = (v_became ->> 'credit_limit_minor')::bigint
             WHERE account_id = v_action.account_id;
        WHEN 'set_limit' THEN
            INSERT INTO limits AS l
            SELECT v_action.account_id, v_action.card_id, s.*
              FROM jsonb_to_record(v_became)
                AS s(scope text, period text, amount_minor bigint, count int)
            ON CONFLICT (account_id, card_id, scope, period) DO UPDATE
               SET amount_minor = excluded.amount_minor, count = excluded.count;
        WHEN 'remove_limit' THEN
            PERFORM trial_remove_limit_v1(
                v_action.account_id, v_action.card_id, v_action.details #>> '{was,scope}',
                v_action.details #>> '{was,period}');
        WHEN 'set_controls' THEN
            PERFORM trial_control_v1(v_action.account_id, v_action.card_id, v_became);
    END CASE;
    IF v_action.card_id IS NOT NULL THEN
        PERFORM trial_rule_v1(v_action.account_id, v_action.card_id);
    END IF;
END
$$;

-- trial_remove_limit_v1: a limit and what was counted toward it, unless one is tried in its place.
CREATE FUNCTION trial_remove_limit_v1(
    p_account_id bigint, p_card_id bigint, p_scope text, p_period text)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM trial_rule_limits AS t JOIN trial_ruled AS r ON NOT t.removes
         WHERE r.account_id = p_account_id AND r.card_id = p_card_id
           AND t.scope = p_scope AND t.period = p_period) THEN
        DELETE FROM limits WHERE (account_id, card_id, scope, period)
                               = (p_account_id, p_card_id, p_scope, p_period);
        DELETE FROM limit_usage WHERE (account_id, card_id, scope, period)
                                    = (p_account_id, p_card_id, p_scope, p_period);
    END IF;
END
$$;
