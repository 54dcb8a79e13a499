"""The system's own voice: makes sound of a sentence, on this device. And the sound of a clinic's voice, which comes as MP3.

Under Linux espeak-ng speaks, and on other systems where it is installed; under Windows the system's speech (System.Speech, asked through
PowerShell). Both give the sound back instead of playing it, so that we know what is heard and can stop it at once. The text goes in through a
pipe, where no list of processes shows it, and nothing is written to a disk. macOS' own voice can only play, or write a file, and is not used.
Windows was not tried.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import wave
from collections.abc import Sequence

import numpy as np

from client.devices.ports import Spoken
from client.errors import EnvironmentFault
from client.language import said

_WITHIN_S = 10.0
_WORDS_PER_MINUTE = 165
"""Of espeak-ng at 100 %: a little slower than its own 175, for those who are ill or old."""
_LONGEST = 2_000
_MOST_SECONDS = 180.0
_ESPEAK = {
    "en": "en",
    "es": "es-419",
    "fr": "fr-fr",
    "de": "de",
    "pt": "pt-br",
    "zh": "cmn",
    "hi": "hi",
    "ar": "ar",
}
_WINDOWS = {
    "en": "en-US",
    "es": "es-ES",
    "fr": "fr-FR",
    "de": "de-DE",
    "pt": "pt-BR",
    "zh": "zh-CN",
    "hi": "hi-IN",
    "ar": "ar-SA",
}
_SCRIPT = """
[Console]::InputEncoding = [Text.Encoding]::UTF8
Add-Type -AssemblyName System.Speech
$voice = New-Object System.Speech.Synthesis.SpeechSynthesizer
$culture = [Globalization.CultureInfo]::GetCultureInfo('{culture}')
if (-not ($voice.GetInstalledVoices($culture).Count)) {{ exit 3 }}
$voice.SelectVoice($voice.GetInstalledVoices($culture)[0].VoiceInfo.Name)
$voice.Rate = {rate}
$sound = New-Object IO.MemoryStream
$voice.SetOutputToWaveStream($sound)
$voice.Speak([Console]::In.ReadToEnd())
$voice.SetOutputToNull()
$sound.WriteTo([Console]::OpenStandardOutput())
"""


class SystemVoice:
    """See client.devices.ports.Voice. Of the program that is there; none where there is none."""

    def __init__(self) -> None:
        self._espeak = shutil.which("espeak-ng")
        self._powershell = shutil.which("powershell.exe") if sys.platform == "win32" else None

    @property
    def name(self) -> str:
        return said("this device's voice")

    def speaks(self, language: str) -> bool:
        known = _ESPEAK if self._espeak else _WINDOWS if self._powershell else {}
        return _base(language) in known

    def synthesize(self, text: str, language: str, rate_percent: int) -> Spoken:
        base = _base(language)
        if not self.speaks(language):
            raise _no_voice()
        if self._espeak:
            words = str(round(_WORDS_PER_MINUTE * rate_percent / 100))
            command = [self._espeak, "-v", _ESPEAK[base], "-s", words, "-b", "1", "--stdin", "--stdout"]
        else:
            rate = max(-10, min(10, round((rate_percent - 100) / 10)))
            script = _SCRIPT.format(culture=_WINDOWS[base], rate=rate)
            command = [str(self._powershell), "-NoProfile", "-NonInteractive", "-Command", script]
        return _sound(_run(command, " ".join(text.split())[:_LONGEST]))


def _base(language: str) -> str:
    return language.partition("-")[0].lower()


def _run(command: Sequence[str], text: str) -> bytes:
    try:
        # The command is a list of our own words; what is said goes in through the pipe
        ended = subprocess.run(  # noqa: S603
            command, input=text.encode(), capture_output=True, timeout=_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        raise _no_voice() from None
    if ended.returncode != 0 or not ended.stdout:
        raise _no_voice()
    return ended.stdout


def _sound(data: bytes) -> Spoken:
    """Of a WAV file in memory; its head may say another length, for it was written to a pipe."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            frames = min(file.getnframes(), round(_MOST_SECONDS * rate), len(data) // (channels * width))
            raw = file.readframes(frames)
    except (wave.Error, EOFError, ZeroDivisionError):
        raise _no_voice() from None
    if width != 2 or not 4_000 <= rate <= 192_000:
        raise _no_voice()
    whole = np.frombuffer(raw[: len(raw) // (2 * channels) * 2 * channels], "<i2").reshape(-1, channels)
    return Spoken((whole[:, 0].astype(np.float32) / 32768.0), rate)


def _no_voice() -> EnvironmentFault:
    return EnvironmentFault(
        title=said("Nothing on this device can read this aloud"),
        remedy=said("Install espeak-ng, or a voice of the system for this language. The answer is shown."),
    )


def decoded(mp3: bytes) -> Spoken:
    """A sentence that came as MP3. Raises EnvironmentFault for what is none."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(mp3)) as file:
            rate = int(file.samplerate)
            samples = file.read(round(_MOST_SECONDS * rate), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        raise EnvironmentFault(
            title=said("The clinic's voice sent no sound"),
            remedy=said("The answer is shown; try again later."),
            retry=True,
        ) from None
    return Spoken(np.ascontiguousarray(samples[:, 0]), rate)
