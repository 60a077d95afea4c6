-- make_partitions_v1: see that this month and the next ones have their partitions.
-- Gives the names of those it made. Two processes at once do not collide.
CREATE OR REPLACE FUNCTION make_partitions_v1(p_months_ahead int)
RETURNS SETOF text LANGUAGE plpgsql VOLATILE
-- The role that serves need not own the tables: it makes partitions as their owner.
SECURITY DEFINER SET search_path = public, pg_temp
-- Behind a long reader of the parent every decision would queue up with us: better the next sweep.
SET lock_timeout = '200ms' AS $$
DECLARE
    v_table text;
    v_month date;
    v_name  text;
BEGIN
    PERFORM pg_advisory_xact_lock(8583, 1);
    FOREACH v_table IN ARRAY ARRAY['authorizations', 'postings'] LOOP
        FOR v_month IN
            SELECT generate_series(
                date_trunc('month', now() AT TIME ZONE 'UTC'),
                date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => p_months_ahead),
                interval '1 month')::date
        LOOP
            v_name := format('%s_%s', v_table, to_char(v_month, 'YYYY_MM'));
            CONTINUE WHEN to_regclass(v_name) IS NOT NULL;
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                v_name, v_table,
                v_month::text || ' 00:00:00+00',
                (v_month + interval '1 month')::date::text || ' 00:00:00+00');
            RETURN NEXT v_name;
        END LOOP;
    END LOOP;
END
$$;
