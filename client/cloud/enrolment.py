"""How this device comes to a clinic: somebody types the code that the clinic's administrator was shown.

A code works once, whatever becomes of the server's answer. So the key store is tried before the code is sent; and where the answer is lost
the person is told that the code may be used up, for the server gives no second answer to the same code, not even to the same key.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass

from client.cloud import faults
from client.cloud.credentials import URL_CHARACTERS, Credentials, Entry, Key, ask_signed
from client.cloud.forms import Unfit, as_label
from client.cloud.transport import Transport, address, read_answer
from client.cloud.wire import Code, Enrol
from client.cloud.wire import Enrolled as Answer
from client.errors import BadInput, EnvironmentFault
from client.language import said

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Without 0, O, 1, I and L."""
CODE_CHARACTERS = 12
_BETWEEN = re.compile(r"[\s\u00ad\u200b-\u200f\u2010-\u2015\u2212\ufeff.,_/-]+")
"""What people and their keyboards put between the groups of a code."""
_NOT_THERE = {403, 404, 405, 501}


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Where this device belongs now. clinic_id, device_id: UUIDs."""

    url: str
    clinic_id: str
    device_id: str


def normal_code(typed: str) -> str:
    """Its twelve characters, spaces, hyphens and small letters no matter. Raises faults.CodeMistyped where its last one does not fit.

    Σ (place + 1) · number over the first eleven, modulo 31, is the number of the twelfth.
    """
    code = _BETWEEN.sub("", typed).upper()
    if len(code) != CODE_CHARACTERS or any(one not in ALPHABET for one in code):
        raise faults.CodeMistyped
    weighted = sum((at + 1) * ALPHABET.index(one) for at, one in enumerate(code[:-1]))
    if ALPHABET[weighted % len(ALPHABET)] != code[-1]:
        raise faults.CodeMistyped
    return code


def enrol(typed: str, url: str | None, transport: Transport, credentials: Credentials) -> Enrolled:
    """Enrol this device, also instead of an enrolment that it has. url: the server's; None: the policy's.

    What was kept before stays until the server has answered. Where the key store closes just then, VaultFault is raised and the answer is not
    lost: enrolling again with the same code writes it down, without asking.

    Raises BadInput (the address, also where no server of ours answers at it), EnvironmentFault (the policy wants another server), VaultFault, and CloudFault: CodeMistyped, CodeRefused,
    EnrolmentUnsure, or what hindered the request on its way, after which the code is as good as before.
    """
    code = normal_code(typed)
    server = _server(url, transport)
    waiting = credentials.waiting_for(_digest(code, server))
    if waiting is not None:
        return _told(waiting)
    credentials.check_writable()
    key = Key()
    wanted = Enrol(code=code, public_key=key.public, software_version=as_label(transport.version))
    try:
        reply = ask_signed(transport, key, "POST", server, "/v1/devices/enrol", body=wanted.body())
        answer = read_answer(reply, Answer)
        entry = Entry(
            url=server,
            clinic_id=answer.clinic_id,
            device_id=answer.device_id,
            key=key.raw,
            refresh_token=answer.refresh_token,
            refresh_expires_at=answer.refresh_expires_at,
        )
        entry.to_bytes()
    except faults.Refused as refused:
        if refused.server_code == Code.CODE_INVALID:
            raise faults.CodeRefused from None
        if _is_no_server_of_ours(refused):
            raise BadInput(
                title=said("No Health Helper server answers at this address"),
                remedy=said(
                    "Check the address, also what comes after the server's name: type it as the clinic's administrator gave it. The code was "
                    "not used up."
                ),
            ) from None
        raise
    except Unfit:
        raise faults.EnrolmentUnsure from None
    except (faults.ConnectionBroken, faults.TimedOut, faults.ServerBusy, faults.AnswerUnreadable) as fault:
        if fault.reached:
            raise faults.EnrolmentUnsure from None
        raise
    credentials.keep(entry, by=_digest(code, server))
    return _told(entry)


def leave(credentials: Credentials) -> None:
    """Forget the sign-in: this device can send nothing any more. Raises VaultFault.

    The server is not told, for a device may not remove itself: an administrator has to remove it there. What waits to be sent stays.
    """
    credentials.forget()


def _is_no_server_of_ours(refused: faults.Refused) -> bool:
    """Nothing is there that devices enrol with: by a word of our API, or without one, as API Gateway says it (403) and web servers do."""
    if refused.server_code is None:
        return refused.status in _NOT_THERE
    return refused.server_code == Code.NOT_FOUND


def _told(entry: Entry) -> Enrolled:
    return Enrolled(entry.url, entry.clinic_id, entry.device_id)


def _digest(code: str, server: str) -> bytes:
    return hashlib.sha256(f"{code} {server}".encode()).digest()


def _server(url: str | None, transport: Transport) -> str:
    wanted = transport.policy.cloud_url
    if url is None and wanted is None:
        raise BadInput(
            title=said("The server's address is missing"),
            remedy=said("Ask the clinic's administrator for it; it begins with https://."),
        )
    server = _address(wanted if url is None else url)
    if wanted is not None and server != _address(wanted):
        raise EnvironmentFault(
            title=said("This computer may only be enrolled with another server"),
            remedy=said("Leave the address out, or ask whoever manages this computer."),
        )
    return server


def _address(url: str | None) -> str:
    """Of the API, in one spelling, without a slash at its end."""
    found = ""
    with contextlib.suppress(Unfit):
        parts = address((url or "").strip())
        if not parts.query and not parts.fragment:
            found = str(parts).rstrip("/")
    if not 0 < len(found) <= URL_CHARACTERS:
        raise BadInput(
            title=said("The server's address is none that can be used"),
            remedy=said("Type it as the clinic's administrator gave it; it begins with https://."),
        )
    return found
