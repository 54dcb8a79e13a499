"""Who is asking: devices by DPoP-bound tokens, people by their clinic's OIDC provider."""
