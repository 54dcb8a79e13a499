"""Uploads, their shares, and the tokens that were used."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest

from backend_lambda import wire
from backend_lambda.errors import Code, Refusal
from backend_lambda.store import devices, observations, shares, uploads, usage
from backend_lambda.store.database import Database
from backend_lambda.store.shares import OpenedShare
from backend_lambda.wire import UploadState
from tests.backend_lambda.store.making import NOW, device, sha, upload


def add(api: Database, clinic_id: UUID, row: uploads.UploadRow) -> uploads.UploadRow:
    with api.clinic(clinic_id) as tx:
        return uploads.add(tx, row)


def get(api: Database, clinic_id: UUID, id_: UUID) -> uploads.UploadRow | None:
    with api.clinic(clinic_id) as tx:
        return uploads.get(tx, id_)


# --- Uploads -------------------------------------------------------------------------------------------


def test_as_it_was_added(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    row = upload(
        uuid4(),
        device_id,
        state=UploadState.QUARANTINED,
        reason="encrypted",
        pages=3,
        version_id="v1",
        text_key="t/x",
        media_type=wire.MediaType.JPEG,
        purpose=wire.Purpose.SCAN_RECORD,
    )
    assert add(api, clinic_id, row) == row
    kept = get(api, clinic_id, row.id)
    assert kept == row
    assert kept is not None
    assert kept.as_wire() == wire.Upload(
        id=row.id,
        patient_id=row.patient_id,
        purpose=wire.Purpose.SCAN_RECORD,
        media_type=wire.MediaType.JPEG,
        length_bytes=1000,
        sha256="ab" * 32,
        state=UploadState.QUARANTINED,
        reason="encrypted",
        pages=3,
        created_at=NOW,
    )
    assert get(api, uuid4(), row.id) is None, "another clinic's"


def test_again_the_first_is_kept(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    row = upload(uuid4(), device_id)
    add(api, clinic_id, row)
    with api.clinic(clinic_id) as tx:
        assert uploads.set_state(tx, row.id, state=UploadState.PROCESSING)
    again = replace(row, created_at=NOW + timedelta(hours=1), object_key="elsewhere")
    assert add(api, clinic_id, again) == replace(row, state=UploadState.PROCESSING)


@pytest.mark.parametrize(
    "change",
    [
        {"patient_id": UUID(int=1)},
        {"purpose": wire.Purpose.SCAN_REPORT},
        {"media_type": wire.MediaType.PNG},
        {"length_bytes": 1001},
        {"sha256": "cd" * 32},
    ],
)
def test_other_facts(api: Database, clinic_id: UUID, device_id: UUID, change: dict[str, object]) -> None:
    row = upload(uuid4(), device_id)
    add(api, clinic_id, row)
    with pytest.raises(Refusal) as raised:
        add(api, clinic_id, replace(row, **change))  # type: ignore[arg-type]
    assert (raised.value.status, raised.value.code) == (409, Code.CONFLICT)
    assert get(api, clinic_id, row.id) == row


def test_of_an_erased_patient(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    row = upload(uuid4(), device_id)
    with api.clinic(clinic_id) as tx:
        observations.erase_patient(tx, row.patient_id, NOW)
    with pytest.raises(Refusal) as raised:
        add(api, clinic_id, row)
    assert (raised.value.status, raised.value.code) == (410, Code.GONE)
    assert get(api, clinic_id, row.id) is None


def test_of_a_patient(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    patient = uuid4()
    rows = [
        add(api, clinic_id, upload(patient, device_id, created_at=NOW + timedelta(minutes=minutes)))
        for minutes in (2, 1, 3)
    ]
    add(api, clinic_id, upload(uuid4(), device_id))
    with api.clinic(clinic_id) as tx:
        assert uploads.of_patient(tx, patient) == [rows[2], rows[0], rows[1]]
    with api.clinic(uuid4()) as tx:
        assert uploads.of_patient(tx, patient) == []


def test_states(api: Database, processing: Database, clinic_id: UUID, device_id: UUID) -> None:
    row = add(api, clinic_id, upload(uuid4(), device_id))
    with processing.clinic(clinic_id) as tx:
        only = {UploadState.AWAITING, UploadState.FAILED}
        assert uploads.set_state(tx, row.id, state=UploadState.PROCESSING, version_id="v1", only_from=only)
        assert not uploads.set_state(tx, row.id, state=UploadState.PROCESSING, only_from=only)
        assert not uploads.set_state(tx, row.id, state=UploadState.READY, only_from=set())
        assert not uploads.set_state(tx, uuid4(), state=UploadState.READY)
        assert uploads.set_state(
            tx, row.id, state=UploadState.FAILED, reason="scan_failed", pages=4, text_key="t/1"
        )
    assert get(api, clinic_id, row.id) == replace(
        row, state=UploadState.FAILED, reason="scan_failed", pages=4, version_id="v1", text_key="t/1"
    )
    with processing.clinic(clinic_id) as tx:
        assert uploads.set_state(tx, row.id, state=UploadState.READY)
    assert get(api, clinic_id, row.id) == replace(
        row, state=UploadState.READY, reason=None, pages=4, version_id="v1", text_key="t/1"
    )
    with processing.clinic(uuid4()) as tx:
        assert not uploads.set_state(tx, row.id, state=UploadState.QUARANTINED), "another clinic's"


def test_since_when_it_is_processed(
    api: Database, processing: Database, clinic_id: UUID, device_id: UUID
) -> None:
    row = add(api, clinic_id, upload(uuid4(), device_id))
    later = NOW + timedelta(minutes=1)
    for at in (NOW, later):
        with processing.clinic(clinic_id) as tx:
            assert uploads.set_state(
                tx,
                row.id,
                state=UploadState.PROCESSING,
                since=at,
                only_since_before=None if at == NOW else later,
            )
        assert get(api, clinic_id, row.id) == replace(row, state=UploadState.PROCESSING, processing_since=at)
    with api.clinic(clinic_id) as tx:
        again = {"state": UploadState.PROCESSING, "since": later + timedelta(hours=1)}
        assert not uploads.set_state(tx, row.id, **again, only_since_before=later)  # type: ignore[arg-type]
        assert uploads.set_state(tx, row.id, state=UploadState.READY)
        assert not uploads.set_state(tx, row.id, **again, only_since_before=later)  # type: ignore[arg-type]
    assert get(api, clinic_id, row.id) == replace(row, state=UploadState.READY)


def test_crashes_are_counted(api: Database, processing: Database, clinic_id: UUID, device_id: UUID) -> None:
    row = add(api, clinic_id, upload(uuid4(), device_id))
    with processing.clinic(clinic_id) as tx:
        assert [uploads.add_crash(tx, row.id) for _ in range(3)] == [1, 2, 3]
        assert uploads.add_crash(tx, uuid4()) == 0
    with processing.clinic(uuid4()) as tx:
        assert uploads.add_crash(tx, row.id) == 0, "another clinic's"


def test_one_of_eight_begins_to_process(
    processing: Database, api: Database, clinic_id: UUID, device_id: UUID
) -> None:
    row = add(api, clinic_id, upload(uuid4(), device_id))
    won: list[bool] = []
    start = threading.Barrier(8)

    def begin() -> None:
        start.wait()
        with processing.clinic(clinic_id) as tx:
            won.append(
                uploads.set_state(tx, row.id, state=UploadState.PROCESSING, only_from={UploadState.AWAITING})
            )

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


def test_forgotten_with_their_shares(api: Database, clinic_id: UUID, device_id: UUID) -> None:
    patient = uuid4()
    rows = [add(api, clinic_id, upload(patient, device_id)) for _ in range(2)]
    other = add(api, clinic_id, upload(uuid4(), device_id))
    share_id, secret = uuid4(), sha(uuid4())
    with api.clinic(clinic_id) as tx:
        for row in (*rows, other):
            shares.add(
                tx,
                id=share_id if row is rows[0] else uuid4(),
                upload_id=row.id,
                device_id=device_id,
                secret_hash=secret,
                expires_at=NOW + timedelta(days=1),
                now=NOW,
            )
    with api.clinic(uuid4()) as tx:
        assert uploads.forget_patient(tx, patient) == []
    with api.clinic(clinic_id) as tx:
        gone = uploads.forget_patient(tx, patient)
        assert observations.erase_patient(tx, patient, NOW) == 0
        assert uploads.forget_patient(tx, patient) == []
    assert {row.id for row in gone} == {row.id for row in rows}
    assert all(row in rows for row in gone), "as they were, with their keys"
    with api.outside() as tx:
        assert shares.open_once(tx, share_id, secret, NOW) is None
    with api.clinic(clinic_id) as tx:
        assert tx.ask("SELECT upload_id FROM share") == [(other.id,)]


# --- Shares --------------------------------------------------------------------------------------------


@pytest.fixture
def shared(api: Database, clinic_id: UUID, device_id: UUID) -> tuple[UUID, bytes, UUID]:
    """A share of an upload for an hour: its id, its secret's hash, the upload."""
    row = add(api, clinic_id, upload(uuid4(), device_id))
    share_id, secret = uuid4(), sha(uuid4())
    with api.clinic(clinic_id) as tx:
        assert shares.add(
            tx,
            id=share_id,
            upload_id=row.id,
            device_id=device_id,
            secret_hash=secret,
            expires_at=NOW + timedelta(hours=1),
            now=NOW,
        )
    return share_id, secret, row.id


