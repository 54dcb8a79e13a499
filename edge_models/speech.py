"""From the probability of speech, 32 ms after 32 ms, to utterances: a state machine that knows no clock and no device.

Somebody speaks from the moment that most of a few blocks are likely speech until none has been for a while; the second threshold is
lower, so that a weak syllable ends nothing (hysteresis). What came just before is part of it: the net notices a word late.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from edge_models.types import Float32Array

RATE_HZ = 16_000
BLOCK = 512
BLOCK_S = BLOCK / RATE_HZ


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """begins, ends: probabilities. begins_in: so many of the newest `begins_of` blocks must reach `begins`. hangover_s: silence that ends
    an utterance. before_s, after_s: what is kept of the sound around it. shortest_s: less is no utterance. longest_s: it is cut there.
    """

    begins: float = 0.5
    ends: float = 0.35
    begins_in: int = 3
    begins_of: int = 4
    hangover_s: float = 0.45
    before_s: float = 0.35
    after_s: float = 0.2
    shortest_s: float = 0.2
    longest_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Began:
    """Somebody speaks. t_s: since when. samples: from a little before that until now [shape=(n,), 16 kHz, full scale ±1]."""

    t_s: float
    samples: Float32Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class Continued:
    """More of it."""

    samples: Float32Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """That was all. t_s: when the last of it was heard. told_s: when that was known. cut: it was too long, and what follows is the next.

    short: it was too short to be said by anybody; what began is to be forgotten. samples: the whole of it.
    """

    t_s: float
    told_s: float
    cut: bool
    short: bool
    samples: Float32Array = field(repr=False)


SpeechEvent = Began | Continued | Ended


class Segmenter:
    """One stream of sound. Nothing of it is kept outside an utterance but the last `before_s`."""

    def __init__(self, rules: SegmentRules | None = None) -> None:
        self.rules = rules or SegmentRules()
        self._before: deque[Float32Array] = deque(maxlen=_blocks(self.rules.before_s) + self.rules.begins_of)
        self._likely: deque[bool] = deque(maxlen=self.rules.begins_of)
        self._spoken: list[Float32Array] = []
        self._speech_blocks = self._silent_blocks = 0
        self._last_speech_s = 0.0
        self._next_from_s: float | None = None

    @property
    def speaking(self) -> bool:
        """Whether an utterance is under way."""
        return bool(self._spoken)

    def reset(self) -> None:
        """Forget what was heard: the stream was interrupted."""
        self._before.clear()
        self._likely.clear()
        self._spoken.clear()
        self._speech_blocks = self._silent_blocks = 0

    def push(self, block: Float32Array, t_s: float, probability: float) -> list[SpeechEvent]:
        """block: 32 ms [shape=(512,)] that ended at t_s; probability: that it is speech. What it changes, in order."""
        if self._spoken:
            return self._go_on(block, t_s, probability)
        self._before.append(block)
        self._likely.append(probability >= self.rules.begins)
        if sum(self._likely) < self.rules.begins_in:
            return []
        first = list(self._likely).index(True)
        begins_s = t_s - (len(self._likely) - first) * BLOCK_S
        wanted = _blocks(self.rules.before_s) + len(self._likely) - first
        self._spoken = list(self._before)[-wanted:]
        self._speech_blocks, self._silent_blocks = sum(self._likely), 0
        self._last_speech_s = t_s
        self._before.clear()
        self._likely.clear()
        return [Began(begins_s, np.concatenate(self._spoken))]

    def _go_on(self, block: Float32Array, t_s: float, probability: float) -> list[SpeechEvent]:
        self._spoken.append(block)
        if probability >= self.rules.ends:
            self._speech_blocks += 1
            self._silent_blocks = 0
            self._last_speech_s = t_s
        else:
            self._silent_blocks += 1
        if self._silent_blocks >= _blocks(self.rules.hangover_s):
            return [self._end(t_s, cut=False)]
        events: list[SpeechEvent] = [Continued(block)]
        if len(self._spoken) >= _blocks(self.rules.longest_s):
            events.append(self._end(t_s, cut=True))
        return events

    def _end(self, t_s: float, *, cut: bool) -> Ended:
        spoken = self._spoken
        surplus = self._silent_blocks - _blocks(self.rules.after_s)
        if surplus > 0:
            self._before.extend(spoken[-surplus:])  # somebody may begin again in it
            spoken = spoken[:-surplus]
        short = not cut and self._speech_blocks < _blocks(self.rules.shortest_s)
        ended = Ended(self._last_speech_s, t_s, cut, short, np.concatenate(spoken))
        self._spoken = []
        self._speech_blocks = self._silent_blocks = 0
        if cut:
            self._likely.extend([True] * self.rules.begins_of)  # it goes on
        return ended


def _blocks(seconds: float) -> int:
    return max(1, round(seconds / BLOCK_S))


@dataclass(frozen=True, slots=True)
class BargeInRules:
    """likely, over_db: blocks of speech that is so probable, and so much louder than the echo that may be left, are somebody where `blocks`
    of them follow each other. sudden_db: what is so much louder than echo is, whatever the net says of it yet. over_noise_db: both must be so
    much louder than the noise of the room. audible_db: and at least so loud, dB of full scale. settles_s: after our voice began, before
    its echo is known a little; until known_s both thresholds are first_db higher.
    """

    likely: float = 0.8
    over_db: float = 12.0
    blocks: int = 2
    sudden_db: float = 13.0
    over_noise_db: float = 10.0
    audible_db: float = -50.0
    settles_s: float = 0.3
    known_s: float = 2.0
    first_db: float = 2.0


class BargeIn:
    """Whether somebody interrupts our voice. Of what an echo canceller has left over, not of the microphone itself; block after block."""

    def __init__(self, rules: BargeInRules | None = None) -> None:
        self.rules = rules or BargeInRules()
        self._likely_blocks = 0

    def interrupts(
        self,
        probability: float,
        left_db: float,
        rises_db: float,
        playing_s: float,
        noise_db: float = -100.0,
    ) -> bool:
        """probability: of speech in what is left; left_db, rises_db, noise_db: see edge_models.echo.Cleaned; playing_s: since our voice
        began.
        """
        rules = self.rules
        if not (playing_s >= rules.settles_s and left_db >= rules.audible_db):  # what is no number is nobody
            self._likely_blocks = 0
            return False
        unsure_db = rules.first_db if playing_s < rules.known_s else 0.0
        over_db = rises_db - unsure_db if left_db >= noise_db + rules.over_noise_db else -100.0
        likely = probability >= rules.likely and over_db >= rules.over_db
        self._likely_blocks = self._likely_blocks + 1 if likely else 0
        return self._likely_blocks >= rules.blocks or over_db >= rules.sudden_db
