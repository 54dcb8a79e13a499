"""What came of measuring one clip with one tool, beside what is true of it: plain values that go into JSON and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edge_models.types import Estimate

OURS = "Health Helper"
HEART_RATE, BREATHING, RMSSD, SDNN = "heart_rate", "respiratory_rate", "rmssd", "sdnn"
LIVE_TRUTH_S = 10.0
"""A live heart rate is compared with the mean rate over so many seconds before it."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a clip; None where nobody knows or where it has none.

    has_pulse: False: nobody alive is in it, so no number is right. heart_rate, respiratory_rate: /min, mean over the
    clip. rmssd, sdnn: ms. live: (second of the clip, mean heart rate over LIVE_TRUTH_S before it), /min.
    """

    has_pulse: bool
    heart_rate: float | None = None
    respiratory_rate: float | None = None
    rmssd: float | None = None
    sdnn: float | None = None
    live: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a tool says of one vital sign. A tool that gives no interval or no confidence has None there."""

    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, estimate: Estimate) -> Reading:
        """What the engine says; a number that is not finite counts as none."""
        numbers = (estimate.value, estimate.low, estimate.high)
        finite = all(number is not None and math.isfinite(number) for number in numbers)
        value, low, high = numbers if finite else (None, None, None)
        return cls(value, low, high, estimate.confidence, tuple(str(reason) for reason in estimate.reasons))


WITHHELD = Reading(None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One clip (or one window of a recording), one tool.

    case: the clip's name, unique in its group. group: "traces", "video", or the name of a recording or data set.
    axes: what the clip is an example of ("condition", "skin_type", "light", "motion", "compression", "fps" …).
    oracle_db: signal to noise that a filter which knows the true wave would see; None where it cannot be known.
    supported: whether the clip is one on which a number is owed; None where that cannot be known.
    live: (second, value, low, high) of every live reading, value None where withheld. cost: what measuring took, in
    units that the key names. failed: why the tool gave no answer at all (its crash is not its honest silence).
    """

    case: str
    group: str
    tool: str
    duration_s: float
    axes: Mapping[str, str]
    truth: Truth
    vitals: Mapping[str, Reading] = field(default_factory=dict)
    live: tuple[tuple[float, float | None, float | None, float | None], ...] = ()
    oracle_db: float | None = None
    supported: bool | None = None
    cost: Mapping[str, float | None] = field(default_factory=dict)
    failed: str | None = None

    @property
    def heart_rate(self) -> Reading:
        """The heart rate that is said; withheld where the tool failed."""
        return self.vitals.get(HEART_RATE, WITHHELD)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Outcome:
        """What `to_json` gave, after a way through a file. Raises KeyError or TypeError for anything else."""
        truth = dict(said["truth"])
        truth["live"] = tuple((at_s, rate) for at_s, rate in truth["live"])
        vitals = {
            name: Reading(**{**reading, "reasons": tuple(reading["reasons"])})
            for name, reading in said["vitals"].items()
        }
        live = tuple((at_s, value, low, high) for at_s, value, low, high in said["live"])
        return cls(**{**said, "truth": Truth(**truth), "vitals": vitals, "live": live})


def live_truth(beats_s: Sequence[float], duration_s: float) -> tuple[tuple[float, float], ...]:
    """The true mean rate over LIVE_TRUTH_S before every whole second, from beat times (ascending) in seconds.

    Seconds behind which fewer than two whole intervals lie are left out.
    """
    points = []
    for at_s in range(1, math.floor(duration_s) + 1):
        behind = [beat_s for beat_s in beats_s if at_s - LIVE_TRUTH_S <= beat_s <= at_s]
        if len(behind) >= 3:
            points.append((float(at_s), round(60.0 * (len(behind) - 1) / (behind[-1] - behind[0]), 3)))
    return tuple(points)
