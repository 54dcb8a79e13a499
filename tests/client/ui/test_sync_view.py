"""How it stands with sending, in words, without a window."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from client.cloud import faults, wire
from client.errors import HealthHelperError
from client.pipeline import sync as sending
from client.pipeline.sync import Sending, SyncState, SyncStatus
from client.store.outbox import Counts, Item, ItemKind, ItemState
from client.ui.views import sync
from client.ui.views.palette import LIGHT
from client.ui.views.sync import Role
from tests.client.store.conftest import NOW


def counts(pending: int = 0, sending_: int = 0, parked: int = 0, held: int = 0, age_h: float = 0.0) -> Counts:
    oldest = NOW - timedelta(hours=age_h) if pending + sending_ else None
    return Counts(pending, sending_, parked, held, oldest)


def status(state: SyncState, its: Counts | None = None, fault: HealthHelperError | None = None) -> SyncStatus:
    return SyncStatus(state, its or counts(), fault, None, None)


@pytest.mark.parametrize(
    ("now", "text", "role"),
    [
        (status(SyncState.IDLE), "All sent", Role.GOOD),
        (status(SyncState.WAITING, counts(pending=3)), "3 waiting", Role.MUTED),
        (status(SyncState.WAITING, counts(pending=3, age_h=25.0)), "3 waiting", Role.WARNING),
        (
            status(SyncState.WAITING, counts(pending=3, age_h=-9e4)),
            "3 waiting",
            Role.MUTED,
        ),  # a clock set back
        (status(SyncState.SENDING, counts(pending=2, sending_=1)), "Sending 3", Role.MUTED),
        (status(SyncState.ANOTHER_PROGRAM, counts(pending=2)), "2 waiting", Role.MUTED),
        (status(SyncState.IDLE, counts(parked=2)), "Refused: 2", Role.DANGER),
        (status(SyncState.OFFLINE, counts(pending=1)), "Not connected", Role.WARNING),
        (status(SyncState.UNTRUSTED, counts(parked=2)), "Certificate not trusted", Role.DANGER),
        (status(SyncState.PORTAL), "The network wants a login", Role.WARNING),
        (status(SyncState.REVOKED), "Enrolment ended", Role.DANGER),
        (status(SyncState.SIGN_IN_LOST), "Sign-in lost", Role.DANGER),
        (status(SyncState.KEYRING_LOCKED), "Key store locked", Role.WARNING),
        (status(SyncState.FAILED), "Sending failed", Role.DANGER),
    ],
)
def test_the_badge_says_the_one_thing_that_matters(now: SyncStatus, text: str, role: Role) -> None:
    shown = sync.badge(now, expected=False, was_enrolled=True, now=NOW)
    assert shown is not None and (shown.text, shown.role) == (text, role)
    assert text in shown.spoken and "Waiting:" in shown.spoken
    assert hasattr(LIGHT, role)


def test_where_nobody_wants_anything_sent_there_is_no_badge() -> None:
    alone = status(SyncState.NOT_ENROLLED)
    assert sync.badge(alone, expected=False, was_enrolled=False, now=NOW) is None
    shown = sync.badge(alone, expected=True, was_enrolled=False, now=NOW)
    assert shown is not None and shown.text == "Not enrolled"
    assert sync.badge(None, expected=False, was_enrolled=False, now=NOW) is None


def test_locked_it_waits_until_it_is_unlocked() -> None:
    shown = sync.badge(None, expected=False, was_enrolled=True, now=NOW)
    assert shown is not None and shown.text == "Waits until unlocked" and shown.role is Role.MUTED


@pytest.mark.parametrize(
    ("ago_h", "said"),
    [
        (None, "Nothing was sent yet."),
        (1.0, "Last sent: \u200e2026-03-01 11:00."),
        (-0.01, "Last sent: \u200e2026-03-01 12:00."),  # the clock was set a little
        (-0.02, "Last sent: time unknown."),
        (-30 * 8766.0, "Last sent: time unknown."),  # thirty years ahead, and set right
    ],
)
def test_when_something_was_sent_last_is_never_told_ahead_of_now(
    monkeypatch: pytest.MonkeyPatch, ago_h: float | None, said: str
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    at = None if ago_h is None else NOW - timedelta(hours=ago_h)
    assert sync.last_sent(at, NOW) == said
    now = replace(status(SyncState.IDLE), last_success_utc=at)
    shown = sync.badge(now, expected=False, was_enrolled=True, now=NOW)
    assert shown is not None and shown.spoken.endswith(said) and sync.summary(now, NOW).endswith(said)


@pytest.mark.parametrize("state", list(SyncState))
def test_every_state_has_a_badge(state: SyncState) -> None:
    shown = sync.badge(status(state, counts(pending=1)), expected=True, was_enrolled=True, now=NOW)
    assert shown is not None and shown.text


def codes() -> set[str]:
    """Whatever the outbox may keep as a reason."""

    def below(kind: type[faults.CloudFault]) -> set[str]:
        return {one.code for one in kind.__subclasses__()}.union(*map(below, kind.__subclasses__()))

    of_enrolling = {"code_mistyped", "code_refused", "enrolment_unsure"}
    of_items = {"other_version", "unreadable", "cancelled", "document_damaged"}
    return (
        (below(faults.CloudFault) - of_enrolling)
        | {
            str(one)
            for one in (wire.ItemStatus.CONFLICT, wire.ItemStatus.INVALID, wire.ItemStatus.PATIENT_ERASED)
        }
        | set(sending._BY_STATUS.values())
        | of_items
    )


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_reason_has_a_sentence_and_a_remedy(code: str) -> None:
    found = sync.REASONS[code]
    for words in (found.seen, found.remedy):
        assert words[0].isupper() and words.endswith(".")
    assert sync.reason_words(code) == f"{found.seen} {found.remedy}"


def test_a_reason_of_a_newer_version_is_shown_as_such() -> None:
    words = sync.reason_words("full_moon")
    assert "full_moon" in words and "newer version" in words and words.endswith(".")
    assert sync.reason_words(None) == ""


def test_the_fault_of_all_is_told_with_its_remedy_and_the_issuer() -> None:
    fault = faults.CertificateUntrusted("Some Proxy")
    words = sync.trouble(status(SyncState.UNTRUSTED, fault=fault))
    assert "Some Proxy" in words and fault.remedy in words
    assert sync.trouble(status(SyncState.IDLE)) == "" and sync.trouble(None) == ""
    assert "Another program" in sync.trouble(status(SyncState.ANOTHER_PROGRAM))


def item(kind: str = ItemKind.OBSERVATION, **changes: object) -> Item:
    plain = Item(1, "id", kind, "ana", ItemState.PARKED, NOW, 3, "invalid")
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_line_says_whose_what_and_why() -> None:
    names = {"ana": "Ana"}

    def name_of(person: str) -> str:
        return names.get(person, "")

    row = sync.item_row(item(), "blood_pressure", None, name_of)
    assert row.what == "Ana: Blood pressure (cuff)" and row.parked
    assert row.why.startswith("Put aside. Tried 3 times. The server does not take it as it is.")
    guest = sync.item_row(item(ItemKind.DOCUMENT, patient="x"), None, "Letter", name_of)
    assert guest.what == "Guest: Letter"
    erasure = sync.item_row(
        item(ItemKind.ERASURE, state=ItemState.PENDING, reason=None, tries=0), None, None, name_of
    )
    assert "Ana" not in erasure.what and erasure.why == "Waits." and not erasure.parked
    newer = sync.item_row(item("hologram", state="dreaming"), None, None, name_of)
    assert newer.what == "Ana: hologram" and newer.why.startswith("dreaming.")


def test_how_much_of_a_file_is_sent() -> None:
    assert [sync.percent(Sending("a", sent, 200)) for sent in (0, 1, 199, 200, 300)] == [0, 0, 99, 100, 100]
    assert sync.percent(Sending("a", 0, 0)) == 0
