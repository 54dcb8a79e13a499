"""The cloud side: a small Lambda proxy. Stands alone: imports nothing of the client or the engine."""
