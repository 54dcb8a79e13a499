"""Heart rate: the mean over the accepted seconds, shown only when everything speaks for a pulse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_models.fusion import WINDOW_S, PulseTrack, refined_rate_per_min
from edge_models.signal.filters import local_mean
from edge_models.types import Estimate, FloatArray, Reason
from edge_models.vitals.spec import ROUNDING_S, Signals, VitalSpec, withheld

UNIT = "/min"
ALGORITHM = "matched-filter-viterbi/2"
LOWEST_PER_MIN, HIGHEST_PER_MIN = 38.0, 205.0
MIN_ACCEPTED_S = 7.0
MIN_BEATS_SEEN = 7.0
"""A slow sway of the light passes for a pulse as long as only a few of its periods are seen."""
SHOW_FROM_CONFIDENCE = 0.9

_RATE_FLOOR_PER_MIN, _ENDS_CYCLES = 0.03, 0.038
"""Standard error of the mean that remains however strong the pulse: of a clock and tracker, and by how many cycles the ends of a
scan are uncertain, where a wave changes its shape and the heart its rhythm. The longer the scan, the less that says."""
_FINE_HZ, _COARSE_HZ, _CLEAR_POWER = 0.25, 0.15, 15.0
"""How fast a heart's rhythm may wander against the windows' rates and still be followed; less where there is more noise."""
_EDGE_S = 0.5
"""Left out at both ends, where the low-pass sees one side only."""
_SLIPS_POWER = 12.0
"""Near this power whole cycles slip: the error grows faster than noise in the phase alone. These numbers were chosen on 476 people
of the first simulator (136 of them compressed clips), of whom 94 % then lie inside their interval."""
_LIVE_FLOOR_PER_MIN = 0.22
"""The same for the rate of the last seconds."""
_NEWEST_WINDOWS = 3
_STRONG_LINE = 12.0
"""Power over noise from which a periodic disturbance counts as one."""
_MOST_BACKGROUND = 7.0
"""Power over noise in the background from which the light itself has the rhythm; with a pulse it stays below 6."""
_LEAST_LIKENESS = 0.8
"""On the simulator's people 0.82 to 1.0; on photographs swayed, turned and zoomed by hand −0.6 to 0.79."""
_MOST_JUMP_PER_MIN = 9.0
"""Between windows a second apart; no heart does that, but another person, or a wrong start, does."""
_GREYER = 0.01
"""A face on a tablet whose light beats, or a picture in flicker, changes in all colours alike: up to 0.03 on the first simulator's
replayed faces, where people have −0.07 to −0.005, and up to 0.01 in video that keeps luma better than colour."""
_STRONG_LAMP, _HALF_LINE, _HALF_SHARE = 50.0, 6.0, 0.2
"""Where a lamp has a line of its own, more than this much power over noise at half the rate, and this share of the rate's own, may be
what the lamp left of a heart of half this rate: two of 5,210 scans of the second simulator had been read double (lines of 500 and more).
Without a lamp's line that much is usual: five of 79 rendered clips that had been right were withheld by it."""
_LOST_POWER, _LOST_WINDOWS = 3.0, 4
"""So many windows on end with hardly more power on the path than noise has (2): the pulse was lost there. A heart that slowed down
by 20 /min while its pulse faded had been read at its first rate."""
_LEAST_COHERENCE, _LEAST_AGREEMENT = 0.5, 0.75
_ASTRAY, _SURE_ENOUGH_FOR_ONE_ASTRAY = 0.25, 0.96
"""One part of the face may be left out of the agreement; where it goes its own way altogether, the rest must be surer. Of 900
nobodies of the first simulator this and _GREYER, at any power, left 1 of 4 that had been shown; of 806 people they cost 2."""
_ANY_EVIDENCE, _WEAK_EVIDENCE = 1.0, 4.0
_USUAL_LIKENESS, _USUAL_UNEXPLAINED = 0.96, 0.05
ENOUGH_EVIDENCE = 16.0
_SLOW_PER_MIN, _SLOW_SPAN_PER_MIN = 62.0, 24.0
_USUAL_LINE, _LINES_TO_POWER = 2.0, 20.0
FEATURES = (
    "one",
    "log of the margin",
    "agreement",
    "likeness below the usual",
    "unexplained beyond the usual",
    "evidence",
    "slowness",
    "rhythm of light and head",
)
WEIGHTS: FloatArray = np.array([-17.5, 1.65, 16.2, 2.4, -6.8, 0.19, -6.5, -2.9])
"""Of FEATURES. Fitted (ridge 1, whoever has no pulse counts three times) on readings at the end and in the course of 240
people and 240 nobodies of the first simulator's traces, of its 168 rendered clips and of 100 more with other seeds and compression.
Five times four fifths asked about the fifth left out: of 394 right rates 351 shown, none wrong, and none of 280 scans without a pulse
(replayed faces, which their colour gives away, were not among them)."""


