"""Our ears: sound of a microphone becomes utterances, and a voice in the room stops ours.

    microphone → our own voice taken out, while it is heard and 0.5 s after → how likely speech is → utterances

Nothing of the sound is kept but the utterance that is being said, in memory. A microphone that is silent, hangs or was unplugged is told,
and opened anew by itself. While it is muted the device is closed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from client import log
from client.clock import Clock
from client.devices.ports import Level, SoundBlock, SoundSource
from client.errors import HealthHelperError, SourceStalled
from client.language import said
from client.pipeline.slots import Latest
from edge_models.echo import EchoCanceller
from edge_models.speech import (
    BLOCK,
    BLOCK_S,
    BargeIn,
    Began,
    Continued,
    Ended,
    Segmenter,
    SegmentRules,
    SpeechEvent,
)
from edge_models.types import Float32Array

TAIL_S = 0.5
"""So long after our voice its echo may still come."""
_AGAIN_S = 1.0, 2.0, 5.0
"""Between two tries to open a microphone; the last of them for ever."""
_STALLS = 3
"""After so many in a row it is opened anew."""
_HELD_MOST_S = 60.0
_HELD_LATE_S = 0.5
"""What was said before the button was let go comes a little later; so long it is waited for."""


class SpeechOdds(Protocol):
    """edge_models.nets.SpeechNet."""

    def probability(self, block: Float32Array) -> float:
        """Of speech in 32 ms [shape=(512,)], 0 to 1."""

    def reset(self) -> None:
        """Another stream begins."""


class OwnVoice(Protocol):
    """client.pipeline.speaking.Speaker, as far as ears need it."""

    def playing_s(self, now_s: float) -> float | None:
        """Since our voice began; None while it is silent."""

    def silent_s(self, now_s: float) -> float:
        """Since it was last heard."""

    def played(self, n: int) -> Float32Array:
        """What leaves for the loudspeaker, as one stream; n = 0: it ends here, and another begins."""

    @property
    def moves(self) -> object:
        """Another value once that stream may be heard after another time than before."""

    def interrupt(self) -> bool:
        """Somebody speaks; whether it stopped anything."""


@dataclass(frozen=True, slots=True)
class BargedIn:
    """Somebody spoke into our voice, which is silent now. t_s: when that was noticed."""

    t_s: float


@dataclass(frozen=True, slots=True)
class NothingHeard:
    """The button was let go, and nobody had said anything."""


@dataclass(frozen=True, slots=True)
class Overheard:
    """What happened at the microphone. over_voice: it began while our voice was heard, or less than 2 s after."""

    what: SpeechEvent | BargedIn | NothingHeard
    over_voice: bool = False


@dataclass(frozen=True, slots=True)
class Microphone:
    """name: "" while it is closed. trouble: what is wrong and what to do, "" where nothing is. ended: there will be nothing more of it."""

    name: str = ""
    trouble: str = ""
    loudness: Level | None = None
    ended: bool = False


_OVER_VOICE_S = 2.0


class Listener:
    """Listens in a thread of its own, named "listen", whenever it is wanted. Commands return at once, from any thread."""

    def __init__(
        self,
        microphone: Callable[[], SoundSource],
        odds: Callable[[], SpeechOdds],
        voice: OwnVoice,
        clock: Clock,
        tell: Callable[[Overheard], None],
        *,
        rules: SegmentRules | None = None,
        barge_in: BargeIn | None = None,
    ) -> None:
        """microphone: makes a source, opens nothing. odds: loads the net, once, in the thread. tell: called in the thread; must not wait."""
        self._make_microphone, self._load_odds = microphone, odds
        self._voice, self._clock, self._tell = voice, clock, tell
        self._segmenter, self._held = Segmenter(rules), _Held()
        self._barge_in = barge_in or BargeIn()
        self._canceller = EchoCanceller()
        self._moves: object = None
        self._odds: SpeechOdds | None = None
        self._slot = Latest(Microphone())
        self._wanted, self._ended, self._changed = threading.Event(), threading.Event(), threading.Event()
        self._hands_free = True
        self._down = False
        self._up_s: float | None = None
        self._source: SoundSource | None = None
        self._let_gone: SoundSource | None = None
        """The last that was closed from outside: that it ends says nothing of the microphone."""
        self._over_voice = self._let_in = self._forgets = False
        self._thread = threading.Thread(target=self._run, name="listen", daemon=True)
        self._thread.start()

    # From any thread

    @property
    def microphone(self) -> Microphone:
        """How it stands, without waiting."""
        return self._slot.get()

    def listen(self, *, hands_free: bool) -> None:
        """Open the microphone. hands_free: utterances by themselves; otherwise what is said while the button is down."""
        self._hands_free = hands_free
        self._wanted.set()
        self._changed.set()

    def rest(self) -> None:
        """Close it: nothing is heard from now on, also where a driver hangs in the thread."""
        self._wanted.clear()
        self._changed.set()
        self._let_go()
        if self._source is not None:
            self._slot.set(Microphone())

    def hold(self, *, down: bool) -> None:
        """The button."""
        if not down and self._down:
            self._up_s = self._clock.now_s()
        self._down = down

    def forget(self) -> None:
        """What is being said and what came just before."""
        self._forgets = True

    def end(self, timeout_s: float) -> bool:
        """For good. Whether the thread ended in time; a device that hangs is let go from here."""
        self._ended.set()
        self._wanted.clear()
        self._changed.set()
        self._let_go()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _let_go(self) -> None:
        source = self._source
        if source is not None:  # closing waits for the driver, and nobody who commands does
            self._let_gone = source
            threading.Thread(target=source.close, name="listen-close", daemon=True).start()

    # In the thread

    def _run(self) -> None:
        failures = 0
        while not self._ended.is_set():
            if not self._wanted.is_set():
                failures = 0
                self._changed.wait()
                self._changed.clear()
                continue
            trouble = ""
            try:
                heard_any = self._listen()
                failures = 0
            except HealthHelperError as fault:
                log.event("microphone_failed")
                heard_any = True
                self._slot.set(Microphone(trouble=f"{fault.title}. {fault.remedy}"))
                failures += 1
            except Exception as bug:  # noqa: BLE001 (shown as those of any other thread; typing works)
                show(bug)
                heard_any = False
                trouble = said("Listening has failed, by a bug of Health Helper's own. Typing works.")
            finally:
                self._close()
            if not heard_any:  # a source that has an end
                self._slot.set(Microphone(trouble=trouble, ended=True))
                self._wanted.clear()
            elif self._wanted.is_set() and failures:
                self._changed.wait(_AGAIN_S[min(failures, len(_AGAIN_S)) - 1])
                self._changed.clear()
        self._slot.set(Microphone(ended=True))

    def _close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()
            self._voice.played(0)  # nobody asks for it any more, and it may be what was said of somebody
        self._break_off()
        self._down, self._up_s = False, None
        if not self._wanted.is_set():
            self._slot.set(Microphone())

    def _break_off(self) -> None:
        """What is being said is nobody's."""
        if self._segmenter.speaking or self._held.speaking:
            silence: Float32Array = np.zeros(0, np.float32)
            now_s = self._clock.now_s()
            self._tell(Overheard(Ended(now_s, now_s, cut=False, short=True, samples=silence)))
        self._segmenter.reset()
        self._held = _Held()

    def _listen(self) -> bool:
        """Until nobody wants it any more (True), or the source has ended (False). Raises what stands against listening."""
        if self._odds is None:
            self._odds = self._load_odds()
        self._odds.reset()
        self._canceller = EchoCanceller()
        self._source = source = self._make_microphone()
        name = source.open()
        self._voice.played(0)  # what was played while nothing listened is heard by nobody
        self._moves = self._voice.moves
        self._slot.set(Microphone(name))
        stalls = 0
        while self._wanted.is_set():
            try:
                block = source.read()
            except SourceStalled as stalled:
                stalls += 1
                self._show(source, name, f"{stalled.title}. {stalled.remedy}")
                if stalls >= _STALLS:
                    raise
                continue
            if block is None:
                return source is self._let_gone or not self._wanted.is_set()
            if not self._wanted.is_set():
                break
            stalls = 0
            self._show(source, name, "")
            self._take(block)
        return True

    def _show(self, source: SoundSource, name: str, trouble: str) -> None:
        level = source.level()
        if source is self._let_gone:
            return
        if not trouble and level is not None and level.only_zeros:
            trouble = said(
                "The microphone gives perfect silence. Switch it on, raise its level in the system's sound settings, or allow this program "
                "to use it."
            )
        self._slot.set(replace(self._slot.get(), name=name, trouble=trouble, loudness=level))

    def _take(self, block: SoundBlock) -> None:
        assert self._odds is not None
        if self._forgets:
            self._forgets = False
            self._break_off()  # it may have been told only after everything else was forgotten
        played = self._voice.played(BLOCK)
        if (
            self._voice.moves != self._moves
        ):  # what was learned of the echo would be taken for somebody who speaks
            self._moves = self._voice.moves
            self._canceller.forget_way()
        # As it was when this was heard: whoever was held up has sound of before, when our voice may have been another
        playing_s, silent_s = self._voice.playing_s(block.t_s), self._voice.silent_s(block.t_s)
        if playing_s is None and silent_s > TAIL_S:
            self._let_in = False
            self._canceller.listen(block.samples)
            probability = self._odds.probability(block.samples)
            self._utter(block.samples, block.t_s, probability, over_voice=silent_s <= _OVER_VOICE_S)
            return
        cleaned = self._canceller.clean(block.samples, played)
        probability = self._odds.probability(cleaned.samples)
        if silent_s > 0.0 and (self._let_in or self._down):  # whoever stopped our voice goes on
            self._utter(cleaned.samples, block.t_s, probability, over_voice=True)
            return
        self._let_in = False
        if not self._is_under_way():
            since_s = TAIL_S if playing_s is None else playing_s  # in the tail the echo is known
            if not self._barge_in.interrupts(
                probability, cleaned.left_db, cleaned.rises_db, since_s, cleaned.noise_db
            ):
                self._utter(cleaned.samples, block.t_s, 0.0, over_voice=True)
                return
            if playing_s is not None and self._hands_free and self._voice.interrupt():
                self._let_in = True
                self._tell(Overheard(BargedIn(self._clock.now_s()), over_voice=True))
        self._utter(cleaned.samples, block.t_s, probability, over_voice=True)

    def _is_under_way(self) -> bool:
        return self._segmenter.speaking if self._hands_free else self._held.speaking

    def _utter(self, samples: Float32Array, t_s: float, probability: float, *, over_voice: bool) -> None:
        if self._hands_free:
            found: list[SpeechEvent] = self._segmenter.push(samples, t_s, probability)
            for event in found:
                self._tell_of(event, over_voice)
            return
        up_s = self._up_s
        if self._down or up_s is not None:
            for event in self._held.push(samples, t_s, probability):
                self._tell_of(event, over_voice)
        if up_s is not None and (t_s >= up_s or self._clock.now_s() - up_s > _HELD_LATE_S):
            self._up_s = None
            ended = self._held.end(t_s)
            if ended is None:
                self._tell(Overheard(NothingHeard()))
            else:
                self._tell_of(ended, over_voice)

    def _tell_of(self, event: SpeechEvent, over_voice: bool) -> None:  # noqa: FBT001 (a fact of the event)
        if isinstance(event, Began):
            self._over_voice = over_voice
        self._tell(Overheard(event, self._over_voice))


