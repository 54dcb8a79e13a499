-- Functions, each one round trip. Those of hh_gate (SECURITY DEFINER) are all that works before a clinic is known.

GRANT CREATE ON SCHEMA public TO hh_gate;

-- 1. Before a clinic is known -----------------------------------------------------------------------------------------

-- The same again may allow more or less. p_allows NULL and p_keep_budget: as it was; a new clinic may use nothing.
-- No row: the name is another. old_allows NULL: it is new.
CREATE FUNCTION hh_add_clinic(
    p_id uuid, p_name text, p_now timestamptz, p_allows text[] DEFAULT NULL, p_token_budget bigint DEFAULT NULL,
    p_keep_budget boolean DEFAULT true, OUT old_allows text[], OUT old_token_budget bigint
) RETURNS SETOF record
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO clinic (clinic_id, name, created_at, allows, token_budget)
    VALUES (p_id, p_name, p_now, coalesce(p_allows, '{}'), p_token_budget)
    ON CONFLICT (clinic_id) DO NOTHING;
    IF FOUND THEN
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT known.allows, known.token_budget INTO old_allows, old_token_budget FROM clinic AS known
    WHERE known.clinic_id = p_id AND known.name = p_name FOR UPDATE;
    IF FOUND THEN
        UPDATE clinic AS known SET allows = coalesce(p_allows, known.allows),
            token_budget = CASE WHEN p_keep_budget THEN known.token_budget ELSE p_token_budget END
        WHERE known.clinic_id = p_id;
        RETURN NEXT;
    END IF;
END
$$;

CREATE FUNCTION hh_take_code(p_code_hash bytea, p_now timestamptz, OUT clinic_id uuid, OUT device_name text) RETURNS SETOF record
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    UPDATE enrolment_code AS code SET used_at = p_now
    WHERE code.code_hash = p_code_hash AND code.used_at IS NULL AND code.expires_at > p_now
    RETURNING code.clinic_id, code.device_name
$$;

