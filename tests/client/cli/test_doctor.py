"""`health-helper doctor` and `cameras`: every line, with its remedy, and the exit status."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import InitError, KeyringError, NoKeyringError, PasswordDeleteError

from client import config
from client.cli import doctor
from client.cli.doctor import State, check_clinic, check_clock, check_disk, check_keyring, check_store
from client.errors import EnvironmentFault
from client.parts import CameraEntry, CameraTruth, Kept, MicrophoneEntry, WeightsEntry
from client.store.consents import CLOUD_VERSION, Subject
from client.store.documents import Documents
from client.store.observations import Observations
from client.store.opening import open_store
from client.store.outbox import ItemKind, Outbox
from client.vault import VaultLocked
from tests.client.cli.conftest import Bench, Said
from tests.client.cli.test_kept import answers
from tests.client.pipeline.fakes import FACTS, HandClock, stalled
from tests.client.pipeline.test_sync import a_scan
from tests.client.store.conftest import NOW, MemoryVault, kept_in, rights
from tests.client.store.conftest import open_folder as open_folder  # noqa: PLC0414 (a fixture)

Command = Callable[..., Said]
CAMERA = replace(FACTS, live=True, width_px=640, height_px=480)


class MemoryKeyring(KeyringBackend):
    """Keeps secrets in a dictionary, or fails in the way it is told."""

    priority = 1.0

    def __init__(self, *, fails: Exception | None = None, keeps: bool = True, forgets: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.secrets: dict[tuple[str, str], str] = {}
        self._fails, self._keeps, self._forgets = fails, keeps, forgets

    def set_password(self, service: str, username: str, password: str) -> None:
        if self._fails is not None:
            raise self._fails
        self.secrets[service, username] = password if self._keeps else "other"

    def get_password(self, service: str, username: str) -> str | None:
        return self.secrets.get((service, username))

    def delete_password(self, service: str, username: str) -> None:
        if not self._forgets:
            raise PasswordDeleteError
        del self.secrets[service, username]


@pytest.fixture(autouse=True)
def key_store(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    """The tests never touch the machine's own key store."""
    store = MemoryKeyring()
    monkeypatch.setattr(keyring.core, "_keyring_backend", store)
    return store


CLINIC = {"url": "https://cloud.example/v", "clinic_id": "clinic-1", "device_id": "device-1"}
GOOD = CameraTruth(30.0, 0.04, 120, "held", "held", CAMERA)


def lines(said: Said) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(said.out)["checks"]}


def test_a_machine_that_is_ready_ends_with_0_and_a_line_for_everything(
    command: Command, bench: Bench
) -> None:
    bench.found = (CameraEntry("0", "Desk"),)
    bench.truth = GOOD
    bench.microphones = (MicrophoneEntry("ALSA: Desk", "Desk"),)
    said = command("doctor")
    assert said.status == 0
    for name in (
        "system",
        "weights",
        "engine",
        "camera",
        "microphone",
        "keyring",
        "store",
        "clinic",
        "disk",
        "clock",
    ):
        assert name in said.out
    assert "30.0 frames/s" in said.out


def test_with_json_it_is_one_object_and_every_trouble_has_a_remedy(command: Command) -> None:
    said = command("doctor", "--json")
    answer = json.loads(said.out)
    assert answer["schema"] == "health-helper/doctor/1"
    assert answer["ready"] is True
    for check in answer["checks"]:
        assert check["state"] in ("ok", "warn", "fail")
        assert (check["state"] == "ok") or check["remedy"]


def test_a_missing_camera_is_only_a_warning(command: Command) -> None:
    said = command("doctor", "--json")
    assert said.status == 0
    assert lines(said)["camera"]["state"] == "warn"


