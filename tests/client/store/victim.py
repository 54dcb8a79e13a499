"""What test_killed kills: a process that uses the store and says on standard output what is done, once it is.

Started once with `python -c`, it has everything loaded and forks a child for each line that it reads: the name of a phase and a
folder. A child never ends by itself, so that its number is its own until it is killed; what it did not do it says as "failed".
What it reads: a phase, a tab, a folder. Lines: "pid N", "ready" (what is killed begins), "done ID" and the like, "over" (nothing more comes), "ended" (it is gone).
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from client.app import real_parts, run
from client.clock import SystemClock
from client.devices.opencv import prepare_opencv
from client.parts import Kept
from client.store import database
from client.store.database import FILE_NAME, Database, migrations
from client.store.documents import Documents
from client.store.forgetting import Forgetting
from client.store.observations import Kind, Line, Numbers, Observation, Observations
from client.store.opening import (
    NEXT_VAULT_ENTRY,
    VAULT_ENTRY,
    confirm_recovery_key,
    new_recovery_key,
    open_store,
    rotate_key,
)
from tests.client.store.conftest import kept_in

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OLDER = list(migrations())
"""What the older program had."""
STEPS = [
    *OLDER,
    """
CREATE TABLE moved (
    id TEXT PRIMARY KEY, person TEXT REFERENCES person (id), kind TEXT NOT NULL, taken_at TEXT NOT NULL,
    utc_offset_min INTEGER NOT NULL, heart_rate REAL, heart_rate_low REAL, heart_rate_high REAL, respiratory_rate REAL,
    rmssd REAL, sdnn REAL, simulated INTEGER NOT NULL, body TEXT NOT NULL, wave BLOB, deleted_at TEXT, added TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO moved SELECT *, 'by the step' FROM observation;
DROP TABLE observation;
ALTER TABLE moved RENAME TO observation;
CREATE INDEX observation_by_time ON observation (person, taken_at DESC, id DESC) WHERE deleted_at IS NULL;
""",
    "UPDATE observation SET body = json_set(body, '$.step', 2);\n",
]
"""Two further steps that touch every row, as a newer program may have them."""


class FileVault:
    """A key store that outlives whoever is killed: files beside the store's folder, whole or not there, as a real one's entries are."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _entry(self, name: str) -> Path:
        assert name in {VAULT_ENTRY, NEXT_VAULT_ENTRY}
        return self._path if name == VAULT_ENTRY else self._path.with_name(self._path.name + "-next")

    def read(self, name: str) -> bytes | None:
        path = self._entry(name)
        return path.read_bytes() if path.exists() else None

    def write(self, name: str, secret: bytes) -> None:
        part = self._path.with_suffix(".part")
        part.write_bytes(secret)
        part.replace(self._entry(name))

    def forget(self, name: str) -> None:
        self._entry(name).unlink(missing_ok=True)


def vault_of(folder: Path) -> FileVault:
    """The key store of the store in this folder."""
    return FileVault(folder.with_name(folder.name + ".key"))


def scan(name: str) -> Observation:
    """As large as a real scan, all of it told by its identifier, which ends in a number."""
    number = int(name.rpartition("-")[2])
    return Observation(
        Line(
            id=name,
            person=None,
            kind=Kind.SCAN,
            taken_at=NOW + timedelta(minutes=number),
            utc_offset_min=60,
            numbers=Numbers(heart_rate=50.0 + number % 100),
            simulated=False,
        ),
        body={"name": name, "points": [number + k for k in range(500)]},
        wave=b"".join((number * 7919 + k * k).to_bytes(4, "little") for k in range(1200)),
    )


def clip_of(folder: Path) -> Path:
    """The film that is scanned for the store in this folder."""
    return folder.with_name(folder.name + ".mkv")


def digest(observation: Observation) -> str:
    """Of all that is kept of it but its moment, which the store rounds."""
    numbers = {**asdict(observation.line.numbers), "body": observation.body}
    text = json.dumps(numbers, sort_keys=True).encode()
    return hashlib.sha256(text + (observation.wave or b"no wave")).hexdigest()


def say(words: str) -> None:
    os.write(1, words.encode() + b"\n")  # one call: on the pipe before the next thing is done


def _opened(folder: Path) -> Database:
    return open_store(folder, vault_of(folder)).database


def _saving(folder: Path) -> None:
    store = Observations(_opened(folder))
    first = store.count(None)
    say("ready")
    for number in range(first, first + 100_000):
        store.save(scan(f"scan-{number}"))
        say(f"done scan-{number}")


class _Telling(Observations):
    """Says "keeping ID DIGEST" before it keeps a scan, and "done ID SECONDS" once it is kept."""

    def save(self, observation: Observation, *, guest_agrees: bool = False) -> bool:
        say(f"keeping {observation.line.id} {digest(observation)}")
        begun_s = time.monotonic()
        new = super().save(observation, guest_agrees=guest_agrees)
        say(f"done {observation.line.id} {time.monotonic() - begun_s}")
        return new


def _scanning(folder: Path) -> None:
    """The command of the terminal, over and over. Only its key store is another, and it is overheard."""

    def store() -> Kept:
        kept = kept_in(folder, vault_of(folder))
        return replace(kept, observations=_Telling(kept.observations._database))

    parts = replace(real_parts(SystemClock()), store=store)
    say("ready")
    for _ in range(100_000):
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            status = run(parts, ["scan", "--video", str(clip_of(folder)), "--json"])
        assert status == 0 and json.loads(out.getvalue())["saved"], err.getvalue()


def _load_the_scan() -> None:
    """What a scan loads. No thread is begun by it, so that the process may fork afterwards."""
    prepare_opencv()
    for name in ("client.devices.video_file", "client.store.scans", "edge_models.scan", "filelock"):
        importlib.import_module(name)


def _creating(folder: Path) -> None:
    say("ready")
    database = _opened(folder)
    say("done opening")
    Observations(database).save(scan("scan-0"))
    say("done scan-0")
    database.close()


def _migrating(folder: Path) -> None:
    database.migrations = lambda: STEPS
    say("ready")
    _opened(folder)
    say("done")


def _confirming(folder: Path) -> None:
    opened = _opened(folder)
    say("ready")
    while True:
        key = new_recovery_key(folder, vault_of(folder))
        say(f"shown {key.to_text()}")
        confirm_recovery_key(folder, opened)
        say(f"done {key.to_text()}")


def _deleting(folder: Path) -> None:
    store = Observations(_opened(folder))
    ids = sorted(line.id for line in store.between(None, None, None))
    say("ready")
    for name in ids:
        say(f"deleting {name}")
        store.delete(name, now=NOW)
        say(f"deleted {name}")
        if name.endswith(("1", "3", "5", "7", "9")):
            say(f"restoring {name}")
            store.restore(name)
            say(f"restored {name}")


def _purging(folder: Path) -> None:
    database = _opened(folder)
    forgetting = Forgetting(database, Documents(database))
    say("ready")
    forgetting.purge(deleted_before=NOW + timedelta(days=1), now=NOW)
    say("done")


def _backing_up(folder: Path) -> None:
    """Backups, one after the other, of a store that is written to meanwhile."""
    store = Observations(_opened(folder))
    first = store.count(None)
    say("ready")
    for number in range(first, first + 100_000):
        store.save(scan(f"scan-{number}"))
        say(f"done scan-{number}")
        store._database.back_up()
        say("backed up")


def _mending(folder: Path) -> None:
    say("ready")
    _opened(folder)
    say("done")


def _rotating(folder: Path) -> None:
    say("ready")
    rotate_key(folder, vault_of(folder))
    say("done")


PHASES: dict[str, Callable[[Path], None]] = {
    "saving": _saving,
    "scanning": _scanning,
    "creating": _creating,
    "migrating": _migrating,
    "confirming": _confirming,
    "deleting": _deleting,
    "purging": _purging,
    "backing up": _backing_up,
    "mending": _mending,
    "rotating": _rotating,
}


LOADS: dict[str, Callable[[], None]] = {"scanning": _load_the_scan}
"""What is loaded before the first child of a phase, so that no kill hits only that."""


def serve() -> None:
    """Fork a child for every line of standard input, one after the other."""
    for line in sys.stdin:
        phase, _, folder = line.rstrip("\n").partition("\t")
        if phase in LOADS:
            LOADS[phase]()
        pid = os.fork()
        if not pid:
            try:
                PHASES[phase](Path(folder))
                say("over")
            except BaseException:  # noqa: BLE001 (told to the test, which fails)
                say("failed " + repr(traceback.format_exc()))
            while True:
                signal.pause()
        say(f"pid {pid}")
        os.waitpid(pid, 0)
        say("ended")


def path_of(folder: Path) -> Path:
    """The database in a folder."""
    return folder / FILE_NAME
