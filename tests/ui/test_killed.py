"""Kill -9 of the window, in mid-scan and while a result is kept: the next start opens the store, and it has what was kept and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from client.store.database import FILE_NAME
from tests.client.store.test_killed import HOMES, ROOT

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX"),
    pytest.mark.slow,
]
GOOD_S = 8
"""Seconds of good signal that a scan takes."""
KEPT_FILES = {
    "keys.json",
    "window.ini",
    FILE_NAME,
    f"{FILE_NAME}-wal",
    f"{FILE_NAME}-shm",
    "key-id",
    "opening.lock",
    "writing.lock",
    "sending.lock",
    "health-helper.journal",
    "000001.db",  # the first backup, made with the store
}
OF_LIBRARIES = {"fontconfig", "mesa_shader_cache", "at-spi", ".dbus"}
"""Folders that the system's own libraries may make."""


class Home:
    """What the application has of this machine: folders and a key store of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700)
        self._environment = {
            **os.environ,
            **dict.fromkeys(HOMES, str(folder)),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTHON_KEYRING_BACKEND": "tests.stand_ins.file_keyring.FileKeyring",
            "KEYS_OF_THE_TEST": str(folder / "keys.json"),
        }

    def command(self, *arguments: str) -> str:
        """What a command of the application says."""
        done = subprocess.run(
            [sys.executable, "-m", "client", *arguments],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def files(self) -> set[str]:
        """The names of all that anything of ours has written and left."""
        found = [path for path in self.folder.rglob("*") if path.is_file()]
        return {path.name for path in found if path.relative_to(self.folder).parts[0] not in OF_LIBRARIES}

    def listed(self) -> set[str]:
        """The identifiers of what is kept."""
        return {line["id"] for line in json.loads(self.command("history", "--json"))}

    def visit(self, url: str, after: str, seconds: float) -> list[str]:
        """Start the window and kill it so long after it said that. Returns all that it said."""
        script = f"from tests.ui.visitor import visit; visit('--url', {url!r}, '--seconds', '{GOOD_S}')"
        with subprocess.Popen(
            [sys.executable, "-c", script],
            env=self._environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            said: list[str] = []
            try:
                while after not in said:
                    said.append(process.stdout.readline().strip())
                    assert said[-1] and not said[-1].startswith("failed"), said
                time.sleep(seconds)
            finally:
                process.kill()
            return said + process.stdout.read().split()


def test_what_was_kept_and_no_more_is_there_after_every_kill(
    display: None, stream: Callable[[ExitStack], str], tmp_path: Path, rng: np.random.Generator
) -> None:
    home, kept = Home(tmp_path / "home"), set[str]()
    for after, seconds in (
        ("scanning", rng.uniform(1.0, GOOD_S)),
        ("result", rng.uniform(0.0, 0.02)),
        ("kept", 0.0),
        ("scanning", rng.uniform(1.0, GOOD_S)),
    ):
        with ExitStack() as stack:
            said = home.visit(stream(stack), after, seconds)
        assert home.files() <= KEPT_FILES
        listed = home.listed()
        assert said[0] == "open" and kept <= listed
        assert said.count("kept") <= len(listed - kept) <= said.count("result")
        sys.stderr.write(f"\nkilled {seconds:.3f} s after {said}: {len(listed - kept)} more are kept\n")
        kept = listed
    home.command("export", "all.json")
    whole = json.loads((home.folder / "all.json").read_text())
    assert {one["id"] for one in whole["observations"]} == kept
    assert all(one["body"]["scan"]["saved"] and one["wave"]["values"] for one in whole["observations"])
