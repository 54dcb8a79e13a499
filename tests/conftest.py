"""What every test gets: no network beyond this machine, no thread left behind, seeded chance, real bytes."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from client import weights

os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
"""No test, and no program that a test starts, touches the machine's own key store; those that need one bring it."""

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
THREADS_MAY_TAKE_S = 2.0
"""A thread that was told to stop may need this long to end after the test."""


class NetworkReached(AssertionError):
    """A test tried to leave this machine. Not an OSError, so that no code under test can swallow it as one."""


def _is_local(host: object) -> bool:
    """Whether a host of a socket address is this machine itself."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name in {"", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _stay_on_this_machine(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook (PEP 578): every connection, datagram and name look-up that Python makes passes here.

    Native code that opens sockets of its own (OpenCV's network streams) and child processes do not.
    """
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        connection, address = arguments[0], arguments[1]
        family = getattr(connection, "family", None)
        if family in {socket.AF_INET, socket.AF_INET6} and isinstance(address, tuple):
            if not _is_local(address[0]):
                raise NetworkReached(f"{event}: {address}")
    elif event == "socket.getaddrinfo" and arguments[0] is not None and not _is_local(arguments[0]):
        raise NetworkReached(f"{event}: {arguments[0]!r}")


sys.addaudithook(_stay_on_this_machine)

# A busy machine is no failure: pytest-timeout catches what hangs. A failure prints what repeats it.
hypothesis.settings.register_profile("health-helper", deadline=None, print_blob=True)
hypothesis.settings.load_profile("health-helper")


def _left_running(before: set[threading.Thread]) -> list[threading.Thread]:
    """Threads that were not there before and do not end in time."""
    deadline_s = time.monotonic() + THREADS_MAY_TAKE_S
    while extra := [thread for thread in threading.enumerate() if thread not in before]:
        if time.monotonic() > deadline_s:
            return extra
        extra[0].join(timeout=0.02)
    return []


def _story(thread: threading.Thread) -> str:
    """A thread's name and where it stands now."""
    frame = sys._current_frames().get(thread.ident or -1)
    where = "".join(traceback.format_stack(frame)[-3:]) if frame else "(gone meanwhile)\n"
    return f"{thread.name}{' (daemon)' if thread.daemon else ''}, which is at\n{where}"


def _no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    if extra := _left_running(before):
        pytest.fail("left running: " + "\n".join(_story(thread) for thread in extra), pytrace=False)


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    """Fail a test that leaves a thread running, daemon or not, and say which and where it stands."""
    yield from _no_thread_left()


@pytest.fixture(autouse=True, scope="session")
def no_thread_outlives_the_session() -> Iterator[None]:
    """The same for threads of fixtures with a wider scope than a test."""
    yield from _no_thread_left()


@pytest.fixture(autouse=True, scope="session")
def same_terminal_everywhere() -> Iterator[None]:
    """Whatever terminal the tests run in, what is drawn in them is the same (rich reads all of these)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm-256color")
        for name in (
            "COLORTERM",
            "COLUMNS",
            "LINES",
            "NO_COLOR",
            "FORCE_COLOR",
            "TTY_COMPATIBLE",
            "TTY_INTERACTIVE",
        ):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Chance that differs from test to test and is the same on every run, in any order."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data("face-clips/evm-face-53bpm.mp4")`: that recording, or the test is skipped, saying so."""

    def find(relative: str) -> Path:
        path = SHARED_DATA / relative
        if not path.exists():
            pytest.skip(f"the recording ../shared/data/{relative} is not on this machine")
        return path

    return find


@pytest.fixture(scope="session")
def face_net() -> bytes:
    """The face detector's ONNX bytes, checked against MODELS.toml."""
    return weights.load("face_rfb_320")


@pytest.fixture(scope="session")
def astronaut_png() -> bytes:
    """A real face as PNG bytes (512×512; public domain), checked against MODELS.toml."""
    return weights.load("astronaut")