def test_an_engine_that_cannot_be_made_means_that_no_scan_works(command: Command, bench: Bench) -> None:
    def make() -> None:
        raise EnvironmentFault(title="The face net is missing", remedy="Run make setup.")

    bench.engine.make = make  # type: ignore[assignment, method-assign]
    bench.weights = (WeightsEntry("net.onnx", "finds faces", "missing"),)
    said = command("doctor", "--json")
    assert said.status == 4
    assert json.loads(said.out)["ready"] is False
    assert lines(said)["engine"]["state"] == "fail"
    assert lines(said)["engine"]["remedy"] == "Run make setup."
    assert lines(said)["weights"]["state"] != "ok"
    assert command("doctor").status == 4


def test_the_true_frame_rate_of_the_camera_is_measured_not_believed(command: Command, bench: Bench) -> None:
    bench.found = (CameraEntry("0", "Desk"),)
    bench.truth = replace(GOOD, fps=12.0)
    camera = lines(command("doctor", "--json"))["camera"]
    assert camera["state"] == "warn"
    assert "12.0 frames/s (30 claimed)" in camera["says"]
    assert "light" in camera["remedy"]


@pytest.mark.parametrize("hold", ["refused", "absent", "pending"])
def test_an_exposure_that_cannot_be_locked_is_a_warning(command: Command, bench: Bench, hold: str) -> None:
    bench.found = (CameraEntry("0", "Desk"),)
    bench.truth = replace(GOOD, exposure=hold)
    camera = lines(command("doctor", "--json"))["camera"]
    assert camera["state"] == "warn"
    assert "exposure not" in camera["says"]
    assert "light" in camera["remedy"]


@pytest.mark.parametrize(
    "truth",
    [
        EnvironmentFault(title="The camera is taken", remedy="Close the other program."),
        stalled(),
        replace(GOOD, frames=1, fps=0.0),
        replace(GOOD, longest_gap_s=1.4),
    ],
)
def test_a_camera_in_trouble_is_a_warning(
    command: Command, bench: Bench, truth: CameraTruth | Exception
) -> None:
    bench.found, bench.truth = (CameraEntry("0", "Desk"),), truth
    said = command("doctor", "--json")
    assert said.status == 0
    assert lines(said)["camera"]["state"] == "warn"
    assert lines(said)["camera"]["remedy"]


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (
            (MicrophoneEntry("ALSA: Desk", "Desk"), MicrophoneEntry("ALSA: pulse", "PulseAudio")),
            "ok",
            "Desk, PulseAudio",
        ),
        ((), "warn", "none was found"),
        (
            EnvironmentFault(title="The library PortAudio is missing", remedy="Install it."),
            "warn",
            "PortAudio",
        ),
    ],
)
def test_microphones_are_listed_and_none_is_needed_for_a_scan(
    command: Command, bench: Bench, found: tuple[MicrophoneEntry, ...] | Exception, state: str, words: str
) -> None:
    bench.microphones = found
    said = command("doctor", "--json")
    microphone = lines(said)["microphone"]
    assert said.status == 0
    assert microphone["state"] == state and words in microphone["says"]
    assert state == "ok" or "A scan needs none" in microphone["remedy"]


def test_the_key_store_is_tried_and_nothing_stays_in_it(key_store: MemoryKeyring) -> None:
    assert check_keyring().state is State.OK
    assert key_store.secrets == {}


@pytest.mark.parametrize(
    ("store", "says"),
    [
        (MemoryKeyring(fails=NoKeyringError()), "none was found"),
        (MemoryKeyring(fails=InitError("Prompt dismissed")), "locked"),
        (MemoryKeyring(fails=KeyringError("no bus")), "fails"),
        (MemoryKeyring(keeps=False), "does not give back"),
        (MemoryKeyring(forgets=False), "does not forget"),
    ],
)
def test_a_key_store_in_trouble_is_a_warning_that_says_which(
    monkeypatch: pytest.MonkeyPatch, store: MemoryKeyring, says: str
) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", store)
    check = check_keyring()
    assert check.state is State.WARN
    assert says in check.says
    assert check.remedy