def show(bug: Exception) -> None:
    """A bug of ours that a thread goes on after."""
    threading.excepthook(
        threading.ExceptHookArgs((type(bug), bug, bug.__traceback__, threading.current_thread()))
    )


class _Held:
    """What is said while a button is down, without the silence around it."""

    _LIKELY = 0.5
    _BEFORE, _AFTER = 11, 6
    """Blocks that are kept around it: 0.35 s and 0.2 s."""
    _SHORTEST = 3
    """Blocks that are likely speech; fewer are nobody."""

    def __init__(self) -> None:
        self._before: deque[Float32Array] = deque(maxlen=self._BEFORE)
        self._spoken: list[Float32Array] = []
        self._silent = self._likely = 0
        self._last_s = 0.0

    @property
    def speaking(self) -> bool:
        """Whether somebody has said something since it is down."""
        return bool(self._spoken)

    def push(self, samples: Float32Array, t_s: float, probability: float) -> list[SpeechEvent]:
        """32 ms. What it changes."""
        likely = probability >= self._LIKELY
        if not self._spoken:
            self._before.append(samples)
            if not likely:
                return []
            self._spoken = list(self._before)
            self._before.clear()
            self._silent, self._likely, self._last_s = 0, 1, t_s
            return [Began(t_s - BLOCK_S, np.concatenate(self._spoken))]
        self._spoken.append(samples)
        self._silent = 0 if likely else self._silent + 1
        self._likely += int(likely)
        self._last_s = t_s if likely else self._last_s
        events: list[SpeechEvent] = [Continued(samples)]
        if len(self._spoken) * BLOCK_S >= _HELD_MOST_S:
            ended = self.end(t_s)
            events += [] if ended is None else [replace(ended, cut=True)]
        return events

    def end(self, t_s: float) -> Ended | None:
        """The button is up; None where nobody said anything."""
        spoken, silent, likely = self._spoken, self._silent, self._likely
        self._spoken, self._silent, self._likely = [], 0, 0
        self._before.clear()
        if not spoken:
            return None
        surplus = silent - self._AFTER
        kept = spoken[:-surplus] if surplus > 0 else spoken
        return Ended(
            self._last_s, t_s, cut=False, short=likely < self._SHORTEST, samples=np.concatenate(kept)
        )
