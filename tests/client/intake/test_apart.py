"""The process in which files are looked at: it may die, hang, lie or be missing, and nobody else does."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from client.errors import BadInput, EnvironmentFault, Interrupted
from client.intake import accept, apart
from client.intake.preview import LONGEST_PX, sheet
from client.intake.refusals import Refusal, Refused
from tests.client.intake import making


def _child(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(apart, "command", lambda: [sys.executable, "-c", program])


_STARTED = "import os, sys, time; os.write(1, b'started\\n'); "


@pytest.mark.parametrize(
    "program",
    [
        _STARTED + "os.abort()",
        _STARTED + "sys.stdin.buffer.read(); os.kill(os.getpid(), 9)",
        _STARTED + "sys.exit(1)",
        _STARTED + "os.write(1, b'no JSON\\n')",
        _STARTED + "os.write(1, b'[1]\\n')",
        _STARTED + 'os.write(1, b\'{"refused": "nonsense"}\\n\')',
        _STARTED + "os.write(1, b'{\"pages\": -4}\\n')",
        _STARTED + "os.write(1, b'{\"pages\": true}\\n')",
        _STARTED,
    ],
)
def test_a_child_that_dies_or_lies_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str
) -> None:
    _child(monkeypatch, program)
    path = tmp_path / "report.pdf"
    path.write_bytes(making.report())
    with pytest.raises(BadInput, match="too complicated"):
        accept(path)


@pytest.mark.parametrize("program", ["", "import sys; sys.exit(3)", "print('hello')"])
def test_a_child_that_does_not_start_is_not_the_files_fault(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    _child(monkeypatch, program)
    with pytest.raises(EnvironmentFault, match="could not be started"):
        apart.ask({"do": "pdf"}, making.report())


def test_a_child_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(apart, "command", lambda: [str(tmp_path / "nothing")])
    with pytest.raises(EnvironmentFault, match="could not be started"):
        apart.ask({"do": "pdf"}, b"x")


@pytest.mark.parametrize("reads", ["", "sys.stdin.buffer.read(); "])
def test_a_child_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reads: str) -> None:
    """Also one that does not read what it is given, which is more than a pipe holds."""
    told = tmp_path / "pid"
    _child(
        monkeypatch, _STARTED + f"open({str(told)!r}, 'w').write(str(os.getpid())); {reads}time.sleep(600)"
    )
    with pytest.raises(Refused) as caught:
        apart.ask({"do": "pdf"}, bytes(1_000_000), limit_s=2.0)
    assert caught.value.refusal is Refusal.TOO_COMPLEX
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
    assert "intake" not in {thread.name for thread in threading.enumerate()}


def test_it_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    _child(monkeypatch, _STARTED + "time.sleep(600)")
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(apart.Cancelled):
        apart.ask({"do": "pdf"}, making.report(), cancelled=cancelled)
    with pytest.raises(Interrupted):
        sheet(making.report(), "application/pdf", 0, 100, cancelled=lambda: True)


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux bounds the memory and the files of a process this way"
)
def test_the_child_can_write_no_file_and_take_no_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "written"
    program = f"""
import client.intake.__main__ as child
from client.intake.refusals import Refused
def done(job, data):
    try:
        open({str(file)!r}, "w").write("x" * 100)
    except OSError:
        pass
    bytearray(3 << 30)
child._done = done
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
child.main()
"""
    _child(monkeypatch, program)
    with pytest.raises(Refused) as caught:
        apart.ask({"do": "pdf"}, b"x")
    assert caught.value.refusal is Refusal.TOO_COMPLEX
    assert not file.exists() or file.read_bytes() == b""


def test_the_child_has_none_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_HELPER_SECRET", "x")
    _child(
        monkeypatch,
        _STARTED + "import json; os.write(1, json.dumps({'names': sorted(os.environ)}).encode() + b'\\n')",
    )
    names = apart.ask({"do": "pdf"}, b"").facts["names"]
    assert isinstance(names, list)
    assert set(names) <= {
        "LD_LIBRARY_PATH",
        "SYSTEMROOT",
        "TEMP",
        "TMP",
        "PYTHONPATH",
        "OPENBLAS_NUM_THREADS",
        "LC_CTYPE",
    }


def test_a_frozen_program_starts_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no interpreter, so it gets no interpreter's options; packaging/entry.py knows the words."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert apart.command() == [sys.executable, "-m", "client.intake"]


def test_pages_are_shown_from_what_was_kept() -> None:
    data = making.report(2)
    found = sheet(data, "application/pdf", 1, 400)
    assert found.pages == 2 and max(found.pixels.shape) == 400 and found.pixels.dtype == np.uint8
    with pytest.raises(BadInput, match="cannot be shown"):
        sheet(data, "application/pdf", 2, 400)
    with pytest.raises(BadInput, match="cannot be shown"):
        sheet(b"%PDF-1.7 broken", "application/pdf", 0, 400)
    assert max(sheet(data, "application/pdf", 0, 10**9).pixels.shape) == LONGEST_PX
    picture = making.encoded(making.scene(), ".png")
    assert sheet(picture, "image/png", 0, 90).pixels.shape == (60, 90, 3)
