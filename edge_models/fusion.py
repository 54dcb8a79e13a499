"""Window spectra → one pulse: where it is, how sure that is, and its wave.

Several groups of skin ("layouts") are asked the same question. A pulse is in all of them, in step, with the
blood's colour, and not in the background; a photograph under a lamp or in a hand is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from edge_models.regions import (
    BACKGROUND,
    CODED_SIGNATURE,
    GRID_RATE_HZ,
    MOTION,
    NOISE_FLOOR,
    REFERENCES,
    SIGNATURE,
    TRACES,
    Traces,
    blue_light,
    deep_signature,
    region_traces,
)
from edge_models.signal.matched_filter import (
    HARMONIC,
    NOTHING_REMEMBERED,
    RATES_PER_MIN,
    TAPERS,
    Analyser,
    Noise,
    NoiseMemory,
    PulseEvidence,
    WindowSpectrum,
    evidence,
    filter_weights,
    pooled_noise,
    unexplained,
)
from edge_models.signal.spectrum import fourier_matrix
from edge_models.signal.tracking import viterbi
from edge_models.types import FloatArray

WINDOW_S = 10.0
HOP_S = 1.0
_SAMPLES = round(WINDOW_S * GRID_RATE_HZ) + 1
_MEMORY_S = 8.0
_INDEPENDENT_S = 4.5
"""Windows this far apart are about independent, for evidence that is summed over overlapping ones."""

_EXPECTED_POWER = 14.0
_EXPECTED_HARMONIC_POWER = 3.0
_MOST_POWER = 120.0
_HARMONIC_CREDIT = 8.0
"""A harmonic speaks for its fundamental no louder than the fundamental itself, but up to this in any case: where both are
clear, a heart at the harmonic would leave the fundamental unexplained."""
_SURE_PULSE = 6.0
"""Evidence from which a window's pulse is taken out of the noise that other windows learn from it."""
_RESOLUTION_PER_MIN = 18.0
_LAMP_LINE = 7.0
"""Power over noise in the background from which a line belongs to the light; 1 is noise."""
_MOTION_LINE = 12.0
"""The same for the head's motion, which shakes a little with every beat."""
_PRIOR_CENTRE_PER_MIN = 80.0
_PRIOR_SPREAD = 0.55
_CHANGE_PER_SQRT_S = 2.0
_SAME_RATE_PER_MIN = 7
_OTHER_RATE_PER_MIN = 12.0
"""From this distance on a path is another one, and no side lobe of the first."""

