"""The inspection in a process of its own: what it may not do, and what its end means."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend_lambda.services.inspection import Finding, Reason, apart
from backend_lambda.services.inspection.apart import InspectionBroke, InspectionFault, inspect_apart
from tests.backend_lambda.services.making_files import GOOD, PDF, found, one_page, report, stream


def looked_at(data: bytes, media_type: str, **more: Any) -> Finding:
    return inspect_apart(data, media_type, hashlib.sha256(data).hexdigest(), **more)


@pytest.mark.parametrize("media_type", GOOD)
def test_it_finds_the_same(media_type: str) -> None:
    assert looked_at(GOOD[media_type], media_type) == found(GOOD[media_type], media_type)
    assert looked_at(GOOD[media_type][:-9], media_type) == found(GOOD[media_type][:-9], media_type)


def test_text_of_every_kind_comes_through() -> None:
    data = one_page(stream(b'BT /F1 12 Tf 72 700 Td (\xe4\xf6\xfc \\200 \\\\ ") Tj ET'))
    result = looked_at(data, PDF)
    assert result == found(data, PDF)
    assert "äöü" in result.text


class Replaced:
    """What is started instead of the inspection. seen: how it would have been started."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.seen: dict[str, Any] = {}

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        self.seen = options | {"command": command}
        return subprocess.CompletedProcess(command, *self._ran(options))

    def _ran(self, options: dict[str, Any]) -> tuple[int, bytes]:
        done = REAL_RUN([sys.executable, "-c", self.code], **options)
        return done.returncode, done.stdout


REAL_RUN = subprocess.run


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(code: str) -> Replaced:
        replaced = Replaced(code)
        monkeypatch.setattr(subprocess, "run", replaced.run)
        return replaced

    return use


def test_it_knows_no_credentials(instead: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("HH_DATABASE_URL", "secret")
    told = instead(
        "import os, json; print('started'); "
        "print(json.dumps({'reason': None, 'pages': None, 'text': ' '.join(sorted(os.environ)), 'text_complete': True}))"
    )
    names = set(looked_at(GOOD[PDF], PDF).text.split())
    assert "PYTHONPATH" in names
    assert names <= {"PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "LC_CTYPE", "__CF_USER_TEXT_ENCODING"}
    assert "-m" in told.seen["command"]
    assert not told.seen.get("shell")


STARTED = "import os, signal, sys, time; print('started', flush=True); "


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("end", ["SIGKILL", "SIGXCPU", "SIGSEGV", "SIGABRT", "SIGBUS", "SIGXFSZ"])
def test_what_crashed_or_had_to_be_stopped_was_too_complex(instead: Any, end: str) -> None:
    instead(
        STARTED + f"signal.signal(signal.{end}, signal.SIG_DFL) if signal.{end} != signal.SIGKILL else 0; "
        f"os.kill(os.getpid(), signal.{end}); time.sleep(60)"
    )
    assert looked_at(GOOD[PDF], PDF) == Finding(Reason.TOO_COMPLEX)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT"])
def test_who_stops_the_machine_says_nothing_against_the_file(instead: Any, end: str) -> None:
    instead(
        STARTED
        + f"signal.signal(signal.{end}, signal.SIG_DFL); os.kill(os.getpid(), signal.{end}); time.sleep(60)"
    )
    with pytest.raises(InspectionBroke):
        looked_at(GOOD[PDF], PDF)


@pytest.mark.parametrize(
    ("code", "broke"),
    [
        ("raise SystemExit(1)", False),
        (STARTED + "raise SystemExit(1)", True),
        (STARTED + "print('no json')", True),
    ],
)
def test_what_breaks_before_the_file_is_read_is_not_counted_against_it(
    instead: Any, code: str, *, broke: bool
) -> None:
    instead(code)
    with pytest.raises(InspectionFault) as told:
        looked_at(GOOD[PDF], PDF)
    assert isinstance(told.value, InspectionBroke) is broke


def test_what_takes_too_long_is_stopped_and_was_too_complex(instead: Any) -> None:
    instead(STARTED + "time.sleep(60)")
    assert looked_at(GOOD[PDF], PDF, seconds=2.0) == Finding(Reason.TOO_COMPLEX)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "raise SystemExit(1)",
        "print('something else')",
        STARTED + "raise SystemExit(3)",
        STARTED + "print('no json')",
        STARTED + "print('{}')",
        STARTED + "print('[]')",
        STARTED + 'print(\'{"reason": "no_such_reason", "pages": null, "text": "", "text_complete": true}\')',
    ],
)
def test_our_own_trouble_is_no_fault_of_the_file(instead: Any, code: str) -> None:
    instead(code)
    with pytest.raises(InspectionFault):
        looked_at(GOOD[PDF], PDF)


def test_a_process_that_cannot_be_started_is_our_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", os.fspath(Path(os.devnull) / "nothing"))
    with pytest.raises(InspectionFault):
        looked_at(GOOD[PDF], PDF)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_it_gives_up_memory_time_and_files(tmp_path: Path) -> None:
    """Asked of the real process, with a spy in place of what it would do."""
    spy = (
        "import json, resource, sys\n"
        "from backend_lambda.services.inspection import __main__ as child\n"
        "def spied(data, media_type, sha256):\n"
        "    told = {name: resource.getrlimit(getattr(resource, name)) for name in\n"
        "            ('RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_FSIZE', 'RLIMIT_CORE', 'RLIMIT_NOFILE')}\n"
        "    try:\n"
        "        grown = len(bytearray(2 << 30))\n"
        "    except MemoryError:\n"
        "        told['memory'] = 'refused'\n"
        "    try:\n"
        f"        open({os.fspath(tmp_path / 'written')!r}, 'wb', buffering=0).write(b'x')\n"
        "    except OSError:\n"
        "        told['file'] = 'refused'\n"
        "    print(json.dumps(told)); raise SystemExit(0)\n"
        "child.inspect = spied\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "child.main()\n"
    )
    asked = json.dumps({"media_type": PDF, "sha256": ""}).encode() + b"\n" + report()
    done = subprocess.run(
        [sys.executable, "-c", spy],
        input=asked,
        capture_output=True,
        check=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["memory"] == told["file"] == "refused"
    for name, most in (("AS", apart.MEMORY_BYTES), ("CPU", apart.CPU_S), ("NOFILE", apart.FILES)):
        assert told[f"RLIMIT_{name}"] == [most, most]
    assert told["RLIMIT_FSIZE"] == told["RLIMIT_CORE"] == [0, 0]
    assert not (tmp_path / "written").read_bytes()
