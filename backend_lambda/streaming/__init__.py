"""The chat function: a generator handler and the small runtime that streams what it yields."""
