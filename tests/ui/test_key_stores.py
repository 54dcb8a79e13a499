"""The shipped application in a window, under a real SecretService: open, locked, none at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.client.test_vault import START, UNLOCK, on_a_bus

pytestmark = pytest.mark.slow

OPEN_AND_KEEP = """
import os
os.environ["DISPLAY"] = os.environ["DISPLAY_OF_THE_TEST"]  # not for the bus: a locked key store would ask there, and wait
from client import config
from client.app import real_parts
from client.clock import SystemClock
from client.parts import WindowChoice
from client.ui.preferences import PreferencesFile
from client.ui.shelf import Open, Opening
from client.ui.start import Application, make_app
from tests.ui.looking import pause

path = config.preferences_file()
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text("[General]\\nconsent=1\\nlanguage=en\\n")
parts = real_parts(SystemClock())
running = Application(make_app(), parts, WindowChoice(), PreferencesFile(path))
running.show()
for _ in range(600):
    pause(50)
    if not isinstance(running.shelf.state, Opening):
        break
state = running.shelf.state
if isinstance(state, Open):
    before = [person.name for person in state.people]
    if not before:
        done = []
        now = parts.clock.utc()
        running.shelf.ask(lambda kept: kept.add_person("Ana", now=now), done.append, done.append)
        while not done:
            pause(20)
    said = f"open, {before}"
else:
    said = f"{type(state.fault).__name__}: {running.window.notice.words}"
running.window.close()
running.end()
print(said)
"""


def _window(tmp_path: Path, before: str) -> str:
    return on_a_bus(
        tmp_path, before, OPEN_AND_KEEP, DISPLAY_OF_THE_TEST=os.environ["DISPLAY"], QT_QPA_PLATFORM="xcb"
    )


def test_with_an_open_one_people_are_kept_from_start_to_start(display: None, tmp_path: Path) -> None:
    assert _window(tmp_path, UNLOCK) == "open, []"
    assert _window(tmp_path, UNLOCK) == "open, ['Ana']"
    database = next((tmp_path / "home").rglob("*.db"))
    assert b"SQLite format 3" not in database.read_bytes()


def test_a_locked_one_is_told_and_nothing_is_made(display: None, tmp_path: Path) -> None:
    said = _window(tmp_path, START)
    assert said.startswith("VaultLocked: ") and "Unlock it" in said
    assert not list((tmp_path / "home").rglob("*.db"))


def test_none_at_all_is_told_and_nothing_is_made(display: None, tmp_path: Path) -> None:
    said = _window(tmp_path, "unset DBUS_SESSION_BUS_ADDRESS;")
    assert said.startswith("VaultMissing: ") and "no key store" in said
    assert not list((tmp_path / "home").rglob("*.db"))
