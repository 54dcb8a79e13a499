"""The one way in: who is asking, and whether they may ask now.

Refusals of somebody whose clinic is known are written to the clinic's audit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from backend_lambda.auth import dpop, headers, jws
from backend_lambda.auth.oidc import People
from backend_lambda.auth.throttle import Throttle
from backend_lambda.auth.tokens import AccessTokens
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Ports
from backend_lambda.principals import Admin, AdminRole, Device, Principal
from backend_lambda.settings import Settings
from backend_lambda.store import admission, audit, clinics
from backend_lambda.store.admission import Admission, Verdict
from backend_lambda.store.database import Database, StoreFault


class Gate:
    """Of the whole API. Holds no state but the last denials."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings
        self._tokens = AccessTokens(ports.signer, settings.public_url)
        self._people = People(ports.key_sets, settings.oidc_issuers, settings.oidc_audience)
        self._denials = Throttle(ports.clock.now_s)

    def device(self, given: Mapping[str, str], method: str, path: str, request_id: str = "") -> Device:
        """Authorization: DPoP and DPoP. path: as in the URL, without query. Raises Refusal 401, 429, 503."""
        found = headers.lowered(given)
        now = self._ports.clock.utc()
        token = _credentials(found, "dpop")
        device = self._tokens.verify(token, now)
        try:
            proof = dpop.verify(
                found.get("dpop", ""),
                method=method,
                url=self._settings.public_url + path,
                now=now,
                access_token=token,
            )
            if proof.thumbprint != device.thumbprint:
                raise jws.unauthenticated("The proof is by another key than the token's.")
        except Refusal as refusal:
            if refusal.code is not Code.CLOCK_SKEW:
                self.denied(device, "proof", str(refusal.code), request_id)
            raise
        self._admit(device, proof, request_id)
        return device

    def proof(self, given: Mapping[str, str], method: str, path: str) -> dpop.Proof:
        """DPoP alone, where there is no token yet: whose key it is. Raises Refusal 401.

        Whether it was used before is asked by the service, once it has found what the proof is for: else anybody who makes up
        keys could fill the store with their proofs.
        """
        return dpop.verify(
            headers.lowered(given).get("dpop", ""),
            method=method,
            url=self._settings.public_url + path,
            now=self._ports.clock.utc(),
        )

    def admin(self, given: Mapping[str, str]) -> Admin:
        """Authorization: Bearer. Raises Refusal 401, 403, 429, 503."""
        now = self._ports.clock.utc()
        admin = self._people.verify(_credentials(headers.lowered(given), "bearer"), now)
        clinic_id = admin.clinic_id
        where = self._database.outside() if clinic_id is None else self._database.clinic(clinic_id)
        with where as transaction:
            if clinic_id is not None and clinics.get(transaction, clinic_id) is None:
                raise Refusal(403, Code.FORBIDDEN, "This person's clinic is not known here.")
            wait_s = admission.count(
                transaction,
                clinic_id=clinic_id,
                asker_id=UUID(bytes=hashlib.sha256(admin.subject.encode()).digest()[:16]),
                now=now,
                limit_per_minute=self._settings.requests_per_minute,
            )
        if wait_s is not None:
            raise Refusal(429, Code.RATE_LIMITED, "This person asks too often.", retry_after_s=wait_s)
        return admin

    def anyone(self, given: Mapping[str, str], method: str, path: str, request_id: str = "") -> Principal:
        """Whoever signs in, by what they sign in with."""
        scheme = headers.lowered(given).get("authorization", "").partition(" ")[0].lower()
        if scheme == "bearer":
            return self.admin(given)
        return self.device(given, method, path, request_id)

    def denied(self, principal: Principal, action: str, result: str, request_id: str) -> None:
        """Into the audit of whoever was refused, if they belong to a clinic. Never raises: they are refused all the same."""
        if principal.clinic_id is None:
            return
        who = str(principal.id) if isinstance(principal, Device) else principal.subject
        if not self._denials.lets((principal.clinic_id, who, action, result)):
            return
        with suppress(Refusal, StoreFault), self._database.clinic(principal.clinic_id) as transaction:
            audit.append(
                transaction,
                audit.Entry(
                    actor_kind=kind_of(principal),
                    actor_id=who,
                    action=action,
                    object_kind="access",
                    object_id="",
                    result=result,
                    request_id=request_id,
                ),
                self._ports.clock.utc(),
            )

    def _admit(self, device: Device, proof: dpop.Proof, request_id: str) -> None:
        now = self._ports.clock.utc()
        answer = self._by_cache(device, proof, now)
        if answer is None:
            with self._database.outside() as transaction:
                answer = admission.admit(
                    transaction,
                    clinic_id=device.clinic_id,
                    device_id=device.id,
                    proof=proof.digest,
                    now=now,
                    limit_per_minute=self._settings.requests_per_minute,
                )
        if answer.verdict is Verdict.OK:
            return
        if answer.verdict is Verdict.LIMITED:
            raise too_often(answer)
        if answer.verdict is Verdict.REPLAYED:
            refusal = replayed()
        else:
            refusal = Refusal(401, Code.DEVICE_REVOKED, "This device is not enrolled any more.")
        self.denied(device, "admission", str(refusal.code), request_id)
        raise refusal

    def _by_cache(self, device: Device, proof: dpop.Proof, now: datetime) -> Admission | None:
        """None: there is no cache, or it does not answer, and the database does its work for this request.

        Then a proof that only the cache has seen can be used once more, by who holds it and its token, for the same request: until it
        is no longer fresh, at most 2 × dpop.FRESH_S after its first use. Every such request is measured. The other way round nothing
        is lost: proofs that came in through the database are looked for there, whatever the cache says.
        """
        cache = self._ports.admission_cache
        if cache is None:
            return None
        with self._database.outside() as transaction:
            found = admission.standing(
                transaction, clinic_id=device.clinic_id, device_id=device.id, proof=proof.digest
            )
        if found is not Verdict.OK:
            return Admission(found)
        try:
            if cache.seen(proof.digest):
                return Admission(Verdict.REPLAYED)
            wait_s = cache.count(device.clinic_id, device.id, now, self._settings.requests_per_minute)
        except Refusal:
            self._ports.measures.add("cache_failed", 1.0, "Count")
            return None
        return Admission(Verdict.OK) if wait_s is None else Admission(Verdict.LIMITED, wait_s)


