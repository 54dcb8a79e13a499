"""A report for somebody who is not signed in: a link that works once, for a QR code or an e-mail.

The link's secret is behind its '#', so that no server, log or proxy on the way sees it; here it is kept as SHA-256. The page behind
the link sends it back in a body. Nobody keeps the e-mail address.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from backend_lambda.auth.gate import as_device, as_keeper, kind_of, name_of, own_clinic
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Ports
from backend_lambda.principals import Principal
from backend_lambda.services.clinics import allowed
from backend_lambda.services.uploads import handed_out
from backend_lambda.settings import Settings
from backend_lambda.store import audit, shares, uploads
from backend_lambda.store.database import Database
from backend_lambda.wire import Download, Feature, NewShare, OpenShare, Purpose, Share, UploadState

SECRET_BYTES = 32
_SUBJECT = "A report for you"
_TEXT = """\
Somebody at a clinic sends you a report from Health Helper.

This link opens it once, until {until} UTC:

{url}

If you did not expect this, please delete this message.
"""


def link(public_url: str, share_id: UUID, secret: str) -> str:
    """What is printed as a QR code."""
    return f"{public_url}/v1/shares/{share_id}#{secret}"


class Shares:
    """Devices make links; whoever has one opens it, while the device that made it is enrolled and nobody has withdrawn it."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings

    def create(self, principal: Principal, wanted: NewShare, request_id: str) -> Share:
        """Its secret can be told once only: the same id again is refused.

        The mail is sent before the share is kept for good, so that one that could not be sent may be asked for again with the same id.
        Raises Refusal 403 (also for what is no report of ours), 404, 409, 503.
        """
        device = as_device(principal)
        if wanted.email is not None and not self._settings.mail_from:
            raise Refusal(403, Code.NOT_ALLOWED_HERE, "This clinic sends no e-mail.")
        now = self._ports.clock.utc()
        expires_at = now + timedelta(seconds=wanted.valid_s)
        secret = secrets.token_urlsafe(SECRET_BYTES)
        share = Share(
            id=wanted.id, url=link(self._settings.public_url, wanted.id, secret), expires_at=expires_at
        )
        with self._database.clinic(device.clinic_id) as transaction:
            allowed(transaction, Feature.SHARES)
            row = uploads.get(transaction, wanted.upload_id)
            if row is None:
                raise Refusal(404, Code.NOT_FOUND, "There is no such upload.")
            if row.purpose is not Purpose.SCAN_REPORT:
                raise Refusal(403, Code.FORBIDDEN, "Only reports made here are shared.")
            if row.state is not UploadState.READY:
                raise Refusal(409, Code.CONFLICT, "This report is not ready.")
            if not shares.add(
                transaction,
                id=wanted.id,
                upload_id=row.id,
                device_id=device.id,
                secret_hash=_hash(secret),
                expires_at=expires_at,
                now=now,
            ):
                raise Refusal(409, Code.CONFLICT, "This id was used for a share before.")
            if wanted.email is not None:
                self._ports.mail.send(wanted.email, _SUBJECT, _letter(share.url, expires_at))
            entry = audit.Entry(
                actor_kind="device",
                actor_id=str(device.id),
                action="share.create" if wanted.email is None else "share.mail",
                object_kind="upload",
                object_id=str(row.id),
                result="ok",
                request_id=request_id,
            )
            audit.append(transaction, entry, now)
        self._ports.measures.add("shares_created", 1.0, "Count", str(device.clinic_id))
        return share

    def withdraw(self, principal: Principal, share_id: UUID, request_id: str) -> None:
        """From now on it opens nothing. The same again changes nothing. Raises Refusal 403, 404, 503."""
        keeper = as_keeper(principal)
        now = self._ports.clock.utc()
        with self._database.clinic(own_clinic(keeper)) as transaction:
            if not shares.withdraw(transaction, share_id, now):
                raise Refusal(404, Code.NOT_FOUND, "There is no such share.")
            entry = audit.Entry(
                actor_kind=kind_of(keeper),
                actor_id=name_of(keeper),
                action="share.withdraw",
                object_kind="share",
                object_id=str(share_id),
                result="ok",
                request_id=request_id,
            )
            audit.append(transaction, entry, now)

    def open(self, share_id: UUID, wanted: OpenShare, request_id: str) -> Download:
        """Uses the link up. Where something fails on our side it is as good as before.

        Raises Refusal 410 for everything that does not open, whatever the cause, and 503.
        """
        now = self._ports.clock.utc()
        with self._database.outside() as transaction:
            opened = shares.open_once(transaction, share_id, _hash(wanted.secret), now)
            if opened is None:
                raise _closed()
            transaction.enter(opened.clinic_id)
            row = uploads.get(transaction, opened.upload_id)
            if row is None or row.state is not UploadState.READY:
                raise _closed()
            download = handed_out(self._ports, row)
            entry = audit.Entry(
                actor_kind="share",
                actor_id=str(share_id),
                action="share.open",
                object_kind="upload",
                object_id=str(row.id),
                result="ok",
                request_id=request_id,
            )
            audit.append(transaction, entry, now)
        self._ports.measures.add("shares_opened", 1.0, "Count", str(opened.clinic_id))
        return download


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


def _letter(url: str, until: datetime) -> str:
    return _TEXT.format(url=url, until=f"{until:%Y-%m-%d %H:%M}")


def _closed() -> Refusal:
    return Refusal(410, Code.GONE, "This link does not open anything (any more).")
