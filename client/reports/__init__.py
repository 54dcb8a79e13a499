"""A finished scan as a document."""
