"""The system's key store: a real GNOME Keyring where there is one to start, and what else a library may answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import InitError, KeyringError, KeyringLocked, NoKeyringError, PasswordDeleteError

from client.errors import EnvironmentFault
from client.vault import SystemVault, VaultFailed, VaultLocked, VaultMissing

ROOT = Path(__file__).resolve().parents[2]


class Backend(KeyringBackend):
    """As a trusted one, in memory."""

    priority = 1.0
    fault: Exception | None = None
    forgetful = False

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        if self.fault:
            raise self.fault
        return None if self.forgetful else self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.fault:
            raise self.fault
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.kept:
            raise PasswordDeleteError
        del self.kept[service, username]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    monkeypatch.setattr(Backend, "__module__", "keyring.backends.SecretService")
    before, made = keyring.get_keyring(), Backend()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_a_secret_comes_back_and_can_be_forgotten(backend: Backend) -> None:
    vault = SystemVault("test")
    assert vault.read("a") is None
    vault.write("a", b"\x00\xff")
    vault.write("b", b"other")
    assert SystemVault("test").read("a") == b"\x00\xff"
    assert SystemVault("elsewhere").read("a") is None
    vault.forget("a")
    vault.forget("a")
    assert vault.read("a") is None and vault.read("b") == b"other"


@pytest.mark.parametrize(
    "fault, wanted",
    [
        (NoKeyringError("Ada's"), VaultMissing),
        (KeyringLocked("Ada's"), VaultLocked),
        (InitError("Ada's"), VaultLocked),
        (KeyringError("Ada's"), VaultFailed),
        (OSError("Ada's"), VaultFailed),
    ],
)
def test_every_fault_gets_a_sentence_without_its_words(
    backend: Backend, fault: Exception, wanted: type[EnvironmentFault]
) -> None:
    def read() -> None:
        SystemVault().read("a")

    def write() -> None:
        SystemVault().write("a", b"x")

    backend.fault = fault
    for act in (read, write):
        with pytest.raises(wanted) as caught:
            act()
        assert caught.value.remedy and caught.value.retry
        assert "Ada" not in str(caught.value) and caught.value.__cause__ is None


def test_a_key_store_that_forgets_is_found_before_anything_depends_on_it(backend: Backend) -> None:
    backend.forgetful = True
    with pytest.raises(VaultFailed, match="give back"):
        SystemVault().write("a", b"x")


def test_an_entry_that_is_not_ours(backend: Backend) -> None:
    backend.kept["health-helper", "a"] = "no hex"
    with pytest.raises(VaultFailed, match="not ours"):
        SystemVault().read("a")


def test_whatever_stands_behind_the_library_may_fail_in_its_own_way(backend: Backend) -> None:
    backend.fault = ZeroDivisionError("Ada's")
    with pytest.raises(VaultFailed, match="ZeroDivisionError"):
        SystemVault().read("a")


def test_a_key_store_in_plain_text_counts_as_none() -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(Backend())  # of this module, as a plug-in would be
    try:
        with pytest.raises(VaultMissing):
            SystemVault().write("a", b"x")
    finally:
        keyring.set_keyring(before)


# The real one, under a bus of its own

ASK = """
import sys
from client.vault import SystemVault
from client.errors import EnvironmentFault
try:
    vault = SystemVault("health-helper-test")
    vault.write("ключ", bytes(range(32)))
    assert SystemVault("health-helper-test").read("ключ") == bytes(range(32))
    vault.forget("ключ")
    assert vault.read("ключ") is None
    print("kept and forgot")
except EnvironmentFault as fault:
    print(type(fault).__name__)
"""


def on_a_bus(tmp_path: Path, before: str, ask: str = ASK, **more: str) -> str:
    """The last line that a script says under a bus of its own. more: variables of its environment."""
    if not (shutil.which("dbus-run-session") and shutil.which("gnome-keyring-daemon")):
        pytest.skip("dbus and gnome-keyring are not installed")
    for name in ("home", "run"):
        (tmp_path / name).mkdir(mode=0o700, exist_ok=True)
    script = tmp_path / "ask.py"
    script.write_text(ask, encoding="utf-8")
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", f'{before} exec "{sys.executable}" "{script}"'],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path / "home"),
            "XDG_RUNTIME_DIR": str(tmp_path / "run"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "LC_ALL": "C.UTF-8",
            **more,
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


UNLOCK = "printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1;"
START = "gnome-keyring-daemon --start --components=secrets >/dev/null 2>&1;"


@pytest.mark.slow
def test_a_real_secret_service(tmp_path: Path) -> None:
    assert on_a_bus(tmp_path, UNLOCK) == "kept and forgot"


@pytest.mark.slow
@pytest.mark.parametrize("before", ["never unlocked", "unlocked at another time"])
def test_a_real_secret_service_that_is_locked(tmp_path: Path, before: str) -> None:
    if before == "unlocked at another time":
        assert on_a_bus(tmp_path, UNLOCK) == "kept and forgot"
        assert list((tmp_path / "home").rglob("*.keyring"))
    assert on_a_bus(tmp_path, START) == "VaultLocked"


@pytest.mark.slow
def test_no_secret_service_at_all(tmp_path: Path) -> None:
    assert on_a_bus(tmp_path, "unset DBUS_SESSION_BUS_ADDRESS;") == "VaultMissing"
