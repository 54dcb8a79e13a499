-- Times are UTC. Identifiers are UUIDs; those that devices make are unique within a clinic only, so that no clinic can take another's.
-- Whoever runs this owns the tables: no superuser, may make roles. Deployment grants the roles below to logins.

-- 1. Roles ------------------------------------------------------------------------------------------------------------

-- Roles belong to the whole server, where another database of ours may have made them, perhaps at this moment.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['hh_api', 'hh_chat', 'hh_processing', 'hh_auditor', 'hh_gate'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOBYPASSRLS', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
    -- hh_gate owns the functions that work before a clinic is known. Nobody is a member of it for longer than a migration takes,
    -- for a member would see through its policies.
    EXECUTE format('GRANT hh_gate TO %I', current_user);
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO hh_api, hh_chat, hh_processing, hh_auditor', current_database());
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO hh_api, hh_chat, hh_processing, hh_auditor, hh_gate;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- 2. Tables -----------------------------------------------------------------------------------------------------------

-- allows: of the features that go beyond keeping. token_budget: a month; null: the service's.
CREATE TABLE clinic (
    clinic_id uuid PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    allows text[] NOT NULL,
    token_budget bigint CHECK (token_budget >= 0)
);

-- The last five columns: its last heartbeat.
CREATE TABLE device (
    clinic_id uuid NOT NULL REFERENCES clinic,
    id uuid NOT NULL,
    name text NOT NULL,
    thumbprint text NOT NULL,
    public_key jsonb NOT NULL,
    software_version text NOT NULL,
    enrolled_at timestamptz NOT NULL,
    revoked_at timestamptz,
    last_seen_at timestamptz,
    waiting bigint,
    parked bigint,
    oldest_waiting_s double precision,
    clock_offset_s double precision,
    PRIMARY KEY (clinic_id, id)
);

CREATE TABLE enrolment_code (
    code_hash bytea PRIMARY KEY CHECK (length(code_hash) = 32),
    clinic_id uuid NOT NULL REFERENCES clinic,
    device_name text NOT NULL,
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

-- successor: token_hash of the one that it was exchanged for. salt: what it was made with, of the one before it; gone once it is used.
CREATE TABLE refresh_token (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    clinic_id uuid NOT NULL,
    device_id uuid NOT NULL,
    family uuid NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    used_for uuid,
    successor bytea,
    salt bytea CHECK (length(salt) = 32),
    revoked_at timestamptz,
    FOREIGN KEY (clinic_id, device_id) REFERENCES device
);
CREATE INDEX refresh_token_by_family ON refresh_token (clinic_id, family);
CREATE INDEX refresh_token_by_device ON refresh_token (clinic_id, device_id);

-- Proofs of the last 25 minutes. Unlogged: quick, and empty after a crash, which lets a proof of the last minutes be replayed once.
CREATE UNLOGGED TABLE proof_seen (
    proof bytea PRIMARY KEY CHECK (length(proof) = 32),
    seen_at timestamptz NOT NULL
);
CREATE INDEX proof_seen_by_age ON proof_seen (seen_at);

-- How often each device or person has asked in the minute that begins then. clinic_id: zeros for who belongs to none.
CREATE UNLOGGED TABLE rate_window (
    clinic_id uuid NOT NULL,
    asker_id uuid NOT NULL,
    begins_at timestamptz NOT NULL,
    requests integer NOT NULL,
    PRIMARY KEY (clinic_id, asker_id)
) WITH (fillfactor = 50);

-- body: canonical JSON of the wire's Observation, kept to the letter; content_hash: its SHA-256.
-- taken_at: what a client's calendar can hold in every time zone.
CREATE TABLE observation (
    clinic_id uuid NOT NULL,
    id uuid NOT NULL,
    patient_id uuid NOT NULL,
    device_id uuid NOT NULL,
    taken_at timestamptz NOT NULL CHECK (taken_at >= '0001-01-02 00:00+00' AND taken_at < '9999-12-31 00:00+00'),
    received_at timestamptz NOT NULL,
    content_hash bytea NOT NULL CHECK (length(content_hash) = 32),
    body json NOT NULL,
    PRIMARY KEY (clinic_id, id),
    FOREIGN KEY (clinic_id, device_id) REFERENCES device
);
CREATE INDEX observation_by_time ON observation (clinic_id, patient_id, taken_at DESC, id DESC);

-- Tombstones: SHA-256 of clinic and patient, so that what comes late is refused without keeping who it was.
CREATE TABLE erased_patient (
    clinic_id uuid NOT NULL REFERENCES clinic,
    tombstone bytea NOT NULL CHECK (length(tombstone) = 32),
    erased_at timestamptz NOT NULL,
    PRIMARY KEY (clinic_id, tombstone)
);

-- processing_since: while its state is 'processing'. crashes: how often its inspection broke.
CREATE TABLE upload (
    clinic_id uuid NOT NULL,
    id uuid NOT NULL,
    patient_id uuid NOT NULL,
    device_id uuid NOT NULL,
    purpose text NOT NULL,
    media_type text NOT NULL,
    length_bytes bigint NOT NULL CHECK (length_bytes > 0),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    state text NOT NULL,
    reason text,
    pages integer,
    created_at timestamptz NOT NULL,
    object_key text NOT NULL,
    version_id text,
    text_key text,
    processing_since timestamptz,
    crashes integer NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    PRIMARY KEY (clinic_id, id),
    FOREIGN KEY (clinic_id, device_id) REFERENCES device
);
CREATE INDEX upload_by_patient ON upload (clinic_id, patient_id, created_at DESC, id DESC);

-- device_id: that made it; when it is sent away, its links end with it.
CREATE TABLE share (
    clinic_id uuid NOT NULL,
    id uuid NOT NULL,
    upload_id uuid NOT NULL,
    device_id uuid NOT NULL,
    secret_hash bytea NOT NULL CHECK (length(secret_hash) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    opened_at timestamptz,
    withdrawn_at timestamptz,
    PRIMARY KEY (clinic_id, id),
    FOREIGN KEY (clinic_id, upload_id) REFERENCES upload ON DELETE CASCADE,
    FOREIGN KEY (clinic_id, device_id) REFERENCES device
);
CREATE INDEX share_by_id ON share (id);
CREATE INDEX share_by_upload ON share (clinic_id, upload_id);

CREATE TABLE usage_day (
    clinic_id uuid NOT NULL REFERENCES clinic,
    day date NOT NULL,
    input_tokens bigint NOT NULL CHECK (input_tokens >= 0),
    output_tokens bigint NOT NULL CHECK (output_tokens >= 0),
    PRIMARY KEY (clinic_id, day)
);

-- Refers to nothing: what was done stays known when what it was done to is gone.
CREATE TABLE audit (
    clinic_id uuid NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    action text NOT NULL,
    object_kind text NOT NULL,
    object_id text NOT NULL,
    result text NOT NULL,
    request_id text NOT NULL,
    prev_hash bytea NOT NULL CHECK (length(prev_hash) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (clinic_id, seq)
);

CREATE TABLE audit_head (
    clinic_id uuid PRIMARY KEY,
    seq bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
) WITH (fillfactor = 50);

-- 3. Clinics are kept apart, from the tables' owner too ---------------------------------------------------------------

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'clinic', 'device', 'enrolment_code', 'refresh_token', 'rate_window', 'observation', 'erased_patient', 'upload', 'share',
        'usage_day', 'audit', 'audit_head'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY own_clinic ON %I USING (clinic_id = nullif(current_setting(''app.clinic_id'', true), '''')::uuid)'
            ' WITH CHECK (clinic_id = nullif(current_setting(''app.clinic_id'', true), '''')::uuid)',
            name
        );
    END LOOP;
END
$$;

-- Belongs to no clinic: nobody but hh_gate sees it.
ALTER TABLE proof_seen ENABLE ROW LEVEL SECURITY;
ALTER TABLE proof_seen FORCE ROW LEVEL SECURITY;

-- What hh_gate's functions look at in all clinics. Audit is not among it.
CREATE POLICY gate ON clinic TO hh_gate USING (true) WITH CHECK (true);
CREATE POLICY gate ON device FOR SELECT TO hh_gate USING (true);
CREATE POLICY gate ON enrolment_code TO hh_gate USING (true) WITH CHECK (true);
CREATE POLICY gate ON refresh_token TO hh_gate USING (true) WITH CHECK (true);
CREATE POLICY gate ON proof_seen TO hh_gate USING (true) WITH CHECK (true);
CREATE POLICY gate ON rate_window TO hh_gate USING (true) WITH CHECK (true);
CREATE POLICY gate ON share TO hh_gate USING (true) WITH CHECK (true);
CREATE POLICY gate ON audit_head FOR SELECT TO hh_gate USING (true);

-- 4. Who may do what --------------------------------------------------------------------------------------------------

GRANT SELECT ON clinic TO hh_api;
GRANT SELECT, INSERT ON device TO hh_api;
GRANT UPDATE (revoked_at, last_seen_at, software_version, waiting, parked, oldest_waiting_s, clock_offset_s) ON device TO hh_api;
GRANT INSERT ON enrolment_code TO hh_api;
GRANT SELECT, INSERT, DELETE ON refresh_token TO hh_api;
GRANT UPDATE (used_at, used_for, successor, salt, revoked_at) ON refresh_token TO hh_api;
GRANT SELECT, INSERT, DELETE ON observation TO hh_api;
GRANT SELECT, INSERT ON erased_patient TO hh_api;
GRANT SELECT, INSERT, DELETE ON upload TO hh_api;
GRANT UPDATE (state, reason, pages, version_id, text_key, processing_since) ON upload TO hh_api;
GRANT SELECT, INSERT ON share TO hh_api;
GRANT UPDATE (withdrawn_at) ON share TO hh_api;
GRANT SELECT ON usage_day TO hh_api;
GRANT SELECT ON audit TO hh_api;

GRANT SELECT ON clinic, upload TO hh_chat;
GRANT SELECT, INSERT, UPDATE ON usage_day TO hh_chat;

GRANT SELECT ON upload TO hh_processing;
GRANT UPDATE (state, reason, pages, version_id, text_key, processing_since, crashes) ON upload TO hh_processing;

GRANT SELECT ON audit, audit_head TO hh_auditor;

GRANT SELECT, INSERT, UPDATE (allows, token_budget) ON clinic TO hh_gate;
GRANT SELECT ON device TO hh_gate;
GRANT SELECT, UPDATE (used_at) ON enrolment_code TO hh_gate;
GRANT SELECT, UPDATE (used_at) ON refresh_token TO hh_gate;
GRANT SELECT, INSERT, DELETE ON proof_seen TO hh_gate;
GRANT SELECT, INSERT, UPDATE ON rate_window TO hh_gate;
GRANT SELECT, UPDATE (opened_at) ON share TO hh_gate;
GRANT INSERT ON audit TO hh_gate;
GRANT SELECT, INSERT, UPDATE ON audit_head TO hh_gate;
