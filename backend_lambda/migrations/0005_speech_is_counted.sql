-- Speech is counted like the model's tokens, by clinic and day. Nothing of what was said, and not by whom.

ALTER TABLE usage_day
    ADD COLUMN synthesised_characters bigint NOT NULL DEFAULT 0 CHECK (synthesised_characters >= 0),
    ADD COLUMN transcription_streams bigint NOT NULL DEFAULT 0 CHECK (transcription_streams >= 0),
    ALTER COLUMN input_tokens SET DEFAULT 0,
    ALTER COLUMN output_tokens SET DEFAULT 0;

-- Each function counts its own and cannot take off what the other has counted.
REVOKE INSERT, UPDATE ON usage_day FROM hh_chat;
GRANT INSERT (clinic_id, day, input_tokens, output_tokens), UPDATE (input_tokens, output_tokens) ON usage_day TO hh_chat;
GRANT INSERT (clinic_id, day, synthesised_characters, transcription_streams), UPDATE (synthesised_characters, transcription_streams)
    ON usage_day TO hh_api;

-- The chat function counts a device's questions apart from its requests.
DO $$
BEGIN
    EXECUTE format('GRANT hh_gate TO %I', current_user); -- owns hh_count
END
$$;

GRANT EXECUTE ON FUNCTION hh_count TO hh_chat;

-- Whoever owns the tables sees no more than anybody else.
DO $$
BEGIN
    EXECUTE format('REVOKE hh_gate FROM %I', current_user);
END
$$;