def features(track: PulseTrack) -> FloatArray:
    """What the confidence weighs, in the order of FEATURES [shape=(8,)]."""
    unexplained = float(np.median(track.unexplained))
    power = float(np.median(track.power_over_noise))
    rate = float(np.median(track.rate_per_min))
    lines = max(0.0, float(np.median(track.motion_power)) - _USUAL_LINE)
    lines += max(0.0, float(np.median(track.background_power)) - _USUAL_LINE)
    # A strong pulse leaves more that the assumed colour does not explain: one on skin a few parts in a hundred, and more
    # where its colour can hardly be foretold.
    usual = 1.2 + _USUAL_UNEXPLAINED * power / track.colour_known
    return np.array(
        [
            1.0,
            np.log1p(max(0.0, track.margin)),
            _agreement(track),
            min(0.0, track.likeness - _USUAL_LIKENESS),
            np.log1p(np.maximum(0.0, unexplained - usual)),  # what is no number stays none
            min(float(np.median(track.evidence)), ENOUGH_EVIDENCE),
            # Sways, drifting light and a hand that trembles live at the slow end: a slow pulse has to be a clear one.
            np.clip((_SLOW_PER_MIN - rate) / _SLOW_SPAN_PER_MIN, 0.0, 1.0),
            # A strong pulse shakes the head, and shines back from the room, a little.
            np.log1p(_LINES_TO_POWER * lines / max(power, 1.0)),
        ],
        np.float64,
    )


def confidence(track: PulseTrack) -> tuple[float, tuple[Reason, ...]]:
    """(probability that the path is right within 5 /min, what forbids to show it).

    The probability is a logistic regression on what the windows say together (WEIGHTS); what forbids is not for it to weigh.
    """
    sure = float(1.0 / (1.0 + np.exp(-np.clip(float(WEIGHTS @ features(track)), -30.0, 30.0))))
    spoilt, doubts = grounds(track, sure)
    evidence = float(np.median(track.evidence))
    if doubts or not sure >= SHOW_FROM_CONFIDENCE:
        if not evidence >= _ANY_EVIDENCE:
            return sure, (*spoilt, Reason.NO_PULSE)
        if evidence < _WEAK_EVIDENCE or not (spoilt or doubts):
            return sure, tuple(dict.fromkeys((*spoilt, Reason.WEAK_PULSE, *doubts)))
    return sure, (*spoilt, *doubts)


