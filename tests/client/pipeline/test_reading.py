"""A sentence read aloud in the settings, as somebody wants it just then."""

from __future__ import annotations

from client.devices.ports import Manner
from client.pipeline.reading import Reading
from tests.client.pipeline.fakes import HandClock
from tests.client.pipeline.talk_fakes import Box, FakeVoice, eventually


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
