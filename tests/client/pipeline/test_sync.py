"""What is owed reaches the cloud once, whatever fails on the way; nothing is lost, blocked or hammered."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.cloud import faults, wire
from client.pipeline import sync
from client.pipeline.outgoing import to_wire
from client.pipeline.scan_reports import scan_reports
from client.pipeline.sync import Connection, SyncState, Uploader
from client.records import Cost, ScanRecord
from client.store import scans
from client.store.consents import CLOUD_VERSION, Consents, Subject
from client.store.database import FILE_NAME, Database, DiskFull, StoreReadOnly, StoreRenewed
from client.store.documents import Documents, Purpose
from client.store.forgetting import Forgetting
from client.store.observations import Observation, Observations
from client.store.outbox import Item, ItemKind, ItemState, Outbox
from client.vault import VaultLocked
from tests.client.pipeline.cloud_double import CloudDouble
from tests.client.pipeline.fakes import HandClock, scan_result
from tests.client.store.conftest import KEY

CLINIC = {
    "url": "https://cloud.example",
    "clinic_id": "c0ffee00-0000-4000-8000-000000000001",
    "device_id": "d0d0d0d0-0000-4000-8000-000000000001",
}
ELSEWHERE = {**CLINIC, "clinic_id": "c0ffee00-0000-4000-8000-000000000002", "device_id": "another"}
PDF = b"%PDF-1.7" + bytes(range(256)) * 1000
HOUR_S = 3600.0


@dataclass
class Desk:
    """A store with a person who agrees, and a clinic to send to."""

    database: Database
    clock: HandClock
    cloud: CloudDouble
    seed: int = 1
    entry: dict[str, str] | None = field(default_factory=lambda: dict(CLINIC))
    vault_locked: bool = False

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.database)
        self.observations = Observations(self.database)
        self.documents = Documents(self.database)
        self.consents = Consents(self.database)
        self.forgetting = Forgetting(self.database, self.documents)
        self.outbox.set_enrolled(CLINIC)
        self.ada = self.person("Ada")
        self.uploader = self.another()

    def person(self, name: str) -> str:
        made = self.observations.add_person(name, now=self.clock.utc()).id
        self.consents.record(made, Subject.CLOUD, CLOUD_VERSION, True, "en", self.clock.utc())
        return made

    def another(self, **changes: object) -> Uploader:
        """As another process would have it."""
        return Uploader(
            self.outbox,
            self.observations,
            self.documents,
            connect=lambda: Connection(self.cloud, self.cloud.close),
            enrolment=self._entry,
            folder=self.database.path.parent,
            clock=self.clock,
            rng=Random(self.seed),
            version="1.0",
            system="Linux 6.1",
            **changes,  # type: ignore[arg-type]  # any of its arguments
        )

    def _entry(self) -> dict[str, str] | None:
        if self.vault_locked:
            raise VaultLocked
        return self.entry

    def scan(self, person: str | None = "", *, guest_agrees: bool = False) -> str:
        made = a_scan(self.clock.utc(), person=self.ada if person == "" else person)
        self.observations.save(made, guest_agrees=guest_agrees)
        return made.line.id

    def scans(self, count: int) -> list[str]:
        made = [a_scan(self.clock.utc(), person=self.ada) for _ in range(count)]
        self.observations.save_all(made)
        return [one.line.id for one in made]

    def document(self, data: bytes = PDF, person: str = "", **changes: object) -> str:
        facts: dict[str, object] = {
            "person": person or self.ada,
            "purpose": Purpose.MEDICAL_REPORT,
            "media_type": "application/pdf",
            "title": "letter.pdf",
            "pages": 1,
            "now": self.clock.utc(),
        }
        return self.documents.add([data], **{**facts, **changes}).id  # type: ignore[arg-type]  # any of its arguments

    def run(self, seconds: float, *, steps: int = 10_000, wake_every_s: float | None = None) -> None:
        """As the thread does, with the clock turned instead of waiting."""
        until_s = self.clock.at_s + seconds
        for _ in range(steps):
            wait_s = self.uploader.step()
            if wake_every_s is not None:
                wait_s = min(wait_s, wake_every_s)
            if self.clock.at_s + wait_s > until_s:
                self.clock.at_s = until_s
                return
            self.clock.at_s += wait_s
        raise AssertionError("it never rests")

    def items(self) -> dict[str, Item]:
        return {item.id: item for item in self.outbox.items(10_000)}

    def states(self) -> dict[str, tuple[str, str | None]]:
        return {item.id: (item.state, item.reason) for item in self.items().values()}


_PLAIN = ScanRecord(
    source="clip.mp4",
    simulated=False,
    result=scan_result(),
    notes=(),
    cost=Cost(1.0, 2.0, 0.3, 0.4, 1.5, 3.0, None),
    saved=True,
    saved_reason=None,
    taken_at=HandClock().utc(),
    version="0.1.0",
)


def a_scan(taken_at: datetime, *, person: str | None) -> Observation:
    return scans.to_observation(replace(_PLAIN, taken_at=taken_at), person=person)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def cloud(clock: HandClock) -> CloudDouble:
    return CloudDouble(clock)


@pytest.fixture
def desk(database: Database, clock: HandClock, cloud: CloudDouble) -> Iterator[Desk]:
    made = Desk(database, clock, cloud)
    yield made
    made.uploader.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / FILE_NAME, KEY)
    yield opened
    opened.close()


def failing(fault: Callable[[], Exception], *names: str) -> Callable[[str], None]:
    """Each request of these names (of any, if none is given) fails."""

    def trouble(name: str) -> None:
        if not names or name in names:
            raise fault()

    return trouble


def in_turn(*answers: Exception | None) -> Callable[[str], None]:
    """The first request that is no heartbeat gets the first, and so on; then all is well."""
    left = list(answers)

    def trouble(name: str) -> None:
        if left and name not in {"heartbeat", "config"}:
            answer = left.pop(0)
            if answer is not None:
                raise answer

    return trouble


def well(_name: str) -> None:
    """Nothing fails."""


# --- Sending -----------------------------------------------------------------------------------------


def test_what_is_owed_is_sent_once_in_batches_and_then_nobody_is_asked(
    desk: Desk, cloud: CloudDouble
) -> None:
    ids = desk.scans(230)
    assert desk.outbox.counts().pending == 230
    desk.run(60.0)
    assert cloud.order == ids and cloud.batches == [100, 100, 30]
    assert desk.items() == {} and desk.outbox.sent(ids) == set(ids)
    assert desk.uploader.status.state is SyncState.IDLE and desk.uploader.status.last_success_utc is not None
    cloud.asked.clear()
    desk.run(600.0)
    assert cloud.asked == []


def test_nothing_is_asked_nor_locked_where_no_clinic_is(
    desk: Desk, cloud: CloudDouble, tmp_path: Path
) -> None:
    desk.outbox.set_enrolled(None)
    desk.entry = None
    desk.run(HOUR_S)
    assert cloud.asked == [] and not (tmp_path / sync.LOCK_NAME).exists()
    assert desk.uploader.status.state is SyncState.NOT_ENROLLED


def test_a_key_store_that_is_closed_troubles_nobody_who_is_not_enrolled(desk: Desk) -> None:
    desk.outbox.set_enrolled(None)
    desk.vault_locked = True
    desk.uploader.step()
    assert desk.uploader.status.state is SyncState.NOT_ENROLLED and desk.uploader.status.fault is None


def test_an_enrolment_of_which_the_store_was_not_told_is_taken_over(desk: Desk, cloud: CloudDouble) -> None:
    desk.outbox.set_enrolled(None)
    desk.run(1.0)
    assert desk.outbox.enrolled() == CLINIC
    found = desk.scan()
    desk.run(400.0)
    assert cloud.order == [found]


def test_after_another_enrolment_nothing_goes_there_that_was_meant_for_the_first(
    desk: Desk, cloud: CloudDouble
) -> None:
    old = desk.scan()
    desk.entry = dict(ELSEWHERE)  # by another program, which was ended before it told the store
    cloud.clinic_id = ELSEWHERE["clinic_id"]
    new_uploader = desk.uploader = desk.another()
    new_uploader.step()
    assert desk.outbox.enrolled() == ELSEWHERE and cloud.order == []
    new = desk.scan()
    desk.run(400.0)
    assert cloud.order == [new] and desk.items()[old].state == ItemState.HELD


def test_a_device_that_is_enrolled_anew_by_another_program_meanwhile_sends_nothing_astray(
    desk: Desk, cloud: CloudDouble
) -> None:
    desk.run(1.0)
    old = desk.scan()
    cloud.clinic_id = ELSEWHERE["clinic_id"]  # the key store has it, the store not yet
    desk.uploader.try_now()
    assert desk.uploader.step() > 0.0 and cloud.order == []
    assert desk.items()[old].state == ItemState.PENDING
    desk.entry = dict(ELSEWHERE)
    desk.run(400.0)
    assert desk.outbox.enrolled() == ELSEWHERE and cloud.order == []
    new = desk.scan()
    desk.run(400.0)
    assert cloud.order == [new]


def test_an_enrolment_by_another_program_ends_the_pause(desk: Desk, cloud: CloudDouble) -> None:
    cloud.trouble = failing(faults.DeviceRevoked)
    desk.run(60.0)
    cloud.trouble = well
    desk.entry = dict(ELSEWHERE)
    cloud.clinic_id = ELSEWHERE["clinic_id"]
    desk.outbox.set_enrolled(ELSEWHERE)
    new = desk.scan()
    assert desk.uploader.step() == 0.0 and cloud.order == [new]


def test_each_observation_is_judged_by_itself(desk: Desk, cloud: CloudDouble) -> None:
    ids = desk.scans(6)
    cloud.verdicts = {ids[1]: "conflict", ids[2]: "invalid", ids[3]: "patient_erased", ids[4]: "of_2031"}
    desk.run(0.5)
    states = desk.states()
    assert desk.outbox.sent(ids) == {ids[0], ids[5]}
    assert [states[one] for one in ids[1:4]] == [
        (ItemState.PARKED, "conflict"),
        (ItemState.PARKED, "invalid"),
        (ItemState.PARKED, "patient_erased"),
    ]
    assert states[ids[4]] == (ItemState.PENDING, "answer_unreadable")  # not lost, and not taken for sent
    cloud.verdicts.clear()
    assert desk.outbox.retry() == 3
    desk.run(HOUR_S)
    assert desk.items() == {}


def test_what_can_not_be_converted_is_parked_alone(
    desk: Desk, cloud: CloudDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = replace(a_scan(desk.clock.utc(), person=desk.ada), body={"schema": "health-helper/kept-scan/9"})
    desk.observations.save(newer)
    fine, odd = desk.scans(2)
    real = to_wire

    def stumbling(kept: Observation, *, patient_id: str) -> wire.Observation:
        if kept.line.id == odd:
            raise ZeroDivisionError
        return real(kept, patient_id=patient_id)

    monkeypatch.setattr(sync, "to_wire", stumbling)
    desk.run(1.0)
    assert cloud.order == [fine]
    assert desk.states() == {
        newer.line.id: (ItemState.PARKED, "other_version"),
        odd: (ItemState.PARKED, "unreadable"),
    }
    assert isinstance(desk.uploader.bug, ZeroDivisionError)  # and somebody is told


def test_a_batch_is_split_by_size_and_by_what_the_clinic_takes(
    desk: Desk, cloud: CloudDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = desk.scans(9)
    one_bytes = len(wire.ObservationBatch((_wire(desk, ids[0]),)).body())
    monkeypatch.setattr(sync, "_BODY_BYTES", 3 * one_bytes)
    desk.run(1.0)
    assert cloud.batches == [3, 3, 3] and cloud.order == ids
    assert desk.items() == {}
    more = desk.scans(5)
    cloud.max_batch = 2
    desk.uploader.close()
    desk.uploader = desk.another()
    desk.run(1.0)
    assert cloud.batches[3:] == [2, 2, 1] and cloud.order[9:] == more
    monkeypatch.setattr(sync, "_BODY_BYTES", 100)
    [large] = desk.scans(1)
    desk.run(400.0)
    assert desk.states() == {large: (ItemState.PARKED, "too_large")}


def _wire(desk: Desk, id_: str) -> wire.Observation:
    kept = desk.observations.get(id_)
    assert kept is not None
    return to_wire(kept, patient_id=desk.ada)


def test_what_is_deleted_while_it_is_claimed_is_held_and_not_sent(
    desk: Desk, cloud: CloudDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = desk.scans(2)
    real = desk.observations.wholes

    def deleted_just_now(ids: Sequence[str]) -> list[Observation]:
        desk.observations.delete(one, now=desk.clock.utc())
        return real(ids)

    monkeypatch.setattr(desk.observations, "wholes", deleted_just_now)
    desk.run(1.0)
    assert cloud.order == [other] and desk.items()[one].state == ItemState.HELD
    assert desk.items()[one].tries == 0


@pytest.mark.parametrize(
    "fault",
    [lambda: faults.ServerBusy(500), lambda: faults.Refused(422, "invalid"), lambda: faults.Refused(413)],
)
def test_one_that_the_server_stumbles_over_is_found_and_keeps_no_other(
    desk: Desk, cloud: CloudDouble, fault: Callable[[], faults.CloudFault]
) -> None:
    ids = desk.scans(100)
    bad = ids[37]

    class Stumbling(CloudDouble):
        def send_observations(self, batch: wire.ObservationBatch) -> wire.BatchResult:
            if any(one.id == bad for one in batch.observations):
                self._begin("observations")
                raise fault()
            return super().send_observations(batch)

    desk.cloud = cloud = Stumbling(desk.clock)
    desk.run(600.0)
    assert set(cloud.order) == set(ids) - {bad}
    left = desk.items()[bad]
    assert left.state == (ItemState.PENDING if fault().retry else ItemState.PARKED)
    assert cloud.count("observations") < 40  # not one by one
    before = cloud.count("observations")
    fresh = desk.scans(50)
    desk.run(300.0)
    assert set(fresh) <= set(cloud.order)
    assert cloud.count("observations") - before < 8
    desk.clock.at_s += 400.0  # it may be tried again
    more = desk.scans(50)
    desk.uploader.step()
    assert set(more) <= set(cloud.order)  # once it is known, it goes alone, behind all others


# --- Faults that stand against everything ------------------------------------------------------------


def test_without_a_network_nobody_is_hammered_and_nothing_is_written(desk: Desk, cloud: CloudDouble) -> None:
    ids = desk.scans(5)
    cloud.trouble = failing(faults.Offline)
    desk.run(HOUR_S, wake_every_s=10.0)  # as if somebody saved something every ten seconds
    assert 10 < cloud.count("config") < 50 and len(cloud.asked) == cloud.count("config")
    assert {(item.state, item.tries) for item in desk.items().values()} == {(ItemState.PENDING, 0)}
    assert desk.uploader.status.state is SyncState.OFFLINE
    assert isinstance(desk.uploader.status.fault, faults.Offline)
    cloud.trouble = well
    desk.run(300.0)
    assert cloud.order == ids


def test_many_devices_do_not_come_back_together(
    database: Database, clock: HandClock, cloud: CloudDouble
) -> None:
    desk = Desk(database, clock, cloud)
    cloud.trouble = failing(lambda: faults.RateLimited(300.0))
    waits = []
    for seed in range(40):
        desk.seed = seed
        desk.uploader = desk.another()
        waits.append(desk.uploader.step())
        desk.uploader.close()
    assert min(waits) >= 300.0  # as the server said
    assert max(waits) - min(waits) > 200.0  # and not all at the same moment


def test_whoever_presses_retry_does_not_wait(desk: Desk, cloud: CloudDouble) -> None:
    [one] = desk.scans(1)
    cloud.trouble = failing(faults.Offline)
    desk.run(HOUR_S)
    cloud.trouble = well
    assert desk.uploader.step() > 0.0 and cloud.order == []
    desk.uploader.try_now()
    desk.uploader.step()
    assert cloud.order == [one]


@pytest.mark.parametrize(
    "fault, state",
    [
        (faults.Offline(), SyncState.OFFLINE),
        (faults.NameUnknown("cloud.example"), SyncState.OFFLINE),
        (faults.TimedOut("connect"), SyncState.OFFLINE),
        (faults.ProxyRefused(407), SyncState.OFFLINE),
        (faults.CertificateUntrusted("Firewall"), SyncState.UNTRUSTED),
        (faults.CertificateExpired("2031-01-01"), SyncState.UNTRUSTED),
        (faults.CaptivePortal(), SyncState.PORTAL),
        (faults.DeviceRevoked(), SyncState.REVOKED),
        (faults.SignInLost(), SyncState.SIGN_IN_LOST),
        (faults.NotEnrolled(), SyncState.SIGN_IN_LOST),
        (faults.ServerBusy(503), SyncState.WAITING),
        (faults.RateLimited(5.0), SyncState.WAITING),
        (VaultLocked(), SyncState.KEYRING_LOCKED),
    ],
)
def test_each_trouble_is_told_by_its_own_name_and_loses_nothing(
    desk: Desk, cloud: CloudDouble, fault: Exception, state: SyncState
) -> None:
    ids = desk.scans(3)
    desk.run(0.0)
    more = desk.scans(2)
    cloud.trouble = failing(lambda: fault, "observations", "config")
    assert desk.uploader.step() > 0.0
    status = desk.uploader.status
    assert status.state is state and status.fault is fault
    assert (status.counts.pending, status.counts.sending) == (2, 0)
    cloud.trouble = well
    desk.uploader.try_now()
    desk.run(1.0)
    assert cloud.order == ids + more


def test_a_device_that_was_sent_away_asks_hardly_any_more(desk: Desk, cloud: CloudDouble) -> None:
    desk.scans(3)
    cloud.trouble = failing(faults.DeviceRevoked)
    desk.run(HOUR_S)
    assert len(cloud.asked) <= 24  # and the credentials do not even let these out


def test_a_key_store_that_closes_in_the_middle_costs_no_try(desk: Desk, cloud: CloudDouble) -> None:
    desk.run(0.0)
    [one] = desk.scans(1)
    cloud.trouble = failing(VaultLocked)
    desk.run(HOUR_S)
    assert len(cloud.asked) < 8  # each may open a question on the screen
    assert desk.items()[one].state == ItemState.PENDING and desk.items()[one].tries == 0


def test_a_wall_clock_that_jumps_changes_nothing(desk: Desk, cloud: CloudDouble) -> None:
    ids = desk.scans(2)
    cloud.trouble = failing(faults.Offline)
    desk.run(120.0)
    desk.clock.starts = desk.clock.starts.replace(year=2001)
    cloud.trouble = well
    desk.run(320.0)
    assert cloud.order == ids
    desk.clock.starts = desk.clock.starts.replace(year=2061)
    more = desk.scans(1)
    desk.run(320.0)
    assert cloud.order == ids + more and desk.items() == {}


# --- Ends, crashes, two programs ----------------------------------------------------------------------


def test_one_program_sends_and_the_other_takes_over_when_it_is_gone(desk: Desk, cloud: CloudDouble) -> None:
    first = desk.uploader
    first.step()
    desk.scans(2)
    [claimed] = desk.outbox.claim(ItemKind.OBSERVATION, 1)  # the first is ended with it on its way
    second = desk.uploader = desk.another()
    desk.run(300.0)
    assert second.status.state is SyncState.ANOTHER_PROGRAM and cloud.order == []
    assert desk.items()[claimed.id].state == ItemState.SENDING  # the lock's holder may be sending it
    first.close()
    desk.run(120.0)
    assert len(cloud.order) == 2 and desk.items() == {}


@pytest.mark.parametrize("name", ["observations", "announce", "put", "complete", "erase"])
def test_whatever_ends_a_request_leaves_nothing_claimed(desk: Desk, cloud: CloudDouble, name: str) -> None:
    ids = {desk.scan(), desk.document()}
    gone = desk.person("Zoë")
    ids.add(desk.scan(gone))
    desk.uploader.step()
    desk.forgetting.forget_person(gone, desk.clock.utc())
    fresh = {desk.scan(), desk.document(PDF + b"2")}

    def ended(asked: str) -> None:
        if asked == name:
            raise KeyboardInterrupt

    cloud.trouble = ended
    with pytest.raises(KeyboardInterrupt):
        desk.run(60.0)
    assert desk.outbox.counts().sending == 0
    cloud.trouble = well
    desk.run(HOUR_S)
    assert desk.items() == {} and fresh <= desk.outbox.sent(fresh)
    assert cloud.erased == [gone]


def test_an_answer_that_was_lost_sends_it_again_and_doubles_nothing(desk: Desk, cloud: CloudDouble) -> None:
    ids = desk.scans(3)
    desk.run(0.0)
    more = desk.scans(3)
    cloud.lost = failing(faults.ConnectionBroken, "observations")
    desk.uploader.step()
    assert {item.state for item in desk.items().values()} == {ItemState.PENDING}
    cloud.lost = well
    desk.run(HOUR_S)
    assert cloud.order == ids + more and cloud.again == more and desk.items() == {}


def test_a_full_disk_when_it_is_acknowledged_is_survived(
    desk: Desk, cloud: CloudDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = desk.scans(2)
    real = desk.outbox.acknowledge
    left = [DiskFull(), DiskFull()]

    def acknowledge(these: Sequence[str], *, now: datetime) -> None:
        if left:
            raise left.pop()
        real(these, now=now)

    monkeypatch.setattr(desk.outbox, "acknowledge", acknowledge)
    desk.uploader.step()
    assert isinstance(desk.uploader.status.fault, DiskFull)
    desk.run(HOUR_S)
    assert desk.items() == {} and cloud.order == ids and cloud.again  # sent again, kept once
    assert desk.uploader.status.state is SyncState.IDLE


def test_a_bug_of_ours_pauses_and_goes_on(desk: Desk, cloud: CloudDouble) -> None:
    [one] = desk.scans(1)
    cloud.trouble = in_turn(ZeroDivisionError())
    assert desk.uploader.step() > 0.0
    assert isinstance(desk.uploader.bug, ZeroDivisionError)
    assert desk.uploader.status.state is SyncState.FAILED
    desk.run(60.0)
    assert cloud.order == [one] and desk.items() == {}


def test_a_file_that_can_not_be_read_now_keeps_no_other_waiting(
    desk: Desk, cloud: CloudDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good, read = desk.document(), desk.document(), desk.documents.read

    def readable(id_: str) -> Iterator[bytes]:
        if id_ == bad:
            raise StoreReadOnly
        yield from read(id_)

    monkeypatch.setattr(desk.documents, "read", readable)
    desk.run(60.0)
    assert set(cloud.files) == {good} and desk.states() == {bad: (ItemState.PENDING, "unreadable")}
    monkeypatch.setattr(desk.documents, "read", read)
    desk.run(HOUR_S)
    assert set(cloud.files) == {bad, good}


def test_a_file_that_meets_a_bug_keeps_no_other_waiting(
    desk: Desk, cloud: CloudDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good, get = desk.document(), desk.document(), desk.documents.get

    def buggy(id_: str) -> object:
        return 1 / 0 if id_ == bad else get(id_)

    monkeypatch.setattr(desk.documents, "get", buggy)
    desk.run(HOUR_S)
    assert set(cloud.files) == {good} and set(desk.items()) == {bad}
    assert isinstance(desk.uploader.bug, ZeroDivisionError)


def test_who_this_device_is_changes_only_while_nothing_is_sent(desk: Desk, cloud: CloudDouble) -> None:
    desk.scans(1)
    with desk.uploader.alone():
        assert 0.0 < desk.uploader.step() < 1.0
        assert cloud.asked == []
    desk.run(1.0)
    assert len(cloud.order) == 1 and not cloud.closed
    with desk.uploader.alone():
        assert cloud.closed  # whatever was under way


# --- Files ------------------------------------------------------------------------------------------


def test_a_file_arrives_byte_for_byte_and_its_state_is_followed(desk: Desk, cloud: CloudDouble) -> None:
    id_ = desk.document()
    seen: list[int] = []
    cloud.while_putting = lambda: seen.append(_sent_bytes(desk))
    desk.run(1.0)
    assert cloud.files == {id_: PDF} and desk.outbox.sent([id_]) == {id_}
    assert cloud.announced[id_].patient_id == desk.ada
    assert seen == sorted(seen) and seen[-1] > 0 and desk.uploader.status.progress is None
    assert _cloud_state(desk, id_) == ("processing", None)
    cloud.states[id_] = "ready"
    desk.run(60.0)
    assert _cloud_state(desk, id_) == ("ready", None)
    asked = cloud.count("upload")
    desk.run(HOUR_S)
    assert cloud.count("upload") == asked  # it stays


def _sent_bytes(desk: Desk) -> int:
    progress = desk.uploader.status.progress
    assert progress is not None and progress.length_bytes == len(PDF)
    return progress.sent_bytes


def _cloud_state(desk: Desk, id_: str) -> tuple[str | None, str | None]:
    found = desk.documents.get(id_)
    assert found is not None
    return found.cloud_state, found.cloud_reason


def test_a_file_that_is_looked_at_for_long_is_asked_for_seldom(desk: Desk, cloud: CloudDouble) -> None:
    desk.document()
    desk.run(HOUR_S)
    assert 3 <= cloud.count("upload") <= 14
    desk.uploader.close()
    desk.uploader = desk.another()  # after a restart it is followed too
    desk.run(60.0)
    assert cloud.count("upload") <= 16


def test_a_file_in_quarantine_is_parked_with_its_reason(desk: Desk, cloud: CloudDouble) -> None:
    cloud.state, cloud.reason = "quarantined", "malware"
    id_ = desk.document()
    desk.run(60.0)
    assert desk.states() == {id_: (ItemState.PARKED, "quarantined")}
    assert _cloud_state(desk, id_) == ("quarantined", "malware")


def test_a_file_that_could_not_be_looked_at_is_completed_again(desk: Desk, cloud: CloudDouble) -> None:
    cloud.state = "failed"
    id_ = desk.document()
    desk.run(60.0)
    assert desk.states()[id_] == (ItemState.PENDING, "failed")
    cloud.state = "ready"
    desk.run(HOUR_S)
    assert desk.items() == {} and _cloud_state(desk, id_) == ("ready", None)
    assert cloud.count("put") == 1


@pytest.mark.parametrize(
    "fault, left",
    [
        (faults.Refused(409, "conflict"), (ItemState.PARKED, "conflict")),
        (faults.Refused(413), (ItemState.PARKED, "too_large")),
        (faults.Refused(415, "media_type"), (ItemState.PARKED, "media_type")),
        (faults.Refused(418, "words from outside"), (ItemState.PARKED, "refused")),
        (faults.PatientErased(), (ItemState.PARKED, "patient_erased")),
        (faults.ServerBusy(500), (ItemState.PENDING, "server_busy")),
        (faults.BudgetSpent(None), (ItemState.PENDING, "budget_spent")),
        (faults.UrlExpired(), (ItemState.PENDING, "url_expired")),
    ],
)
def test_a_file_that_fails_by_itself_keeps_no_other(
    desk: Desk, cloud: CloudDouble, fault: faults.CloudFault, left: tuple[str, str]
) -> None:
    bad, good = desk.document(), desk.document(PDF + b"2")

    def trouble(name: str) -> None:
        if name == "announce" and list(cloud.announced) in ([], [good]) and not cloud.files.get(bad):
            if desk.items()[bad].state == ItemState.SENDING:
                raise fault

    cloud.trouble = trouble
    desk.run(30.0)
    assert desk.states() == {bad: left} and cloud.files == {good: PDF + b"2"}


def test_a_damaged_file_is_parked_and_the_next_one_goes(desk: Desk, cloud: CloudDouble) -> None:
    bad, good = desk.document(), desk.document(PDF + b"2")
    sealed = desk.documents.path_of(bad)
    sealed.write_bytes(sealed.read_bytes()[:-7] + b"changed")
    desk.run(30.0)
    assert desk.states() == {bad: (ItemState.PARKED, "document_damaged")}
    assert cloud.files == {good: PDF + b"2"}


def test_a_file_can_be_cancelled_and_sent_after_all(desk: Desk, cloud: CloudDouble) -> None:
    one, other = desk.document(), desk.document(PDF + b"2")
    cloud.while_putting = lambda: desk.uploader.cancel(one)
    desk.run(30.0)
    assert desk.states() == {one: (ItemState.PARKED, "cancelled")} and set(cloud.files) == {other}
    cloud.while_putting = lambda: None
    desk.outbox.retry([one])
    desk.uploader.try_now()
    desk.run(30.0)
    assert set(cloud.files) == {one, other} and desk.items() == {}


def test_what_is_measured_while_a_file_is_sent_comes_before_the_next_file(
    desk: Desk, cloud: CloudDouble
) -> None:
    first, second = desk.document(), desk.document(PDF + b"2")
    scan: list[str] = []
    cloud.while_putting = lambda: scan.append(desk.scan()) if not scan else None
    desk.run(30.0)
    assert cloud.order == [first, scan[0], second]


def test_a_file_whose_sending_broke_off_is_sent_again(desk: Desk, cloud: CloudDouble) -> None:
    id_ = desk.document()
    cloud.lost = in_turn(faults.ConnectionBroken(), faults.TimedOut("answer"), faults.ConnectionBroken())
    desk.run(HOUR_S)
    assert cloud.files == {id_: PDF} and desk.items() == {} and cloud.count("put") == 1


def test_a_file_that_did_not_arrive_after_all_is_sent_from_the_beginning(
    desk: Desk, cloud: CloudDouble
) -> None:
    id_ = desk.document()
    cloud.trouble = in_turn(None, None, faults.Refused(409, "conflict"))
    desk.uploader.step()
    assert desk.states()[id_] == (ItemState.PENDING, "conflict")
    desk.run(60.0)
    assert desk.items() == {} and cloud.files == {id_: PDF}


def test_the_report_of_a_scan_follows_it_where_the_policy_wants_that(desk: Desk, cloud: CloudDouble) -> None:
    desk.uploader = desk.another(
        before_acknowledged=scan_reports(desk.observations, desk.documents, desk.clock)
    )
    person, guest = desk.scan(), desk.scan(None, guest_agrees=True)
    desk.run(60.0)
    reports = {new.id: new for new in cloud.announced.values()}
    assert {new.purpose for new in reports.values()} == {"scan_report"} and len(reports) == 2
    assert {new.patient_id for new in reports.values()} == {
        cloud.stored[person]["patient_id"],
        cloud.stored[guest]["patient_id"],  # the same pseudonym
    }
    assert all(cloud.files[id_].startswith(b"%PDF") for id_ in reports)


# --- Erasures, heartbeats ---------------------------------------------------------------------------


def test_who_is_forgotten_here_is_erased_there_however_often_it_takes(desk: Desk, cloud: CloudDouble) -> None:
    zoe = desk.person("Zoë")
    desk.scan(zoe)
    desk.run(1.0)
    desk.forgetting.forget_person(zoe, desk.clock.utc())
    cloud.busy_erasing = 4
    mine = desk.scans(3)
    desk.run(300.0)
    assert cloud.erased == [zoe] and desk.items() == {} and set(cloud.stored) == set(mine)
    assert (
        cloud.count("erase") == 5 and cloud.count("config") == 1
    )  # the server as a whole was never in doubt


def test_the_clinic_hears_how_this_device_is(desk: Desk, cloud: CloudDouble) -> None:
    bad = desk.scan()
    cloud.verdicts = {bad: "invalid"}
    desk.uploader.scanned(shown=True)
    desk.uploader.scanned(shown=False)
    desk.run(HOUR_S)
    assert 4 <= len(cloud.beats) <= 6
    first, last = cloud.beats[0], cloud.beats[-1]
    assert (first.waiting, first.scans, first.scans_shown, first.clock_offset_s) == (1, 2, 1, 0.5)
    assert (last.waiting, last.parked, last.scans, last.oldest_waiting_s) == (0, 1, 0, None)


# --- Any sequence of faults -------------------------------------------------------------------------

FAULTS: tuple[Callable[[], Exception] | None, ...] = (
    None,
    None,
    faults.Offline,
    faults.ConnectionBroken,
    lambda: faults.TimedOut("answer"),
    lambda: faults.ServerBusy(503, None, 3.0),
    lambda: faults.ServerBusy(500),
    lambda: faults.RateLimited(2.0),
    faults.CaptivePortal,
    lambda: faults.AnswerUnreadable("x"),
    faults.UrlExpired,
    lambda: faults.Refused(401, None, scope="all", retry=True),
    VaultLocked,
    DiskFull,
    ZeroDivisionError,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.lists(st.sampled_from(range(len(FAULTS))), max_size=25),
    after=st.lists(st.sampled_from(range(len(FAULTS))), max_size=25),
    seed=st.integers(0, 1000),
    killed=st.sets(st.integers(0, 30), max_size=3),
)
def test_after_any_faults_everything_is_there_once(
    before: list[int], after: list[int], seed: int, killed: set[int]
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Database(Path(folder) / FILE_NAME, KEY)) as database,
    ):
        clock = HandClock()
        cloud = CloudDouble(clock)
        desk = Desk(database, clock, cloud, seed=seed)
        zoe = desk.person("Zoë")
        gone = desk.scan(zoe)
        desk.run(0.0)
        desk.forgetting.forget_person(zoe, clock.utc())
        ids = {
            *desk.scans(7),
            desk.document(),
            desk.document(b"%PDF-small"),
            desk.scan(None, guest_agrees=True),
        }
        cloud.trouble, cloud.lost = _script(before), _script(after)
        asked = len(cloud.asked)
        for step in range(40):
            if step in killed:  # the process is gone; another begins
                desk.uploader.close()
                desk.uploader = desk.another()
            clock.at_s += desk.uploader.step()
            ids.add(desk.scan())
        failures = sum(FAULTS[one] is not None for one in (*before, *after))
        assert len(cloud.asked) - asked <= failures + 4 * 40
        cloud.trouble, cloud.lost = well, well
        desk.run(3 * HOUR_S)
        assert desk.items() == {}
        assert desk.outbox.sent(ids) == ids and gone not in cloud.stored and cloud.erased[0] == zoe
        assert set(cloud.stored) | set(cloud.files) == ids
        assert len([one for one in cloud.order if one in cloud.stored]) == len(cloud.stored)
        desk.uploader.close()


def _script(numbers: Sequence[int]) -> Callable[[str], None]:
    left = list(numbers)

    def trouble(_name: str) -> None:
        if left:
            made = FAULTS[left.pop()]
            if made is not None:
                raise made()

    return trouble


def test_what_another_program_keeps_is_noticed_within_half_a_minute(desk: Desk) -> None:
    while (wait_s := desk.uploader.step()) == 0.0:
        pass
    assert desk.uploader.status.state is SyncState.IDLE
    assert wait_s <= 30.0
    desk.scan()  # as another program keeps it: nobody wakes the uploader
    desk.clock.at_s += wait_s
    desk.uploader.step()
    assert desk.outbox.counts().pending == 0


def test_a_store_that_was_renewed_lets_another_program_send(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.uploader.step()

    def renewed(*_: object, **__: object) -> None:
        raise StoreRenewed

    with monkeypatch.context() as patched:
        patched.setattr(desk.outbox, "claim", renewed)
        desk.clock.at_s += 60.0
        desk.uploader.step()
    assert desk.uploader.status.state is SyncState.FAILED
    other = desk.another()
    desk.scan()
    while other.step() == 0.0:
        pass
    assert other.status.state is SyncState.IDLE
    other.close()