def grounds(track: PulseTrack, sure: float) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
    """(what spoilt the path, what speaks against a pulse there): any of them forbids to show it, whatever the probability.

    sure: the probability, 0..1; only what one part of the face says against the others is weighed against it.
    Each is asked so that what is not a number forbids.
    """
    unexplained = float(np.median(track.unexplained))
    power = float(np.median(track.power_over_noise))
    spoilt: list[Reason] = []
    if not float(np.median(track.background_power)) <= _MOST_BACKGROUND:
        spoilt.append(Reason.FLICKER)
    if not float(np.median(track.motion_power)) <= max(_STRONG_LINE, 0.5 * power):
        spoilt.append(Reason.MOTION)
    doubts: list[Reason] = []
    if not (
        track.likeness >= _LEAST_LIKENESS
        and unexplained <= max(_STRONG_LINE, 0.3 * power)
        and track.greyer <= _GREYER
    ):
        doubts.append(Reason.NOT_FROM_SKIN)
    astray = min(track.agreement.values(), default=0.0) < _ASTRAY and not sure >= _SURE_ENOUGH_FOR_ONE_ASTRAY
    half = float(np.median(track.half_power))
    if (
        astray
        or not (track.coherence >= _LEAST_COHERENCE and _agreement(track) >= _LEAST_AGREEMENT)
        # A heart of half this rate would show just this.
        or not (half <= max(_HALF_LINE, _HALF_SHARE * power) or track.lamp_power <= _STRONG_LAMP)
    ):
        doubts.append(Reason.SOURCES_DISAGREE)
    if not track.largest_jump_per_min <= _MOST_JUMP_PER_MIN:
        doubts.append(Reason.IMPLAUSIBLE)
    if _longest_run(track.power_over_noise < _LOST_POWER) >= _LOST_WINDOWS:
        doubts.append(Reason.WEAK_PULSE)  # where the path is a guess, so is the mean over all seconds
    return tuple(spoilt), tuple(doubts)


