"""The one way in: who is asking, and whether they may ask now.

Refusals of somebody whose clinic is known are written to the clinic's audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

from backend_lambda.auth import dpop, headers, jws
from backend_lambda.auth.oidc import People
from backend_lambda.auth.tokens import AccessTokens
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Ports
from backend_lambda.principals import Admin, AdminRole, Device, Principal
from backend_lambda.settings import Settings
from backend_lambda.store import admission, audit, clinics
from backend_lambda.store.admission import Verdict
from backend_lambda.store.database import Database, StoreFault

DENIALS_EVERY_S = 60.0
"""One entry for a device and a reason: whoever holds a stolen token must not be able to fill the audit."""


class Gate:
    """Of the whole API. Holds no state but the last denials."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings
        self._tokens = AccessTokens(ports.signer, settings.public_url)
        self._people = People(ports.key_sets, settings.oidc_issuers, settings.oidc_audience)
        self._denied_s: dict[tuple[UUID, str, str], float] = {}

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
        """Authorization: Bearer. Raises Refusal 401, 403, 503."""
        admin = self._people.verify(_credentials(headers.lowered(given), "bearer"), self._ports.clock.utc())
        if admin.clinic_id is not None:
            with self._database.clinic(admin.clinic_id) as transaction:
                if clinics.get(transaction, admin.clinic_id) is None:
                    raise Refusal(403, Code.FORBIDDEN, "This person's clinic is not known here.")
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
        now_s = self._ports.clock.now_s()
        self._denied_s = {key: at_s for key, at_s in self._denied_s.items() if now_s - at_s < DENIALS_EVERY_S}
        key = (principal.clinic_id, who, f"{action} {result}")
        if key in self._denied_s:
            return
        self._denied_s[key] = now_s
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
            wait_s = answer.retry_after_s or 60.0
            raise Refusal(429, Code.RATE_LIMITED, "This device asks too often.", retry_after_s=wait_s)
        if answer.verdict is Verdict.REPLAYED:
            refusal = replayed()
        else:
            refusal = Refusal(401, Code.DEVICE_REVOKED, "This device is not enrolled any more.")
        self.denied(device, "admission", str(refusal.code), request_id)
        raise refusal


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
