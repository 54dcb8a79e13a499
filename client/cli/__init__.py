"""The commands of `health-helper`, one module each."""
