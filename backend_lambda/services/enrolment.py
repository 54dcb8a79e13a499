"""How a device comes to a clinic, and how it is sent away.

A clinic's administrator asks for a code and types it into the device. A code is twelve characters of `ALPHABET` in groups of four:
eleven by chance (54 bits: at a thousand guesses a second one in 4·10¹⁰ for the ten minutes that it lives) and a check character,
by which a mistyped one is told before the network is asked. The characters are numbered as they stand in the alphabet, and
Σ (place + 1) · number over the first eleven, modulo 31, is the twelfth's number; since 31 is a prime, one wrong character and two
exchanged ones are always seen.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID, uuid4

from backend_lambda.auth.dpop import Proof, public_key
from backend_lambda.auth.gate import as_admin, kind_of, name_of, of_clinic, replayed
from backend_lambda.auth.refresh import LIVES, new_token, token_hash
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Ports
from backend_lambda.principals import AdminRole, Principal
from backend_lambda.settings import Settings
from backend_lambda.store import admission, audit, devices, sessions
from backend_lambda.store.database import Database, Transaction
from backend_lambda.store.devices import DeviceRow
from backend_lambda.store.replica import LateReads
from backend_lambda.wire import DeviceEntry, Devices, Enrol, Enrolled, EnrolmentCode, NewEnrolmentCode

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Without 0, O, 1, I and L."""
CHANCE_CHARACTERS = 11
CODE_LIVES = timedelta(minutes=10)


def check_character(body: str) -> str:
    """Of eleven characters of the alphabet."""
    return ALPHABET[sum((at + 1) * ALPHABET.index(one) for at, one in enumerate(body)) % len(ALPHABET)]


def new_code() -> str:
    """As it is shown: three groups of four signs."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(CHANCE_CHARACTERS))
    whole = body + check_character(body)
    return "-".join(whole[at : at + 4] for at in range(0, len(whole), 4))


def normal_code(typed: str) -> str | None:
    """Without what people add (spaces, hyphens, small letters); None where it can be no code."""
    code = "".join(one for one in typed.upper() if one not in " -")
    if len(code) != CHANCE_CHARACTERS + 1 or any(one not in ALPHABET for one in code):
        return None
    return code if check_character(code[:-1]) == code[-1] else None


def code_hash(code: str) -> bytes:
    """What is kept of a normal code."""
    return hashlib.sha256(b"enrolment code " + code.encode()).digest()


class Enrolment:
    """Codes, enrolling, devices. late_reads: None: no replica."""

    def __init__(
        self, database: Database, ports: Ports, settings: Settings, late_reads: LateReads | None = None
    ) -> None:
        self._database, self._ports, self._settings = database, ports, settings
        self._late_reads = late_reads or LateReads(database, None, ports.clock, ports.measures)

    def code(
        self, principal: Principal, clinic_id: UUID, wanted: NewEnrolmentCode, request_id: str
    ) -> EnrolmentCode:
        """Shown once, kept as a hash. Raises Refusal 403, 503."""
        admin = as_admin(principal, AdminRole.CLINIC_ADMIN)
        of_clinic(admin, clinic_id)
        code = new_code()
        now = self._ports.clock.utc()
        expires_at = now + CODE_LIVES
        with self._database.clinic(clinic_id) as transaction:
            devices.add_code(
                transaction,
                code_hash=code_hash(code.replace("-", "")),
                expires_at=expires_at,
                created_by=admin.subject,
                device_name=wanted.device_name,
            )
            self._note(transaction, principal, "enrolment_code.add", "clinic", str(clinic_id), request_id)
        return EnrolmentCode(code=code, expires_at=expires_at)

    def enrol(self, proof: Proof, wanted: Enrol, request_id: str) -> Enrolled:
        """Raises Refusal 401 (another key's proof), 403 CODE_INVALID, 503."""
        jwk = wanted.public_key.model_dump()
        if public_key(jwk)[1] != proof.thumbprint:
            raise Refusal(
                401, Code.UNAUTHENTICATED, "The proof is by another key than the one to be enrolled."
            )
        code = normal_code(wanted.code)
        now = self._ports.clock.utc()
        if code is None:
            raise _invalid()
        device_id, refresh_token, expires_at = uuid4(), new_token(), now + LIVES
        with self._database.outside() as transaction:
            taken = devices.take_code(transaction, code_hash(code), now)
            if taken is None:
                raise _invalid()
            if admission.seen_proof(transaction, proof.digest, now):
                raise replayed()
            transaction.enter(taken.clinic_id)  # a failure from here on leaves the code as it was
            devices.add(
                transaction,
                device_id=device_id,
                name=taken.device_name,
                thumbprint=proof.thumbprint,
                public_key=jwk,
                software_version=wanted.software_version,
                now=now,
            )
            sessions.issue(
                transaction,
                device_id=device_id,
                family=uuid4(),
                token_hash=token_hash(refresh_token),
                expires_at=expires_at,
                now=now,
            )
            audit.append(
                transaction,
                audit.Entry(
                    actor_kind="device",
                    actor_id=str(device_id),
                    action="device.enrol",
                    object_kind="device",
                    object_id=str(device_id),
                    result="ok",
                    request_id=request_id,
                ),
                now,
            )
        return Enrolled(
            device_id=device_id,
            clinic_id=taken.clinic_id,
            refresh_token=refresh_token,
            refresh_expires_at=expires_at,
        )

    def devices(self, principal: Principal, clinic_id: UUID, request_id: str) -> Devices:
        """Of one clinic, also the revoked ones; with a replica as it was some seconds ago, while what was revoked is revoked at once.

        That the list was read is noted before it is shown. Raises Refusal 403, 503.
        """
        admin = as_admin(principal, AdminRole.CLINIC_ADMIN, AdminRole.AUDITOR)
        of_clinic(admin, clinic_id)

        def listed(database: Database) -> list[DeviceRow]:
            with database.clinic(clinic_id) as transaction:
                return devices.listed(transaction)

        rows = self._late_reads.by(listed)
        with self._database.clinic(clinic_id) as transaction:
            self._note(transaction, principal, "devices.read", "clinic", str(clinic_id), request_id)
        return Devices(
            devices=[
                DeviceEntry(
                    id=row.id,
                    name=row.name,
                    enrolled_at=row.enrolled_at,
                    revoked_at=row.revoked_at,
                    last_seen_at=row.last_seen_at,
                    software_version=row.software_version,
                )
                for row in rows
            ]
        )

    def revoke(self, principal: Principal, clinic_id: UUID, device_id: UUID, request_id: str) -> None:
        """From now on none of its requests passes. The same again changes nothing. Raises Refusal 403, 404, 503."""
        admin = as_admin(principal, AdminRole.CLINIC_ADMIN)
        of_clinic(admin, clinic_id)
        with self._database.clinic(clinic_id) as transaction:
            if not devices.revoke(transaction, device_id, self._ports.clock.utc()):
                raise Refusal(404, Code.NOT_FOUND, "There is no such device in this clinic.")
            self._note(transaction, principal, "device.revoke", "device", str(device_id), request_id)

    def _note(
        self,
        transaction: Transaction,
        principal: Principal,
        action: str,
        object_kind: str,
        object_id: str,
        request_id: str,
    ) -> None:
        entry = audit.Entry(
            actor_kind=kind_of(principal),
            actor_id=name_of(principal),
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            result="ok",
            request_id=request_id,
        )
        audit.append(transaction, entry, self._ports.clock.utc())


def _invalid() -> Refusal:
    return Refusal(403, Code.CODE_INVALID, "The code is mistyped, was used, or is older than ten minutes.")
