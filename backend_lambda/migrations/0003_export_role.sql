-- A role that reads what has come in, for the nightly import into HealthLake. It sees a clinic at a time, as all others do, and
-- nothing but observations; that something left goes into the clinic's audit, and nothing else can it write there.

DO $$
BEGIN
    BEGIN
        CREATE ROLE hh_export NOLOGIN NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
    END;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO hh_export', current_database());
    EXECUTE format('GRANT hh_gate TO %I', current_user); -- owns what writes into the audit
END
$$;

GRANT USAGE ON SCHEMA public TO hh_export;
GRANT SELECT ON observation TO hh_export;

-- Who it was and what it did are not for the caller to say.
GRANT CREATE ON SCHEMA public TO hh_gate;

CREATE FUNCTION hh_audit_import(p_day date, p_job text, p_request_id text, p_now timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT hh_audit(
        'service', 'health_lake', 'observations.import', 'day', to_char(p_day, 'YYYY-MM-DD'), p_job, p_request_id, p_now
    )
$$;

REVOKE ALL ON FUNCTION hh_audit_import FROM PUBLIC;
ALTER FUNCTION hh_audit_import OWNER TO hh_gate;
REVOKE CREATE ON SCHEMA public FROM hh_gate;
GRANT EXECUTE ON FUNCTION hh_audit_import TO hh_export;

-- Whoever owns the tables sees no more than anybody else.
DO $$
BEGIN
    EXECUTE format('REVOKE hh_gate FROM %I', current_user);
END
$$;

-- Rows come in by the time of their arrival, so that a few bytes for each 16 pages find a day: a B-tree would cost every insert.
CREATE INDEX observation_by_arrival ON observation USING brin (received_at) WITH (pages_per_range = 16, autosummarize = on);
