-- Somebody asked for staff, measured or not (person NULL: a guest). made_at: when they asked last.
CREATE TABLE help_call (
    id TEXT PRIMARY KEY,
    person TEXT REFERENCES person (id),
    made_at TEXT NOT NULL,
    done_at TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX help_call_open ON help_call (made_at) WHERE done_at IS NULL;
CREATE INDEX help_call_by_person ON help_call (person);
