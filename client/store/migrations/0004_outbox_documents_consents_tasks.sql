-- The number that the clinic knows somebody by, as typed or read off a barcode; never sent.
ALTER TABLE person ADD COLUMN record_number TEXT CHECK (length(record_number) BETWEEN 1 AND 40);

-- A file of somebody (person NULL: a guest). The file itself lies sealed beside the database, in documents/ID.sealed; its key is here
-- and nowhere else, so that the row's end is the file's. title, as the person knows it, never leaves this device.
CREATE TABLE document (
    id TEXT PRIMARY KEY,
    person TEXT REFERENCES person (id),
    observation TEXT REFERENCES observation (id),
    purpose TEXT NOT NULL,
    title TEXT NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    media_type TEXT NOT NULL,
    length_bytes INTEGER NOT NULL CHECK (length_bytes > 0),
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    pages INTEGER,
    added_at TEXT NOT NULL,
    utc_offset_min INTEGER NOT NULL,
    key BLOB NOT NULL CHECK (length(key) = 32),
    cloud_state TEXT,
    cloud_reason TEXT,
    deleted_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX document_in_lists ON document (person, added_at DESC, id DESC, deleted_at);
CREATE INDEX document_of_observation ON document (observation) WHERE observation IS NOT NULL;
CREATE INDEX document_deleted ON document (deleted_at) WHERE deleted_at IS NOT NULL;

-- Whether one is there and not deleted, for many at once: to find a row by its primary key SQLite reads all of each row that it
-- passes, and a scan is long.
CREATE INDEX observation_there ON observation (id, deleted_at);

-- What is owed to the cloud. id: of the observation or document; of an erasure its own. It is the idempotency key. patient: the
-- pseudonym that it is sent under. clinic: whose cloud it is owed to. What was acknowledged is no more here but in sent; never is
-- anything marked by its state.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    patient TEXT NOT NULL,
    clinic TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sending', 'parked')),
    made_at TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    reason TEXT
) STRICT;
CREATE INDEX outbox_due ON outbox (state, kind, clinic, seq);
CREATE INDEX outbox_by_patient ON outbox (patient, clinic);

CREATE TABLE sent (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    patient TEXT NOT NULL,
    clinic TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sent_by_patient ON sent (patient, clinic);

-- Of whom anything was ever taken out to be sent, and may have arrived though nobody said so: they are erased there when they are
-- forgotten here.
CREATE TABLE told (
    patient TEXT NOT NULL,
    clinic TEXT NOT NULL,
    PRIMARY KEY (patient, clinic)
) STRICT, WITHOUT ROWID;

-- Only ever added to: the newest of a person and subject holds. person NULL: whoever uses this device as a guest.
CREATE TABLE consent (
    id TEXT PRIMARY KEY,
    person TEXT REFERENCES person (id),
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    given INTEGER NOT NULL CHECK (given IN (0, 1)),
    language TEXT NOT NULL,
    at TEXT NOT NULL,
    utc_offset_min INTEGER NOT NULL,
    seq INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_newest ON consent (person, subject, seq DESC);

-- Something for the clinic's staff to look at. reason: a code.
CREATE TABLE task (
    id TEXT PRIMARY KEY,
    observation TEXT NOT NULL REFERENCES observation (id),
    reason TEXT NOT NULL,
    made_at TEXT NOT NULL,
    done_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX task_open ON task (made_at) WHERE done_at IS NULL;
CREATE INDEX task_of_observation ON task (observation);

-- What an opening of the store found to be due, by its clock. It is purged by one on another day that finds the same: see
-- client/store/forgetting.py. why: 'deleted' or 'old'.
CREATE TABLE due (
    why TEXT NOT NULL,
    id TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    PRIMARY KEY (why, id)
) STRICT, WITHOUT ROWID;
