-- Times are UTC, ISO 8601 with milliseconds; identifiers are UUIDs made on this device.

CREATE TABLE person (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    made_at TEXT NOT NULL,
    deleted_at TEXT
) STRICT, WITHOUT ROWID;

-- A scan, or what a person read off another device and typed in. The columns are what lists and trends ask for;
-- body is the whole, as JSON. person NULL: a guest.
CREATE TABLE observation (
    id TEXT PRIMARY KEY,
    person TEXT REFERENCES person (id),
    kind TEXT NOT NULL,
    taken_at TEXT NOT NULL,
    utc_offset_min INTEGER NOT NULL,
    heart_rate REAL,
    heart_rate_low REAL,
    heart_rate_high REAL,
    respiratory_rate REAL,
    rmssd REAL,
    sdnn REAL,
    simulated INTEGER NOT NULL DEFAULT 0 CHECK (simulated IN (0, 1)),
    body TEXT NOT NULL,
    wave BLOB,
    deleted_at TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX observation_by_time ON observation (person, taken_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX observation_deleted ON observation (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
