"""Our voice: sentences become sound and are heard, one after the other; which of them is being heard is known, and it is silent at once.

While one sentence is heard the next is made, and no more than that: what is stopped was not made for nothing. Nothing is written anywhere.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from client import log
from client.clock import Clock
from client.devices.ports import SoundSink, Spoken, Voice
from client.errors import EnvironmentFault, HealthHelperError
from client.language import said
from client.pipeline.listening import show
from client.pipeline.talk_state import Highlight
from edge_models.types import Float32Array

_LOOK_S = 0.02
_REST_S = 60.0
"""So long a voice that failed is not asked again."""
_REMEMBERS_S = 15.0
"""What we said is known so long after its end."""
_LEAST_AHEAD_S = 0.05


@dataclass(frozen=True, slots=True)
class Sentence:
    """at: what is highlighted meanwhile. firm: heard to its end unless somebody wants it to stop; a voice in the room does not stop it."""

    text: str = field(repr=False)
    at: Highlight | None
    firm: bool = False


@dataclass(frozen=True, slots=True)
class _Heard:
    """A sentence that was given to the loudspeaker. until_s: of all that was given to it, when this one ends."""

    sentence: Sentence
    until_s: float


@dataclass(frozen=True, slots=True)
class _Said:
    text: str = field(repr=False)
    ended_s: float


class Speaker:
    """Speaks in a thread of its own, named "speak". Commands return at once, from any thread."""

    def __init__(
        self,
        loudspeaker: Callable[[], SoundSink],
        voices: Callable[[bool], Sequence[Voice]],
        language: str,
        clock: Clock,
        *,
        rate_percent: Callable[[], int] = lambda: 100,
    ) -> None:
        """voices: the best first, of those that may be used now; asked with whether it is firm, when only those of this device are wanted."""
        self._loudspeaker, self._voices, self._language = loudspeaker, voices, language
        self._clock, self._rate_percent = clock, rate_percent
        self._changed = threading.Condition()
        """Of everything below; held only for moments."""
        self._waiting: deque[Sentence] = deque()
        self._given: deque[_Heard] = deque()
        self._said: deque[_Said] = deque(maxlen=64)
        self._given_s = 0.0
        self._generation = 0
        self._making: Sentence | None = None
        self._sink: SoundSink | None = None
        self._sinks = 0
        """How many were opened."""
        self._began_s: float | None = None
        self._silent_s: float | None = None
        self._ended = False
        self._rests: dict[str, float] = {}
        self.voice = ""
        """The one that was used last, for people."""
        self.trouble = ""
        """Why nothing is heard; "" where something is."""
        self._thread = threading.Thread(target=self._run, name="speak", daemon=True)
        self._thread.start()

    # From any thread

    def say(self, sentences: Sequence[Sentence]) -> None:
        """After what is being said."""
        with self._changed:
            if not self._ended:
                self._waiting.extend(one for one in sentences if one.text.strip())
                self._changed.notify_all()

    def stop(self) -> None:
        """Silent at once, whatever it is; the rest is not said."""
        with self._changed:
            self._hush()

    def interrupt(self) -> bool:
        """Somebody speaks: as `stop`, unless what is being said, or waits, has to be heard. Whether it stopped anything."""
        with self._changed:
            if self._is_firm() or not self._is_busy():
                return False
            self._hush()
            return True

    @property
    def speaking(self) -> bool:
        """Whether anything is heard, is being made, or waits."""
        with self._changed:
            return self._is_busy()

    @property
    def highlight(self) -> Highlight | None:
        """Of what is being heard."""
        with self._changed:
            self._count()
            return self._given[0].sentence.at if self._given else None

    def playing_s(self, now_s: float) -> float | None:
        """Seconds since our voice began to be heard; None while it is silent."""
        with self._changed:
            self._count()
            return None if self._began_s is None else max(0.0, now_s - self._began_s)

    def silent_s(self, now_s: float) -> float:
        """Seconds since it was last heard; 0 while it is, infinite where it never was."""
        with self._changed:
            self._count()
            if self._began_s is not None:
                return 0.0
            return float("inf") if self._silent_s is None else max(0.0, now_s - self._silent_s)

    def said_lately(self, now_s: float) -> list[str]:
        """What was heard of us in the last 15 s, and what is being heard."""
        with self._changed:
            self._count()
            found = [one.text for one in self._said if now_s - one.ended_s <= _REMEMBERS_S]
            return [*found, *(one.sentence.text for one in self._given)]

    def played(self, n: int) -> Float32Array:
        """See SoundSink.played; silence where no loudspeaker is open. For the thread that listens, which asks for none where it begins or ends."""
        sink = self._sink
        return np.zeros(n, np.float32) if sink is None else sink.played(n)

    @property
    def moves(self) -> tuple[int, int]:
        """Another value once what is played may be heard after another time than before."""
        sink = self._sink
        return self._sinks, 0 if sink is None else sink.moves

    def forget(self) -> None:
        """What was said, too."""
        with self._changed:
            self._hush()
            self._said.clear()

    def end(self, timeout_s: float) -> bool:
        """Silent, for good. Whether the thread ended in time."""
        with self._changed:
            self._ended = True
            self._hush()
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # With the lock held

    def _is_busy(self) -> bool:
        return bool(self._waiting or self._given or self._making)

    def _is_firm(self) -> bool:
        making = () if self._making is None else (self._making,)
        return any(one.firm for one in (*self._waiting, *making, *(one.sentence for one in self._given)))

    def _hush(self) -> None:
        self._count()
        self._generation += 1
        self._waiting.clear()
        self._making = None
        if self._given:
            self._silenced(self._given[0].sentence)
        self._given.clear()
        if self._sink is not None:
            self._sink.stop()

    def _silenced(self, sentence: Sentence) -> None:
        now_s = self._clock.now_s()
        self._said.append(_Said(sentence.text, now_s))
        self._silent_s, self._began_s = now_s, None

    def _count(self) -> None:
        """What has been heard by now."""
        if self._sink is None or not self._given:
            return
        heard_s = self._given_s - self._sink.waiting_s
        while self._given and self._given[0].until_s <= heard_s + 1e-6:
            done = self._given.popleft().sentence
            if self._given:
                self._said.append(_Said(done.text, self._clock.now_s()))
            else:
                self._silenced(done)

    # In the thread

    def _run(self) -> None:
        try:
            while (job := self._next()) is not None:
                generation = job[0]
                try:
                    self._speak(*job)
                except HealthHelperError as fault:
                    self._failed(generation, f"{fault.title}. {fault.remedy}")
                except Exception as bug:  # noqa: BLE001 (shown as those of any other thread; answers are shown all the same)
                    show(bug)
                    self._failed(
                        generation, said("Reading aloud has failed, by a bug of Health Helper's own.")
                    )
                finally:
                    del job  # it holds what was said, and the next may be long in coming
        finally:
            self._ended = True
            sink, self._sink = self._sink, None
            if sink is not None:
                sink.close()

    def _next(self) -> tuple[int, Sentence] | None:
        """The next to be made, once no more than one that is made waits behind what is heard; None at the end."""
        with self._changed:
            while not self._ended:
                self._count()
                if self._waiting and len(self._given) < 2:
                    self._making = self._waiting.popleft()
                    return self._generation, self._making
                self._changed.wait(_LOOK_S if self._given else None)
            return None

    def _speak(self, generation: int, sentence: Sentence) -> None:
        spoken = self._made(sentence)
        if spoken is None:
            raise EnvironmentFault(
                title=said("Nothing on this device can read this aloud"),
                remedy=said("The answer is shown."),
            )
        try:
            self._play(generation, sentence, spoken)
        except HealthHelperError:  # it was unplugged since, and the system may have another one by now
            self._close_sink()
            self._play(generation, sentence, spoken)

    def _play(self, generation: int, sentence: Sentence, spoken: Spoken) -> None:
        """Does not wait until it was heard."""
        sink = self._opened()
        with self._changed:
            if generation != self._generation or self._ended:
                return
            if not self._given:
                self._given_s = sink.waiting_s
                self._began_s = self._clock.now_s()
            sink.play(spoken.samples, spoken.rate_hz)
            self._given_s += max(_LEAST_AHEAD_S, len(spoken.samples) / spoken.rate_hz)
            self._given.append(_Heard(sentence, self._given_s))
            self._making = None
            self.trouble = ""

    def _made(self, sentence: Sentence) -> Spoken | None:
        for voice in self._voices(sentence.firm):
            if self._rests.get(voice.name, 0.0) > self._clock.now_s() or not voice.speaks(self._language):
                continue
            try:
                spoken = voice.synthesize(sentence.text, self._language, self._rate_percent())
            except HealthHelperError:
                self._rests[voice.name] = self._clock.now_s() + _REST_S
                log.event("voice_failed")
                continue
            self.voice = voice.name
            return spoken
        self._rests.clear()
        return None

    def _opened(self) -> SoundSink:
        if self._sink is None:
            sink = self._loudspeaker()
            sink.open()
            with self._changed:
                self._sink = sink
                self._sinks += 1
        return self._sink

    def _failed(self, generation: int, trouble: str) -> None:
        """Nothing can be heard: what waits is shown only."""
        log.event("speaking_failed")
        self._close_sink()
        with self._changed:
            if generation == self._generation:
                self._waiting.clear()
            self._making = None
            self.trouble = trouble
            self.voice = ""

    def _close_sink(self) -> None:
        """What was given to it is not heard any more."""
        with self._changed:
            sink, self._sink = self._sink, None
            self._given.clear()
            self._began_s = None
        if sink is not None:
            sink.close()
