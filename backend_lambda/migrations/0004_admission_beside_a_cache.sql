-- Whether a device may ask, where a cache keeps proofs and counts requests: only read, nothing written. Proofs that came in while the
-- cache did not answer are in proof_seen, and are known here whatever the cache has missed.

DO $$
BEGIN
    EXECUTE format('GRANT hh_gate TO %I', current_user);
END
$$;

GRANT CREATE ON SCHEMA public TO hh_gate;

CREATE FUNCTION hh_standing(p_clinic_id uuid, p_device_id uuid, p_proof bytea) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT coalesce(
        (
            SELECT CASE
                WHEN device.revoked_at IS NOT NULL THEN 'revoked'
                WHEN EXISTS (SELECT FROM proof_seen WHERE proof_seen.proof = p_proof) THEN 'replayed'
                ELSE 'ok'
            END
            FROM device WHERE device.clinic_id = p_clinic_id AND device.id = p_device_id
        ),
        'unknown'
    )
$$;

REVOKE ALL ON FUNCTION hh_standing FROM PUBLIC;
ALTER FUNCTION hh_standing OWNER TO hh_gate;
REVOKE CREATE ON SCHEMA public FROM hh_gate;
GRANT EXECUTE ON FUNCTION hh_standing TO hh_api, hh_chat;

-- Whoever owns the tables sees no more than anybody else.
DO $$
BEGIN
    EXECUTE format('REVOKE hh_gate FROM %I', current_user);
END
$$;
