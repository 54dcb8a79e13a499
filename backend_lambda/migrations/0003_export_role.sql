-- A role that reads what has come in, for the nightly import into HealthLake. It sees a clinic at a time, as all others do, and
-- nothing but observations; that something left goes into the clinic's audit.

DO $$
BEGIN
    BEGIN
        CREATE ROLE hh_export NOLOGIN NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
    END;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO hh_export', current_database());
    EXECUTE format('GRANT hh_gate TO %I', current_user); -- owns hh_audit
END
$$;

GRANT USAGE ON SCHEMA public TO hh_export;
GRANT SELECT ON observation TO hh_export;
GRANT EXECUTE ON FUNCTION hh_audit TO hh_export;

-- Whoever owns the tables sees no more than anybody else.
DO $$
BEGIN
    EXECUTE format('REVOKE hh_gate FROM %I', current_user);
END
$$;

-- Rows come in by the time of their arrival, so that a few bytes for each 16 pages find a day: a B-tree would cost every insert.
CREATE INDEX observation_by_arrival ON observation USING brin (received_at) WITH (pages_per_range = 16, autosummarize = on);
