-- For the newest of a kind and for counting, however many there are: deleted_at is in it so that no row need be read. Whole, with
-- the deleted ones, because a person is removed only once nothing refers to them, and that must not read all rows either.
CREATE INDEX observation_by_kind ON observation (person, kind, taken_at DESC, id DESC, deleted_at);
