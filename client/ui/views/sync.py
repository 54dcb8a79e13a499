"""How it stands with sending: the badge in the bar, and what waits or was refused, each with why and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from client.clock import lies_ahead
from client.language import marked, said
from client.pipeline.sync import Sending, SyncState, SyncStatus
from client.store.observations import Kind
from client.store.outbox import Item, ItemKind, ItemState
from client.ui.views.history import KINDS, LEFT_TO_RIGHT

OVERDUE = timedelta(days=1)
"""What waits longer than a night is worth a look."""


class Role(StrEnum):
    """Of a colour in client.ui.views.palette."""

    GOOD = "good"
    MUTED = "muted"
    WARNING = "warning"
    DANGER = "danger"


@dataclass(frozen=True, slots=True)
class Badge:
    """text: on the button. spoken: for a screen reader, and as a tip."""

    text: str
    role: Role
    spoken: str


@dataclass(frozen=True, slots=True)
class Words:
    """seen: what is wrong. remedy: what to do. Both whole sentences, in English, marked."""

    seen: str
    remedy: str


_BY_ITSELF = marked("It is tried again by itself.")
_ASK_ADMINISTRATOR = marked("Ask the clinic's administrator.")
_NEWEST_VERSION = marked("Install the newest version and try it again. Until then it stays on this device.")
_TELL_SERVER = marked("Try it again later. If this stays, tell whoever looks after the server.")
REASONS: Mapping[str, Words] = {
    # Of a whole item, for good
    "conflict": Words(
        marked("The clinic has something else under the same identifier."),
        marked("Export it and tell whoever looks after the server. It stays on this device."),
    ),
    "invalid": Words(marked("The server does not take it as it is."), _NEWEST_VERSION),
    "refused": Words(marked("The server does not take it."), _NEWEST_VERSION),
    "patient_erased": Words(
        marked("The data of this person were erased at the clinic, which takes no more of them."),
        marked("What is kept on this device stays here until it is deleted."),
    ),
    "gone": Words(
        marked("The data of this person were erased at the clinic, which takes no more of them."),
        marked("What is kept on this device stays here until it is deleted."),
    ),
    "too_large": Words(
        marked("It is larger than the clinic takes."),
        marked("Add the file again in a smaller form, and delete this one."),
    ),
    "media_type": Words(
        marked("The clinic does not take files of this kind."),
        marked("Add it again as a PDF or a picture, and delete this one."),
    ),
    "forbidden": Words(marked("The clinic does not allow this device to send it."), _ASK_ADMINISTRATOR),
    "not_allowed_here": Words(
        marked("The clinic does not allow this device to send it."), _ASK_ADMINISTRATOR
    ),
    "not_found": Words(marked("The server does not know what this is about."), _TELL_SERVER),
    "bad_request": Words(marked("The server does not understand what was sent."), _NEWEST_VERSION),
    "other_version": Words(
        marked("It was kept by another version of Health Helper and cannot be sent by this one."),
        _NEWEST_VERSION,
    ),
    "unreadable": Words(
        marked("It was kept by another version of Health Helper and cannot be sent by this one."),
        _NEWEST_VERSION,
    ),
    "quarantined": Words(
        marked("The clinic has put the file in quarantine: it does not look as it should."),
        marked("Look at the file. Add it again in another form, or show it to the staff."),
    ),
    "failed": Words(marked("The server could not look into the file."), _TELL_SERVER),
    "document_damaged": Words(
        marked("The file on this device is damaged or missing."),
        marked("Add it again from where it came from, then delete this one."),
    ),
    "changed": Words(
        marked("The file is not what it was when it was added."),
        marked("Add it again from where it came from, then delete this one."),
    ),
    "cancelled": Words(
        marked("Sending it was stopped here."), marked("It is sent once somebody presses “Try this again”.")
    ),
    "budget_spent": Words(
        marked("The clinic has used what it may use this month."),
        marked("Try it again next month, or ask the clinic's administrator."),
    ),
    # Of the way there
    "offline": Words(
        marked("This computer has no connection to a network."),
        marked("Plug the network in or switch it on. It is sent by itself then."),
    ),
    "name_unknown": Words(
        marked("Nobody in this network knows the server's name."),
        marked("Check the network and, if it works otherwise, the server's address."),
    ),
    "connection_refused": Words(marked("The server refuses the connection."), _BY_ITSELF),
    "connection_broken": Words(marked("The connection broke off."), _BY_ITSELF),
    "unreachable": Words(marked("There is no way from this network to the server."), _BY_ITSELF),
    "timed_out": Words(marked("The server did not answer in time."), _BY_ITSELF),
    "closed": Words(marked("Sending was ended."), marked("It is sent when the program runs again.")),
    "tls_failed": Words(
        marked("No secure connection to the server can be made in this network."),
        marked("Log in to the network if it asks for it, or use another one."),
    ),
    "certificate_untrusted": Words(
        marked("The certificate shown for the server is not trusted by this computer."),
        marked(
            "Ask whoever manages this computer to install the network's certificate, or use another network."
        ),
    ),
    "certificate_wrong_host": Words(
        marked("The certificate shown is for another server."),
        marked("Log in to the network if it asks for it; else check the server's address."),
    ),
    "certificate_expired": Words(
        marked("The server's certificate has expired, if this computer's date is right."),
        marked("Check the date and time of this computer."),
    ),
    "authorities_unreadable": Words(
        marked("The certificates that this computer's policy names could not be read."),
        marked("Ask whoever manages this computer to put them right."),
    ),
    "clock_wrong": Words(marked("The clock of this computer is wrong."), marked("Set its date and time.")),
    "clock_skew": Words(marked("The clock of this computer is wrong."), marked("Set its date and time.")),
    "captive_portal": Words(
        marked("This network wants a login first."),
        marked("Open a web page in a browser and log in there, or use another network."),
    ),
    "proxy_refused": Words(
        marked("The proxy of this network did not let the connection pass."),
        marked("Ask whoever manages the network to let this computer reach the server."),
    ),
    "proxy_unusable": Words(
        marked("The proxy that is set for this computer cannot be used."),
        marked("Ask whoever manages this computer to set another one."),
    ),
    "server_busy": Words(marked("The server could not do it at that moment."), _BY_ITSELF),
    "internal": Words(marked("The server could not do it at that moment."), _BY_ITSELF),
    "store_unavailable": Words(marked("The server could not do it at that moment."), _BY_ITSELF),
    "objects_unavailable": Words(marked("The server could not do it at that moment."), _BY_ITSELF),
    "rate_limited": Words(marked("The server took no more at that moment."), _BY_ITSELF),
    "url_expired": Words(marked("The time to send this file was over."), _BY_ITSELF),
    "answer_unreadable": Words(marked("The server's answer could not be read."), _TELL_SERVER),
    **dict.fromkeys(
        ("unauthenticated", "token_expired", "proof_replayed"),
        Words(marked("The server did not accept this device's sign-in just then."), _BY_ITSELF),
    ),
    "device_revoked": Words(
        marked("The clinic has ended the enrolment of this device."),
        marked("Ask the clinic's administrator for a new code and enrol it anew."),
    ),
    "sign_in_lost": Words(
        marked("The server does not accept this device's sign-in any more."),
        marked("Ask the clinic's administrator for a new code and enrol it anew."),
    ),
    "not_enrolled": Words(
        marked("This device is not enrolled with a clinic."),
        marked("Ask the clinic's administrator for a code and enrol it."),
    ),
}
"""By the code that the outbox keeps. A code of a newer version is shown as it is."""


def reason_words(code: str | None) -> str:
    """Why something waits or was refused, and what to do; "" where nothing stands against it."""
    if code is None:
        return ""
    found = REASONS.get(code)
    if found is None:
        return said(
            "The reason is one of a newer version: {code}. {remedy}", code=code, remedy=said(_NEWEST_VERSION)
        )
    return f"{said(found.seen)} {said(found.remedy)}"


# The badge

_TROUBLES: Mapping[SyncState, tuple[str, Role]] = {
    SyncState.OFFLINE: (marked("Not connected"), Role.WARNING),
    SyncState.UNTRUSTED: (marked("Certificate not trusted"), Role.DANGER),
    SyncState.PORTAL: (marked("The network wants a login"), Role.WARNING),
    SyncState.REVOKED: (marked("Enrolment ended"), Role.DANGER),
    SyncState.SIGN_IN_LOST: (marked("Sign-in lost"), Role.DANGER),
    SyncState.KEYRING_LOCKED: (marked("Key store locked"), Role.WARNING),
    SyncState.FAILED: (marked("Sending failed"), Role.DANGER),
}


def badge(status: SyncStatus | None, *, expected: bool, was_enrolled: bool, now: datetime) -> Badge | None:
    """What stands in the bar; None where nothing should. status: None while the store is locked. expected: the policy of this computer
    names a clinic's server. was_enrolled: when the store was last open.
    """
    if status is None:
        if not was_enrolled:
            return None
        words = said("Waits until unlocked")
        return Badge(words, Role.MUTED, said("Sending to the clinic: {state}", state=words))
    if status.state is SyncState.NOT_ENROLLED:
        if not expected:
            return None
        words = said("Not enrolled")
        return Badge(words, Role.WARNING, said("Sending to the clinic: {state}", state=words))
    text, role = _badge(status, now)
    return Badge(text, role, said("Sending to the clinic: {state}", state=f"{text}. {summary(status, now)}"))


def _badge(status: SyncStatus, now: datetime) -> tuple[str, Role]:
    counts = status.counts
    trouble = _TROUBLES.get(status.state)
    if trouble is not None:
        return said(trouble[0]), trouble[1]
    if counts.parked:
        return said("Refused: {count}", count=counts.parked), Role.DANGER
    waiting = counts.pending + counts.sending
    if not waiting:
        return said("All sent"), Role.GOOD
    is_late = counts.oldest_made_at is not None and now - counts.oldest_made_at > OVERDUE
    role = Role.WARNING if is_late else Role.MUTED
    if status.state is SyncState.SENDING:
        return said("Sending {count}", count=waiting), role
    return said("{count} waiting", count=waiting), role


def summary(status: SyncStatus, now: datetime) -> str:
    """How many, and when something was sent last, in one line."""
    counts = status.counts
    parts = [
        said(
            "Waiting: {count}. Refused: {refused}.",
            count=counts.pending + counts.sending,
            refused=counts.parked,
        )
    ]
    if counts.held:
        parts.append(
            said(
                "Held back: {count} (deleted and can be put back, or for another clinic).", count=counts.held
            )
        )
    parts.append(last_sent(status.last_success_utc, now))
    return " ".join(parts)


def last_sent(at: datetime | None, now: datetime) -> str:
    """When something was sent last, UTC; None: never. What lies ahead was noted by a clock that was wrong, and is told as unknown."""
    if at is None:
        return said("Nothing was sent yet.")
    if lies_ahead(at, now):
        return said("Last sent: time unknown.")
    return said("Last sent: {when}.", when=moment(at))


def trouble(status: SyncStatus | None) -> str:
    """What stands against all sending, and what to do; "" where nothing does."""
    if status is None:
        return ""
    fault = status.fault
    if fault is not None:
        return f"{fault.title}. {fault.remedy}"
    if status.state is SyncState.ANOTHER_PROGRAM:
        return said("Another program of Health Helper on this computer is sending. Nothing has to be done.")
    if status.state is SyncState.NOT_ENROLLED:
        return said("This device is enrolled with no clinic. Nothing is sent.")
    return ""


def moment(at: datetime) -> str:
    """On this computer's clock."""
    return f"{LEFT_TO_RIGHT}{at.astimezone():%Y-%m-%d %H:%M}"


