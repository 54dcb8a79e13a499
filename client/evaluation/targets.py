"""What we want to reach, and whether these outcomes reach it. A target that nothing speaks to is neither met nor missed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from client.evaluation import metrics
from client.evaluation.metrics import Pairs, Share
from client.evaluation.outcomes import BREATHING, OURS, RMSSD, Outcome

LOWEST_BAND, HIGHEST_BAND = 40, 180
UBFC, UBFC_CONTACT, MONKEYS = "ubfc-example", "ubfc-example-contact", "monkey-traces"
CLIPS, EVM, UNTRUSTED = "face-clips", "evm-face-53bpm", "desk-light"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure as it is shown in the table. met: None where nothing was measured or nothing is demanded."""

    text: str
    value: float | None
    met: bool | None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"text": self.text, "value": self.value, "met": self.met}


@dataclass(frozen=True, slots=True)
class Target:
    """what: the figure. wanted: the demand in words. judge: outcomes of one group and tool → the verdict."""

    what: str
    wanted: str
    judge: Callable[[Sequence[Outcome]], Verdict]


NOTHING = Verdict("–", None, None)


def targets() -> tuple[Target, ...]:
    """For simulated clips, in the order of the table."""
    return (
        Target(
            "supported: shown",
            "≥ 90 %",
            lambda o: _share(metrics.pairs(_supported(o)).coverage, least=0.90),
        ),
        Target("supported: RMSE of shown, /min", "≤ 2.0", lambda o: _rmse(_supported(o), 2.0)),
        Target(
            "supported: within 3 /min",
            "≥ 95 %",
            lambda o: _share(metrics.pairs(_supported(o)).within(3.0), least=0.95),
        ),
        Target(
            "supported: off by more than 10",
            "≤ 0.2 %",
            lambda o: _share(_far_off(metrics.pairs(_supported(o))), most=0.002),
        ),
        Target(
            "not supported: shown",
            "stated",
            lambda o: _share(metrics.pairs(_unsupported(o)).coverage),
        ),
        Target("not supported: RMSE of shown, /min", "≤ 2.0", lambda o: _rmse(_unsupported(o), 2.0)),
        Target(
            "not supported: within 3 /min",
            "≥ 95 %",
            lambda o: _share(metrics.pairs(_unsupported(o)).within(3.0), least=0.95),
        ),
        Target(
            "not supported: off by more than 10",
            "≤ 0.2 %",
            lambda o: _share(_far_off(metrics.pairs(_unsupported(o))), most=0.002),
        ),
        Target("without a pulse: shown", "0", _negatives_shown),
        Target("without a pulse: seconds with a live value", "stated", _negatives_live),
        Target("worst 20-bpm band from 40 to 180: RMSE, /min", "≤ 3", _worst_band),
        Target(
            "octave errors",
            "0",
            lambda o: _count(metrics.octave_errors(metrics.pairs(o)), metrics.pairs(o).said.size),
        ),
        Target(
            "skin types: gap of MAE at equal signal, /min",
            "≤ 0.5",
            lambda o: _at_most(
                metrics.gap_at_equal_signal(o, "skin_type", lambda p: metrics.mean_absolute(p.error)), 0.5, 2
            ),
        ),
        Target("skin types: gap of coverage at equal signal", "≤ 5 points", _coverage_gap),
        Target("95 % intervals that hold the truth", "93–97 %", _intervals),
        Target(
            "expected calibration error",
            "≤ 0.03",
            lambda o: _at_most(metrics.expected_calibration_error(metrics.pairs(o)), 0.03, 3),
        ),
        Target(
            "confidently wrong",
            "≤ 0.1 %",
            lambda o: _share(metrics.confidently_wrong(metrics.pairs(o)), most=0.001),
        ),
        Target("breathing, 6–30 /min: MAE of shown, /min", "≤ 1.0", _breathing),
        Target("breathing: shown", "stated", lambda o: _share(metrics.pairs(o, BREATHING).coverage)),
        Target(
            "RMSSD from 60 s: MAE of shown, ms",
            "≤ 8",
            lambda o: _at_most(metrics.mean_absolute(metrics.pairs(o, RMSSD).error), 8.0, 1),
        ),
        Target("RMSSD from 60 s: shown", "stated", lambda o: _share(metrics.pairs(o, RMSSD).coverage)),
        Target("supported: second of the first live value, 95th percentile", "≤ 10", _first_live),
        Target(
            "live values: off by more than 10",
            "stated",
            _live_far_off,
        ),
    )


