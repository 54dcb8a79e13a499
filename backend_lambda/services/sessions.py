"""A refresh token for an access token and the next refresh token.

Each refresh token is used once. One that comes a second time was stolen or copied, so all that came of the same enrolment end.
The exception is an answer that was lost on its way: the device asks again with the same request id, and gets new tokens in place of
those that it never saw.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from backend_lambda.auth.dpop import Proof
from backend_lambda.auth.gate import replayed
from backend_lambda.auth.refresh import LIVES, new_token, token_hash
from backend_lambda.auth.tokens import AccessTokens
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Ports
from backend_lambda.principals import Device
from backend_lambda.settings import Settings
from backend_lambda.store import admission, audit, sessions
from backend_lambda.store.database import Database, Transaction
from backend_lambda.store.sessions import Refresh
from backend_lambda.wire import TokenRequest, Tokens

LOST_ANSWER = timedelta(minutes=10)


class Sessions:
    """For enrolled devices."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings
        self._tokens = AccessTokens(ports.signer, settings.public_url)

    def token(self, proof: Proof, wanted: TokenRequest, request_id: str) -> Tokens:
        """Raises Refusal 401 (UNAUTHENTICATED: enrol anew; DEVICE_REVOKED: it was ended; PROOF_REPLAYED), 503."""
        now = self._ports.clock.utc()
        old = token_hash(wanted.refresh_token)
        with self._database.outside() as transaction:
            found = sessions.find(transaction, old)  # locked: whoever comes with the same one waits here
            if found is None:
                raise Refusal(401, Code.UNAUTHENTICATED, "The refresh token is not known.")
            if admission.seen_proof(transaction, proof.digest, now):
                raise replayed()
            transaction.enter(found.clinic_id)
            device = Device(found.device_id, found.clinic_id, found.thumbprint)
            refusal = _refusal(found, proof, wanted, now)
            if refusal is None:
                tokens = self._issue(transaction, found, device, wanted, now)
                _note(transaction, device, "token.issue", "ok", request_id, now)
                return tokens
            reused = refusal.code is Code.DEVICE_REVOKED and not found.revoked
            if reused:
                sessions.revoke_family(transaction, found.family, now)
            action = "token.reuse" if reused else "token.issue"
            _note(transaction, device, action, str(refusal.code), request_id, now)
        raise refusal  # after the transaction: what it wrote stays

    def _issue(
        self, transaction: Transaction, found: Refresh, device: Device, wanted: TokenRequest, now: datetime
    ) -> Tokens:
        """Where the signer does not answer, the old token is as unused as it was."""
        access = self._tokens.issue(device, now)
        token, expires_at = new_token(), now + LIVES
        old, new = token_hash(wanted.refresh_token), token_hash(token)
        if found.used_at is None:
            changed = sessions.rotate(
                transaction,
                old_hash=old,
                new_hash=new,
                used_for=wanted.request_id,
                expires_at=expires_at,
                now=now,
            )
        else:
            changed = sessions.replace_successor(
                transaction, old_hash=old, new_hash=new, expires_at=expires_at, now=now
            )
        if not changed:
            raise Refusal(409, Code.CONFLICT, "The token's successor is being used at this moment.")
        return Tokens(
            access_token=access.token,
            expires_in_s=access.expires_in_s,
            refresh_token=token,
            refresh_expires_at=expires_at,
        )


def _refusal(found: Refresh, proof: Proof, wanted: TokenRequest, now: datetime) -> Refusal | None:
    if found.thumbprint != proof.thumbprint:
        return Refusal(401, Code.UNAUTHENTICATED, "The proof is by another key than the enrolled one.")
    if found.revoked:
        return Refusal(401, Code.DEVICE_REVOKED, "This enrolment was ended.")
    if found.expires_at <= now:
        return Refusal(401, Code.UNAUTHENTICATED, "The refresh token has expired.")
    if found.used_at is None:
        return None
    asked_again = (
        wanted.request_id is not None
        and wanted.request_id == found.used_for
        and now - found.used_at <= LOST_ANSWER
        and not found.successor_used
    )
    if asked_again:
        return None
    return Refusal(401, Code.DEVICE_REVOKED, "The refresh token was used before: this enrolment is ended.")


def _note(
    transaction: Transaction, device: Device, action: str, result: str, request_id: str, now: datetime
) -> None:
    entry = audit.Entry(
        actor_kind="device",
        actor_id=str(device.id),
        action=action,
        object_kind="device",
        object_id=str(device.id),
        result=result,
        request_id=request_id,
    )
    audit.append(transaction, entry, now)
