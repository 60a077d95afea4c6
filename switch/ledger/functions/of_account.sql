-- Calls about one account, whose number is their first argument: where a database is distributed by
-- account (docs/scaling.md), such a call is made whole on the node that has it. Each asks the
-- function that takes a batch, so that there is one way to decide. None is in SQL: that would be
-- put in the place of its call before anybody asks whose it is. Their connections force no generic
-- plan, for the sake of the call; what is asked in it has one, as in a batch: a plan for each call
-- would cost more than the call.

-- authorize_of_v1: decide requests of one account; see authorize_v5.
CREATE OR REPLACE FUNCTION authorize_of_v1(p_account_id bigint, p_requests authorization_v2[])
RETURNS decision_v1[] LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(p_requests) AS r WHERE r.account_id <> p_account_id) THEN
        RAISE EXCEPTION 'authorize_of_v1: a request of another account';
    END IF;
    RETURN authorize_v5(p_requests);
END
$$;

-- book_of_v1: book advices, completions and reversals of one account; see book_v1.
CREATE OR REPLACE FUNCTION book_of_v1(p_account_id bigint, p_bookings booking_v1[])
RETURNS TABLE (ordinal int, outcome text, effect text, moved_minor bigint)
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(p_bookings) AS b WHERE b.account_id <> p_account_id) THEN
        RAISE EXCEPTION 'book_of_v1: a booking of another account';
    END IF;
    RETURN QUERY SELECT * FROM book_v1(p_bookings);
END
$$;

-- find_card_of_v1: the card of an account behind a PAN token; see find_cards_v4.
CREATE OR REPLACE FUNCTION find_card_of_v1(p_account_id bigint, p_pan_token bytea)
RETURNS TABLE (
    pan_token         bytea,
    account_id        bigint,
    card_id           bigint,
    program_id        int,
    status            text,
    account_status    text,
    currency          text,
    pin_method        text,
    pin_reference     text,
    version           bigint,
    key_token         bytea,
    sequence_numbers  text[],
    expiries          text[],
    service_codes     text[])
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY SELECT f.* FROM find_cards_v4(ARRAY[p_pan_token]) AS f
                  WHERE f.account_id = p_account_id;
END
$$;