def too_often(answer: Admission) -> Refusal:
    """Of a device."""
    wait_s = answer.retry_after_s or 60.0
    return Refusal(429, Code.RATE_LIMITED, "This device asks too often.", retry_after_s=wait_s)


def replayed() -> Refusal:
    return Refusal(401, Code.PROOF_REPLAYED, "The proof was used before.")


def kind_of(principal: Principal) -> str:
    """As the audit calls them."""
    return "device" if isinstance(principal, Device) else str(principal.role)


def name_of(principal: Principal) -> str:
    """As the audit names them."""
    return str(principal.id) if isinstance(principal, Device) else principal.subject


def as_device(principal: Principal) -> Device:
    """Raises Refusal 403."""
    if not isinstance(principal, Device):
        raise Refusal(403, Code.FORBIDDEN, "Only a device may do this.")
    return principal


def as_admin(principal: Principal, *roles: AdminRole) -> Admin:
    """Raises Refusal 403."""
    if not isinstance(principal, Admin) or principal.role not in roles:
        raise Refusal(403, Code.FORBIDDEN, "Only a person with another role may do this.")
    return principal


def as_keeper(principal: Principal) -> Principal:
    """A device, or an administrator of its clinic: who keeps a patient's data, and may take them out or away. Raises Refusal 403."""
    return principal if isinstance(principal, Device) else as_admin(principal, AdminRole.CLINIC_ADMIN)


def of_clinic(principal: Principal, clinic_id: UUID) -> UUID:
    """Raises Refusal 403 for somebody of another clinic, or of none."""
    if principal.clinic_id is None or principal.clinic_id != clinic_id:
        raise Refusal(403, Code.FORBIDDEN, "This is another clinic's.")
    return clinic_id


def own_clinic(principal: Principal) -> UUID:
    """Raises Refusal 403 for somebody who belongs to none."""
    if principal.clinic_id is None:
        raise Refusal(403, Code.FORBIDDEN, "This needs a clinic.")
    return principal.clinic_id


def _credentials(found: Mapping[str, str], scheme: str) -> str:
    """Of the Authorization header: one, of this scheme, of an allowed size. Raises Refusal 401."""
    value = found.get("authorization", "")
    if len(value) > headers.MAX_HEADER_CHARACTERS:
        raise jws.unauthenticated("The Authorization header is too long.")
    given, _, token = value.partition(" ")
    if given.lower() != scheme or not token:
        raise jws.unauthenticated("The request is not signed in as this needs.")
    return token