def recording_verdicts(outcomes: Sequence[Outcome]) -> list[tuple[str, str, Verdict]]:
    """(what, demand, verdict) for the real recordings, as far as they were there."""
    rows: list[tuple[str, str, Verdict]] = []
    of = {
        (group, tool): metrics.pairs(o for o in outcomes if o.group == group and o.tool == tool)
        for group in (UBFC, UBFC_CONTACT, MONKEYS)
        for tool in (OURS, "POS", "CHROM", "GREEN")
    }
    for group, truth in ((UBFC, "oximeter's mean rate"), (UBFC_CONTACT, "contact wave's rate")):
        if (ours := of[group, OURS]).owed:
            plain = [metrics.mean_absolute(of[group, tool].error) for tool in ("POS", "CHROM", "GREEN")]
            best = min((value for value in plain if value is not None), default=math.nan)
            mae = _at_most(metrics.mean_absolute(ours.error), 0.46, 2)
            rows += [
                (f"ubfc-example, truth: {truth}: MAE, /min", f"≤ 0.46 (best plain method {best:.2f})", mae),
                (f"ubfc-example, truth: {truth}: shown", "≥ 95 %", _share(ours.coverage, least=0.95)),
            ]
    if (ours := of[MONKEYS, OURS]).owed:
        mine, others = metrics.mean_absolute(ours.error), _plain_where_shown(outcomes)
        same = " and ".join(f"{error:.2f}" for error in others) or "–"
        verdict = NOTHING if mine is None or not others else Verdict(f"{mine:.2f}", mine, mine < min(others))
        wanted = f"better than POS and CHROM on the same segments ({same})"
        rows += [
            (f"{MONKEYS}: MAE of shown, /min", wanted, verdict),
            (f"{MONKEYS}: shown", "stated", _share(ours.coverage)),
        ]
    clips = [o for o in outcomes if o.group == CLIPS and o.tool == OURS]
    for clip in clips:
        value = clip.heart_rate.value
        shown = "not shown" if value is None else f"{value:.1f}"
        if clip.case == EVM and clip.truth.heart_rate is not None:
            met = value is not None and abs(value - clip.truth.heart_rate) <= 3.0
            rows.append((f"{clip.case} (about 53 /min)", "within 3", Verdict(shown, value, met)))
        elif clip.case.startswith(UNTRUSTED):
            wanted = "not shown (its frame rate is a lie)"
            rows.append((clip.case, wanted, Verdict(shown, value, value is None)))
    return rows


def _plain_where_shown(outcomes: Sequence[Outcome]) -> list[float]:
    """Mean absolute errors of POS and CHROM on the segments for which ours shows a value: the easier ones."""
    monkeys = [o for o in outcomes if o.group == MONKEYS]
    shown = {o.case for o in monkeys if o.tool == OURS and o.heart_rate.value is not None}
    errors = (
        metrics.mean_absolute(metrics.pairs(o for o in monkeys if o.tool == tool and o.case in shown).error)
        for tool in ("POS", "CHROM")
    )
    return [error for error in errors if error is not None]


def _supported(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.supported is True]


def _unsupported(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.supported is False]


def _far_off(shown: Pairs) -> Share:
    return Share(int(np.sum(np.abs(shown.error) > metrics.FAR_OFF_PER_MIN)), shown.said.size)


def _share(found: Share, *, least: float | None = None, most: float | None = None) -> Verdict:
    if found.share is None:
        return NOTHING
    met = None
    if least is not None:
        met = found.share >= least
    if most is not None:
        met = found.share <= most
    return Verdict(shown_share(found), round(found.share, 4), met)


