"""Fits the weights of the heart rate's confidence anew, and asks how true those in use are.

`edge_models.vitals.heart_rate.confidence` is a logistic regression on eight features of a `PulseTrack`. Here random
people and nobodies (`random_scans`) are read as a scan reads them, at their end and in their course. Weights are fitted
on one half of them, and judged by five-fold cross-validation, where no reading is asked of weights that saw its scan, and
on the other half. The weights in use are judged on the other half only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.errors import BadInput
from client.evaluation import metrics, random_scans
from client.evaluation.ledger import engine_digest, simulator_digest
from client.evaluation.metrics import Share
from client.evaluation.report import table
from edge_models.fusion import HOP_S, WINDOW_S, PulseFusion, PulseTrack
from edge_models.scan import LIVE_WINDOWS
from edge_models.types import FloatArray
from edge_models.vitals import heart_rate
from edge_models.vitals.heart_rate import FEATURES, WEIGHTS, features

SCHEMA = "health-helper/confidence/1"
FIT_FROM, JUDGE_FROM = 1_000, 20_000
"""Numbers of the first scans. The people from 1,000 to 1,239 are those on which the weights in use were fitted; nothing was
fitted on, or chosen by, any from 20,000 on."""
_KNOWN_PEOPLE = 240
THRESHOLDS = (0.8, 0.9, 0.95)
_FOLDS = 5
_LIVE_EVERY = 4
"""One reading in the course of a scan for so many windows: the next ones say nearly the same."""
_RIDGE = 1.0
"""Penalty on the squared weights of features brought to a spread of 1; the constant has none."""
_LIVE_COUNTS, _NOT_RIGHT_COUNTS = 0.5, 3.0
"""How much a reading counts in the fit: more of them come from one scan in its course than at its end; a wrong number is
worse than none."""
_STEPS, _HALVINGS = 100, 30


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What one moment of one scan says.

    scan: its number. condition: see random_scans. final: at the end, over all windows; else over the last six.
    features: [shape=(8,)], see FEATURES. confidence: by the weights in use, 0..1. forbidden: not shown whatever the
    confidence. said_per_min, true_per_min: the rate of the whole scan or of the last window; NaN without a pulse.
    """

    scan: int
    condition: str
    has_pulse: bool
    final: bool
    features: FloatArray
    confidence: float
    forbidden: bool
    said_per_min: float
    true_per_min: float

    @property
    def right(self) -> bool:
        """What the confidence is the probability of."""
        return abs(self.said_per_min - self.true_per_min) <= metrics.RIGHT_WITHIN_PER_MIN

    @property
    def fitted_on(self) -> bool:
        """Whether a fit may use it: nothing else forbids it, and it is no replayed face, which beats as a person does in all
        that is weighed; its colour gives it away.
        """
        return not self.forbidden and self.condition != random_scans.REPLAYED

    @property
    def counts(self) -> float:
        """Its weight in a fit."""
        return (1.0 if self.final else _LIVE_COUNTS) * (1.0 if self.right else _NOT_RIGHT_COUNTS)


