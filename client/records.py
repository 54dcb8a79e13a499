"""A finished scan as it is kept and handed on: the JSON of `health-helper scan --json`, schema 1.

The shape is a public contract: all keys are always there, numbers are finite, and a null value has a reason.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from client.language import Sentence
from edge_models.types import Estimate, Quality, Reason, ScanResult, TrendPoint

SCHEMA = "health-helper/scan/1"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a scan took.

    wall_s: seconds from the command's start to the result. cpu_s: processor seconds of the whole process.
    startup_cpu_s: those spent before the first frame was asked for (interpreter, imports, weights, opening).
    decode_cpu_s: those after it that went neither into measuring nor into the display: the thread that reads
    frames and the codec's own.
    frame_ms_p50, frame_ms_p95: wall milliseconds that measuring one frame took.
    peak_rss_mb: most memory held at once, in 10^6 bytes; None where the system does not tell.
    """

    wall_s: float
    cpu_s: float
    startup_cpu_s: float
    decode_cpu_s: float
    frame_ms_p50: float
    frame_ms_p95: float
    peak_rss_mb: float | None


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """One scan with everything that is said about it.

    source: as shown to the person, without folders or credentials. notes: what else is to be known. taken_at: UTC.
    saved_reason: why it was not saved, a code (client.reports.wording has them all in words); None where it was.
    """

    source: str
    simulated: bool
    result: ScanResult
    notes: tuple[Sentence, ...]
    cost: Cost
    saved: bool
    saved_reason: str | None
    taken_at: datetime
    version: str

    @property
    def heart_rate(self) -> Estimate:
        """The heart rate over the accepted seconds, or the reasons for none."""
        return sanitised(self.result.vitals["heart_rate"])

    def to_json(self) -> dict[str, object]:
        """The contract, as plain values."""
        result = self.result
        return {
            "schema": SCHEMA,
            "source": self.source,
            "simulated": self.simulated,
            "duration_s": _seconds(result.duration_s),
            "accepted_s": _seconds(result.accepted_s),
            "frames": result.frames,
            "measured_fps": round(result.measured_fps, 3) if math.isfinite(result.measured_fps) else 0.0,
            "vitals": {name: _vital(estimate) for name, estimate in result.vitals.items()},
            "beats_s": [round(beat_s, 4) for beat_s in result.beats_s if math.isfinite(beat_s)],
            "trend": [_trend_point(point) for point in result.trend],
            "quality": _quality(result.quality),
            "saved": self.saved,
            "saved_reason": self.saved_reason,
            "cost": {
                "wall_s": _seconds(self.cost.wall_s),
                "cpu_s": _seconds(self.cost.cpu_s),
                "startup_cpu_s": _seconds(self.cost.startup_cpu_s),
                "decode_cpu_s": _seconds(self.cost.decode_cpu_s),
                "frame_ms_p50": round(self.cost.frame_ms_p50, 3),
                "frame_ms_p95": round(self.cost.frame_ms_p95, 3),
                "peak_rss_mb": None if self.cost.peak_rss_mb is None else round(self.cost.peak_rss_mb, 1),
            },
        }

    def to_json_text(self) -> str:
        """The contract as one line of text. Raises ValueError if a number is not finite (our bug)."""
        return json.dumps(self.to_json(), allow_nan=False, ensure_ascii=True)


def busiest_s(beats_s: Sequence[float], end_s: float, span_s: float) -> float:
    """Where a stretch of span_s seconds of a wave that ends at end_s begins, to be drawn: the one with most beats, the last of several."""
    begins = [max(0.0, min(beat_s, end_s - span_s)) for beat_s in beats_s] or [max(0.0, end_s - span_s)]
    return max(begins, key=lambda begin_s: (sum(begin_s <= b <= begin_s + span_s for b in beats_s), begin_s))


def sanitised(estimate: Estimate) -> Estimate:
    """The same estimate, or none because it is implausible if one of its numbers is not finite."""
    numbers = (estimate.value, estimate.low, estimate.high)
    if all(number is None or math.isfinite(number) for number in numbers):
        return estimate
    reasons = (
        estimate.reasons
        if Reason.IMPLAUSIBLE in estimate.reasons
        else (*estimate.reasons, Reason.IMPLAUSIBLE)
    )
    return Estimate(None, None, None, estimate.unit, 0.0, reasons, estimate.window_s, estimate.algorithm)


def _vital(estimate: Estimate) -> dict[str, object]:
    shown = sanitised(estimate)
    return {
        "value": _rounded(shown.value),
        "low": _rounded(shown.low),
        "high": _rounded(shown.high),
        "unit": shown.unit,
        "confidence": round(shown.confidence, 3),
        "reasons": [str(reason) for reason in shown.reasons],
        "window_s": _seconds(shown.window_s),
        "algorithm": shown.algorithm,
    }


def _trend_point(point: TrendPoint) -> dict[str, object]:
    numbers = (point.heart_rate, point.low, point.high)
    finite = all(number is not None and math.isfinite(number) for number in numbers)
    heart_rate, low, high = (_rounded(number) if finite else None for number in numbers)
    return {"t_s": _seconds(point.t_s), "heart_rate": heart_rate, "low": low, "high": high}


def _quality(quality: Quality) -> dict[str, object]:
    return {
        "score": round(quality.score, 3),
        "reasons": [str(reason) for reason in quality.reasons],
        "limiting_factor": None if quality.limiting_factor is None else str(quality.limiting_factor),
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 2)


def _seconds(value: float) -> float:
    return round(value, 3)