-- True: it was seen before. Takes away a few that are too old, so that the table stays as small as 25 minutes are.
CREATE FUNCTION hh_proof_seen(p_proof bytea, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    DELETE FROM proof_seen WHERE proof = ANY (ARRAY(
        SELECT old.proof FROM proof_seen AS old WHERE old.seen_at < p_now - interval '25 minutes'
        ORDER BY old.seen_at LIMIT 4
    ));
    INSERT INTO proof_seen (proof, seen_at) VALUES (p_proof, p_now) ON CONFLICT (proof) DO NOTHING;
    RETURN NOT FOUND;
END
$$;

-- Seconds until the next minute, where this one has had more than p_limit; else NULL.
-- The clocks of several functions differ a little: one that is behind counts on in the minute that another has begun, unless that
-- lies so far ahead that its clock must have been wrong.
CREATE FUNCTION hh_count(p_clinic_id uuid, p_asker_id uuid, p_now timestamptz, p_limit integer) RETURNS double precision
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    this_minute timestamptz := date_trunc('minute', p_now);
    ends_at timestamptz;
    asked integer;
BEGIN
    INSERT INTO rate_window AS kept (clinic_id, asker_id, begins_at, requests)
    VALUES (p_clinic_id, p_asker_id, this_minute, 1)
    ON CONFLICT (clinic_id, asker_id) DO UPDATE SET
        begins_at = CASE WHEN kept.begins_at BETWEEN this_minute AND this_minute + interval '1 minute'
            THEN kept.begins_at ELSE this_minute END,
        requests = CASE WHEN kept.begins_at BETWEEN this_minute AND this_minute + interval '1 minute'
            THEN least(kept.requests, 1000000000) + 1 ELSE 1 END
    RETURNING kept.requests, kept.begins_at + interval '1 minute' INTO asked, ends_at;
    RETURN CASE WHEN asked > p_limit THEN least(extract(epoch FROM ends_at - p_now), 60) END;
END
$$;

CREATE FUNCTION hh_admit(
    p_clinic_id uuid, p_device_id uuid, p_proof bytea, p_now timestamptz, p_limit integer,
    OUT verdict text, OUT retry_after_s double precision
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    revoked boolean;
BEGIN
    SELECT device.revoked_at IS NOT NULL INTO revoked FROM device
    WHERE device.clinic_id = p_clinic_id AND device.id = p_device_id;
    IF NOT FOUND THEN
        verdict := 'unknown';
    ELSIF revoked THEN
        verdict := 'revoked';
    ELSIF hh_proof_seen(p_proof, p_now) THEN
        verdict := 'replayed';
    ELSE
        retry_after_s := hh_count(p_clinic_id, p_device_id, p_now, p_limit);
        verdict := CASE WHEN retry_after_s IS NULL THEN 'ok' ELSE 'limited' END;
    END IF;
END
$$;

-- Locks the row first and looks at its successor after, so that who waited for the lock sees what the other has done.
CREATE FUNCTION hh_find_refresh(
    p_token_hash bytea, OUT clinic_id uuid, OUT device_id uuid, OUT family uuid, OUT thumbprint text, OUT expires_at timestamptz,
    OUT used_at timestamptz, OUT used_for uuid, OUT salt bytea, OUT successor_used_at timestamptz, OUT revoked boolean
) RETURNS SETOF record
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM FROM refresh_token AS token WHERE token.token_hash = p_token_hash FOR UPDATE;
    RETURN QUERY
    SELECT token.clinic_id, token.device_id, token.family, device.thumbprint, token.expires_at, token.used_at, token.used_for,
        later.salt, later.used_at, token.revoked_at IS NOT NULL OR device.revoked_at IS NOT NULL
    FROM refresh_token AS token
    JOIN device ON device.clinic_id = token.clinic_id AND device.id = token.device_id
    LEFT JOIN refresh_token AS later ON later.token_hash = token.successor
    WHERE token.token_hash = p_token_hash;
END
$$;

CREATE FUNCTION hh_open_share(p_id uuid, p_secret_hash bytea, p_now timestamptz, OUT clinic_id uuid, OUT upload_id uuid)
RETURNS SETOF record
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    UPDATE share SET opened_at = p_now FROM device
    WHERE share.id = p_id AND share.secret_hash = p_secret_hash AND share.opened_at IS NULL AND share.withdrawn_at IS NULL
    AND share.expires_at > p_now
    AND device.clinic_id = share.clinic_id AND device.id = share.device_id AND device.revoked_at IS NULL
    RETURNING share.clinic_id, share.upload_id
$$;

-- 2. Audit: rows come in through this function alone ------------------------------------------------------------------

CREATE FUNCTION hh_audit(
    p_actor_kind text, p_actor_id text, p_action text, p_object_kind text, p_object_id text, p_result text, p_request_id text,
    p_now timestamptz
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    clinic uuid := nullif(current_setting('app.clinic_id', true), '')::uuid;
    head audit_head;
    own_hash bytea;
BEGIN
    IF clinic IS NULL THEN
        RAISE EXCEPTION 'an audit row belongs to a clinic' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO audit_head (clinic_id, seq, hash) VALUES (clinic, 0, decode(repeat('00', 32), 'hex'))
    ON CONFLICT (clinic_id) DO NOTHING;
    SELECT * INTO STRICT head FROM audit_head WHERE audit_head.clinic_id = clinic FOR UPDATE;
    -- Keys sorted, no spaces; to_json escapes exactly what JSON demands.
    own_hash := sha256(head.hash || convert_to(
        '{"action":' || to_json(p_action)
        || ',"actor_id":' || to_json(p_actor_id)
        || ',"actor_kind":' || to_json(p_actor_kind)
        || ',"at":"' || to_char(p_now AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '","clinic_id":"' || clinic
        || '","object_id":' || to_json(p_object_id)
        || ',"object_kind":' || to_json(p_object_kind)
        || ',"request_id":' || to_json(p_request_id)
        || ',"result":' || to_json(p_result)
        || ',"seq":' || head.seq + 1
        || '}',
        'UTF8'
    ));
    INSERT INTO audit (
        clinic_id, seq, at, actor_kind, actor_id, action, object_kind, object_id, result, request_id, prev_hash, hash
    ) VALUES (
        clinic, head.seq + 1, p_now, p_actor_kind, p_actor_id, p_action, p_object_kind, p_object_id, p_result, p_request_id,
        head.hash, own_hash
    );
    UPDATE audit_head SET seq = head.seq + 1, hash = own_hash WHERE audit_head.clinic_id = clinic;
    RETURN head.seq + 1;
END
$$;

CREATE FUNCTION hh_audit_heads(OUT clinic_id uuid, OUT seq bigint, OUT hash bytea) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT head.clinic_id, head.seq, head.hash FROM audit_head AS head ORDER BY head.clinic_id
$$;

CREATE FUNCTION hh_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'audit is only ever added to' USING ERRCODE = 'insufficient_privilege';
END
$$;

-- For each statement: refused even where it would meet no row.
CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION hh_refuse();
CREATE TRIGGER never_taken_away BEFORE DELETE OR TRUNCATE ON audit_head FOR EACH STATEMENT EXECUTE FUNCTION hh_refuse();

-- 3. Within a clinic, as whoever calls --------------------------------------------------------------------------------

-- These two have no search path of their own, so that they dissolve into the queries that use them.
CREATE FUNCTION hh_tombstone(p_patient_id uuid) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT sha256(convert_to(
        nullif(current_setting('app.clinic_id', true), '')::uuid::text || '|' || p_patient_id::text, 'UTF8'
    ))
$$;

-- The number of a patient's lock: those who add share it, who erases has it alone.
CREATE FUNCTION hh_lock_of(p_patient_id uuid) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT hashtextextended(encode(hh_tombstone(p_patient_id), 'hex'), 0)
$$;

CREATE FUNCTION hh_hold_patient(p_patient_id uuid) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT pg_advisory_xact_lock(hh_lock_of(p_patient_id))
$$;

-- Until the transaction ends nobody can erase this patient. Two statements: the second sees what the lock was waited for.
CREATE FUNCTION hh_patient_erased(p_patient_id uuid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hh_lock_of(p_patient_id));
    RETURN EXISTS (SELECT FROM erased_patient WHERE tombstone = hh_tombstone(p_patient_id));
END
$$;

CREATE FUNCTION hh_erase_patient(p_patient_id uuid, p_now timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    gone bigint;
BEGIN
    PERFORM hh_hold_patient(p_patient_id);
    INSERT INTO erased_patient (clinic_id, tombstone, erased_at)
    VALUES (nullif(current_setting('app.clinic_id', true), '')::uuid, hh_tombstone(p_patient_id), p_now)
    ON CONFLICT (clinic_id, tombstone) DO NOTHING;
    DELETE FROM observation WHERE patient_id = p_patient_id;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;

-- Items as arrays of equal length. The first of an id within a batch counts; locks and rows are taken in one order by all, so that
-- two batches cannot block each other.
CREATE FUNCTION hh_add_observations(
    p_device_id uuid, p_now timestamptz, p_ids uuid[], p_patients uuid[], p_times timestamptz[], p_hashes bytea[], p_bodies text[],
    OUT at bigint, OUT status text
) RETURNS SETOF record
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    clinic uuid := nullif(current_setting('app.clinic_id', true), '')::uuid;
    erased uuid[];
    fresh uuid[];
BEGIN
    PERFORM pg_advisory_xact_lock_shared(lock) FROM (
        SELECT hh_lock_of(patient) AS lock FROM unnest(p_patients) AS patient GROUP BY 1 ORDER BY 1
    ) AS locks;
    erased := ARRAY(
        SELECT patient FROM (SELECT DISTINCT unnest(p_patients) AS patient) AS patients
        WHERE EXISTS (SELECT FROM erased_patient WHERE tombstone = hh_tombstone(patient))
    );
    WITH put AS (
        INSERT INTO observation (clinic_id, id, patient_id, device_id, taken_at, received_at, content_hash, body)
        SELECT clinic, item.id, item.patient_id, p_device_id, item.taken_at, p_now, item.content_hash, item.body::json
        FROM (
            SELECT DISTINCT ON (given.id) given.*
            FROM unnest(p_ids, p_patients, p_times, p_hashes, p_bodies) WITH ORDINALITY
                AS given (id, patient_id, taken_at, content_hash, body, place)
            WHERE given.patient_id <> ALL (erased)
            ORDER BY given.id, given.place
        ) AS item
        ORDER BY item.id
        ON CONFLICT (clinic_id, id) DO NOTHING
        RETURNING observation.id
    )
    SELECT coalesce(array_agg(put.id), '{}') INTO fresh FROM put;
    RETURN QUERY
    SELECT given.place,
        CASE
            WHEN given.patient_id = ANY (erased) THEN 'patient_erased'
            WHEN given.id = ANY (fresh) AND given.place = min(given.place) FILTER (WHERE given.patient_id <> ALL (erased))
                OVER (PARTITION BY given.id) THEN 'stored'
            WHEN given.content_hash = kept.content_hash THEN 'already_stored'
            ELSE 'conflict'
        END
    FROM unnest(p_ids, p_patients, p_hashes) WITH ORDINALITY AS given (id, patient_id, content_hash, place)
    LEFT JOIN LATERAL (
        SELECT observation.content_hash FROM observation WHERE observation.clinic_id = clinic AND observation.id = given.id
    ) AS kept ON true;
END
$$;

-- 4. Owners and grants ------------------------------------------------------------------------------------------------

DO $$
DECLARE
    made regprocedure;
BEGIN
    FOR made IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'hh\_%' AND proowner = current_user::regrole
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made);
        IF (SELECT prosecdef FROM pg_proc WHERE oid = made) THEN
            EXECUTE format('ALTER FUNCTION %s OWNER TO hh_gate', made);
        END IF;
    END LOOP;
END
$$;

REVOKE CREATE ON SCHEMA public FROM hh_gate;

GRANT EXECUTE ON FUNCTION
    hh_add_clinic, hh_take_code, hh_proof_seen, hh_count, hh_admit, hh_find_refresh, hh_open_share, hh_audit, hh_audit_heads,
    hh_tombstone, hh_lock_of, hh_hold_patient, hh_patient_erased, hh_erase_patient, hh_add_observations
TO hh_api;
GRANT EXECUTE ON FUNCTION hh_admit, hh_audit TO hh_chat;
GRANT EXECUTE ON FUNCTION hh_audit, hh_audit_heads TO hh_processing;
GRANT EXECUTE ON FUNCTION hh_audit_heads TO hh_auditor;

-- Whoever owns the tables sees no more than anybody else.
DO $$
BEGIN
    EXECUTE format('REVOKE hh_gate FROM %I', current_user);
END
$$;
