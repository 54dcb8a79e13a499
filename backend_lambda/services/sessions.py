"""A refresh token for an access token and the next refresh token.

Each refresh token is used once. One that comes a second time was stolen or copied, so all that came of the same enrolment end.
The exception is the same request again (the same token with the same request id), because its answer was lost, or it was sent several
times, or came late: while what it was exchanged for is unused, it gets that again. By a key that is not the device's, nothing of this
can be set off.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from backend_lambda.auth.dpop import FRESH_S, Proof
from backend_lambda.auth.gate import replayed, too_often
from backend_lambda.auth.refresh import LIVES, new_salt, successor, token_hash
from backend_lambda.auth.throttle import Throttle
from backend_lambda.auth.tokens import AccessTokens
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Ports
from backend_lambda.principals import Device
from backend_lambda.settings import Settings
from backend_lambda.store import admission, audit, sessions
from backend_lambda.store.admission import Verdict
from backend_lambda.store.database import Database, Transaction
from backend_lambda.store.sessions import Refresh
from backend_lambda.wire import TokenRequest, Tokens

LATE_S = 2 * FRESH_S
"""So long after the successor was used a request may still come that was sent before: its proof is good FRESH_S, by a clock that may be
FRESH_S off. It gets nothing and ends nothing; after that it is somebody else's.
"""


class Sessions:
    """For enrolled devices."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings
        self._tokens = AccessTokens(ports.signer, settings.public_url)
        self._denials = Throttle(ports.clock.now_s)

    def token(self, proof: Proof, wanted: TokenRequest, request_id: str) -> Tokens:
        """Raises Refusal 401 (UNAUTHENTICATED: enrol anew; DEVICE_REVOKED: it was ended; PROOF_REPLAYED), 409 (came late), 429, 503."""
        now = self._ports.clock.utc()
        with self._database.outside() as transaction:
            found = sessions.find(transaction, token_hash(wanted.refresh_token))
            if found is None:  # else it is locked: whoever comes with the same one waits here
                raise Refusal(401, Code.UNAUTHENTICATED, "The refresh token is not known.")
            transaction.enter(found.clinic_id)
            refusal = self._refusal(transaction, found, proof, wanted, now)
            if refusal is None:
                tokens = self._issue(transaction, found, wanted, now)
                _note(transaction, found, "token.issue", "ok", request_id, now)
                return tokens
            self._denied(transaction, found, proof, refusal, request_id, now)
        raise refusal  # after the transaction: what it wrote stays

    def _refusal(
        self, transaction: Transaction, found: Refresh, proof: Proof, wanted: TokenRequest, now: datetime
    ) -> Refusal | None:
        """A stranger's key is looked at first: it uses up nothing of the device's, and its proofs are not kept."""
        if found.thumbprint != proof.thumbprint:
            return Refusal(401, Code.UNAUTHENTICATED, "The proof is by another key than the enrolled one.")
        answer = admission.admit(
            transaction,
            clinic_id=found.clinic_id,
            device_id=found.device_id,
            proof=proof.digest,
            now=now,
            limit_per_minute=self._settings.requests_per_minute,
        )
        if answer.verdict is Verdict.REPLAYED:
            return replayed()
        if answer.verdict is Verdict.LIMITED:
            return too_often(answer)
        if found.revoked or answer.verdict is not Verdict.OK:
            return Refusal(401, Code.DEVICE_REVOKED, "This enrolment was ended.")
        if found.expires_at <= now:
            return Refusal(401, Code.UNAUTHENTICATED, "The refresh token has expired.")
        return _reused(found, wanted, now)

    def _issue(self, transaction: Transaction, found: Refresh, wanted: TokenRequest, now: datetime) -> Tokens:
        """Where the signer does not answer, the old token is as unused as it was."""
        access = self._tokens.issue(Device(found.device_id, found.clinic_id, found.thumbprint), now)
        salt = found.salt or new_salt()
        token = successor(wanted.refresh_token, salt, wanted.request_id)
        expires_at = (found.used_at or now) + LIVES
        if found.used_at is None:
            changed = sessions.rotate(
                transaction,
                old_hash=token_hash(wanted.refresh_token),
                new_hash=token_hash(token),
                salt=salt,
                used_for=wanted.request_id,
                expires_at=expires_at,
                now=now,
            )
            assert changed  # `find` has locked it
        return Tokens(
            access_token=access.token,
            expires_in_s=access.expires_in_s,
            refresh_token=token,
            refresh_expires_at=expires_at,
        )

    def _denied(
        self,
        transaction: Transaction,
        found: Refresh,
        proof: Proof,
        refusal: Refusal,
        request_id: str,
        now: datetime,
    ) -> None:
        """Ends the enrolment where it must. Into the audit once in a while, and always when something was ended."""
        stranger = proof.thumbprint if found.thumbprint != proof.thumbprint else None
        if isinstance(refusal, _Reused):
            sessions.revoke_family(transaction, found.family, now)
            _note(transaction, found, "token.reuse", str(refusal.code), request_id, now)
        elif refusal.code is not Code.RATE_LIMITED and self._denials.lets(
            (found.clinic_id, found.device_id, stranger is None, refusal.code)
        ):
            _note(transaction, found, "token.issue", str(refusal.code), request_id, now, stranger=stranger)


class _Reused(Refusal):
    """All that came of the same enrolment end."""

    def __init__(self) -> None:
        super().__init__(
            401, Code.DEVICE_REVOKED, "The refresh token was used before: this enrolment is ended."
        )


def _reused(found: Refresh, wanted: TokenRequest, now: datetime) -> Refusal | None:
    """None: it was not used yet, or this is the request that it was used for, and what it was exchanged for is unused."""
    if found.used_at is None:
        return None
    if wanted.request_id is None or wanted.request_id != found.used_for:
        return _Reused()
    if found.salt is not None:
        return None
    used_at = found.successor_used_at
    if used_at is not None and now - used_at <= timedelta(seconds=LATE_S):
        return Refusal(409, Code.CONFLICT, "This request came late: what it was answered was used already.")
    return _Reused()


def _note(
    transaction: Transaction,
    found: Refresh,
    action: str,
    result: str,
    request_id: str,
    now: datetime,
    *,
    stranger: str | None = None,
) -> None:
    """stranger: thumbprint of a key that is not the device's; who holds it is not known."""
    entry = audit.Entry(
        actor_kind="device" if stranger is None else "stranger",
        actor_id=str(found.device_id) if stranger is None else stranger,
        action=action,
        object_kind="device",
        object_id=str(found.device_id),
        result=result,
        request_id=request_id,
    )
    audit.append(transaction, entry, now)
