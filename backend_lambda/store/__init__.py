"""PostgreSQL: every statement of the backend lives here. Row-level security keeps clinics apart."""
