"""A full disk, clocks that jump, a key store that closes, a damaged database, a network of every bad kind, all in the middle of sync: what
was acknowledged to the person is on this device and in the cloud, once; each trouble has its sentence, and is over by itself.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
import trustme

from client.cloud import faults, transport
from client.cloud.credentials import ENTRY
from client.cloud.transport import Reply
from client.errors import HealthHelperError
from client.pipeline.sync import SyncState
from client.policy import Policy
from client.store import documents as store_documents
from client.store import journal
from client.store.database import DiskFull, StoreDamaged, StoreRenewed, backup_numbers
from client.store.entries import to_observation
from client.store.observations import Kind
from client.store.opening import KeyLost, rotate_key
from client.store.outbox import Item
from client.ui.views.sync import Role, reason_words
from client.ui.views.sync import trouble as trouble_words
from client.vault import VaultLocked, VaultMissing
from tests.backend_lambda.kiosk import Kiosk
from tests.scenarios.sync_world import (
    CONFIG,
    OBSERVATIONS,
    TOKEN,
    UPLOADS,
    YEAR,
    Computer,
    computer,
)
from tests.stand_ins.local_cloud import LocalCloud
from tests.stand_ins.tls_server import Asked, Connection, Server, answer, problem, says

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("local-cloud")]


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalCloud]:
    with LocalCloud(settings={"requests_per_minute": "100000"}) as running:
        yield running
        assert running.gateway.faults == []


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def kiosk(backend: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Computer]:
    with computer(backend, tmp_path / "store", monkeypatch) as made:
        yield made


def told(fault: HealthHelperError | None, *words: str) -> bool:
    """Whether a fault says all of these, and what to do."""
    assert fault is not None
    whole = f"{fault.title}. {fault.remedy}"
    assert not fault.title.endswith(".") and fault.remedy.endswith(".")
    return all(word in whole for word in words)


def not_sent(kiosk: Computer, capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """`sync --once` ends with 4 and the sentence; `--status` shows what waits, without asking anybody."""
    capsys.readouterr()
    assert kiosk.command("sync", "--once") == 4
    said = capsys.readouterr().err.splitlines()[-1]
    assert all(word in said for word in words), said
    asked = len(kiosk.wire.asked)
    assert kiosk.command("sync", "--status", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["pending"] > 0 and shown["sending"] == 0 and len(kiosk.wire.asked) == asked


def test_without_trouble_everything_arrives_and_the_command_says_so(
    kiosk: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    for guest in (False, False, True):
        kiosk.save(guest=guest)
    kiosk.add()
    kiosk.rest()
    kiosk.check()
    assert kiosk.status.state is SyncState.IDLE and kiosk.status.fault is None
    assert (kiosk.badge().text, kiosk.badge().role) == ("All sent", Role.GOOD)
    kiosk.save()
    assert kiosk.command("sync", "--once") == 0
    assert kiosk.command("sync", "--status") == 0
    assert "0 waiting, 0 refused, 0 held back" in capsys.readouterr().out
    kiosk.check()


# --- 1. The disk fills -------------------------------------------------------------------------------

FULL = ("The disk is full", "Free some space")


def refused_by_a_full_disk(act: Callable[[], object]) -> DiskFull | None:
    """None: it was done."""
    try:
        act()
    except DiskFull as full:
        fault = full
    else:
        return None
    assert told(fault, *FULL)
    return fault


class Disk:
    """full: nothing more reaches it. Of our files; SQLite's own see to themselves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        really = os.fsync

        def fsync(handle: int) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            really(handle)

        monkeypatch.setattr(os, "fsync", fsync)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_full_disk_refuses_a_save_aloud_and_what_was_kept_is_sent_once_there_is_room(
    kiosk: Computer, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    kiosk.save()
    disk.full = True
    for act in (kiosk.save, kiosk.add):
        with pytest.raises(DiskFull) as refused:
            act()
        assert told(refused.value, *FULL, "was not kept", "what was kept before is safe")
    assert list((kiosk.folder / "documents").glob("*.sealed")) == []
    assert list((kiosk.folder / "documents").glob("*.part")) == []
    status = kiosk.until_held_up()
    assert status.state is SyncState.FAILED and told(
        status.fault, *FULL, "nothing can be sent", "by itself then"
    )
    assert "was not kept" not in trouble_words(status)  # nothing that was to be kept was refused here
    assert kiosk.badge().text == "Sending failed" and status.counts.pending == 1
    not_sent(kiosk, capsys, *FULL)
    disk.full = False
    kiosk.save()
    kiosk.add()
    kiosk.rest()
    kiosk.check()
    assert kiosk.badge().text == "All sent"


def test_a_database_that_cannot_grow_refuses_a_save_and_goes_on_afterwards(kiosk: Computer) -> None:
    kiosk.save()
    connection = kiosk.kept.observations._database._connection
    [(pages,)] = connection.execute("PRAGMA page_count").fetchall()
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    refused = None
    while refused is None and len(kiosk.ledger.observations) < 2000:
        refused = refused_by_a_full_disk(kiosk.save)
    assert refused is not None
    kiosk.check_here()
    connection.execute("PRAGMA max_page_count = 1073741823").fetchall()
    kiosk.save()
    kiosk.rest()
    kiosk.check()


@pytest.mark.parametrize("written", [0, 65_000, 200_000])
def test_a_disk_that_fills_in_the_middle_of_a_file_leaves_nothing_of_it(
    kiosk: Computer, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    really = journal.private
    kept_first = kiosk.add()

    class Filling:
        def __init__(self, path: Path) -> None:
            self.file, self.left = really(path), written

        def write(self, data: bytes) -> int:
            self.left -= len(data)
            if self.left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data)

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    with monkeypatch.context() as patch:
        patch.setattr(store_documents, "private", Filling)
        with pytest.raises(DiskFull) as refused:
            kiosk.add()
    assert told(refused.value, *FULL)
    assert [one.name for one in (kiosk.folder / "documents").iterdir()] == [f"{kept_first}.sealed"]
    kiosk.rest()
    kiosk.check()


@pytest.mark.parametrize("path", [OBSERVATIONS, "object", "complete"])
@pytest.mark.parametrize("ends", ["closed", "killed"])
def test_what_the_cloud_has_and_a_full_disk_could_not_note_is_not_doubled(
    kiosk: Computer, disk: Disk, tmp_path: Path, path: str, ends: str
) -> None:
    for _ in range(3):
        kiosk.save()
    kiosk.add()

    def fill(_method: str, asked: str, reply: Reply) -> Reply:
        disk.full |= asked.endswith(path)
        return reply

    kiosk.wire.after = fill
    status = kiosk.until_held_up()
    assert status.state is SyncState.FAILED and told(status.fault, *FULL)
    assert status.counts.pending + status.counts.sending == (1 if path != OBSERVATIONS else 4)
    kiosk.wire.after = lambda _method, _path, reply: reply
    if ends == "killed":
        folder = Path(shutil.copytree(kiosk.folder, tmp_path / "after the kill"))
        kiosk.close()
        kiosk.folder = folder
    disk.full = False
    if ends == "closed":
        kiosk.close()
    kiosk.save()
    kiosk.rest()
    kiosk.check()


def test_a_full_disk_puts_off_the_backup_and_loses_no_older_one(kiosk: Computer, disk: Disk) -> None:
    kiosk.save()
    kiosk.kept.back_up()
    before = backup_numbers(kiosk.path)
    kiosk.save()
    disk.full = True
    with pytest.raises(DiskFull) as refused:
        kiosk.kept.back_up()
    assert told(refused.value, *FULL)
    kiosk.kept.chores()  # as every day: says nothing
    assert set(before) <= set(backup_numbers(kiosk.path))
    disk.full = False
    kiosk.close()
    os.truncate(kiosk.path, 5000)
    assert kiosk.kept.healed is not None and kiosk.kept.healed.whole
    kiosk.rest()
    kiosk.check()
    kiosk.kept.back_up()
    assert 1 <= len(backup_numbers(kiosk.path)) <= 3 and backup_numbers(kiosk.path)[0] > before[0]


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A tmpfs; the test is skipped, saying so, where none can be mounted (Linux, root)."""
    if not Path("/proc/mounts").exists():
        pytest.skip("a tmpfs can be mounted on Linux only")
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a tmpfs can be mounted by root only")
    try:
        yield place
    finally:
        subprocess.run(
            ["umount", "--lazy", str(place)], check=True
        )  # also where a failed test left files open


def test_a_real_disk_is_filled_and_emptied_while_things_are_kept_and_sent(
    backend: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    with (
        small_disk(tmp_path / "disk", "6m") as place,
        computer(backend, place / "store", monkeypatch) as kiosk,
    ):
        filler, refused = place / "filler", 0
        for _ in range(6):
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # no space is left
                while True:
                    file.write(b"x" * chance.choice((500, 4096, 50_000)))
            with filler.open("r+b") as file:
                file.truncate(
                    max(0, filler.stat().st_size - chance.choice((0, 4096, 20_000, 60_000, 150_000)))
                )
            for act in (kiosk.save, kiosk.add, kiosk.save, kiosk.kept.back_up, kiosk.save):
                refused += refused_by_a_full_disk(act) is not None
            for _ in range(6):
                kiosk.clock.slept_s += kiosk.step()
            if chance.random() < 0.5:
                kiosk.close()
            filler.unlink()
            kiosk.check_here()
        assert refused
        kiosk.rest()
        kiosk.check()


# --- 2. The clocks jump ------------------------------------------------------------------------------

JUMPS = [pytest.param(30 * YEAR, id="+30 years"), pytest.param(-20 * YEAR, id="-20 years")]
Where = Callable[[str, str], bool]
DURING = {
    "while things wait": None,
    "while a batch is sent": lambda method, path: (method, path) == ("POST", OBSERVATIONS),
    "while a file is sent": lambda _method, path: path == "object",
    "while the sign-in is renewed": lambda _method, path: path == TOKEN,
}


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("during", DURING)
def test_a_clock_that_jumps_by_years_and_back_stops_nothing(
    kiosk: Computer, jump: timedelta, during: str
) -> None:
    where: Where | None = DURING[during]

    def leap(method: str, path: str) -> None:
        if where is not None and where(method, path):
            kiosk.clock.wall = jump

    kiosk.kept.chores()
    kiosk.save()
    kiosk.add()
    if where is None:
        kiosk.clock.wall = jump
    kiosk.wire.before = leap
    waited_s = kiosk.rest()
    kiosk.wire.before = lambda _method, _path: None
    assert waited_s < 600.0 and kiosk.clock.wall == jump
    kiosk.check()
    said_at = kiosk.clock.utc()
    late = kiosk.save()
    kiosk.add()
    badge, line = kiosk.badge(), kiosk.summary()
    assert badge.text == "All sent" or "waiting" in badge.text
    assert "Waiting: 2." in badge.spoken or "Waiting: 0." in line
    assert kiosk.rest() < 600.0
    kiosk.check()
    assert kiosk.badge().text == "All sent"
    with psycopg.connect(kiosk.backend.urls.superuser) as connection:
        [(taken_at,)] = connection.execute(
            "SELECT taken_at FROM observation WHERE id = %s", (late,)
        ).fetchall()
    assert abs(taken_at - said_at) < timedelta(seconds=2)  # what the clock said: no one else was there
    kiosk.clock.wall = timedelta(0)
    kiosk.save()
    assert kiosk.rest() < 600.0
    kiosk.check()


@pytest.mark.parametrize("jump", JUMPS)
def test_a_computer_that_starts_with_a_wrong_clock_sends_all_the_same(
    kiosk: Computer, jump: timedelta, capsys: pytest.CaptureFixture[str]
) -> None:
    kiosk.save()
    kiosk.close()
    kiosk.clock.wall = jump
    kiosk.save()
    kiosk.add()
    assert kiosk.command("sync", "--once") == 0
    kiosk.check()
    assert kiosk.command("sync", "--status") == 0
    said = capsys.readouterr()
    assert "0 waiting, 0 refused" in said.out and "Not sent" not in said.err
    kiosk.clock.wall = timedelta(0)
    kiosk.save()
    assert kiosk.command("sync", "--once") == 0
    kiosk.check()


@pytest.mark.parametrize("jump", JUMPS)
def test_nothing_is_purged_and_backups_are_made_whatever_the_clock_says(
    backend: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    policy = Policy(keep_days=30, backups_kept=3)
    with computer(backend, tmp_path / "store", monkeypatch, policy) as kiosk:
        kiosk.save()
        deleted = kiosk.save()
        kiosk.add()
        kiosk.rest()
        kiosk.kept.observations.delete(deleted, now=kiosk.clock.utc())
        made = []
        for wall in (timedelta(0), jump, -jump / 2, timedelta(0), jump, timedelta(0)):
            kiosk.clock.wall = wall
            kiosk.close()
            kiosk.kept.chores()
            made.append(backup_numbers(kiosk.path)[0])
        assert made == sorted(made) and len(set(made)) >= 4  # at once, whichever way it jumped
        kiosk.clock.wall = timedelta(days=2)
        kiosk.kept.chores()
        assert backup_numbers(kiosk.path)[0] > made[-1]
        kiosk.clock.wall = timedelta(0)
        assert kiosk.kept.observations.restore(deleted)
        kiosk.check()


def test_a_computer_that_slept_signs_with_the_time_of_then_once_and_is_told_the_time(kiosk: Computer) -> None:
    kiosk.save()
    kiosk.rest()
    clock = kiosk.uploader._connection.cloud._transport.server_clock  # type: ignore[union-attr]  # what it believes is what sleeping changes
    at, then_s = clock._known
    clock._known = at - timedelta(hours=8), then_s
    kiosk.clock.wall = timedelta(seconds=1)
    kiosk.wire.asked.clear()
    kiosk.save()
    kiosk.add()
    assert kiosk.rest() < 60.0
    kiosk.check()
    assert kiosk.wire.count("POST", OBSERVATIONS) == 2  # refused with the time, and taken
    assert abs(clock.offset_s or 99.0) < 5.0


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoneInfo]:
    """The time zone that this computer is in."""
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone of a process can be set on POSIX only")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield ZoneInfo("Europe/Berlin")
    time.tzset()


def test_both_hours_of_the_night_when_the_clocks_go_back_are_told_apart(
    kiosk: Computer, in_berlin: ZoneInfo
) -> None:
    zone = in_berlin
    moments = [datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1)]
    for celsius, at in zip((37.1, 37.2), moments, strict=True):
        made = to_observation(Kind.TEMPERATURE, {"celsius": celsius}, at, kiosk.person)
        kiosk.kept.observations.save(made)
        kiosk.ledger.observations[made.line.id] = celsius
    kiosk.rest()
    kiosk.check()
    with psycopg.connect(kiosk.backend.urls.superuser) as connection:
        rows = connection.execute(
            "SELECT taken_at, body->>'utc_offset_min' FROM observation WHERE clinic_id = %s ORDER BY taken_at",
            (kiosk.clinic_id,),
        ).fetchall()
    found = [(at.astimezone(UTC).strftime("%H:%M"), offset) for at, offset in rows]
    assert found == [("00:30", "120"), ("01:30", "60")]


# --- 3. The key store closes -------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [VaultLocked, VaultMissing])
@pytest.mark.parametrize("when", ["before the first request", "when the sign-in is renewed"])
def test_a_key_store_that_closes_holds_sending_up_until_it_opens(
    kiosk: Computer, fault: type[VaultLocked | VaultMissing], when: str
) -> None:
    if when != "before the first request":
        kiosk.save()
        kiosk.rest()
        kiosk.clock.slept_s += 3600.0  # no access token lives so long
    kiosk.wire.asked.clear()
    kiosk.save()
    kiosk.add()
    kiosk.keyring.fault = fault
    status = kiosk.until_held_up()
    assert status.state is SyncState.KEYRING_LOCKED and kiosk.badge().text == "Key store locked"
    assert told(
        status.fault, "key store", "nothing can be sent", "What is measured is kept, and sent by itself then"
    )
    assert "nothing can be kept" not in trouble_words(status)
    assert status.counts.pending == 2 and kiosk.wire.asked == []
    kiosk.save()  # the store is open, and goes on keeping
    for _ in range(3):
        kiosk.clock.slept_s += kiosk.step()
    assert [item.tries for item in kiosk.kept.outbox.items()] == [0, 0, 0] and kiosk.wire.asked == []
    kiosk.keyring.fault = None
    assert kiosk.rest() <= 1300.0  # by itself
    kiosk.check()


@pytest.mark.parametrize("shut", ["fault", "write_fault"])
def test_the_new_sign_in_that_a_closing_key_store_did_not_take_is_asked_for_again_after_a_kill(
    kiosk: Computer, tmp_path: Path, shut: str
) -> None:
    kiosk.save()
    kiosk.rest()
    kiosk.clock.slept_s += 3600.0

    def lock(_method: str, path: str) -> None:
        if path == TOKEN:
            setattr(kiosk.keyring, shut, VaultLocked)

    kiosk.wire.before = lock
    kiosk.save()
    kiosk.rest()  # the access token is there: it sends
    kiosk.check_cloud()
    older = kiosk.keyring.kept[ENTRY]
    folder = Path(shutil.copytree(kiosk.folder, tmp_path / "after the kill"))
    kiosk.close()
    kiosk.folder, kiosk.keyring.fault, kiosk.keyring.write_fault = folder, None, None
    kiosk.wire.before = lambda _method, _path: None
    kiosk.save()
    kiosk.rest()
    kiosk.check()
    assert kiosk.keyring.kept[ENTRY] != older


@pytest.mark.parametrize(
    ("fault", "words"),
    [(VaultLocked, ("is locked", "Unlock it")), (VaultMissing, ("no key store", "Start one"))],
)
def test_a_key_store_that_is_closed_at_the_start_is_told_and_loses_nothing(
    kiosk: Computer,
    capsys: pytest.CaptureFixture[str],
    fault: type[VaultLocked | VaultMissing],
    words: tuple[str, str],
) -> None:
    kiosk.save()
    kiosk.add()
    kiosk.close()
    kiosk.keyring.fault = fault
    for way in ("--once", "--status"):
        assert kiosk.command("sync", way) == 4
        said = capsys.readouterr().err
        assert all(word in said for word in words), said
    assert kiosk.wire.asked == []
    kiosk.keyring.fault = None
    assert kiosk.command("sync", "--once") == 0
    kiosk.check()


def test_a_sign_in_that_was_deleted_from_the_key_store_is_told_and_a_new_code_mends_it(
    kiosk: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    kiosk.save()
    kiosk.rest()
    kiosk.keyring.kept.pop(ENTRY)
    kiosk.clock.slept_s += 3600.0
    kiosk.save()
    kiosk.add()
    status = kiosk.until_held_up()
    assert status.state is SyncState.SIGN_IN_LOST and kiosk.badge().text == "Sign-in lost"
    assert told(status.fault, "not enrolled", "for a code")
    not_sent(kiosk, capsys, "not enrolled", "for a code")
    kiosk.enrol()
    kiosk.rest()
    kiosk.check()


def test_a_database_key_that_was_deleted_is_told_and_nothing_is_begun_anew(
    kiosk: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    kiosk.save()
    kiosk.close()
    key = kiosk.keyring.kept.pop("database-key")
    with pytest.raises(KeyLost):
        kiosk.opened()
    assert kiosk.command("sync", "--once") == 4
    assert "recovery key" in capsys.readouterr().err
    kiosk.keyring.kept["database-key"] = key
    kiosk.rest()
    kiosk.check()


@pytest.mark.parametrize("renews", [False, True], ids=["token still good", "at the next renewal"])
def test_what_one_clinic_is_owed_never_goes_to_another_whose_sign_in_lies_in_the_key_store(
    kiosk: Computer, backend: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renews: bool
) -> None:
    """Another store of the same account, or a program that was killed between the key store and the store."""
    kiosk.save()
    kiosk.rest()
    ours = kiosk.keyring.kept[ENTRY]
    with computer(backend, tmp_path / "other", monkeypatch) as other:
        theirs = other.keyring.kept[ENTRY]
    monkeypatch.setattr(transport, "Transport", type(kiosk.uploader._connection.cloud._transport))  # type: ignore[union-attr]  # the tapped one
    kiosk.keyring.kept[ENTRY] = theirs
    kiosk.save()
    kiosk.add()
    if renews:
        kiosk.clock.slept_s += 3600.0
    for _ in range(12):
        kiosk.clock.slept_s += kiosk.step()
    other.check_cloud()  # nothing
    kiosk.check_here()
    kiosk.close()
    for _ in range(6):
        kiosk.clock.slept_s += kiosk.step()
    other.check_cloud()
    kiosk.check_here()
    kiosk.close()
    kiosk.keyring.kept[ENTRY] = ours
    kiosk.rest()
    kiosk.check()


def test_what_was_claimed_for_one_clinic_is_put_back_where_another_program_enrols_just_then(
    kiosk: Computer, backend: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    kiosk.save()
    kiosk.add()
    ours = kiosk.kept.outbox.enrolled()
    assert ours is not None
    elsewhere = {**ours, "clinic_id": str(backend.add_clinic())}
    really = kiosk.kept.outbox.claim

    def claim(*given: Any, **named: Any) -> list[Item]:
        found = really(*given, **named)
        kiosk.kept.outbox.set_enrolled(elsewhere)
        return found

    kiosk.wire.asked.clear()
    with monkeypatch.context() as patch:
        patch.setattr(kiosk.kept.outbox, "claim", claim)
        kiosk.until_held_up()
    assert kiosk.wire.count("POST", OBSERVATIONS) == kiosk.wire.count("POST", UPLOADS) == 0
    assert kiosk.kept.outbox.counts().held == 2
    kiosk.kept.outbox.set_enrolled(ours)
    assert [(item.state, item.tries) for item in kiosk.kept.outbox.items()] == [("pending", 0)] * 2
    kiosk.rest()
    kiosk.check()


# --- 4. The database is damaged ----------------------------------------------------------------------


def _with_things_in_every_state(kiosk: Computer) -> None:
    """Sent, sending when it ended, pending, and parked; some before the backup, some after."""
    kiosk.save()
    kiosk.add()
    kiosk.rest()
    kiosk.kept.back_up()
    kiosk.save()
    kiosk.rest()
    parked = kiosk.save()
    kiosk.kept.outbox.claim("observation", 1)  # type: ignore[arg-type]  # a StrEnum's value
    kiosk.kept.outbox.park([parked], "invalid")
    kiosk.save()
    kiosk.kept.outbox.claim("observation", 1)  # type: ignore[arg-type]
    kiosk.save(guest=True)
    kiosk.add()
    kiosk.close()


def _spoilt(path: Path, chance: random.Random, how: str) -> None:
    size = path.stat().st_size
    match how:
        case "cut":
            os.truncate(path, chance.randrange(size))
        case "flipped":
            with path.open("r+b") as file:
                for _ in range(200):
                    file.seek(chance.randrange(size))
                    file.write(bytes([chance.randrange(256)]))
        case "gone":
            path.unlink()


@pytest.mark.parametrize("how", ["cut", "flipped", "gone"])
def test_a_database_that_is_damaged_with_things_in_every_state_sends_them_all_once(
    kiosk: Computer, tmp_path: Path, how: str
) -> None:
    _with_things_in_every_state(kiosk)
    chance = random.Random(how)
    whole = Path(shutil.copytree(kiosk.folder, tmp_path / "whole"))
    for turn in range(1 if how == "gone" else 4):
        kiosk.close()
        kiosk.folder = Path(shutil.copytree(whole, tmp_path / f"spoilt {turn}"))
        _spoilt(kiosk.path, chance, how)
        healed = kiosk.kept.healed
        assert healed is not None and healed.whole
        counts = kiosk.kept.outbox.counts()
        assert (counts.pending, counts.sending, counts.parked) == (2, 1, 1)
        kiosk.check_here()
    kiosk.kept.outbox.retry()
    kiosk.rest()
    kiosk.check()
    kiosk.close()  # the same again from an older, damaged state: the cloud knows it all already
    kiosk.folder = Path(shutil.copytree(whole, tmp_path / "again"))
    _spoilt(kiosk.path, chance, how)
    kiosk.kept.outbox.retry()
    kiosk.rest()
    kiosk.check()


def test_a_database_that_is_damaged_while_it_is_open_is_told_and_mended_at_the_next_start(
    kiosk: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(300):
        kiosk.save()
    kiosk.close()
    kiosk.save()
    size = kiosk.path.stat().st_size
    with kiosk.path.open("r+b") as file:
        for at in range(2 * 4096, size, 4096):
            file.seek(at + 100)
            file.write(b"damage" * 8)
    status = kiosk.until_held_up()
    assert status.state is SyncState.FAILED and kiosk.badge().text == "Sending failed"
    assert told(status.fault, "is damaged", "Close Health Helper and open it again")
    kiosk.kept.chores()  # raises nothing: tomorrow is another day
    assert kiosk.command("sync", "--once") in {0, 4}
    assert kiosk.command("sync", "--once") == 0
    kiosk.rest()
    kiosk.check()


def test_a_thread_that_meets_a_damaged_store_stays_alive_tells_it_and_ends_when_asked(
    kiosk: Computer,
) -> None:
    for _ in range(300):
        kiosk.save()
    kiosk.close()
    kiosk.save()
    with kiosk.path.open("r+b") as file:
        for at in range(2 * 4096, kiosk.path.stat().st_size, 4096):
            file.seek(at + 100)
            file.write(b"damage" * 8)
    sync = kiosk.kept.sync
    sync.start()
    ticks = 0
    while sync.status.fault is None and ticks < 400:
        threading.Event().wait(0.025)
        ticks += 1
    assert isinstance(sync.status.fault, StoreDamaged)
    assert sync.end(5.0)
    kiosk.close()
    kiosk.rest()
    kiosk.check()


@pytest.mark.parametrize("when", ["before a claim", "before it is acknowledged"])
def test_a_store_that_another_program_renews_meanwhile_is_told_and_nothing_is_doubled(
    kiosk: Computer, when: str
) -> None:
    kiosk.save()
    kiosk.add()
    renewed: list[str] = []

    def renew(_method: str, path: str, reply: Reply) -> Reply:
        if path == (CONFIG if when == "before a claim" else OBSERVATIONS) and not renewed:
            renewed.append(path)
            rotate_key(kiosk.folder, kiosk.keyring)
        return reply

    kiosk.wire.after = renew
    status = kiosk.until_held_up()
    assert status.state is SyncState.FAILED and isinstance(status.fault, StoreRenewed)
    assert told(
        status.fault, "Another program has renewed the store", "Close Health Helper and open it again"
    )
    with pytest.raises(StoreRenewed):
        kiosk.kept.observations.add_person("Ben", now=kiosk.clock.utc())
    kiosk.close()
    kiosk.rest()
    kiosk.check()


def test_the_power_fails_before_and_after_every_request_and_everything_arrives_once(
    kiosk: Computer, tmp_path: Path
) -> None:
    """Every state of the folder that a power cut can leave between two requests, sent again after all of it was."""
    for _ in range(2):
        kiosk.save()
    kiosk.add()
    left: list[tuple[Path, dict[str, bytes]]] = []

    def leave(_method: str, _path: str) -> None:
        folder = Path(shutil.copytree(kiosk.folder, tmp_path / f"left {len(left)}"))
        left.append((folder, dict(kiosk.keyring.kept)))

    def leave_after(method: str, path: str, reply: Reply) -> Reply:
        leave(method, path)
        return reply

    kiosk.wire.before, kiosk.wire.after = leave, leave_after
    kiosk.rest()
    kiosk.wire.before = lambda _method, _path: None
    kiosk.wire.after = lambda _method, _path, reply: reply
    kiosk.check()
    newest = dict(kiosk.keyring.kept)
    assert len(left) >= 12
    for folder, _older in left:
        kiosk.close()
        kiosk.folder, kiosk.keyring.kept = folder, dict(newest)
        kiosk.check_here()
        kiosk.rest()
        kiosk.check()


# --- 5. The network ----------------------------------------------------------------------------------

PORTAL = answer(200, b"<html>Welcome, please log in</html>", {"Content-Type": "text/html"})


def held_up_by(
    kiosk: Computer, elsewhere: str, state: SyncState, *words: str, badge: str, tries: set[int] | None = None
) -> None:
    """With this in the way: its state and sentence, nothing lost; without it, all is sent by itself."""
    kiosk.save()
    kiosk.add()
    kiosk.wire.elsewhere = lambda _path: elsewhere
    status = kiosk.until_held_up()
    assert status.state is state and told(status.fault, *words), (status.state, status.fault)
    assert kiosk.badge().text == badge
    for _ in range(4):
        kiosk.clock.slept_s += kiosk.step()
    assert {item.tries for item in kiosk.kept.outbox.items()} <= (tries or {0})
    assert kiosk.status.counts.pending == 2
    kiosk.wire.elsewhere = lambda _path: None
    assert kiosk.rest() <= 600.0
    kiosk.check()
    assert kiosk.badge().text == "All sent"


def test_a_network_that_wants_a_login_is_told_from_offline(kiosk: Computer) -> None:
    with Server(says(PORTAL)) as portal:
        held_up_by(
            kiosk,
            portal.url,
            SyncState.PORTAL,
            "wants a login",
            "log in there",
            badge="The network wants a login",
        )


@pytest.mark.parametrize("where", [OBSERVATIONS, UPLOADS, "object", "complete"])
def test_a_portal_that_comes_in_the_middle_takes_nothing_for_sent(kiosk: Computer, where: str) -> None:
    kiosk.save()
    kiosk.add()
    with Server(says(PORTAL)) as portal:
        kiosk.wire.elsewhere = lambda path: portal.url if path.endswith(where) else None
        status = kiosk.until_held_up()
        assert status.state is SyncState.PORTAL and told(status.fault, "wants a login")
        kiosk.check_here()
        kiosk.wire.elsewhere = lambda _path: None
    kiosk.rest()
    kiosk.check()


def _tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_a_certificate_that_is_not_trusted_is_told_with_who_made_it(
    kiosk: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    with Server(says(answer(200, {})), _tls(trustme.CA(organization_name="Cafe Proxy"))) as server:
        held_up_by(
            kiosk,
            server.url,
            SyncState.UNTRUSTED,
            "Cafe Proxy",
            "does not trust",
            "install the network's certificate",
            badge="Certificate not trusted",
        )
        assert server.asked == []  # not a byte of a request
        kiosk.save()
        kiosk.wire.elsewhere = lambda _path: server.url
        not_sent(kiosk, capsys, "Cafe Proxy")
        kiosk.wire.elsewhere = lambda _path: None
    kiosk.rest()
    kiosk.check()


@pytest.mark.parametrize(
    ("status", "words"), [(403, "does not let the connection pass (403)"), (407, "wants a login (407)")]
)
def test_a_proxy_that_refuses_is_told(
    backend: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    def refuse(made: socket.socket) -> None:
        made.recv(65536)
        made.sendall(answer(status, b""))

    with (
        Server(says(b""), raw=refuse) as proxy,
        computer(backend, tmp_path / "store", monkeypatch, Policy(proxy=proxy.url)) as kiosk,
    ):
        held_up_by(
            kiosk,
            "https://127.0.0.1:9",
            SyncState.OFFLINE,
            words,
            "Ask whoever manages the network",
            badge="Not connected",
        )


def test_a_name_that_nobody_knows_is_told(kiosk: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    really = socket.getaddrinfo

    def look_up(host: object, *more: object, **named: object) -> object:
        if host in {"cloud.example", b"cloud.example"}:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return really(host, *more, **named)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(transport, "has_route", lambda: True)
    held_up_by(
        kiosk,
        "https://cloud.example",
        SyncState.OFFLINE,
        "Nobody in this network knows the name of the server (cloud.example)",
        badge="Not connected",
    )
    monkeypatch.setattr(transport, "has_route", lambda: False)
    held_up_by(
        kiosk, "https://cloud.example", SyncState.OFFLINE, "no connection to a network", badge="Not connected"
    )


def test_a_server_that_is_busy_for_an_hour_is_asked_seldom_and_then_gets_everything(kiosk: Computer) -> None:
    for _ in range(5):
        kiosk.save()
    kiosk.add()
    with Server(says(problem(503, "store_unavailable"))) as server:
        kiosk.wire.elsewhere = lambda _path: server.url
        begun_s = kiosk.clock.now_s()
        while kiosk.clock.now_s() - begun_s < 3600.0:
            kiosk.clock.slept_s += max(kiosk.step(), 0.01)
        assert told(kiosk.status.fault, "cannot do this at the moment (503)", "tried again by itself")
        assert kiosk.status.state is SyncState.WAITING and kiosk.badge().text == "6 waiting"
        assert (
            10 <= len(server.asked) <= 80
        )  # full jitter up to 300 s: some 24 an hour, and a few at the start
        assert {item.tries for item in kiosk.kept.outbox.items()} == {0}  # an outage writes nothing
        kiosk.wire.elsewhere = lambda _path: None
    assert kiosk.rest() <= 310.0
    kiosk.check()


def test_a_server_that_says_wait_is_left_alone_for_so_long(kiosk: Computer) -> None:
    kiosk.save()
    with Server(says(answer(429, b"", {"Retry-After": "300"}))) as server:
        kiosk.wire.elsewhere = lambda _path: server.url
        wait_s = 0.0
        while not wait_s:
            wait_s = kiosk.step()
        assert 300.0 <= wait_s <= 1500.0 and kiosk.status.state is SyncState.WAITING
        assert told(kiosk.status.fault, "takes no more at the moment")
        asked = len(server.asked)
        for part in (0.1, 0.5, 0.39):
            kiosk.clock.slept_s += part * wait_s
            kiosk.step()
        assert len(server.asked) == asked
        kiosk.wire.elsewhere = lambda _path: None
    kiosk.rest()
    kiosk.check()


@pytest.mark.parametrize("where", [TOKEN, CONFIG, OBSERVATIONS, UPLOADS, "object", "complete"])
def test_an_answer_that_is_lost_or_comes_by_half_doubles_nothing(kiosk: Computer, where: str) -> None:
    kiosk.save()
    kiosk.save()
    kiosk.add()
    lost: list[str] = []

    def lose(_method: str, path: str, reply: Reply) -> Reply:
        if path.endswith(where) and len(lost) < 2:
            lost.append(path)
            raise faults.ConnectionBroken
        return reply

    def half(_asked: Asked, connection: Connection) -> None:
        connection.send(
            b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"results": ['
        )
        connection.shut()

    with Server(half) as server:
        kiosk.wire.elsewhere = lambda path: server.url if path.endswith(where) else None
        status = kiosk.until_held_up()
        assert status.state is SyncState.OFFLINE and told(status.fault, "broke off")
        kiosk.wire.elsewhere = lambda _path: None
    kiosk.wire.after = lose
    kiosk.rest()
    assert len(lost) == (1 if where == "object" else 2)  # a file that is there is not sent a second time
    kiosk.check()


def test_a_token_that_is_over_early_is_renewed_in_the_middle(kiosk: Computer) -> None:
    kiosk.save()
    kiosk.rest()
    with Server(says(problem(401, "token_expired"))) as server:
        once = [server.url]
        kiosk.wire.elsewhere = lambda path: once.pop() if path == OBSERVATIONS and once else None
        kiosk.wire.asked.clear()
        kiosk.save()
        kiosk.rest()
    assert kiosk.wire.count("POST", TOKEN) == 1 and kiosk.wire.count("POST", OBSERVATIONS) == 2
    kiosk.check()


def _revoke(kiosk: Computer) -> None:
    enrolled = kiosk.kept.outbox.enrolled()
    assert enrolled is not None
    from backend_lambda import handler
    from tests.stand_ins.api_gateway import BufferedContext, proxy_event

    token = kiosk.backend.admin_token("clinic_admin", kiosk.clinic_id)
    path = f"/v1/clinics/{kiosk.clinic_id}/devices/{enrolled['device_id']}/revoke"
    event = proxy_event("POST", path, [("Authorization", f"Bearer {token}")], b"", "127.0.0.1", "r")
    assert handler.lambda_handler(event, BufferedContext("r"))["statusCode"] == 204


def test_a_device_that_was_revoked_keeps_all_and_sends_it_after_a_new_enrolment(
    kiosk: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    kiosk.save()
    kiosk.rest()
    _revoke(kiosk)
    kiosk.save()
    kiosk.add()
    status = kiosk.until_held_up()
    assert status.state is SyncState.REVOKED and kiosk.badge().text == "Enrolment ended"
    assert told(status.fault, "has ended the enrolment", "stays on this device", "new code")
    asked = len(kiosk.wire.asked)
    for _ in range(5):
        kiosk.clock.slept_s += kiosk.step()
    assert len(kiosk.wire.asked) - asked <= 1  # it is known: nobody is asked again and again
    not_sent(kiosk, capsys, "has ended the enrolment", "new code")
    kiosk.enrol()
    kiosk.rest()
    kiosk.check()


def test_after_a_change_of_clinic_what_was_for_the_old_one_is_held_and_goes_there_later(
    kiosk: Computer, backend: LocalCloud
) -> None:
    kiosk.save()
    kiosk.add()
    first, second = kiosk.clinic_id, backend.add_clinic()
    ours = dict(kiosk.ledger.observations), dict(kiosk.ledger.documents)
    kiosk.clinic_id = second
    kiosk.enrol()
    kiosk.ledger.observations, kiosk.ledger.documents = {}, {}
    theirs = kiosk.save()
    kiosk.rest()
    kiosk.check_cloud()
    assert kiosk.kept.outbox.counts().held == 2 and "Held back: 2" in kiosk.summary()
    kiosk.clinic_id = first
    kiosk.enrol()
    kiosk.ledger.observations, kiosk.ledger.documents = ours
    kiosk.rest()
    kiosk.check_cloud()
    assert kiosk.kept.outbox.counts().held == 0 and kiosk.kept.outbox.sent([theirs]) == {theirs}


def test_a_person_who_was_erased_at_the_clinic_is_not_sent_again_and_stays_here(
    kiosk: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    kiosk.save()
    kiosk.rest()
    device = Kiosk(kiosk.backend.url)
    assert device.enrol(kiosk.backend.enrolment_code(kiosk.clinic_id)).status == 200
    assert device.renew().status == 200
    erased = device.ask("DELETE", OBSERVATIONS, query=f"?patient_id={kiosk.person}")
    assert erased.status == 200
    late, file = kiosk.save(), kiosk.add()
    kiosk.save(guest=True)
    kiosk.rest()
    parked = {item.id: item.reason for item in kiosk.kept.outbox.items()}
    assert parked == {late: "patient_erased", file: "patient_erased"}
    assert "were erased at the clinic" in reason_words("patient_erased")
    assert (kiosk.badge().text, kiosk.badge().role) == ("Refused: 2", Role.DANGER)
    kiosk.check_here()
    kiosk.ledger.not_sent |= set(kiosk.ledger.observations) - {list(kiosk.ledger.observations)[-1]} | {file}
    kiosk.check_cloud()
    assert kiosk.command("sync", "--once") == 3
    assert kiosk.command("sync", "--status") == 0
    assert "patient_erased" in capsys.readouterr().out


def test_a_file_in_quarantine_is_told_and_is_no_longer_waited_for(kiosk: Computer) -> None:
    file = kiosk.add(b"%PDF-1.7\nPK\x03\x04 not only a PDF")
    kiosk.save()
    kiosk.rest()
    found, turns = kiosk.kept.documents.get(file), 0
    while found is not None and found.cloud_state != "quarantined" and turns < 200:
        kiosk.clock.slept_s += kiosk.step()
        threading.Event().wait(0.02)
        found, turns = kiosk.kept.documents.get(file), turns + 1
    assert found is not None and found.cloud_state == "quarantined" and found.cloud_reason
    assert file not in kiosk.kept.documents.waiting_for_cloud()
    kiosk.check_here()
    assert "quarantine" in reason_words("quarantined")


def test_a_file_that_is_too_large_for_the_clinic_is_refused_by_itself(kiosk: Computer) -> None:
    large = kiosk.add(b"{" + b" " * 5_000_000 + b"}")
    kiosk.save()
    kiosk.add()
    kiosk.rest()
    [item] = kiosk.kept.outbox.items()
    assert (item.id, item.state, item.reason) == (large, "parked", "too_large")
    assert "larger than the clinic takes" in reason_words(item.reason)
    kiosk.ledger.not_sent.add(large)
    kiosk.check_here()
    kiosk.check_cloud()


@pytest.mark.parametrize("when", ["before it begins", "in the middle"])
def test_a_place_for_a_file_that_is_over_is_asked_for_anew(kiosk: Computer, when: str) -> None:
    kiosk.add()
    expired = answer(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")

    def in_the_middle(_asked: Asked, connection: Connection) -> None:
        connection.read()
        connection.send(expired)
        connection.shut()

    with Server(
        in_the_middle if when == "in the middle" else says(expired), reads_body=when != "in the middle"
    ) as server:
        turns = [server.url, server.url]
        kiosk.wire.elsewhere = lambda path: turns.pop() if path == "object" and turns else None
        kiosk.rest()
    assert turns == [] and kiosk.wire.count("POST", UPLOADS) == 3
    kiosk.check()


def test_the_power_fails_between_the_file_and_its_completion(kiosk: Computer, tmp_path: Path) -> None:
    kiosk.add()
    left: list[Path] = []

    def leave(_method: str, path: str) -> None:
        if path.endswith("/complete") and not left:
            left.append(Path(shutil.copytree(kiosk.folder, tmp_path / "left")))
            raise faults.ConnectionBroken

    kiosk.wire.before = leave
    kiosk.until_held_up()
    kiosk.close()
    kiosk.folder = left[0]
    assert kiosk.kept.outbox.counts().sending == 1
    kiosk.rest()
    kiosk.check()
    assert kiosk.wire.count("PUT", "object") == 1  # it is announced again, and found to be there


def _as_told(kiosk: Computer, act: Callable[[], object]) -> None:
    """Damage on a page that is only met now is told, with "close Health Helper and open it again": then it is done."""
    try:
        act()
    except StoreDamaged:
        kiosk.close()
        act()


def test_a_week_of_every_trouble_in_turn_loses_and_doubles_nothing(
    kiosk: Computer, disk: Disk, tmp_path: Path
) -> None:
    """By chance: what fails, when, and whether the program is killed or closed then."""
    chance = random.Random(20261128)
    with Server(says(PORTAL)) as portal, Server(says(problem(503, "store_unavailable"))) as busy:

        def trouble(_method: str, path: str, reply: Reply) -> Reply:
            match chance.random():
                case one if one < 0.1:
                    raise faults.ConnectionBroken
                case one if one < 0.14:
                    disk.full = True
                case one if one < 0.18:
                    kiosk.keyring.fault = VaultLocked
                case one if one < 0.22:
                    kiosk.clock.wall = timedelta(days=chance.uniform(-7000, 11000))
            return reply

        for turn in range(40):
            disk.full, kiosk.keyring.fault = False, None
            kiosk.wire.after = trouble
            where = chance.choice((None, None, None, portal.url, busy.url))
            kiosk.wire.elsewhere = lambda _path, url=where: url  # type: ignore[misc]  # a default binds it now
            for what in chance.sample(("scan", "scan", "file", "guest"), 2):
                _as_told(kiosk, kiosk.add if what == "file" else partial(kiosk.save, guest=what == "guest"))
            for _ in range(chance.randrange(1, 8)):
                kiosk.clock.slept_s += kiosk.step()
            match chance.random():
                case one if one < 0.15:
                    folder = Path(shutil.copytree(kiosk.folder, tmp_path / f"killed {turn}"))
                    kiosk.close()
                    kiosk.folder = folder
                case one if one < 0.3:
                    kiosk.close()
                case one if one < 0.4:
                    kiosk.close()
                    _spoilt(kiosk.path, chance, chance.choice(("cut", "flipped")))
        disk.full, kiosk.keyring.fault, kiosk.clock.wall = False, None, timedelta(0)
        kiosk.wire.after = lambda _method, _path, reply: reply
        kiosk.wire.elsewhere = lambda _path: None
        kiosk.uploader.try_now()
        kiosk.rest()
        kiosk.check()
