-- What was answered beside what would have been.

-- trial_compare_v1: every message of the period beside itself: as it was, and as it would have been.
CREATE FUNCTION trial_compare_v1(p_from timestamptz) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO trial_answers (
        account_id, authorization_id, now_authorization_id, received_at, is_request, rrn, stan,
        mti, pan_last_four, kind, amount_minor, currency, was, now, was_partial_minor,
        now_partial_minor, was_available_minor, now_available_minor)
    SELECT z.account_id, z.authorization_id, n.authorization_id, z.received_at,
           substr(z.mti, 2, 2) IN ('10', '20'), z.rrn, z.stan, z.mti, c.pan_last_four, z.kind,
           z.amount_minor, a.currency,
           trial_word_v1(true, z.reason, z.partial_minor),
           trial_word_v1(n.account_id IS NOT NULL, n.reason, n.partial_minor),
           z.partial_minor, n.partial_minor, z.available_minor, n.available_minor
      FROM trial_rows AS z
      JOIN accounts AS a ON a.account_id = z.account_id
      JOIN cards    AS c ON c.account_id = z.account_id AND c.card_id = z.card_id
      LEFT JOIN message_keys AS k
             ON k.account_id = z.account_id AND k.message_key = z.message_key
      LEFT JOIN authorizations AS n
             ON n.account_id = k.account_id AND n.authorization_id = k.authorization_id
            AND n.received_at = k.received_at
     WHERE z.received_at >= p_from;
    ANALYZE trial_answers
$$;

-- trial_word_v1: an answer in one word.
CREATE FUNCTION trial_word_v1(p_is_there boolean, p_reason text, p_partial_minor bigint)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN NOT p_is_there THEN 'not_decided'
                WHEN p_reason IS NOT NULL THEN p_reason
                WHEN p_partial_minor IS NULL THEN 'approved'
                ELSE 'partly_approved' END
$$;

-- trial_beside_v1: what a reader of the outcome should know beside it, each by how many.
CREATE FUNCTION trial_beside_v1()
RETURNS TABLE (what text, number bigint, currency text, amount_minor bigint)
LANGUAGE sql STABLE AS $$
    -- As long as no request of an account is answered otherwise, its balance is what it was.
    SELECT 'accounts_astray', count(DISTINCT y.account_id), NULL, NULL::bigint
      FROM trial_answers AS y
      LEFT JOIN (SELECT account_id, min(received_at) AS first FROM trial_answers
                  WHERE is_request AND is_other GROUP BY account_id) AS other
             ON other.account_id = y.account_id
     WHERE y.received_at < coalesce(other.first, 'infinity')
       AND y.now_available_minor IS DISTINCT FROM y.was_available_minor
     UNION ALL
    SELECT 'bookings_of_before', count(*), NULL, NULL FROM trial_rows
     WHERE asked IS NULL AND substr(mti, 2, 2) NOT IN ('10', '20')
     UNION ALL
    SELECT 'limits_removed', count(*), NULL, NULL FROM trial_limits_then AS l
     WHERE trial_was_removed_v1(l.account_id, l.card_id, l.scope, l.period)
       AND NOT EXISTS (SELECT FROM trial_limits_set AS s
                        WHERE (s.account_id, s.card_id, s.scope, s.period)
                            = (l.account_id, l.card_id, l.scope, l.period))
     UNION ALL
    SELECT 'perhaps_in_part', count(*), NULL, NULL FROM trial_answers
     WHERE is_request AND kind = 'purchase' AND now = 'insufficient_funds' AND is_other
       AND was <> 'partly_approved' AND now_available_minor > 0
     UNION ALL
    SELECT 'booked_all_the_same', count(*), y.currency, sum(y.amount_minor)::bigint
      FROM trial_answers AS y
      JOIN trial_rows AS z
        ON z.account_id = y.account_id AND z.authorization_id = y.authorization_id
      JOIN trial_answers AS root
        ON root.account_id = z.account_id AND root.authorization_id = z.purchase_id
     WHERE substr(y.mti, 2, 2) IN ('22', '24')
       AND root.was IN ('approved', 'partly_approved')
       AND root.now NOT IN ('approved', 'partly_approved')
     GROUP BY y.currency
$$;