def _longest_run(marks: NDArray[np.bool_]) -> int:
    """How many true ones stand together at the most in `marks` [shape=(n,)]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _agreement(track: PulseTrack) -> float:
    """Of the layouts, the worst of three or more left out: one cheek in the shade is no veto."""
    shares = sorted(track.agreement.values())
    return float(np.mean(shares[1:] if len(shares) > 2 else shares)) if shares else 0.0


def window_rates_per_min(track: PulseTrack, t_s: FloatArray, bvp: FloatArray) -> FloatArray:
    """The rate of each window, refined on the wave itself [shape=(windows,)]."""
    return np.array(
        [
            refined_rate_per_min(t_s, bvp, centre_s=at_s, near_per_min=near)
            for at_s, near in zip(track.t_s, track.rate_per_min, strict=True)
        ]
    )


def mean_rate_per_min(
    track: PulseTrack, t_s: FloatArray, bvp: FloatArray, valid: NDArray[np.bool_]
) -> tuple[float, float]:
    """(mean rate over the seconds that count, its standard error), per minute.

    The wave, turned back by the tracked rate, is a slow complex amplitude (quadrature demodulation); what its phase still
    gains corrects that rate, moment by moment. Summed up this counts cycles as counting beats does, and one that noise hides
    is not lost. The error is that of the phase at both ends: power over noise η in WINDOW_S leaves
    σ = √(20·B / η) / √2 rad after a low-pass of B, so 60·σ·√2 / (2πT) /min, times the root
    of how many runs there are where holes part the wave; and _ENDS_CYCLES of the ends.
    """
    rate_hz = 1.0 / float(t_s[1] - t_s[0])
    at_hz = np.interp(t_s, track.t_s, window_rates_per_min(track, t_s, bvp)) / 60.0
    turned = bvp * np.exp(-2j * np.pi * np.cumsum(at_hz) / rate_hz)
    power = max(float(np.median(track.power_over_noise)), 1.0)
    cutoff_hz = _FINE_HZ if power > _CLEAR_POWER else _COARSE_HZ
    parts = np.stack([turned.real, turned.imag], axis=1)
    slow = local_mean(parts, valid.astype(np.float64), rate_hz=rate_hz, cutoff_hz=cutoff_hz)
    amplitude = slow[:, 0] + 1j * slow[:, 1]
    gained_hz = np.angle(amplitude[1:] * amplitude[:-1].conj()) * rate_hz / (2.0 * np.pi)
    both = np.concatenate([[False], valid[1:] & valid[:-1], [False]])
    changes = np.flatnonzero(np.diff(both.astype(np.int8)))
    # Every unbroken run has two ends of its own, where the low-pass sees one side only.
    runs = np.stack([changes[::2], changes[1::2]], axis=1)
    edge = np.minimum(round(_EDGE_S * rate_hz), (runs[:, 1] - runs[:, 0]) // 4)
    counts = np.concatenate([np.arange(a + e, b - e) for (a, b), e in zip(runs, edge, strict=True)])
    mean = 60.0 * float((at_hz[1:] + gained_hz)[counts].mean())
    seconds = max(float(valid.sum()) / rate_hz, 1.0)
    phase = np.sqrt(2.0 * WINDOW_S * cutoff_hz * len(runs) / power) * (1.0 + (_SLIPS_POWER / power) ** 2)
    of_ends = 60.0 * np.hypot(phase / (2.0 * np.pi), _ENDS_CYCLES) / seconds
    return mean, float(np.hypot(of_ends, _RATE_FLOOR_PER_MIN))


def _variance_of_windows(track: PulseTrack) -> FloatArray:
    """Variance of one window's rate, (/min)²: the Cramér-Rao bound of a tone in noise, 6 / ((2πT)²·η) with η
    the power over noise (Rife & Boorstyn, IEEE Trans. IT, 1974), doubled for the taper.
    """
    power = np.maximum(track.power_over_noise, 1.0)
    return np.asarray(2.0 * 6.0 * 3600.0 / ((2 * np.pi * WINDOW_S) ** 2 * power), np.float64)


def _refused(signals: Signals) -> Estimate | float:
    """The withheld estimate, or else the confidence with which a rate may be shown."""
    window_s = signals.accepted_s
    if signals.forbidding:
        return withheld(UNIT, ALGORITHM, signals.obstacles, window_s)
    if signals.track is None or window_s < MIN_ACCEPTED_S - ROUNDING_S:
        return withheld(UNIT, ALGORITHM, (Reason.TOO_SHORT, *signals.obstacles), window_s)
    sure, reasons = confidence(signals.track)
    if reasons:
        why = tuple(dict.fromkeys((*reasons, *signals.obstacles)))
        return withheld(UNIT, ALGORITHM, why, window_s, sure)
    if float(np.mean(signals.track.rate_per_min)) / 60.0 * window_s < MIN_BEATS_SEEN:
        return withheld(UNIT, ALGORITHM, (Reason.TOO_SHORT, *signals.obstacles), window_s, sure)
    return sure


def _shown(signals: Signals, sure: float, rate: float, half: float) -> Estimate:
    if not LOWEST_PER_MIN <= rate <= HIGHEST_PER_MIN:
        return withheld(UNIT, ALGORITHM, (Reason.IMPLAUSIBLE,), signals.accepted_s, sure)
    return Estimate(
        rate, rate - half, rate + half, UNIT, sure, signals.obstacles, signals.accepted_s, ALGORITHM
    )


def estimate(signals: Signals) -> Estimate:
    """The mean heart rate of a whole scan."""
    sure = _refused(signals)
    if isinstance(sure, Estimate) or signals.track is None:
        assert isinstance(sure, Estimate)
        return sure
    rate, error = mean_rate_per_min(signals.track, signals.t_s, signals.bvp, signals.valid)
    return _shown(signals, sure, rate, 1.96 * error)


def estimate_now(signals: Signals) -> Estimate:
    """The heart rate of the last seconds, from the last windows; what it may have changed since widens the interval."""
    sure = _refused(signals)
    track = signals.track
    if isinstance(sure, Estimate) or track is None:
        assert isinstance(sure, Estimate)
        return sure
    refined = window_rates_per_min(track, signals.t_s, signals.bvp)
    newest = refined[-_NEWEST_WINDOWS:]
    error = float(np.hypot(np.sqrt(_variance_of_windows(track)[-1]), _LIVE_FLOOR_PER_MIN))
    slope = float(np.polyfit(track.t_s, refined, 1)[0]) if len(refined) >= 4 else 0.0
    behind_s = WINDOW_S / 2 + float(track.t_s[-1] - track.t_s[-len(newest) :].mean())
    return _shown(signals, sure, float(newest.mean()), 1.96 * error + abs(slope) * behind_s)


SPEC = VitalSpec("heart_rate", MIN_ACCEPTED_S, estimate)
