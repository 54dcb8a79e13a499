"""Who is asking, once it is known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class AdminRole(StrEnum):
    """What a signed-in person may do."""

    OPERATOR = "operator"
    """Runs the service: makes clinics; sees no health data."""
    CLINIC_ADMIN = "clinic_admin"
    """Of one clinic: enrols and revokes devices, erases and exports a patient."""
    AUDITOR = "auditor"
    """Of one clinic: reads its devices and its audit."""


@dataclass(frozen=True, slots=True)
class Device:
    """A kiosk or laptop of a clinic. thumbprint: of its key (RFC 7638), base64url."""

    id: UUID
    clinic_id: UUID
    thumbprint: str


@dataclass(frozen=True, slots=True)
class Admin:
    """A person. subject: the issuer's name for them, opaque. clinic_id: None for operators."""

    subject: str
    role: AdminRole
    clinic_id: UUID | None


Principal = Device | Admin
