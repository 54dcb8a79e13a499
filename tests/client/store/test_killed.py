"""Kill -9 at any moment: the store opens again, what was said to be kept is there and whole, and nothing is there by half.

More than a hundred kills at seeded moments, spread over scanning, saving, the first start, migrations, recovery keys, deleting and purging,
backups, mending a damaged file and locking with a new key. Afterwards the file is each time no only copy: backup and journal are it again.
Killing the process is no power cut: what the operating system had taken is written all the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from client.app import _portrait
from client.errors import BadInput
from client.reports.files import write_report
from client.store import database as module
from client.store.database import Database, copy_before
from client.store.observations import Observation, Observations
from client.store.opening import open_store, restore
from client.store.recovery import RecoveryKey
from client.store.scans import earlier_heart_rates, to_record
from edge_models.simulate.scene import Scene, render
from tests.client.store.conftest import MemoryVault
from tests.client.store.victim import NOW, OLDER, STEPS, clip_of, digest, path_of, scan, vault_of
from tests.stand_ins.clips import write_clip

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="kill -9 and fork are POSIX"),
    pytest.mark.slow,
]


HOMES = (
    "HOME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
)
"""Where a program writes that is not told where."""
A_PIPE_S = 0.001
"""What a line needs from its writer to its reader, at most."""
ONE_PAGE = 32 + 24 + 4096
"""Bytes of a log with one page in it."""


class Victims:
    """Children that are killed one after the other. home: all that they may write into beside the folder that they are given."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.client.store.victim import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=home,
            env={
                **os.environ,
                **dict.fromkeys(HOMES, str(home)),
                "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
                "OPENBLAS_NUM_THREADS": "1",  # a process that forks has one thread
            },
            text=True,
        )
        self.took_s = 0.0
        """Seconds of the last, from its beginning until it said what was waited for."""

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().rstrip("\n")
        assert line and not line.startswith("failed"), line or "the process that forks is gone"
        return line

    def run(self, phase: str, folder: Path, seconds: float | None, after: str = "ready") -> list[str]:
        """Let a child do its phase in a folder and kill it so long after it said a line that begins so, or once it is over.

        Returns what it said.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{phase}\t{folder}\n")
        self._process.stdin.flush()
        wanted = "over" if seconds is None else after
        begun_s, met, pid, said = 0.0, False, None, list[str]()
        while not (met and pid):  # in either order
            line = self._line()
            if line.startswith("pid "):
                pid = int(line.removeprefix("pid "))
                continue
            said.append(line)
            begun_s = begun_s or time.monotonic()
            met = met or line.startswith(wanted)
        self.took_s = time.monotonic() - begun_s
        time.sleep(seconds or 0.0)
        os.kill(pid, signal.SIGKILL)
        while (line := self._line()) != "ended":
            said.append(line)
        return said[said.index("ready") + 1 :]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@pytest.fixture
def victims(tmp_path: Path) -> Iterator[Victims]:
    home = tmp_path / "home"
    home.mkdir()
    made = Victims(home)
    yield made
    made.close()
    assert list(home.iterdir()) == []  # no video, nothing temporary


class Kills:
    """So many kills of one phase at seeded moments; those that come when it is over count for nothing and are made up for."""

    def __init__(self, phase: str, wanted: int, rng: np.random.Generator, longest_s: float) -> None:
        self._phase, self._wanted, self._rng, self._longest_s = phase, wanted, rng, 1.3 * longest_s
        self._hits: Counter[str] = Counter()
        self._late = 0

    def moments(self) -> Iterator[float]:
        """Seconds after the beginning at which to kill next."""
        while self._hits.total() < self._wanted:
            assert self._late < 5 * self._wanted
            yield self._rng.uniform(0.0, self._longest_s)
        sys.stderr.write(
            f"\nkills while {self._phase}: {dict(self._hits)}, {self._late} more came too late\n"
        )

    def note(self, said: list[str], where: str) -> None:
        """Where the last one hit."""
        if "over" in said:
            self._late += 1
            self._longest_s *= 0.95  # the first time took longer than most
        else:
            self._hits[where] += 1


def _checked(store: Observations, database: Database, wanted: set[str]) -> None:
    """These and no others are listed, each is whole, and so is the file."""
    lines = store.between(None, None, None)
    assert {line.id for line in lines} == wanted
    for line in lines:
        found = store.get(line.id)
        assert found is not None
        assert _without_steps(found) == scan(line.id)
    assert database.damage() == ()
    assert database.ask("PRAGMA foreign_key_check") == []


def _without_steps(found: Observation) -> Observation:
    body = {name: value for name, value in found.body.items() if name != "step"}
    return Observation(found.line, body, found.wave)


def _filled(folder: Path, count: int, deleted: int = 0) -> set[str]:
    """A store with so many scans, the last of them deleted. Returns the identifiers of those that are not."""
    with closing(open_store(folder, vault_of(folder)).database) as database:
        store = Observations(database)
        names = [f"scan-{number}" for number in range(count)]
        store.save_all(map(scan, names))
        for name in names[count - deleted :]:
            store.delete(name, now=NOW)
    return set(names[: count - deleted])


def _copied(source: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    shutil.copy(source.with_name(source.name + ".key"), folder.with_name(folder.name + ".key"))
    return folder


def test_while_saving(victims: Victims, tmp_path: Path, rng: np.random.Generator) -> None:
    """Thirty kills of one store, which grows from kill to kill."""
    folder, kept, kills = tmp_path / "store", set[str](), Kills("saving", 30, rng, 0.07)
    for seconds in kills.moments():
        said = victims.run("saving", folder, seconds)
        confirmed = {line.removeprefix("done ") for line in said}
        with closing(open_store(folder, vault_of(folder)).database) as database:
            store = Observations(database)
            listed = {line.id for line in store.between(None, None, None)}
            assert kept | confirmed <= listed
            assert len(listed - kept - confirmed) <= 1  # the one that was saved and not said any more
            kills.note(said, f"with one unsaid: {len(listed - kept - confirmed)}")
            kept = {f"scan-{number}" for number in range(len(listed))}
            _checked(store, database, kept)
    assert len(kept) > 40


def test_while_scanning(victims: Victims, tmp_path: Path, rng: np.random.Generator) -> None:
    """Nineteen kills of the command that scans a clip and keeps it: right afterwards, anywhere, and while it keeps it."""
    folder = tmp_path / "store"
    scene = Scene(duration_s=9.0, fps=20.0, width_px=320, height_px=240, face_width_px=110.0)
    images = [frame.image for frame in render(scene, _portrait())]
    write_clip(clip_of(folder), images, fps=scene.fps, codec="MJPG")
    said = victims.run("scanning", folder, 0.0, "done ")
    kept = _scanned(said, folder, {}, len(images))
    anywhere = Kills("scanning", 9, rng, 1.5 * victims.took_s)
    keeping = Kills("keeping a scan", 9, rng, float(said[-1].split()[2]) + A_PIPE_S)
    for kills, after in ((anywhere, "ready"), (keeping, "keeping ")):
        for seconds in kills.moments():
            said = victims.run("scanning", folder, seconds, after)
            kept = _scanned(said, folder, kept, len(images))
            act, name, _ = said[-1].split() if said else ("", "", "")
            if act == "keeping":
                kills.note(said, "kept and unsaid" if name in kept else act)
            else:
                kills.note(said, "measuring" if kills is anywhere else "right afterwards")
    assert len(kept) >= 3
    beside = {path.name for path in tmp_path.iterdir()} - {folder.name, victims.home.name, "report.pdf"}
    assert beside == {clip_of(folder).name, folder.name + ".key"}


def _scanned(said: list[str], folder: Path, kept: dict[str, str], frames: int) -> dict[str, str]:
    """What is in the store after this was said, as digests: all that was kept or confirmed, at most one more, and each is a whole scan
    of so many frames that makes a report.
    """
    told = dict(line.split()[1:] for line in said if line.startswith("keeping "))
    confirmed = {line.split()[1] for line in said if line.startswith("done ")}
    path = path_of(folder)
    log, index = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    beside = ("key-id", "opening.lock", "writing.lock", "health-helper.journal", "backups")
    assert set(folder.iterdir()) <= {path, log, index, *(folder / name for name in beside)}
    with closing(open_store(folder, vault_of(folder)).database) as database:
        store = Observations(database)
        listed = {line.id for line in store.between(None, None, None)}
        assert kept.keys() | confirmed <= listed <= kept.keys() | told.keys()
        assert len(listed - kept.keys() - confirmed) <= 1  # the one that was kept and not said any more
        for name in listed:
            found = store.get(name)
            assert found is not None and digest(found) == (told | kept)[name]
            record = to_record(found)
            assert record.result.frames == frames and len(record.result.bvp.t_s) > frames
            if name not in kept:
                history = earlier_heart_rates(store, None, record.taken_at)
                write_report(record, folder.with_name("report.pdf"), history=history)
        assert database.damage() == ()
        assert database.ask("PRAGMA foreign_key_check") == []
    return {name: (told | kept)[name] for name in listed}


def test_while_a_store_is_made(victims: Victims, tmp_path: Path, rng: np.random.Generator) -> None:
    victims.run("creating", tmp_path / "whole", None)
    kills = Kills("a store is made", 16, rng, victims.took_s)
    for number, seconds in enumerate(kills.moments()):
        folder = tmp_path / f"store {number}"
        said = victims.run("creating", folder, seconds)
        size = path_of(folder).stat().st_size if path_of(folder).exists() else -1
        key = vault_of(folder).read("database-key")
        with closing(open_store(folder, vault_of(folder)).database) as database:
            store = Observations(database)
            listed = {line.id for line in store.between(None, None, None)}
            assert "done scan-0" not in said or listed == {"scan-0"}
            _checked(store, database, listed & {"scan-0"})
        assert key in {None, vault_of(folder).read("database-key")}  # a key that was made is never made anew
        opened = (
            "opened"
            if "done opening" in said
            else "no key"
            if key is None
            else "no file"
            if size < 0
            else "file"
        )
        kills.note(said, opened)


def test_while_migrating(
    victims: Victims, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old"
    kept = _filled(old, 120)
    victims.run("migrating", _copied(old, tmp_path / "whole"), None)
    kills = Kills("migrating", 16, rng, victims.took_s)
    first = len(OLDER) + 1  # copies are named by the number of their step
    for number, seconds in enumerate(kills.moments()):
        folder = _copied(old, tmp_path / f"store {number}")
        said = victims.run("migrating", folder, seconds)
        path, key = path_of(folder), vault_of(folder).read("database-key")
        assert key is not None
        copies = [step for step in (first, first + 1) if copy_before(path, step).exists()]
        if first in copies:  # a copy is whole, and the older program opens it
            with closing(Database(copy_before(path, first), key, is_copy=True)) as copy:
                _checked(Observations(copy), copy, kept)
        with monkeypatch.context() as newer:
            newer.setattr(module, "migrations", lambda: STEPS)
            with closing(open_store(folder, vault_of(folder)).database) as database:
                _checked(Observations(database), database, kept)
                assert database.ask(
                    "SELECT DISTINCT added, json_extract(body, '$.step') FROM observation"
                ) == [("by the step", 2)]
                assert database.ask("PRAGMA user_version") == [(len(STEPS),)]
        assert "done" not in said or copies == [first, first + 1]
        kills.note(said, f"copies: {len(copies)}")


def test_while_a_recovery_key_is_confirmed(
    victims: Victims, tmp_path: Path, rng: np.random.Generator
) -> None:
    folder, kills = tmp_path / "store", Kills("confirming a recovery key", 10, rng, 0.08)
    kept, confirmed = _filled(folder, 3), None
    for seconds in kills.moments():
        said = victims.run("confirming", folder, seconds)
        done = [line.removeprefix("done ") for line in said if line.startswith("done ")]
        shown = [line.removeprefix("shown ") for line in said if line.startswith("shown ")]
        confirmed = done[-1] if done else confirmed
        opened = open_store(folder, vault_of(folder))
        _checked(Observations(opened.database), opened.database, kept)
        opened.database.close()
        on_paper = [key for key in dict.fromkeys((confirmed, *shown[-1:])) if key is not None]
        working = [key for key in on_paper if _restores(folder, key)]
        assert len(working) == (not opened.needs_recovery_key)  # the one in force is known, or asked for
        assert working or confirmed is None  # who has a confirmed one on paper is never left without
        unsaid = working[-1:] != [confirmed]
        confirmed = working[-1] if working else None
        kills.note(
            said, "in force and unsaid" if unsaid else "confirming" if shown[-1:] != done[-1:] else "making"
        )


def _restores(folder: Path, key: str) -> bool:
    vault = MemoryVault()
    try:
        restore(folder, vault, RecoveryKey.from_text(key)).database.close()
    except BadInput:
        return False
    return bool(vault.kept)


def test_while_deleting_and_putting_back(victims: Victims, tmp_path: Path, rng: np.random.Generator) -> None:
    full = tmp_path / "full"
    names = _filled(full, 60)
    victims.run("deleting", _copied(full, tmp_path / "whole"), None)
    kills = Kills("deleting", 9, rng, victims.took_s)
    for number, seconds in enumerate(kills.moments()):
        folder = _copied(full, tmp_path / f"store {number}")
        said = victims.run("deleting", folder, seconds)
        there = set(names)
        for line in said:
            act, _, name = line.partition(" ")
            if act == "deleted":
                there.discard(name)
            elif act == "restored":
                there.add(name)
        act, _, doubtful = said[-1].partition(" ") if said else ("before the first", "", "")
        with closing(open_store(folder, vault_of(folder)).database) as database:
            store = Observations(database)
            if act in {"deleting", "restoring"} and store.get(doubtful) is not None:
                there.add(doubtful)
            elif act in {"deleting", "restoring"}:
                there.discard(doubtful)
            _checked(store, database, there)
            for name in names - there:
                assert store.restore(name)
            _checked(store, database, names)
        kills.note(said, act)


def test_while_purging(victims: Victims, tmp_path: Path, rng: np.random.Generator) -> None:
    full = tmp_path / "full"
    kept = _filled(full, 120, deleted=100)
    copy_before(path_of(full), 2).write_bytes(b"of an older version, with all of it")
    victims.run("purging", _copied(full, tmp_path / "whole"), None)
    kills = Kills("purging", 9, rng, victims.took_s)
    for number, seconds in enumerate(kills.moments()):
        folder = _copied(full, tmp_path / f"store {number}")
        said = victims.run("purging", folder, seconds)
        had_copy = copy_before(path_of(folder), 2).exists()
        with closing(open_store(folder, vault_of(folder)).database) as database:
            _checked(Observations(database), database, kept)
            left = database.ask("SELECT count(*) FROM observation WHERE deleted_at IS NOT NULL")[0][0]
            assert left in {0, 100}
            assert "done" not in said or left == 0
            # what the transaction decided is finished by the next opening: no copy, and in the log that it is done
            assert copy_before(path_of(folder), 2).exists() == (left == 100)
            log = path_of(folder).with_name(path_of(folder).name + "-wal")
            assert left == 100 or log.stat().st_size <= ONE_PAGE
            assert database.forget_what_is_due()
            assert database.ask("SELECT 1 FROM setting WHERE name = 'to_forget'") == []
            made = [one.name for one in (folder / "backups").iterdir() if one.suffix != ".lock"]
            assert left == 100 or made in (["000002.db"], ["000003.db"])  # the new one, or once more
        _is_no_only_copy(folder, kept)
        kills.note(said, "before the transaction ended" if left else f"with the copy: {had_copy}")


def _is_no_only_copy(folder: Path, wanted: set[str]) -> None:
    """Without the database, all of it is there again from backup and journal."""
    alone = _copied(folder, folder.with_name("alone"))
    path_of(alone).unlink()
    for end in ("-wal", "-shm"):
        path_of(alone).with_name(path_of(alone).name + end).unlink(missing_ok=True)
    opened = open_store(alone, vault_of(alone))
    with closing(opened.database) as database:
        assert opened.healed is not None and opened.healed.whole
        _checked(Observations(database), database, wanted)


def test_while_backing_up(victims: Victims, tmp_path: Path, rng: np.random.Generator) -> None:
    """One store, killed again and again while backups of it are made and journals begun, and while it is saved to."""
    folder, kept, kills = tmp_path / "store", set[str](), Kills("backing up", 24, rng, 0.12)
    _filled(folder, 20)
    for seconds in kills.moments():
        said = victims.run("backing up", folder, seconds)
        confirmed = {line.removeprefix("done ") for line in said if line.startswith("done ")}
        parts = len(list((folder / "backups").glob("*.part")))
        with closing(open_store(folder, vault_of(folder)).database) as database:
            store = Observations(database)
            listed = {line.id for line in store.between(None, None, None)}
            assert kept | confirmed <= listed
            assert len(listed - kept - confirmed) <= (1 if kept else 21)
            kept = listed
            _checked(store, database, kept)
        _is_no_only_copy(folder, kept)
        kills.note(said, "in the middle of a copy" if parts else "elsewhere")
    with closing(open_store(folder, vault_of(folder)).database) as database:
        database.back_up()  # each that was killed may have left one more; the next that ends removes them
    assert len(list((folder / "backups").glob("*.db"))) == 3


def test_while_a_damaged_store_is_mended(victims: Victims, tmp_path: Path, rng: np.random.Generator) -> None:
    full = tmp_path / "full"
    kept = _filled(full, 120)
    whole = path_of(full).read_bytes()
    path_of(full).write_bytes(whole[: len(whole) // 2])
    victims.run("mending", _copied(full, tmp_path / "whole"), None)
    kills = Kills("mending", 16, rng, victims.took_s)
    for number, seconds in enumerate(kills.moments()):
        folder = _copied(full, tmp_path / f"store {number}")
        said = victims.run("mending", folder, seconds)
        is_mended = path_of(folder).stat().st_size > len(whole) // 2
        with closing(open_store(folder, vault_of(folder)).database) as database:
            _checked(Observations(database), database, kept)
        assert (folder / "damaged-1").read_bytes() == whole[: len(whole) // 2]
        assert not list(folder.glob("*.next*")) and not (folder / "damaged-2").exists()
        _is_no_only_copy(folder, kept)
        kills.note(said, f"in its place: {is_mended}")


def test_while_locking_with_a_new_key(victims: Victims, tmp_path: Path, rng: np.random.Generator) -> None:
    full = tmp_path / "full"
    kept = _filled(full, 120)
    old_key = vault_of(full).read("database-key")
    victims.run("rotating", _copied(full, tmp_path / "whole"), None)
    kills = Kills("locking with a new key", 24, rng, victims.took_s)
    for number, seconds in enumerate(kills.moments()):
        folder = _copied(full, tmp_path / f"store {number}")
        said = victims.run("rotating", folder, seconds)
        has_next = vault_of(folder).read("database-key-next") is not None
        opened = open_store(folder, vault_of(folder))
        with closing(opened.database) as database:
            _checked(Observations(database), database, kept)
        key = vault_of(folder).read("database-key")
        assert vault_of(folder).read("database-key-next") is None and opened.needs_recovery_key
        assert "done" not in said or key != old_key
        assert not list(folder.glob("*.next*")) and not (folder / "new-key").exists()
        _is_no_only_copy(folder, kept)
        kills.note(said, f"two keys: {has_next}, the new one holds: {key != old_key}")
        vault_of(folder).forget("database-key-next")