def opened(api: Database, share_id: UUID, secret: bytes, now: datetime = NOW) -> OpenedShare | None:
    with api.outside() as tx:
        return shares.open_once(tx, share_id, secret, now)


def test_opened_once(api: Database, clinic_id: UUID, shared: tuple[UUID, bytes, UUID]) -> None:
    share_id, secret, upload_id = shared
    assert opened(api, share_id, sha("another")) is None
    assert opened(api, uuid4(), secret) is None
    assert opened(api, share_id, secret, NOW + timedelta(hours=1)) is None, "expired"
    assert opened(api, share_id, secret, NOW + timedelta(minutes=59)) == OpenedShare(clinic_id, upload_id)
    assert opened(api, share_id, secret) is None


def test_opening_reads_the_upload_in_the_same_transaction(
    api: Database, clinic_id: UUID, shared: tuple[UUID, bytes, UUID]
) -> None:
    share_id, secret, upload_id = shared
    for fails in (True, False):
        with suppress(ZeroDivisionError), api.outside() as tx:
            found = shares.open_once(tx, share_id, secret, NOW)
            assert found == OpenedShare(clinic_id, upload_id)
            assert uploads.get(tx, upload_id) is None, "not a clinic's transaction yet"
            tx.enter(found.clinic_id)
            row = uploads.get(tx, upload_id)
            assert row is not None
            assert row.id == upload_id
            if fails:
                raise ZeroDivisionError
    assert opened(api, share_id, secret) is None


