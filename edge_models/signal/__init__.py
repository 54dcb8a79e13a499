"""Small pure functions on evenly and unevenly sampled signals."""
