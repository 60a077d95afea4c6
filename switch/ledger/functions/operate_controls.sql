-- What operators do to a card's limits and controls. As operate.sql: one function is one
-- transaction under the account's lock, with its record.

-- operator_set_limit_v1: a limit of one scope and period. What is not given stays as it was. A new
-- one counts from now on.
CREATE OR REPLACE FUNCTION operator_set_limit_v1(
    IN p_operator text, IN p_reason text, IN p_account_id bigint, IN p_card_id bigint,
    IN p_scope text, IN p_period text, IN p_amount_minor bigint, IN p_count int,
    OUT outcome text, OUT was jsonb, OUT became jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_card cards := operator_lock_card_v1(p_account_id, p_card_id);
    v_old  limits;
BEGIN
    IF v_card.card_id IS NULL THEN
        outcome := 'no_card';
        RETURN;
    END IF;
    SELECT * INTO v_old FROM limits
     WHERE account_id = p_account_id AND card_id = p_card_id
       AND scope = p_scope AND period = p_period;
    IF FOUND THEN
        was := jsonb_build_object('scope', p_scope, 'period', p_period,
                                  'amount_minor', v_old.amount_minor, 'count', v_old.count);
    END IF;
    became := jsonb_build_object('scope', p_scope, 'period', p_period,
                                 'amount_minor', coalesce(p_amount_minor, v_old.amount_minor),
                                 'count', coalesce(p_count, v_old.count));
    outcome := CASE WHEN was = became THEN 'unchanged' ELSE 'done' END;
    IF outcome = 'unchanged' THEN
        RETURN;
    END IF;
    INSERT INTO limits AS l (account_id, card_id, scope, period, amount_minor, count)
    VALUES (p_account_id, p_card_id, p_scope, p_period, p_amount_minor, p_count)
    ON CONFLICT (account_id, card_id, scope, period) DO UPDATE
       SET amount_minor = coalesce(excluded.amount_minor, l.amount_minor),
           count = coalesce(excluded.count, l.count);
    PERFORM operator_record_v1(p_operator, p_reason, 'set_limit', p_account_id, p_card_id,
                               was, became);
END
$$;

-- operator_remove_limit_v1: a limit and what was counted toward it. Were the count left, a limit
-- that is set again would miss the debits between, and be given back what it never counted.
CREATE OR REPLACE FUNCTION operator_remove_limit_v1(
    IN p_operator text, IN p_reason text, IN p_account_id bigint, IN p_card_id bigint,
    IN p_scope text, IN p_period text,
    OUT outcome text, OUT was jsonb, OUT became jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_card cards := operator_lock_card_v1(p_account_id, p_card_id);
    v_old  limits;
BEGIN
    DELETE FROM limits
     WHERE account_id = p_account_id AND card_id = p_card_id
       AND scope = p_scope AND period = p_period
    RETURNING * INTO v_old;
    IF NOT FOUND THEN
        outcome := CASE WHEN v_card.card_id IS NULL THEN 'no_card' ELSE 'unchanged' END;
        RETURN;
    END IF;
    DELETE FROM limit_usage
     WHERE account_id = p_account_id AND card_id = p_card_id
       AND scope = p_scope AND period = p_period;
    outcome := 'done';
    was := jsonb_build_object('scope', p_scope, 'period', p_period,
                              'amount_minor', v_old.amount_minor, 'count', v_old.count);
    PERFORM operator_record_v1(p_operator, p_reason, 'remove_limit', p_account_id, p_card_id,
                               was, NULL);
END
$$;

-- operator_altered_v1: a set with some added and some taken away: each once, sorted.
CREATE OR REPLACE FUNCTION operator_altered_v1(p_set text[], p_added text[], p_removed text[])
RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(DISTINCT s.one ORDER BY s.one), '{}')
      FROM unnest(p_set || p_added) AS s(one) WHERE s.one <> ALL (p_removed)
$$;

-- operator_set_controls_v1: where a card may be used. Channels and merchant categories are added
-- to and taken from those that are blocked; the countries, where they are set, replace the old
-- ones, and null is every country.
CREATE OR REPLACE FUNCTION operator_set_controls_v1(
    IN p_operator text, IN p_reason text, IN p_account_id bigint, IN p_card_id bigint,
    IN p_channels_blocked text[], IN p_channels_allowed text[],
    IN p_mcc_blocked text[], IN p_mcc_allowed text[],
    IN p_sets_countries boolean, IN p_countries text[],
    OUT outcome text, OUT was jsonb, OUT became jsonb)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_card      cards  := operator_lock_card_v1(p_account_id, p_card_id);
    v_channels  text[] := operator_altered_v1(
                              v_card.channels_blocked, p_channels_blocked, p_channels_allowed);
    v_mcc       text[] := operator_altered_v1(v_card.mcc_blocked, p_mcc_blocked, p_mcc_allowed);
    v_countries text[] := CASE WHEN p_sets_countries THEN p_countries
                               ELSE v_card.countries_allowed END;
BEGIN
    was := jsonb_build_object('channels_blocked', v_card.channels_blocked,
                              'mcc_blocked', v_card.mcc_blocked,
                              'countries_allowed', v_card.countries_allowed);
    became := jsonb_build_object('channels_blocked', v_channels, 'mcc_blocked', v_mcc,
                                 'countries_allowed', v_countries);
    outcome := CASE WHEN v_card.card_id IS NULL THEN 'no_card'
                    WHEN was = became           THEN 'unchanged'
                    ELSE 'done' END;
    IF outcome <> 'done' THEN
        RETURN;
    END IF;
    UPDATE cards
       SET channels_blocked = v_channels, mcc_blocked = v_mcc, countries_allowed = v_countries
     WHERE account_id = p_account_id AND card_id = p_card_id;
    PERFORM operator_record_v1(p_operator, p_reason, 'set_controls', p_account_id, p_card_id,
                               was, became);
END
$$;