_ALL = np.arange(TRACES)
_COLOURS = range(3)
"""As many as _signatures gives."""
_SURE_OF_BLUE, _USUAL_BLUE = 0.4, 0.4
"""How far the pulse's blue is known beside red and green: melanin, the lamp and the camera's colour matrix change it most,
even its sign, and the more, the less blue light there is beside green (usual: 0.4 and more)."""
_COVERED = 0.4
"""A half of the face that moves less than so much of what the other does shows no skin."""
_NOISIER = 2.0
"""So many times green's noise may a colour have, relative to its level, before it counts less: shot noise gives blue of
skin in usual light 1.2 to 2 times as much."""
_LAYOUT_STEP = 2
_LAYOUT_COUNT = -(-len(RATES_PER_MIN) // _LAYOUT_STEP)
"""Layouts only confirm: every second rate is enough, and half the work."""
LAYOUTS: dict[str, NDArray[np.int64]] = {
    "upper": region_traces(("forehead_left", "forehead_right", "centre")),
    "lower": region_traces(("cheek_left", "cheek_right", "chin")),
    "left": region_traces(("forehead_left", "cheek_left")),
    "right": region_traces(("forehead_right", "cheek_right")),
}


@lru_cache(maxsize=64)
def _signatures(blue_to_green: float) -> FloatArray:
    """The colours in which a pulse may be seen [shape=(3, TRACES)]; a scan is read in the one that explains more of it."""
    return np.stack([SIGNATURE, CODED_SIGNATURE, deep_signature(blue_to_green)])


_HALVES = (("upper", "lower"), ("left", "right"))


def log_likelihood_ratio(found: PulseEvidence, lamp: NDArray[np.bool_] | None = None) -> FloatArray:
    """Per candidate rate: log of how much likelier the coefficients are with a pulse there than without.

    A pulse of unknown size and phase scales the exponential distribution of noise power (Gaussian prior on
    the complex amplitude) at the rate and, more weakly, at its second harmonic, which is what settles octaves.
    lamp: where the light itself has a line [shape=(frequencies,)]; a harmonic there speaks for nothing.
    """
    power = _MOST_POWER * np.log1p(found.power_over_noise / _MOST_POWER)  # no single window decides alone

    def ratio(values: FloatArray, expected: float) -> FloatArray:
        return np.asarray(values * expected / (1.0 + expected) - TAPERS * np.log1p(expected), np.float64)

    if len(power) <= len(RATES_PER_MIN):  # a layout, without harmonics
        return ratio(power, _EXPECTED_POWER)
    fundamental = ratio(power[: len(RATES_PER_MIN)], _EXPECTED_POWER)
    harmonic = np.clip(
        ratio(power[HARMONIC], _EXPECTED_HARMONIC_POWER), -2.0, np.maximum(fundamental, _HARMONIC_CREDIT)
    )
    if lamp is not None:
        harmonic = np.where(lamp[HARMONIC], np.minimum(harmonic, 0.0), harmonic)
    return np.asarray(fundamental + harmonic, np.float64)


_NEVER = -1e3
_PRIOR: FloatArray = -0.5 * (np.log(RATES_PER_MIN / _PRIOR_CENTRE_PER_MIN) / _PRIOR_SPREAD) ** 2
"""A weak belief about human heart rates: 40 and 160 lose less than one unit against 80."""


@dataclass(frozen=True, slots=True)
class PulseTrack:
    """What the windows say together. All arrays are per window [shape=(windows,)].

    rate_per_min: the path. power_over_noise: matched-filter power on the path (2 is noise).
    evidence: log-likelihood ratio on the path. agreement: share of time that the layouts' own paths stay
    near, 0..1, per layout that shows skin; rates at which the light or the head has a line are not theirs to choose.
    margin: by how much the path is likelier than the best one that stays elsewhere, as a log-likelihood ratio.
    coherence: how much the halves of the face (those that show skin) are in step, −1..1; 0 where none can be compared. unexplained: see matched_filter, on the path.
    half_power: power over noise at half the path's rate; 0 where that is no candidate.
    lamp_power: power over noise of the background where it is strongest (1 is noise), of the median window.
    background_power, motion_power: power over noise, on the path, of the strongest trace of the background
    and of the head's motion (1 is noise).
    seen: how much each trace moves with the pulse, 1 on average over the skin along SIGNATURE [shape=(TRACES,)].
    likeness: cosine between that and blood everywhere on the skin, −1..1; a pulse has about 0.9.
    greyer: by how much an equal change of all colours, as of a light, fits better than blood: cosine less cosine.
    colour_known: how far the pulse's colour can be foretold, 0..1, less where little blue light is left beside green.
    """

    t_s: FloatArray
    rate_per_min: FloatArray
    power_over_noise: FloatArray
    half_power: FloatArray
    evidence: FloatArray
    margin: float
    agreement: dict[str, float]
    coherence: float
    unexplained: FloatArray
    background_power: FloatArray
    motion_power: FloatArray
    seen: FloatArray
    likeness: float
    greyer: float
    colour_known: float
    lamp_power: float

    @property
    def largest_jump_per_min(self) -> float:
        """The largest change of the path between successive windows, less 1 per minute for each further second."""
        if len(self.t_s) < 2:
            return 0.0
        further_s = np.maximum(np.diff(self.t_s) - HOP_S, 0.0)
        return float((np.abs(np.diff(self.rate_per_min)) - np.minimum(further_s, 10.0)).max())


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one window says, given the noise around it; evidence for each of `signatures`.

    background, motion: power over the window's own noise of the strongest of these traces [shape=(frequencies,)].
    """

    noise: Noise
    signatures: FloatArray
    background: FloatArray
    motion: FloatArray
    whole: tuple[PulseEvidence, ...]
    layouts: dict[str, tuple[PulseEvidence, ...]]


@cache
def _analyser() -> Analyser:
    return Analyser(samples=_SAMPLES, rate_hz=GRID_RATE_HZ, noise_floor=NOISE_FLOOR)


def _read(
    window: WindowSpectrum,
    signatures: FloatArray,
    before: NoiseMemory,
    after: NoiseMemory = NOTHING_REMEMBERED,
) -> _Reading:
    noise = pooled_noise(window, before, after, memory_s=_MEMORY_S)
    whole = evidence(window, noise, signatures, _ALL)
    layouts = {
        name: evidence(window, noise, signatures, columns, step=_LAYOUT_STEP, count=_LAYOUT_COUNT)
        for name, columns in LAYOUTS.items()
    }
    return _Reading(noise, signatures, _lines(window, BACKGROUND), _lines(window, MOTION), whole, layouts)


def _sure_rates_per_min(score: FloatArray) -> tuple[float, ...]:
    """The peaks of one window's evidence that are surely something, at most three, a resolution apart.

    More than one where two people, or two rates of one, share the window.
    """
    found: list[float] = []
    score = score.copy()
    while len(found) < 3 and score.max() > _SURE_PULSE:
        rate = float(RATES_PER_MIN[int(np.argmax(score))])
        found.append(rate)
        score[np.abs(RATES_PER_MIN - rate) < _RESOLUTION_PER_MIN] = -np.inf
    return tuple(found)


class PulseFusion:
    """Collects windows of one scan, one a second, and reads them together."""

    def __init__(
        self,
        windows: Iterable[tuple[Traces, WindowSpectrum, _Reading]] = (),
        past: NoiseMemory = NOTHING_REMEMBERED,
    ) -> None:
        self._analyser = _analyser()
        self._windows = list(windows)
        self._past = past

    def __len__(self) -> int:
        return len(self._windows)

    def copy(self) -> PulseFusion:
        """One that can take further windows without touching this one."""
        return PulseFusion(self._windows, self._past)

    def add(self, traces: Traces) -> None:
        """traces: over exactly WINDOW_S (on the even grid); samples that do not count have weight 0."""
        centre_s = float((traces.t_s[0] + traces.t_s[-1]) / 2)
        coefficients = self._analyser.coefficients(traces.values, traces.weight)
        window = self._analyser.spectrum(coefficients, traces.weight, t_s=centre_s)
        reading = _read(window, _signatures(round(traces.blue_to_green, 2)), self._past)
        score = np.max([log_likelihood_ratio(found) for found in reading.whole], axis=0)
        rates = _sure_rates_per_min(score + _PRIOR)
        if rates:
            window = self._analyser.without_pulses(window, coefficients, rates_per_min=rates)
        self._past = self._past.with_window(window, memory_s=_MEMORY_S)
        self._windows.append((traces, window, reading))

    def read_again(self) -> None:
        """Read every window anew with the noise before and after it; before the final result."""
        after, later = NOTHING_REMEMBERED, []
        for _, window, _ in reversed(self._windows):
            later.append(after)
            after = after.with_window(window, memory_s=_MEMORY_S)
        before, again = NOTHING_REMEMBERED, []
        for traces, window, reading in self._windows:
            again.append((traces, window, _read(window, reading.signatures, before, later.pop())))
            before = before.with_window(window, memory_s=_MEMORY_S)
        self._windows = again

    def track(self, *, last: int | None = None) -> PulseTrack | None:
        """Read the last `last` windows (None: all) together; None without windows."""
        first = 0 if last is None else max(0, len(self._windows) - last)
        windows = [w for _, w, _ in self._windows[first:]]
        readings = [r for _, _, r in self._windows[first:]]
        if not windows:
            return None
        t_s = np.array([w.t_s for w in windows])
        steps_s = np.diff(t_s)
        share = min(1.0, HOP_S / _INDEPENDENT_S) if len(t_s) > 1 else 1.0
        weight = np.array([w.weight for w in windows])[:, None]

        def path_of(score: NDArray[np.float64], step: int = 1) -> NDArray[np.int64]:
            change = _CHANGE_PER_SQRT_S / step
            return step * viterbi(share * score, step_s=steps_s, change_per_sqrt_s=change)

        here = np.arange(len(t_s))
        lamp = np.stack([r.background > _LAMP_LINE for r in readings])
        scores = np.stack(
            [
                np.stack([log_likelihood_ratio(r.whole[k], at) for r, at in zip(readings, lamp, strict=True)])
                for k in _COLOURS
            ]
        )
        scores = scores * weight + _PRIOR
        paths = path_of(scores)
        sums = np.take_along_axis(scores, paths[:, :, None], axis=2).sum(axis=(1, 2))
        best = int(np.argmax(sums))
        score, path = scores[best], paths[best]
        elsewhere = np.abs(RATES_PER_MIN - RATES_PER_MIN[path][:, None]) > _OTHER_RATE_PER_MIN
        rivals = np.where(elsewhere, scores, _NEVER)
        rival = np.take_along_axis(rivals, path_of(rivals)[:, :, None], axis=2).sum(axis=(1, 2)).max()
        # Where the light or the head has a line, the path may not go by chance, and neither may the layouts'.
        spoilt = lamp | np.stack([r.motion > _MOTION_LINE for r in readings])
        spoilt = spoilt[:, : len(RATES_PER_MIN) : _LAYOUT_STEP]
        # A covered half says nothing, neither for nor against.
        seen_in = [n for n in LAYOUTS if any(r.layouts[n][best].power_over_noise.any() for r in readings)]
        agreement: dict[str, float] = {}
        if seen_in:
            theirs = np.stack(
                [np.stack([log_likelihood_ratio(r.layouts[n][best]) for r in readings]) for n in seen_in]
            )
            theirs = np.where(spoilt, np.minimum(theirs, 0.0), theirs) + _PRIOR[::_LAYOUT_STEP]
            near = np.abs(path_of(theirs, _LAYOUT_STEP) - path) <= _SAME_RATE_PER_MIN
            agreement = dict(zip(seen_in, near.mean(axis=1).tolist(), strict=True))

        def amplitudes(name: str) -> NDArray[np.complex64]:
            near = path // _LAYOUT_STEP
            return np.concatenate(
                [r.layouts[name][best].amplitude[i] for r, i in zip(readings, near, strict=True)]
            )

        pairs = [pair for pair in _HALVES if all(name in agreement for name in pair)]
        seen = _seen(windows, [r.whole[best] for r in readings], path)
        blood = np.mean([r.signatures for r in readings], axis=0)
        blue = float(np.median([t.blue_to_green for t, _, _ in self._windows[first:]]))
        known = min(1.0, blue_light(blue) / _USUAL_BLUE)
        likeness, greyer = _likeness(windows, seen, path, blood, known)
        return PulseTrack(
            t_s=t_s,
            rate_per_min=RATES_PER_MIN[path],
            power_over_noise=np.array(
                [r.whole[best].power_over_noise[i] for r, i in zip(readings, path, strict=True)]
            ),
            half_power=np.array([_half_power(r.whole, int(i)) for r, i in zip(readings, path, strict=True)]),
            evidence=score[here, path] - _PRIOR[path],
            margin=share * float(sums[best] - rival),
            agreement=agreement,
            coherence=min((_in_step(amplitudes(a), amplitudes(b)) for a, b in pairs), default=0.0),
            unexplained=np.array(
                [
                    unexplained(w, r.noise, r.signatures[best], int(i))
                    for w, r, i in zip(windows, readings, path, strict=True)
                ]
            ),
            background_power=np.array([r.background[i] for r, i in zip(readings, path, strict=True)]),
            motion_power=np.array([r.motion[i] for r, i in zip(readings, path, strict=True)]),
            seen=seen,
            likeness=likeness,
            greyer=greyer,
            colour_known=known,
            lamp_power=float(np.median([r.background.max() for r in readings])),
        )

    def wave(self, track: PulseTrack) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """(t_s, bvp, valid) on the even grid over all windows of `track`: a fraction of the skin's level,
        positive in systole; valid where accepted frames stand behind it.

        Each window is filtered by the weights that are best at its rate; Hann-weighted windows are added up.
        """
        # Where the pulse is strong, its own rhythm reaches into the noise covariance, and a filter for a slightly
        # wrong signature would cancel the pulse; for the true one it cannot (Cox, Zeskind & Owen, IEEE Trans.
        # ASSP, 1987).
        signature = track.seen.copy()
        signature[REFERENCES] = 0.0
        first_window = len(self._windows) - len(track.t_s)
        chosen = self._windows[first_window:]
        start_s = chosen[0][0].t_s[0]
        n = round((chosen[-1][0].t_s[-1] - start_s) * GRID_RATE_HZ) + 1
        total, weight = np.zeros(n), np.zeros(n)
        taper = np.hanning(_SAMPLES + 2)[1:-1] + 0.02
        for k, rate in enumerate(track.rate_per_min):
            traces, window, reading = chosen[k]
            noise = reading.noise.at(int(rate - RATES_PER_MIN[0]))
            weights = filter_weights(noise, signature, window.active)
            first = round((traces.t_s[0] - start_s) * GRID_RATE_HZ)
            total[first : first + _SAMPLES] += (traces.values @ weights) * taper * traces.weight
            weight[first : first + _SAMPLES] += taper * traces.weight
        t_s = start_s + np.arange(n) / GRID_RATE_HZ
        return t_s, total / np.maximum(weight, 1e-6), weight > 1e-6


def _half_power(found: tuple[PulseEvidence, ...], at: int) -> float:
    """Power over noise around half of a candidate rate, in the colour that sees most of it; 0 where that is no candidate."""
    half = round(RATES_PER_MIN[at] / 2.0 - RATES_PER_MIN[0])
    if half < 0:
        return 0.0
    return max(float(colour.power_over_noise[max(half - 1, 0) : half + 2].max()) for colour in found)


def _seen(windows: list[WindowSpectrum], found: list[PulseEvidence], path: NDArray[np.int64]) -> FloatArray:
    """How much each trace moves with the pulse that one colour alone finds [shape=(TRACES,)].

    The pulse as it is seen: regions differ in blood and light. In noise it falls back on SIGNATURE.
    """
    moved, size = np.zeros(TRACES), np.zeros(TRACES)
    for window, evidence_of_window, at in zip(windows, found, path, strict=True):
        pulse = evidence_of_window.amplitude[at]
        moved += window.active * (pulse.conj() @ window.coefficients[at]).real
        size += window.active * float((np.abs(pulse) ** 2).sum())
    return np.asarray(np.where(size > 0, moved / np.maximum(size, 1e-20), 0.0), np.float64)


def _likeness(
    windows: list[WindowSpectrum],
    seen: FloatArray,
    path: NDArray[np.int64],
    signatures: FloatArray,
    colour_known: float,
) -> tuple[float, float]:
    """(cosine between what is seen on the skin and blood everywhere on it, in the colour that fits best, −1..1;
    by how much an equal change of all colours fits better than that).

    What the references would explain of it (a screen's light, a sway) is taken away first. signatures: the colours that a pulse
    may have [shape=(k, TRACES)]. colour_known: as in PulseTrack.
    """
    active = np.all([w.active for w in windows], axis=0)
    skin = np.flatnonzero(active[: REFERENCES[0]])
    references = REFERENCES[active[REFERENCES]]
    if not len(skin):
        return 0.0, 0.0
    noise = np.mean([_own_noise(w, int(at)) for w, at in zip(windows, path, strict=True)], axis=0)
    rest = seen[skin]
    if len(references):
        shared = noise[np.ix_(skin, references)]
        rest = rest - shared @ np.linalg.solve(noise[np.ix_(references, references)], seen[references])
    # A colour that hardly comes back (blue from dark skin in warm light) is all noise beside its own small level.
    own = noise.diagonal()[: REFERENCES[0]].reshape(-1, 3)
    quiet = np.minimum(1.0, _NOISIER * np.sqrt(own[:, 1:2] / np.maximum(own, 1e-20))).ravel()
    foretold = np.tile([1.0, 1.0, _SURE_OF_BLUE * colour_known], REFERENCES[0] // 3)
    sure = (foretold * quiet)[skin]
    blood = signatures[:, skin]
    greyer = _cosines(rest, -np.ones((1, len(skin)))) - _cosines(rest, blood)
    if colour_known < 1.0:  # where blue says little, red and green alone must be nearer to blood than to grey
        known = skin % 3 != 2
        grey = -np.ones((1, int(known.sum())))
        greyer = max(greyer, _cosines(rest[known], grey) - _cosines(rest[known], blood[:, known]))
    likeness = _cosines(rest * sure, blood * sure)
    # A mask or a hand hides one half: nothing beats there, so it is not asked whether it beats as skin does.
    halves = [np.isin(skin, LAYOUTS[name]) for name in _HALVES[0]]
    sizes = [float(np.linalg.norm((rest * sure)[half]) / np.sqrt(max(half.sum(), 1))) for half in halves]
    for half, size, other in zip(halves, sizes, sizes[::-1], strict=True):
        if half.any() and other < _COVERED * size:
            likeness = max(likeness, _cosines((rest * sure)[half], (blood * sure)[:, half]))
    return likeness, greyer


def _cosines(seen: FloatArray, expected: FloatArray) -> float:
    """The largest cosine between `seen` [shape=(n,)] and one of `expected` [shape=(k, n)]."""
    size = np.linalg.norm(seen) * np.linalg.norm(expected, axis=1)
    return float(np.max(expected @ seen / np.maximum(size, 1e-20)))


def _own_noise(window: WindowSpectrum, index: int) -> NDArray[np.float64]:
    return np.asarray(Noise(window.noise, 1.0).at(index), np.float64)


def _in_step(first: NDArray[np.complex64], second: NDArray[np.complex64]) -> float:
    """Real part of the coherence of two sets of complex amplitudes, −1..1."""
    power = float(np.sqrt((np.abs(first) ** 2).sum() * (np.abs(second) ** 2).sum()))
    return float((first * second.conj()).sum().real) / power if power > 0 else 0.0


def _lines(window: WindowSpectrum, columns: NDArray[np.int64]) -> FloatArray:
    """Power of the strongest of some traces over the noise around it [shape=(frequencies,)]; 1 where all are absent."""
    columns = columns[window.active[columns]]
    frequencies = len(window.coefficients)
    if not len(columns):
        return np.ones(frequencies)
    power = (np.abs(window.coefficients[:, :, columns]) ** 2).mean(axis=1)
    noise = Noise(window.noise, 1.0).variances(columns, frequencies)
    return np.asarray((power / np.maximum(noise, 1e-20)).max(axis=1), np.float64)


def _offsets_per_min(reach_per_min: float) -> FloatArray:
    return np.arange(-reach_per_min, reach_per_min + 0.1, 0.25)


@lru_cache(maxsize=8)
def _turns_around(
    samples: int, first_s: float, reach_per_min: float
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Fourier matrices of the offsets around a rate, and around its harmonic, for a window on the even grid."""
    t_s = first_s + np.arange(samples) / GRID_RATE_HZ
    around = fourier_matrix(t_s, _offsets_per_min(reach_per_min) / 60.0)
    return around, around**2


def refined_rate_per_min(
    t_s: FloatArray, bvp: FloatArray, *, centre_s: float, near_per_min: float, reach_per_min: float = 7.0
) -> float:
    """The rate near `near_per_min` at which one window of the wave has most power, fundamental plus harmonic.

    Fits a Hann-weighted sine and its second harmonic to the window around centre_s on a fine grid.
    """
    inside = np.abs(t_s - centre_s) <= WINDOW_S / 2
    segment, at_s = bvp[inside], t_s[inside] - centre_s
    taper = np.cos(np.pi * at_s / WINDOW_S) ** 2
    candidates = _offsets_per_min(reach_per_min) + near_per_min
    segment = (segment - np.average(segment, weights=taper)) * taper
    turns = np.exp(-2j * np.pi * near_per_min / 60.0 * at_s)
    around, twice_around = _turns_around(len(at_s), round(float(at_s[0]), 6), reach_per_min)
    total = np.abs(around @ (segment * turns)) ** 2 + np.abs(twice_around @ (segment * turns**2)) ** 2
    i = int(np.argmax(total))
    if i in (0, len(total) - 1):
        return near_per_min
    bend = total[i - 1] - 2 * total[i] + total[i + 1]
    shift = 0.5 * (total[i - 1] - total[i + 1]) / bend if bend < 0 else 0.0
    return float(candidates[i] + shift * 0.25)
