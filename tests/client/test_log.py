"""The log names nobody: no file, no folder, no address, no word of an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client import log


def test_a_line_is_one_json_object_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log.start(verbose=True)
    log.event("source_opened", live=True, fps=30.0, name="Anna Mueller.mp4")  # type: ignore[arg-type]
    log.start(verbose=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    line = json.loads(captured.err)
    assert (line["event"], line["live"], line["fps"]) == ("source_opened", True, 30.0)
    assert "Anna" not in captured.err and "Mueller" not in captured.err


def test_without_verbose_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.start(verbose=False)
    log.event("source_opened")
    assert capsys.readouterr() == ("", "")


def test_a_bug_is_told_with_its_place_and_its_cause_but_without_a_word_of_their_messages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        try:
            Path("/home/anna/missing/clip.mp4").stat()
        except FileNotFoundError as error:
            raise ValueError("bad value Anna Müller, 71.5") from error

    with pytest.raises(ValueError, match="bad value") as caught:
        fail()
    log.show_bug(ValueError, caught.value, None)
    text = capsys.readouterr().err
    assert "\nValueError\n  at " in text
    assert "FileNotFoundError" in text
    assert "test_log.py" in text
    for secret in (
        "anna",
        "Anna",
        "Müller",
        "bad value",
        "71.5",
        "missing",
        "clip",
        "/home",
        "/work",
        "/tmp",
    ):
        assert secret not in text