# What waits

_STATES: Mapping[str, str] = {
    ItemState.PENDING: marked("Waits"),
    ItemState.SENDING: marked("Is being sent"),
    ItemState.PARKED: marked("Put aside"),
    ItemState.HELD: marked("Held back"),
}


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One line. what: of whom and what. since: when it was kept. why: how it stands, why, and what to do. parked: it can be tried again."""

    id: str
    what: str
    since: str
    why: str
    parked: bool


def item_row(item: Item, kind: str | None, title: str | None, name_of: Callable[[str], str]) -> ItemRow:
    """kind: of the observation; title: of the document; None where it is none or is not there. name_of: of a person; "" for others."""
    if item.kind == ItemKind.ERASURE:
        what = said("Erasure of all that was sent of somebody")
    else:
        whose = name_of(item.patient) or said("Guest")
        what = f"{whose}: {_thing(item, kind, title)}"
    state = said(_STATES[item.state]) if item.state in _STATES else item.state
    parts = [f"{state}."]
    if item.tries > 1:
        parts.append(said("Tried {count} times.", count=item.tries))
    parts.append(reason_words(item.reason))
    return ItemRow(
        id=item.id,
        what=what,
        since=moment(item.made_at),
        why=" ".join(part for part in parts if part),
        parked=item.state == ItemState.PARKED,
    )


def _thing(item: Item, kind: str | None, title: str | None) -> str:
    if item.kind == ItemKind.DOCUMENT:
        return title or said("Document")
    if item.kind == ItemKind.OBSERVATION:
        return next(
            (said(words) for known, words in KINDS.items() if known == kind), kind or said(KINDS[Kind.SCAN])
        )
    return item.kind


def percent(progress: Sending) -> int:
    """How much of a file is sent, 0 to 100."""
    whole = max(1, progress.length_bytes)
    return min(100, 100 * progress.sent_bytes // whole)