def shown_share(found: Share) -> str:
    """As "91.0 % (910/1000; 89–93)", the 95 % interval last; "–" of nothing."""
    if found.share is None or found.interval is None:
        return "–"
    low, high = (100 * edge for edge in found.interval)
    places = 1 if found.whole < 2000 else 2
    return f"{100 * found.share:.{places}f} % ({found.count}/{found.whole}; {low:.1f}–{high:.1f})"


def _at_most(value: float | None, most: float, places: int) -> Verdict:
    return NOTHING if value is None else Verdict(f"{value:.{places}f}", round(value, 4), value <= most)


def _count(count: int, whole: int) -> Verdict:
    return Verdict(f"{count} of {whole}", float(count), count == 0) if whole else NOTHING


def _rmse(outcomes: Sequence[Outcome], most: float) -> Verdict:
    return _at_most(metrics.root_mean_square(metrics.pairs(outcomes).error), most, 2)


def _negatives_shown(outcomes: Sequence[Outcome]) -> Verdict:
    without = [outcome for outcome in outcomes if not outcome.truth.has_pulse]
    return _count(sum(outcome.heart_rate.value is not None for outcome in without), len(without))


def _negatives_live(outcomes: Sequence[Outcome]) -> Verdict:
    live = [outcome.live for outcome in outcomes if not outcome.truth.has_pulse and outcome.live]
    if not live:
        return NOTHING
    shown = [sum(value is not None for _, value, _, _ in points) for points in live]
    total = sum(len(points) for points in live)
    return Verdict(
        f"{sum(shown)} of {total} s, in {sum(s > 0 for s in shown)} of {len(live)} clips",
        float(sum(shown)),
        None,
    )


def _worst_band(outcomes: Sequence[Outcome]) -> Verdict:
    worst: tuple[float, str] | None = None
    for band, members in metrics.by_axis(outcomes, "rate_band").items():
        if not LOWEST_BAND <= int(band.split("–")[0]) < HIGHEST_BAND:
            continue
        rmse = metrics.root_mean_square(metrics.pairs(members).error)
        if rmse is not None and (worst is None or rmse > worst[0]):
            worst = (rmse, band)
    return (
        NOTHING
        if worst is None
        else Verdict(f"{worst[0]:.2f} ({worst[1]})", round(worst[0], 4), worst[0] <= 3)
    )


def _coverage_gap(outcomes: Sequence[Outcome]) -> Verdict:
    gap = metrics.gap_at_equal_signal(outcomes, "skin_type", lambda p: p.coverage.share)
    return NOTHING if gap is None else Verdict(f"{100 * gap:.1f} points", round(gap, 4), gap <= 0.05)


def _intervals(outcomes: Sequence[Outcome]) -> Verdict:
    found = metrics.interval_coverage(metrics.pairs(outcomes))
    if found.share is None:
        return NOTHING
    return Verdict(shown_share(found), round(found.share, 4), 0.93 <= found.share <= 0.97)


def _breathing(outcomes: Sequence[Outcome]) -> Verdict:
    inside = [
        o for o in outcomes if o.truth.respiratory_rate is not None and 6 <= o.truth.respiratory_rate <= 30
    ]
    return _at_most(metrics.mean_absolute(metrics.pairs(inside, BREATHING).error), 1.0, 2)


def _first_live(outcomes: Sequence[Outcome]) -> Verdict:
    """Of the clips in which one came; in how many it did is told beside it."""
    told = [outcome for outcome in _supported(outcomes) if outcome.truth.has_pulse and outcome.live]
    first = [at_s for outcome in told if (at_s := metrics.first_live_s(outcome)) is not None]
    if not first:
        return NOTHING
    late = float(np.percentile(first, 95))
    return Verdict(f"{late:.0f} (in {len(first)} of {len(told)})", round(late, 3), late <= 10.0)


def _live_far_off(outcomes: Sequence[Outcome]) -> Verdict:
    error = metrics.live_errors(outcome for outcome in outcomes if outcome.truth.has_pulse)
    return _share(Share(int(np.sum(np.abs(error) > metrics.FAR_OFF_PER_MIN)), error.size))