def test_eight_at_once_for_a_share(api: Database, shared: tuple[UUID, bytes, UUID]) -> None:
    share_id, secret, _ = shared
    found: list[OpenedShare | None] = []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait()
        found.append(opened(api, share_id, secret))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one is not None for one in found) == 1
    assert len(found) == 8


def test_an_id_is_shared_once(
    api: Database, clinic_id: UUID, device_id: UUID, shared: tuple[UUID, bytes, UUID]
) -> None:
    share_id, secret, upload_id = shared
    with api.clinic(clinic_id) as tx:
        again = sha(uuid4())
        assert not shares.add(
            tx,
            id=share_id,
            upload_id=upload_id,
            device_id=device_id,
            secret_hash=again,
            expires_at=NOW + timedelta(days=9),
            now=NOW,
        )
        assert not shares.add(
            tx,
            id=uuid4(),
            upload_id=uuid4(),
            device_id=device_id,
            secret_hash=again,
            expires_at=NOW + timedelta(days=9),
            now=NOW,
        )
    with api.clinic(uuid4()) as tx:
        assert not shares.add(
            tx,
            id=uuid4(),
            upload_id=upload_id,
            device_id=device_id,
            secret_hash=again,
            expires_at=NOW + timedelta(days=9),
            now=NOW,
        )
    assert opened(api, share_id, again) is None
    assert opened(api, share_id, secret) is not None


def test_the_same_share_id_in_two_clinics(
    api: Database, clinic_id: UUID, shared: tuple[UUID, bytes, UUID]
) -> None:
    """Whose it is, is found by the secret."""
    share_id, secret, upload_id = shared
    other, theirs = uuid4(), sha(uuid4())
    with api.clinic(other) as tx:
        tx.ask("SELECT hh_add_clinic(%s, 'Other', %s)", (other, NOW))
        row = uploads.add(tx, upload(uuid4(), device(tx)))
        assert shares.add(
            tx,
            id=share_id,
            upload_id=row.id,
            device_id=row.device_id,
            secret_hash=theirs,
            expires_at=NOW + timedelta(days=1),
            now=NOW,
        )
    assert opened(api, share_id, theirs) == OpenedShare(other, row.id)
    assert opened(api, share_id, secret) == OpenedShare(clinic_id, upload_id)


def test_a_device_that_was_sent_away_takes_its_links_with_it(
    api: Database, clinic_id: UUID, device_id: UUID, shared: tuple[UUID, bytes, UUID]
) -> None:
    share_id, secret, upload_id = shared
    with api.clinic(clinic_id) as tx:
        other, others = device(tx), sha(uuid4())
        assert shares.add(
            tx,
            id=(of_other := uuid4()),
            upload_id=upload_id,
            device_id=other,
            secret_hash=others,
            expires_at=NOW + timedelta(hours=1),
            now=NOW,
        )
        assert devices.revoke(tx, device_id, NOW)
    assert opened(api, share_id, secret) is None
    assert opened(api, of_other, others) is not None, "another device's, of the same file"