def test_the_disk_is_written_to_and_nothing_is_left(tmp_path: Path) -> None:
    check = check_disk(tmp_path / "not" / "yet" / "there")
    assert check.state is State.OK
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_cannot_hold_data(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    check = check_disk(tmp_path / "file")
    assert check.state is State.WARN
    assert check.remedy


def test_little_room_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENOUGH_FREE_MB", 1e12)
    assert check_disk(tmp_path).state is State.WARN


def test_a_good_clock_is_ok() -> None:
    clock = HandClock()

    def pause(seconds: float) -> None:
        clock.at_s += seconds

    assert check_clock(clock, pause).state is State.OK


@pytest.mark.parametrize("year", [1970, 2019, 2199])
def test_an_impossible_year_is_a_warning(year: int) -> None:
    check = check_clock(HandClock(starts=datetime(year, 1, 1, tzinfo=UTC)), lambda _: None)
    assert check.state is State.WARN
    assert str(year) in check.says


def test_a_wall_clock_that_steps_is_a_warning() -> None:
    clock = HandClock()

    def pause(_: float) -> None:
        clock.starts += timedelta(seconds=40.0)

    check = check_clock(clock, pause)
    assert check.state is State.WARN
    assert "40" in check.says


def test_cameras_are_listed_with_id_and_name(command: Command, bench: Bench) -> None:
    bench.found = (CameraEntry("0", "Desk"), CameraEntry("11", "Door"))
    said = command("cameras")
    assert said.status == 0
    assert said.out.splitlines() == ["0   Desk", "11  Door"]


def test_no_camera_is_an_answer_with_a_remedy(command: Command) -> None:
    said = command("cameras")
    assert said.status == 0
    assert "No camera was found" in said.out
    assert "--demo" in said.out


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="file rights of this kind exist on POSIX systems only")
def test_a_folder_that_may_not_be_looked_into_is_a_finding(bench: Bench, open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir()
    with rights(0, closed):
        store = check_store(bench.parts(), closed / "store" / "health-helper.db")
        disk = check_disk(closed / "data")
    for check in (store, disk):
        assert check.state is State.WARN and "Permission denied" in check.says and check.remedy


def test_a_folder_of_the_store_that_is_a_file_is_a_finding(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    check = check_store(bench.parts(), tmp_path / "store" / "health-helper.db")
    assert check.state is State.WARN and check.remedy


def test_nothing_kept_yet_is_no_finding(bench: Bench, tmp_path: Path) -> None:
    assert check_store(bench.parts(), tmp_path / "store" / "health-helper.db").state is State.OK


def test_what_is_missing_of_an_installed_application_is_installed_again(
    command: Command, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.weights = (WeightsEntry("net.onnx", "finds faces", "missing"),)
    assert "make setup" in lines(command("doctor", "--json"))["weights"]["remedy"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert lines(command("doctor", "--json"))["weights"]["remedy"] == "Install Health Helper again."


# What is kept


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryVault:
    """The key store of a store in tmp_path/store."""
    made = MemoryVault()
    monkeypatch.setattr(doctor, "SystemVault", lambda: made)
    monkeypatch.setattr(config, "store_folder", lambda: tmp_path / "store")
    return made


def kept(folder: Path, vault: MemoryVault) -> Path:
    """A store with two people, after the last backup. Returns its database."""
    with closing(open_store(folder, vault).database) as database:
        for name in ("Ada", "Grace"):
            Observations(database).add_person(name, now=datetime(2026, 3, 1, tzinfo=UTC))
        return database.path


def test_nothing_kept_is_nothing_to_repair(command: Command, vault: MemoryVault, tmp_path: Path) -> None:
    said = command("doctor", "--repair")
    assert said.status == 0 and "Nothing is kept" in said.out
    assert list(tmp_path.iterdir()) == [] and vault.kept == {}


def test_what_is_whole_is_said_to_be(command: Command, vault: MemoryVault, tmp_path: Path) -> None:
    kept(tmp_path / "store", vault)
    said = command("doctor", "--repair")
    assert said.status == 0
    assert "every page is whole" in said.out and "Backups and journal: whole" in said.out


def test_what_is_damaged_is_put_together_again(command: Command, vault: MemoryVault, tmp_path: Path) -> None:
    path = kept(tmp_path / "store", vault)
    content = bytearray(path.read_bytes())
    content[-2000] ^= 1
    path.write_bytes(content)
    said = command("doctor", "--repair", "--json")
    told = json.loads(said.out)
    assert said.status == 0 and told["whole"] and "nothing is lost" in told["lines"][0]
    assert (tmp_path / "store" / "damaged-1").read_bytes() == content
    with closing(open_store(tmp_path / "store", vault).database) as database:
        assert [person.name for person in Observations(database).people()] == ["Ada", "Grace"]


def test_damaged_backups_and_journals_are_made_anew(
    command: Command, vault: MemoryVault, tmp_path: Path
) -> None:
    path = kept(tmp_path / "store", vault)
    for one in (path.with_name("health-helper.journal"), tmp_path / "store" / "backups" / "000001.db"):
        content = bytearray(one.read_bytes())
        content[-40] ^= 1
        one.write_bytes(content)
    said = command("doctor", "--repair")
    assert said.status == 0
    assert "1 were damaged" in said.out and "Journal: it was damaged" in said.out
    assert "Backups and journal: whole" in command("doctor", "--repair").out


def test_a_damaged_document_is_told_with_what_to_do(
    command: Command, vault: MemoryVault, tmp_path: Path
) -> None:
    path = kept(tmp_path / "store", vault)
    with closing(open_store(path.parent, vault).database) as database:
        documents = Documents(database)
        ids = [
            documents.add(
                [b"%PDF plain"],
                person=None,
                purpose="lab_report",
                media_type="application/pdf",
                title=title,
                pages=1,
                now=datetime(2026, 3, 1, tzinfo=UTC),
            ).id
            for title in ("blood.pdf", "urine.pdf")
        ]
        file = documents.path_of(ids[0])
    file.write_bytes(file.read_bytes()[:-1])
    said = command("doctor", "--repair")
    assert said.status == 4
    assert "blood.pdf" in said.out and "urine" not in said.out and "Add them again" in said.out


def test_the_store_s_line_says_when_it_was_backed_up(
    bench: Bench, vault: MemoryVault, tmp_path: Path
) -> None:
    path = kept(tmp_path / "store", vault)
    opened = kept_in(path.parent, vault)
    bench.store = lambda: replace(opened, needs_recovery_key=False)
    check = check_store(bench.parts(), path)
    assert check.state is State.OK and "2 people" in check.says and "last backup 20" in check.says


# The clinic


@pytest.fixture
def clinic(bench: Bench, vault: MemoryVault, tmp_path: Path) -> Callable[[], Kept]:
    """A store of which somebody has agreed; the device is enrolled with no clinic."""
    path = kept(tmp_path / "store", vault)
    bench.clock = HandClock(starts=NOW)

    def opened() -> Kept:
        return kept_in(path.parent, vault)

    bench.store = opened
    with opened() as store:
        [ada, _] = store.observations.people()
        store.consents.record(ada.id, Subject.CLOUD, CLOUD_VERSION, True, "en", NOW)
    return opened


def check(bench: Bench, tmp_path: Path) -> doctor.Check:
    return check_clinic(bench.parts(), tmp_path / "store" / "health-helper.db")


def test_a_device_of_no_clinic_is_fine(bench: Bench, tmp_path: Path, clinic: Callable[[], Kept]) -> None:
    found = check(bench, tmp_path)
    assert (found.state, found.says) == (State.OK, "enrolled with none: nothing is sent")
    assert check_clinic(bench.parts(), tmp_path / "not" / "there.db").state is State.OK


def test_the_clinic_is_told_with_when_it_was_reached_and_what_waits(
    bench: Bench, tmp_path: Path, clinic: Callable[[], Kept]
) -> None:
    with clinic() as store:
        store.outbox.set_enrolled(CLINIC)
    says = check(bench, tmp_path).says
    assert "clinic-1 at https://cloud.example/v; reached never, sent never; 0 wait, 0 refused" in says
    with clinic() as store:
        [ada, _] = store.observations.people()
        store.observations.save_all([a_scan(NOW, person=ada.id) for _ in range(3)])
        one, *_ = store.outbox.claim(ItemKind.OBSERVATION, 1)
        store.outbox.acknowledge([one.id], now=NOW)
        store.outbox.note_contact(NOW)
    found = check(bench, tmp_path)
    assert found.state is State.OK
    assert "reached 2026-03-01 12:00 UTC, sent 2026-03-01 12:00 UTC; 2 wait, 0 refused" in found.says
    bench.clock = HandClock(starts=NOW + timedelta(days=2))
    found = check(bench, tmp_path)
    assert found.state is State.WARN and "sync --once" in found.remedy
    with clinic() as store:
        two, *_ = store.outbox.claim(ItemKind.OBSERVATION, 1)
        store.outbox.park([two.id], "invalid")
    found = check(bench, tmp_path)
    assert (found.state, "1 wait, 1 refused" in found.says) == (State.WARN, True)
    assert "sync --status" in found.remedy


def test_a_device_that_was_sent_away_is_told_so(
    bench: Bench, tmp_path: Path, clinic: Callable[[], Kept]
) -> None:
    with clinic() as store:
        store.outbox.set_enrolled(CLINIC)
        store.outbox.note_contact(NOW, "device_revoked")
    found = check(bench, tmp_path)
    assert found.state is State.WARN and "ended the enrolment" in found.says and "a new code" in found.remedy
    with clinic() as store:
        store.outbox.note_contact(NOW, "server_busy", 503)
    found = check(bench, tmp_path)
    assert "(503)" in found.says and "Run 'health-helper sync --once'" in found.remedy


def test_of_a_store_that_does_not_open_the_clinic_is_not_known(
    bench: Bench, tmp_path: Path, clinic: Callable[[], Kept]
) -> None:
    def closed() -> Kept:
        raise VaultLocked

    bench.store = closed
    found = check(bench, tmp_path)
    assert found.state is State.WARN and "not known" in found.says and found.remedy


def test_a_store_that_nobody_opens_is_set_aside_once_somebody_is_sure(
    command: Command, bench: Bench, vault: MemoryVault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []

    def begun() -> Kept:
        opened.append("anew")
        return replace(kept_in(tmp_path / "store", vault), set_aside="set-aside-2026-11-28")

    bench.store = begun
    assert command("doctor", "--begin-anew").status == 2
    answers(monkeypatch, answer=False)
    assert command("doctor", "--repair", "--begin-anew").status == 130
    assert opened == [] and not (tmp_path / "store").exists()
    said = command("doctor", "--repair", "--begin-anew", "--yes")
    assert opened == ["anew"] and "set-aside-2026-11-28" in said.err and said.status == 0


@pytest.mark.parametrize(("ahead", "says"), [(False, "sent 20"), (True, "sent at an unknown time")])
def test_a_clock_that_was_wrong_says_no_year_to_come(
    command: Command, bench: Bench, tmp_path: Path, ahead: bool, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = MemoryVault()
    moment = bench.clock.utc() + timedelta(days=11_000 if ahead else -1)
    with kept_in(tmp_path / "store", vault) as kept_here:
        kept_here.outbox.set_enrolled({"url": "https://clinic.example", "clinic_id": "c", "device_id": "d"})
    monkeypatch.setattr(Outbox, "last_sent_at", lambda _self: moment)
    bench.store = lambda: kept_in(tmp_path / "store", vault)
    assert says in doctor.check_clinic(bench.parts(), tmp_path / "store" / "health-helper.db").says
