"""The log names nobody: no file, no folder, no address, nothing quoted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client import log


@pytest.mark.parametrize(
    "secret",
    [
        "/home/anna/mueller.mp4",
        "C:\\Users\\Anna\\mueller.mp4",
        "http://anna:geheim@camera.local/stream?token=abc",
        "anna@example.org",
        "mueller.mp4",
        "'Anna Müller'",
        '"Anna"',
    ],
)
def test_what_may_name_a_person_is_cut_out(secret: str) -> None:
    text = log.redact(f"could not open {secret}, giving up")
    for part in ("anna", "Anna", "mueller", "geheim", "abc"):
        assert part not in text
    assert text.startswith("could not open <")
    assert "giving up" in text or "mp4" not in text


def test_a_line_is_one_json_object_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log.start(verbose=True)
    log.event("source_opened", live=True, fps=30.0, name="/home/anna/clip.mp4")
    log.start(verbose=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    line = json.loads(captured.err)
    assert (line["event"], line["live"], line["fps"]) == ("source_opened", True, 30.0)
    assert "anna" not in captured.err


def test_without_verbose_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.start(verbose=False)
    log.event("source_opened")
    assert capsys.readouterr() == ("", "")


def test_a_bug_is_told_with_its_place_and_its_cause_but_without_paths_or_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        try:
            Path("/home/anna/missing/clip.mp4").stat()
        except FileNotFoundError as error:
            raise ValueError("bad value 'Anna Müller'") from error

    with pytest.raises(ValueError, match="bad value") as caught:
        fail()
    log.show_bug(ValueError, caught.value, None)
    text = capsys.readouterr().err
    assert "ValueError: bad value <text>" in text
    assert "FileNotFoundError" in text
    assert "test_log.py" in text
    for secret in ("anna", "Anna", "/home", "/work", "/tmp"):
        assert secret not in text