def test_withdrawn(api: Database, clinic_id: UUID, shared: tuple[UUID, bytes, UUID]) -> None:
    share_id, secret, _ = shared
    with api.clinic(uuid4()) as tx:
        assert not shares.withdraw(tx, share_id, NOW), "another clinic's"
    with api.clinic(clinic_id) as tx:
        assert not shares.withdraw(tx, uuid4(), NOW)
        assert shares.withdraw(tx, share_id, NOW)
        assert shares.withdraw(tx, share_id, NOW + timedelta(hours=1)), "once more"
        assert tx.ask("SELECT withdrawn_at FROM share WHERE id = %s", (share_id,)) == [(NOW,)]
    assert opened(api, share_id, secret) is None


# --- Usage ---------------------------------------------------------------------------------------------


def test_tokens_of_a_month(chat: Database, api: Database, clinic_id: UUID) -> None:
    with chat.clinic(clinic_id) as tx:
        assert usage.used_this_month(tx, NOW) == 0
        for day, tokens in (
            (date(2026, 10, 31), 1),
            (date(2026, 11, 1), 10),
            (date(2026, 11, 30), 100),
            (date(2026, 11, 30), 1000),
            (date(2026, 12, 1), 10_000),
            (date(2025, 11, 15), 100_000),
        ):
            usage.add(tx, day=day, input_tokens=tokens, output_tokens=tokens)
        assert usage.used_this_month(tx, NOW) == 2 * 1110
        assert usage.used_this_month(tx, NOW + timedelta(days=31)) == 2 * 10_000
        # Half past midnight on the first, an hour east of Greenwich, is still November in UTC
        east = datetime(2026, 12, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
        assert usage.used_this_month(tx, east) == 2 * 1110
    with api.clinic(clinic_id) as tx:
        assert usage.used_this_month(tx, NOW) == 2 * 1110
    with api.clinic(uuid4()) as tx:
        assert usage.used_this_month(tx, NOW) == 0


def test_speech_of_a_month_is_counted_beside_the_tokens(
    chat: Database, api: Database, clinic_id: UUID
) -> None:
    """Whichever comes first makes the day's row, and neither function changes what the other has counted."""
    first, last = date(2026, 11, 1), date(2026, 11, 30)
    with api.clinic(clinic_id) as tx:
        assert usage.speech_this_month(tx, NOW) == usage.Speech()
        usage.add_speech(tx, day=first, characters=10, streams=1)
        for day in (date(2026, 10, 31), date(2026, 12, 1), date(2025, 11, 15)):
            usage.add_speech(tx, day=day, characters=10_000, streams=1000)
    with chat.clinic(clinic_id) as tx:
        usage.add(tx, day=first, input_tokens=5, output_tokens=6)
        usage.add(tx, day=last, input_tokens=7, output_tokens=8)
    with api.clinic(clinic_id) as tx:
        usage.add_speech(tx, day=last, characters=100)
        usage.add_speech(tx, day=last, characters=1000, streams=2)
        assert usage.speech_this_month(tx, NOW) == usage.Speech(1110, 3)
        assert usage.used_this_month(tx, NOW) == 26
        usage.correct_speech(tx, day=last, characters=-100)
        assert usage.speech_this_month(tx, NOW) == usage.Speech(1010, 3)
        usage.correct_speech(tx, day=last, characters=-5000, streams=-5000)
        assert usage.speech_this_month(tx, NOW) == usage.Speech(10, 1), "a day is never below nothing"
        usage.correct_speech(tx, day=date(2026, 11, 15), characters=5, streams=5)
        assert usage.speech_this_month(tx, NOW) == usage.Speech(10, 1), "a day that nobody has counted"
        assert usage.used_this_month(tx, NOW) == 26
    with api.clinic(uuid4()) as tx:
        assert usage.speech_this_month(tx, NOW) == usage.Speech()


def test_tokens_added_at_once_all_count(chat: Database, clinic_id: UUID) -> None:
    def spend() -> None:
        for _ in range(10):
            with chat.clinic(clinic_id) as tx:
                usage.add(tx, day=NOW.date(), input_tokens=3, output_tokens=4)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with chat.clinic(clinic_id) as tx:
        assert usage.used_this_month(tx, NOW) == 560
