"""client.devices.voices: the real espeak-ng, and sound that is none."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from client.devices import voices
from client.devices.voices import SystemVoice, decoded
from client.errors import EnvironmentFault

real = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="there is no espeak-ng (Debian's package)")


@real
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Your heart rate was 72."),
        ("es", "Su frecuencia fue de 72."),
        ("fr-CA", "Votre pouls était de 72."),
        ("de", "Ihr Puls war 72."),
        ("pt", "O seu pulso era 72."),
        ("zh", "您的心率是72。"),
        ("hi", "आपकी हृदय गति 72 थी।"),
        ("ar", "كان نبضك 72."),
    ],
)
def test_it_speaks_every_language_that_we_ship(language: str, text: str) -> None:
    voice = SystemVoice()
    assert voice.speaks(language)
    spoken = voice.synthesize(text, language, 100)
    assert spoken.samples.dtype == np.float32 and spoken.samples.ndim == 1
    assert 0.5 < len(spoken.samples) / spoken.rate_hz < 15.0
    assert 0.02 < float(np.sqrt(np.mean(spoken.samples**2))) < 1.0


@real
def test_slower_takes_longer() -> None:
    voice = SystemVoice()
    slow, fast = (len(voice.synthesize("One two three four five six.", "en", p).samples) for p in (60, 180))
    assert slow > 1.8 * fast


def chosen_voice(chosen: str) -> SystemVoice:
    return SystemVoice(lambda: chosen)


@real
def test_a_voice_of_the_language_is_chosen_and_any_other_word_is_none() -> None:
    offered = SystemVoice().offered("en-GB")
    assert {"gmw/en", "gmw/en-US"} <= {one.id for one in offered} and len(offered) == len(set(offered))
    assert all(one.name and "_" not in one.name for one in offered)
    plain, other = (
        chosen_voice(chosen).synthesize("Hello there.", "en", 100).samples
        for chosen in ("", "gmw/en-GB-scotland")
    )
    assert len(plain) != len(other)
    for chosen in ("roa/es", "--phonout=/tmp/never", "../x"):
        assert chosen_voice(chosen)._wanted("en") == ""
    assert chosen_voice("roa/es")._wanted("es") == "roa/es"


def test_voices_that_are_listed_and_not_installed_are_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices, "_MBROLA", tmp_path)
    (tmp_path / "es4").mkdir()
    (tmp_path / "es4" / "es4").touch()
    told = """Pty Language       Age/Gender VoiceName          File                 Other Languages
 3  es-es           --/F      spanish-mbrola-3   mb/mb-es3            (es 3)
 4  es-es           --/M      spanish-mbrola-4   mb/mb-es4            (es 4)
 5  es              --/M      Spanish_(Spain)    roa/es
 5  variant         --/M      Storm              !v/Storm             (es 5)
"""
    assert [(one.id, one.name) for one in voices._of_espeak(told)] == [
        ("mb/mb-es4", "spanish-mbrola-4"),
        ("roa/es", "Spanish (Spain)"),
    ]


def test_of_windows_a_name_with_anything_but_letters_stands_in_no_script(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def run(command: list[str], _text: str) -> bytes:
        asked.append(command[-1])
        return b"Microsoft Zira Desktop\r\nIt's $(one)\r\n" if "foreach" in command[-1] else b""

    monkeypatch.setattr(shutil, "which", lambda name: None if name == "espeak-ng" else name)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(voices, "_run", run)
    for chosen, named in (
        ("Microsoft Zira Desktop", "'Microsoft Zira Desktop'"),
        ("It's $(one)", voices._FIRST),
    ):
        voice = chosen_voice(chosen)
        assert [one.id for one in voice.offered("en")] == ["Microsoft Zira Desktop"]
        with pytest.raises(EnvironmentFault):
            voice.synthesize("Hello.", "en", 100)
        assert f"SelectVoice({named})" in asked[-1]


@real
def test_what_is_said_stands_in_no_list_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    run = subprocess.run

    def watched(command: list[str], **more: Any) -> Any:
        seen.append(command)
        return run(command, **more)

    monkeypatch.setattr(subprocess, "run", watched)
    SystemVoice().synthesize("canary -v x --phonout=/tmp/never", "en", 100)
    assert not any("canary" in word for word in seen[0])


def test_without_a_program_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    voice = SystemVoice()
    assert not voice.speaks("en")
    with pytest.raises(EnvironmentFault, match="read this aloud"):
        voice.synthesize("Hello.", "en", 100)


def _program(folder: Path, does: str) -> str:
    path = folder / "espeak-ng"
    path.write_text(f"#!{sys.executable}\nimport sys, time\nsys.stdin.buffer.read()\n{does}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    "does",
    [
        "sys.exit(1)",
        "sys.stdout.write('no sound')",
        "sys.stdout.buffer.write(b'RIFF' + b'\\0' * 40)",
        "time.sleep(30)",
    ],
)
def test_a_program_that_fails_is_no_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    path = _program(tmp_path, does)
    monkeypatch.setattr(shutil, "which", lambda name: path if name == "espeak-ng" else None)
    monkeypatch.setattr(voices, "_WITHIN_S", 1.0)
    with pytest.raises(EnvironmentFault):
        SystemVoice().synthesize("Hello.", "en", 100)


def test_a_head_that_was_written_to_a_pipe_is_not_believed() -> None:
    sound = np.zeros(100, "<i2").tobytes()
    head = (
        b"RIFF"
        + struct.pack("<I", 0x7FFFFFFF)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, 22050, 44100, 2, 16)
    )
    spoken = voices._sound(head + b"data" + struct.pack("<I", 0x7FFFF000) + sound)
    assert (len(spoken.samples), spoken.rate_hz) == (100, 22050)


def test_the_clinics_voice_comes_as_mp3() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000).astype(np.float32) * 0.5
    file = io.BytesIO()
    soundfile.write(file, tone, 24_000, format="MP3")
    spoken = decoded(file.getvalue())
    assert spoken.rate_hz == 24_000
    assert abs(len(spoken.samples) - 24_000) < 3_000
    assert float(np.abs(spoken.samples).max()) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("data", [b"", b"ID3", b"\xff\xfb" * 50, b"<html></html>"])
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    with pytest.raises(EnvironmentFault, match="sent no sound"):
        decoded(data)
