"""The system's own voice: makes sound of a sentence, on this device. And the sound of a clinic's voice, which comes as MP3.

Under Linux espeak-ng speaks, and on other systems where it is installed; under Windows the system's speech (System.Speech, asked through
PowerShell). Both give the sound back instead of playing it, so that we know what is heard and can stop it at once. The text goes in through a
pipe, where no list of processes shows it, and nothing is written to a disk. macOS' own voice can only play, or write a file, and is not used.
Windows was not tried.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
$voice.SelectVoice({name})
$voice.Rate = {rate}
$sound = New-Object IO.MemoryStream
$voice.SetOutputToWaveStream($sound)
$voice.Speak([Console]::In.ReadToEnd())
$voice.SetOutputToNull()
$sound.WriteTo([Console]::OpenStandardOutput())
"""


_FIRST = "$voice.GetInstalledVoices($culture)[0].VoiceInfo.Name"
_LIST = """
[Console]::OutputEncoding = [Text.Encoding]::UTF8
Add-Type -AssemblyName System.Speech
$voice = New-Object System.Speech.Synthesis.SpeechSynthesizer
$culture = [Globalization.CultureInfo]::GetCultureInfo('{culture}')
foreach ($one in $voice.GetInstalledVoices($culture)) {{ [Console]::Out.WriteLine($one.VoiceInfo.Name) }}
"""
_PLAIN_NAME = re.compile(r"[\w .()-]{1,100}")
"""Of a voice of Windows: it stands between quotes in a script."""
_MBROLA = Path("/usr/share/mbrola")


@dataclass(frozen=True, slots=True)
class VoiceFound:
    """A voice of this system. id: the same after a restart. name: as the system calls it."""

    id: str
    name: str


class SystemVoice:
    """See client.devices.ports.Voice. Of the program that is there; none where there is none. chosen: one of `offered` by its identifier,
    asked anew for each sentence; any other, and where espeak-ng fails with it: the system's own for the language.
    """

    def __init__(self, chosen: Callable[[], str] = str) -> None:
        self._chosen = chosen
        self._offered: dict[str, Sequence[VoiceFound]] = {}
        self._espeak = shutil.which("espeak-ng")
        self._powershell = shutil.which("powershell.exe") if sys.platform == "win32" else None

    @property
    def name(self) -> str:
        return said("this device's voice")

    def speaks(self, language: str) -> bool:
        known = _ESPEAK if self._espeak else _WINDOWS if self._powershell else {}
        return _base(language) in known

    def synthesize(self, text: str, language: str, rate_percent: int) -> Spoken:
        if not self.speaks(language):
            raise _no_voice()
        base, wanted, plain = _base(language), self._wanted(language), " ".join(text.split())[:_LONGEST]
        if self._espeak:
            if wanted:
                with contextlib.suppress(
                    EnvironmentFault
                ):  # what may be an emergency is heard, in whatever voice
                    return _sound(_run(self._by_espeak(wanted, rate_percent), plain))
            command = self._by_espeak(_ESPEAK[base], rate_percent)
        else:
            rate = max(-10, min(10, round((rate_percent - 100) / 10)))
            name = f"'{wanted}'" if wanted else _FIRST
            command = self._asked(_SCRIPT.format(culture=_WINDOWS[base], rate=rate, name=name))
        return _sound(_run(command, plain))

    def _by_espeak(self, named: str, rate_percent: int) -> list[str]:
        words = str(round(_WORDS_PER_MINUTE * rate_percent / 100))
        return [str(self._espeak), "-v", named, "-s", words, "-b", "1", "--stdin", "--stdout"]

    def offered(self, language: str) -> Sequence[VoiceFound]:
        """Those of this system for a language, once for all; may wait. Raises EnvironmentFault where the system does not say."""
        base = _base(language)
        if not self.speaks(language):
            return ()
        if base not in self._offered:
            if self._espeak:
                told = _run([self._espeak, f"--voices={_base(_ESPEAK[base])}"], "")
                self._offered[base] = _of_espeak(told.decode(errors="replace"))
            else:
                told = _run(self._asked(_LIST.format(culture=_WINDOWS[base])), "")
                names = [line.strip() for line in told.decode(errors="replace").splitlines()]
                self._offered[base] = [VoiceFound(one, one) for one in names if _PLAIN_NAME.fullmatch(one)]
        return self._offered[base]

    def _wanted(self, language: str) -> str:
        """The chosen one, if it is of this language; what stands in a file of settings is no word of a command before."""
        chosen = self._chosen()
        if not chosen:
            return ""
        try:
            offered = self.offered(language)
        except EnvironmentFault:  # nobody waits for it again
            offered = self._offered[_base(language)] = ()
        return chosen if any(one.id == chosen for one in offered) else ""

    def _asked(self, script: str) -> list[str]:
        return [str(self._powershell), "-NoProfile", "-NonInteractive", "-Command", script]


def _of_espeak(told: str) -> Sequence[VoiceFound]:
    """Of its table: priority, language, age and gender, name, file. It also lists voices of MBROLA that are not installed."""
    found: list[VoiceFound] = []
    for line in told.splitlines()[1:]:
        parts = line.split()
        if len(parts) < 5 or parts[1] == "variant":
            continue
        name, file = parts[3], parts[4]
        mbrola = re.fullmatch(r"mb/mb-([a-z]{2}[0-9])", file)
        there = mbrola is not None and (_MBROLA / mbrola[1] / mbrola[1]).is_file()
        if there or not file.startswith("mb/"):
            found.append(VoiceFound(file, name.replace("_", " ")))
    return found


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
