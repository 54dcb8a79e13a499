"""A text read aloud by itself, outside of any conversation: for the settings, where somebody tries a voice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from client.assistant.conversation import spoken
from client.clock import Clock
from client.devices.ports import Manner, SoundSink, Voice
from client.pipeline.speaking import Sentence, Speaker

_CLOSE_S = 0.5


class Reading:
    """See client.parts.Reader. voices: the best first. The loudspeaker is opened with the first sentence."""

    def __init__(
        self,
        loudspeaker: Callable[[], SoundSink],
        voices: Sequence[Voice],
        language: str,
        clock: Clock,
        manner: Callable[[], Manner],
    ) -> None:
        self._language = language
        self._speaker = Speaker(
            loudspeaker, lambda _firm: voices, language, clock, rate_percent=lambda: manner().rate_percent
        )

    @property
    def reading(self) -> bool:
        return self._speaker.speaking

    @property
    def trouble(self) -> str:
        return self._speaker.trouble

    def read(self, text: str) -> None:
        self._speaker.stop()
        self._speaker.say([Sentence(one, None) for one in spoken(text, self._language)])

    def close(self) -> None:
        self._speaker.end(_CLOSE_S)
