"""A sentence read aloud in the settings, as somebody wants it just then."""

from __future__ import annotations

import io
import shutil
import wave
from collections.abc import Sequence

import pytest

from client.devices import voices
from client.devices.ports import Manner
from client.devices.voices import SystemVoice
from client.errors import EnvironmentFault
from client.pipeline.reading import Reading
from tests.client.pipeline.fakes import HandClock
from tests.client.pipeline.talk_fakes import Box, FakeVoice, eventually


def _wav() -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22_050)
        file.writeframes(bytes(200))
    return made.getvalue()


WAV = _wav()


def test_it_reads_as_is_wanted_when_it_is_asked_and_ends() -> None:
    clock, voice = HandClock(), FakeVoice()
    box, wanted = Box(clock), [Manner("", 80)]
    reader = Reading(lambda: box, [voice], "en", clock, lambda: wanted[-1])
    try:
        assert not reader.reading
        reader.read("One sentence. And another one.")
        eventually(lambda: voice.said == ["One sentence.", "And another one."])
        wanted.append(Manner("", 150))
        reader.read("A third one.")
        eventually(lambda: voice.rates == [80, 80, 150])
        clock.at_s += 3.0
        eventually(lambda: not reader.reading)
        assert reader.trouble == "" and box.stops
    finally:
        reader.close()
    assert box.closed == 1


@pytest.mark.parametrize("fails", ["--voices=en", "gmw/en-US"])
def test_where_the_chosen_voice_or_the_list_fails_the_systems_own_reads(
    fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = (
        b"Pty Language Age/Gender VoiceName File Other\n 2 en-us --/M English_(America) gmw/en-US (en 3)\n"
    )
    asked: list[Sequence[str]] = []

    def run(command: Sequence[str], _text: str) -> bytes:
        asked.append(command)
        if fails in command:
            raise EnvironmentFault(title="It fails", remedy="Mend it.")
        return table if command[1].startswith("--voices") else WAV

    monkeypatch.setattr(voices, "_run", run)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    voice = SystemVoice(lambda: "gmw/en-US")
    for _ in range(2):
        assert len(voice.synthesize("Call 112.", "en", 100).samples) == 100
    assert sum(one[1].startswith("--voices") for one in asked) == 1
    assert [one[2] for one in asked if one[1] == "-v"][-1] == "en"