def probability(of: FloatArray, weights: FloatArray) -> FloatArray:
    """Of being right: features [shape=(n, 8)], weights [shape=(8,)] → [shape=(n,)]."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(of @ weights, -30.0, 30.0))), np.float64)


def forbidden(track: PulseTrack, seen_s: float) -> bool:
    """Whether something else than the probability keeps the rate from being shown. seen_s: seconds behind the track."""
    sure, _ = heart_rate.confidence(track)
    beats = float(np.mean(track.rate_per_min)) / 60.0 * seen_s
    return beats < heart_rate.MIN_BEATS_SEEN or any(heart_rate.grounds(track, sure))


def readings(number: int, *, alive: bool) -> list[Reading]:
    """The person or the nobody of this number: readings in the course of the scan, then the one at its end."""
    condition, setting = (random_scans.person if alive else random_scans.nobody)(number)
    scan, known = random_scans.windows(setting)
    fusion = PulseFusion()
    found: list[Reading] = []

    def read(
        track: PulseTrack, said_per_min: float, start_s: float, end_s: float, seen_s: float, *, final: bool
    ) -> None:
        found.append(
            Reading(
                number,
                condition,
                alive,
                final,
                features(track),
                heart_rate.confidence(track)[0],
                forbidden(track, seen_s),
                said_per_min,
                known.mean_heart_rate(max(0.0, start_s), end_s) if alive else math.nan,
            )
        )

    for count, window in enumerate(scan, start=1):
        fusion.add(window)
        if count % _LIVE_EVERY == 0:
            track = fusion.track(last=LIVE_WINDOWS)
            assert track is not None  # a window was added
            end_s = float(window.t_s[-1])
            behind_s = min(end_s, WINDOW_S + (LIVE_WINDOWS - 1) * HOP_S)
            read(track, float(track.rate_per_min[-1]), end_s - WINDOW_S, end_s, behind_s, final=False)
    fusion.read_again()
    track = fusion.track()
    assert track is not None  # no scan is shorter than a window
    said_per_min, _ = heart_rate.mean_rate_per_min(track, *fusion.wave(track))
    read(track, said_per_min, 0.0, setting.duration_s, float(scan[-1].t_s[-1]), final=True)
    return found


def measured(first: int, count: int) -> Iterator[list[Reading]]:
    """The readings of `count` people and as many nobodies, scan by scan."""
    for number in range(first, first + count):
        yield readings(number, alive=True)
        yield readings(number, alive=False)


def fit(of: FloatArray, right: NDArray[np.bool_], counts: FloatArray) -> FloatArray:
    """Weights of a logistic regression with a ridge, by Newton's method [shape=(features,)].

    of: features, the first one 1 [shape=(n, features)]. right, counts: [shape=(n,)]; counts > 0. Raises ValueError where
    not both right and wrong ones are there.
    """
    if right.all() or not right.any():
        raise ValueError("a fit needs right readings and others")
    middle, spread = of.mean(axis=0), of.std(axis=0) + 1e-9
    middle[0], spread[0] = 0.0, 1.0
    scaled = (of - middle) / spread
    penalty = np.full(of.shape[1], _RIDGE)
    penalty[0] = 0.0
    sign = np.where(right, 1.0, -1.0)

    def loss(at: FloatArray) -> float:
        surprise = np.logaddexp(0.0, -sign * (scaled @ at))
        return float(counts @ surprise + 0.5 * penalty @ at**2)

    weights = np.zeros(of.shape[1])
    for _ in range(_STEPS):
        likely = probability(scaled, weights)
        slope = scaled.T @ (counts * (likely - right)) + penalty * weights
        bend = (scaled * (counts * likely * (1.0 - likely))[:, None]).T @ scaled + np.diag(penalty + 1e-9)
        step = np.linalg.solve(bend, slope)
        before = loss(weights)
        # A whole step of Newton's may go too far where hardly anything is uncertain.
        step *= next((0.5**k for k in range(_HALVINGS) if loss(weights - 0.5**k * step) <= before), 0.0)
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    weights = np.asarray(weights / spread, np.float64)
    weights[0] -= float(weights[1:] @ middle[1:])
    return weights


def fitted(members: Sequence[Reading]) -> FloatArray:
    """Weights by those readings that may be fitted on [shape=(8,)]. Raises BadInput where they are too few."""
    used = [reading for reading in members if reading.fitted_on]
    try:
        return fit(
            _features(used), np.array([r.right for r in used], np.bool_), np.array([r.counts for r in used])
        )
    except ValueError as error:
        raise BadInput(title="So few scans can't be fitted", remedy="Give more with --scans.") from error


def cross_validated(members: Sequence[Reading]) -> tuple[FloatArray, FloatArray]:
    """(the probability of each reading by weights that have seen nothing of its scan, 0..1 [shape=(n,)]; those weights, one
    set for each part of the scans [shape=(parts, 8)]).

    There are five parts; a person and a nobody of the same number fall into the same. Raises BadInput as `fitted` does.
    """
    found, sets = np.zeros(len(members)), []
    part = np.array([reading.scan % _FOLDS for reading in members])
    for one in sorted(set(part.tolist())):
        weights = fitted([reading for reading in members if reading.scan % _FOLDS != one])
        asked = [reading for reading in members if reading.scan % _FOLDS == one]
        found[part == one] = probability(_features(asked), weights)
        sets.append(weights)
    return found, np.array(sets)


def _features(members: Sequence[Reading]) -> FloatArray:
    return np.array([reading.features for reading in members]).reshape(-1, len(FEATURES))


@dataclass(frozen=True, slots=True)
class Shown:
    """What would be shown from a threshold on. right: of all right rates. wrong: people's rates that are not right, of
    what is shown of people. nobodies: of the readings without a pulse. kinds: of nobodies that are shown, how often.
    """

    right: Share
    wrong: Share
    nobodies: Share
    kinds: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "right": self.right.to_json(),
            "wrong": self.wrong.to_json(),
            "nobodies": self.nobodies.to_json(),
            "kinds": self.kinds,
        }


def shown(members: Sequence[Reading], sure: FloatArray, threshold: float) -> Shown:
    """sure: probabilities [shape=(n,)]."""
    out = [r for r, p in zip(members, sure, strict=True) if p >= threshold and not r.forbidden]
    people = [r for r in out if r.has_pulse]
    nobodies = Counter(r.condition for r in out if not r.has_pulse)
    right = sum(r.right for r in people)
    return Shown(
        Share(right, sum(r.right for r in members)),
        Share(len(people) - right, len(people)),
        Share(nobodies.total(), sum(not r.has_pulse for r in members)),
        dict(sorted(nobodies.items())),
    )


def _pairs(members: Sequence[Reading], sure: FloatArray, least: float = 0.0) -> metrics.Pairs:
    """Confidence beside truth, where nothing else forbids it; without a pulse no rate is right."""
    chosen = [(r, p) for r, p in zip(members, sure, strict=True) if not r.forbidden and p >= least]
    said, true = np.array([r.said_per_min for r, _ in chosen]), np.array([r.true_per_min for r, _ in chosen])
    nothing = np.full(len(chosen), math.nan)
    return metrics.Pairs(len(chosen), said, true, nothing, nothing, np.array([p for _, p in chosen]))


@dataclass(frozen=True, slots=True)
class Asked:
    """One set of weights, asked about one set of readings. sure: its probabilities [shape=(n,)]."""

    weights: str
    about: str
    members: tuple[Reading, ...]
    sure: FloatArray

    def shown(self, threshold: float, *, final: bool) -> Shown:
        """At the end of the scans, or in their course."""
        chosen = np.array([r.final is final for r in self.members], np.bool_)
        return shown([r for r in self.members if r.final is final], self.sure[chosen], threshold)

    def calibration_error(self, least: float = 0.0) -> float | None:
        """Expected calibration error of all confidences from `least` on that nothing else forbids."""
        return metrics.expected_calibration_error(_pairs(self.members, self.sure, least))

    def reliability(self) -> list[tuple[float, float, int]]:
        """(mean confidence, share right, count) by tenths of confidence, where nothing else forbids it."""
        return metrics.calibration(_pairs(self.members, self.sure))

    def nobodies(self, threshold: float) -> str:
        """Which kinds are shown at the end or in the course, in words."""
        kinds: Counter[str] = Counter()
        for final in (True, False):
            kinds.update(self.shown(threshold, final=final).kinds)
        return ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items())) or "none"


@dataclass(frozen=True, slots=True)
class Study:
    """Weights fitted here [shape=(8,)], and what was asked of them and of those in use.

    scans: people, and nobodies, in each half. weights_of_parts: fitted without one part of the scans each [shape=(parts, 8)].
    """

    scans: int
    weights: FloatArray
    weights_of_parts: FloatArray
    cross: Asked
    fresh: Asked
    in_use: Asked


def study(scans: int, to_fit: Sequence[Reading], to_judge: Sequence[Reading]) -> Study:
    """Fit on some readings, ask about them and about others. scans: people, and nobodies, in each.

    Raises BadInput where there are too few for a fit.
    """
    fit_on, judge = tuple(to_fit), tuple(to_judge)
    weights = fitted(fit_on)
    unseen, of_parts = cross_validated(fit_on)
    return Study(
        scans,
        weights,
        of_parts,
        Asked("fitted, five-fold", "scans of the fit", fit_on, unseen),
        Asked("fitted", "other scans", judge, probability(_features(judge), weights)),
        Asked("in use", "other scans", judge, np.array([reading.confidence for reading in judge])),
    )


def to_json(made: Study) -> dict[str, Any]:
    """Everything, as plain values."""
    return {
        "schema": SCHEMA,
        "engine": engine_digest(),
        "simulator": simulator_digest(),
        "scans": {
            "people": made.scans,
            "nobodies": made.scans,
            "fitted_from": FIT_FROM,
            "judged_from": JUDGE_FROM,
            "readings_fitted_on": sum(reading.fitted_on for reading in made.cross.members),
        },
        "weights": {
            name: {
                "in_use": float(old),
                "fitted": round(float(new), 4),
                "fitted_without_a_part": [round(float(one), 4) for one in parts],
            }
            for name, old, new, parts in zip(
                FEATURES, WEIGHTS, made.weights, made.weights_of_parts.T, strict=True
            )
        },
        "asked": [
            {
                "weights": asked.weights,
                "about": asked.about,
                "calibration_error": _rounded(asked.calibration_error()),
                "calibration_error_shown": _rounded(asked.calibration_error(heart_rate.SHOW_FROM_CONFIDENCE)),
                "thresholds": {
                    f"{threshold:g}": {
                        "final": asked.shown(threshold, final=True).to_json(),
                        "live": asked.shown(threshold, final=False).to_json(),
                    }
                    for threshold in THRESHOLDS
                },
            }
            for asked in (made.cross, made.fresh, made.in_use)
        ],
        "reliability_in_use": [
            {"confidence": round(sure, 4), "right": round(right, 4), "readings": count}
            for sure, right, count in made.in_use.reliability()
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def markdown(made: Study) -> str:
    """The weights, what they show, how true the confidence is. No dates, no places."""
    every = (made.cross, made.fresh, made.in_use)
    level = heart_rate.SHOW_FROM_CONFIDENCE
    weights = [
        [name, f"{old:.2f}", f"{new:.2f}", f"{parts.min():.2f} to {parts.max():.2f}"]
        for name, old, new, parts in zip(
            FEATURES, WEIGHTS, made.weights, made.weights_of_parts.T, strict=True
        )
    ]
    shares = [
        [
            asked.weights,
            asked.about,
            f"{threshold:g}",
            *(
                f"{share.count} of {share.whole}"
                for found in (asked.shown(threshold, final=True), asked.shown(threshold, final=False))
                for share in (found.right, found.wrong, found.nobodies)
            ),
        ]
        for asked in every
        for threshold in THRESHOLDS
    ]
    errors = [
        [
            asked.weights,
            asked.about,
            _error(asked.calibration_error()),
            _error(asked.calibration_error(level)),
        ]
        for asked in every
    ]
    bins = [[f"{sure:.3f}", f"{right:.3f}", str(count)] for sure, right, count in made.in_use.reliability()]
    three = ["right shown", "wrong of shown", "nobodies shown"]
    used = [reading for reading in made.cross.members if reading.fitted_on]
    about = (
        f"{made.scans} random people and {made.scans} nobodies of the first simulator, as traces without pictures, to fit on, "
        f"and as many others to judge. Right is a rate within {metrics.RIGHT_WITHIN_PER_MIN:g} /min. The weights in use were "
        f"fitted on such traces (240 nobodies and 240 people, the first {min(made.scans, _KNOWN_PEOPLE)} of the fit below "
        "among them), on the 168 rendered clips of the video grid and on 100 clips of other seeds and compression. Those fitted here know no compression and no face tracker: they are a check and no successor. "
        "Simulated scans are engineering evidence, not clinical validation."
    )
    how = (
        f"Logistic regression with a ridge of {_RIDGE:g}, on {len(used):,} readings at the end and in the course (one in "
        f"{_LIVE_EVERY} seconds) of the scans, {sum(not r.right for r in used):,} of them not right. A reading in the course "
        f"counts {_LIVE_COUNTS:g} times as much as one at the end, what is not right {_NOT_RIGHT_COUNTS:g} times as much as what "
        "is. Readings that something else forbids, and replayed faces, which only their colour gives away, are left out; when "
        "judged, they count. The last column is the range over fits that each leave out a fifth of the "
        "scans: where it is wide, these scans hardly say what the weight is; where all is 0.00, no reading differs in it."
    )
    what = (
        'Shown is what reaches the confidence in the column "from" and is forbidden by nothing else. Right shown: of all right '
        "rates, also those of weak pulses. Five-fold: no reading is asked of weights that saw its scan. Most readings without "
        f"a pulse are forbidden by other grounds: of those of the other scans, {_left(made.in_use.members)} are left for the "
        "confidence to withhold."
    )
    nobodies = "; ".join(f"{asked.weights}, {asked.about}: {asked.nobodies(level)}" for asked in every)
    apart = (
        "Expected calibration error over ten bins, of all readings that nothing else forbids, and of those shown from "
        f"{level:g} on. Every second scan has no pulse, which is more than in life."
    )
    text = [
        "# How true the confidence of the heart rate is",
        about,
        "## Weights",
        how,
        table(["feature", "in use", "fitted", "without a fifth"], weights),
        "## What is shown",
        what,
        table(["weights", "asked about", "from", *three, *(f"live: {name}" for name in three)], shares),
        f"Nobodies shown from {level:g} on, at the end and live: {nobodies}.",
        "## How far confidence and share right are apart",
        apart,
        table(["weights", "asked about", "all", "shown"], errors),
        "## Reliability of the weights in use, on scans that no fit has seen",
        table(["mean confidence", "share right", "readings"], bins),
    ]
    return "\n\n".join(text) + "\n"


def _left(members: Sequence[Reading]) -> str:
    """How many readings without a pulse nothing but the confidence withholds, in words."""
    nobodies = [reading for reading in members if not reading.has_pulse]
    return f"{sum(not reading.forbidden for reading in nobodies)} of {len(nobodies)}"


def _error(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
