-- For lists and trends, however large the scans are: all that they ask for, in their order, so that no row need be read. deleted_at is
-- in it for that too, although it is always NULL here.
CREATE INDEX observation_in_lists ON observation (
    person, taken_at DESC, id DESC, kind, utc_offset_min, heart_rate, heart_rate_low, heart_rate_high, respiratory_rate, rmssd, sdnn,
    simulated, deleted_at
) WHERE deleted_at IS NULL;
DROP INDEX observation_by_time;
