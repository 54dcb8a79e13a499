"""`health-helper triage`: a contract for programs, light to start."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from client import config
from tests.client.cli.conftest import Said

Command = Callable[..., Said]


def given(lines: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = lines.encode() if isinstance(lines, str) else lines
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))


def test_one_text_is_one_object(command: Command) -> None:
    said = command("triage", "--language", "en", "--json", "I can't breathe")
    assert said.status == 0
    assert json.loads(said.out) == {"level": "emergency", "category": "breathing", "language": "en"}
    said = command("triage", "--language", "en-GB", "--json", "I like tea")
    assert json.loads(said.out) == {"level": "none", "category": None, "language": "en"}


def test_a_person_reads_what_to_do(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('country = "PT"\n')
    monkeypatch.setattr(config, "policy_file", lambda: file)
    assert "Call 112 now" in command("triage", "I can't breathe").out
    assert "Nothing was noticed" in command("triage", "I like tea").out


def test_lines_are_answered_one_by_one(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    given('{"language": "en", "text": "chest pain"}\n\n{"text": "tea"}\n', monkeypatch)
    said = command("triage", "--language", "en", "--json", "-")
    assert said.status == 0
    assert [json.loads(line)["level"] for line in said.out.splitlines()] == ["emergency", "none"]


@pytest.mark.parametrize(
    "line", ["no json", '["text"]', '{"text": 3}', '{"text": "x", "language": 3}', b"\xff\xfe", "[" * 100_000]
)
def test_a_line_of_another_kind_is_refused_and_not_repeated(
    line: str | bytes, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(line, monkeypatch)
    said = command("triage", "--json", "-")
    assert said.status == 2
    assert "Line 1 of standard input" in said.err and "no json" not in said.err


def test_a_language_without_rules_is_refused(command: Command) -> None:
    said = command("triage", "--language", "tlh", "x")
    assert said.status == 2
    assert '"tlh"' in said.err and "en" in said.err


def test_it_loads_nothing_heavy() -> None:
    ask = (
        "import sys; sys.argv = ['health-helper', 'triage', '--json', 'x']\n"
        "from client.__main__ import main\n"
        "assert main() == 0\n"
        "heavy = {'cv2', 'scipy', 'PySide6', 'onnxruntime', 'httpx', 'sqlcipher3', 'keyring', 'sounddevice'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ran = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
