"""Window spectra → one pulse: where it is, how sure that is, and its wave.

Several groups of skin ("layouts") are asked the same question. A pulse is in all of them, in step, with the
blood's colour, and not in the background; a photograph under a lamp or in a hand is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_models import regions
from edge_models.regions import GRID_RATE_HZ, NOISE_FLOOR, SIGNATURE, TRACES, Traces, region_traces
from edge_models.signal.matched_filter import (
    GRID_HZ,
    TAPERS,
    Analyser,
    PulseEvidence,
    WindowSpectrum,
    evidence,
    filter_weights,
    pooled_noise,
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

RATES: NDArray[np.int64] = np.flatnonzero((GRID_HZ >= 38 / 60) & (GRID_HZ <= 205 / 60))
"""Candidate heart rates, as indices of GRID_HZ: 38 to 205 per minute."""
RATES_PER_MIN: FloatArray = GRID_HZ[RATES] * 60.0
_HARMONIC: NDArray[np.int64] = np.clip(
    np.round((2 * GRID_HZ[RATES] - GRID_HZ[0]) / (GRID_HZ[1] - GRID_HZ[0])).astype(np.int64), 0, len(GRID_HZ) - 1
)
_EXPECTED_POWER = 14.0
_EXPECTED_HARMONIC_POWER = 3.0
_MOST_POWER = 120.0
_PRIOR_CENTRE_PER_MIN = 80.0
_PRIOR_SPREAD = 0.55
_CHANGE_PER_SQRT_S = 2.0

_ALL = np.arange(TRACES)
LAYOUTS: dict[str, NDArray[np.int64]] = {
    "all": _ALL,
    "upper": region_traces(("forehead_left", "forehead_right", "centre")),
    "lower": region_traces(("cheek_left", "cheek_right", "chin")),
    "left": region_traces(("forehead_left", "cheek_left")),
    "right": region_traces(("forehead_right", "cheek_right")),
}


def log_likelihood_ratio(found: PulseEvidence) -> FloatArray:
    """Per candidate rate: log of how much likelier the coefficients are with a pulse there than without.

    A pulse of unknown size and phase scales the exponential distribution of noise power (Gaussian prior on
    the complex amplitude) at the rate and, more weakly, at its second harmonic, which is what settles octaves.
    """
    power = np.minimum(found.power_over_noise, _MOST_POWER)

    def ratio(values: FloatArray, expected: float) -> FloatArray:
        return values * expected / (1.0 + expected) - TAPERS * np.log1p(expected)

    harmonic = ratio(power[_HARMONIC], _EXPECTED_HARMONIC_POWER)
    return np.asarray(ratio(power[RATES], _EXPECTED_POWER) + np.clip(harmonic, -2.0, 8.0), np.float64)


_PRIOR: FloatArray = -0.5 * (np.log(RATES_PER_MIN / _PRIOR_CENTRE_PER_MIN) / _PRIOR_SPREAD) ** 2
"""A weak belief about human heart rates: 40 and 160 lose less than one unit against 80."""


@dataclass(frozen=True, slots=True)
class PulseTrack:
    """What the windows say together. All arrays are per window [shape=(windows,)].

    rate_per_min: the path. power_over_noise: matched-filter power on the path (2 is noise).
    evidence_per_window: log-likelihood ratio on the path. margin: of the total evidence over the best
    path elsewhere. agreement: share of time that the layouts' own paths stay near, 0..1, per layout.
    coherence: how much the layouts' pulses are in step, −1..1. unexplained: see PulseEvidence, on the path.
    reference_power: power over noise of the strongest reference on the path (1 is noise).
    amplitude: size of the pulse on the path, as a fraction of the skin's level.
    """

    t_s: FloatArray
    rate_per_min: FloatArray
    power_over_noise: FloatArray
    evidence: FloatArray
    margin: float
    agreement: dict[str, float]
    coherence: float
    unexplained: FloatArray
    reference_power: FloatArray
    amplitude: FloatArray

    @property
    def total_evidence(self) -> float:
        """Evidence summed over windows, counted as if they were independent."""
        return float(self.evidence.sum() * min(1.0, HOP_S / _INDEPENDENT_S)) if len(self.t_s) > 1 else float(
            self.evidence.sum()
        )


class PulseFusion:
    """Collects windows of one scan, one a second, and reads them together."""

    def __init__(self) -> None:
        self._analyser = Analyser(samples=_SAMPLES, rate_hz=GRID_RATE_HZ, noise_floor=NOISE_FLOOR)
        self._windows: list[WindowSpectrum] = []
        self._traces: list[Traces] = []

    def __len__(self) -> int:
        return len(self._windows)

    def copy(self) -> PulseFusion:
        """One that can take further windows without touching this one."""
        other = PulseFusion.__new__(PulseFusion)
        other._analyser, other._windows, other._traces = self._analyser, list(self._windows), list(self._traces)
        return other

    def add(self, traces: Traces) -> None:
        """traces: over exactly WINDOW_S (on the even grid); samples that do not count have weight 0."""
        centre_s = float((traces.t_s[0] + traces.t_s[-1]) / 2)
        self._windows.append(self._analyser.spectrum(traces.values, traces.weight, t_s=centre_s))
        self._traces.append(traces)

    def track(self, *, last: int | None = None) -> PulseTrack | None:
        """Read the last `last` windows (None: all) together; None without windows."""
        first = 0 if last is None else max(0, len(self._windows) - last)
        chosen = range(first, len(self._windows))
        if not chosen:
            return None
        noise = [pooled_noise(self._windows, i, memory_s=_MEMORY_S) for i in chosen]
        found = {
            name: [evidence(self._windows[i], noise[k], SIGNATURE, columns) for k, i in enumerate(chosen)]
            for name, columns in LAYOUTS.items()
        }
        t_s = np.array([self._windows[i].t_s for i in chosen])
        steps = np.diff(t_s)
        share = min(1.0, HOP_S / _INDEPENDENT_S) if len(t_s) > 1 else 1.0

        def path_of(score: NDArray[np.float64]) -> NDArray[np.int64]:
            return viterbi(score * share, step_states=steps, change_per_sqrt_s=_CHANGE_PER_SQRT_S)

        weight = np.array([self._windows[i].weight for i in chosen])[:, None]
        scores = {
            name: np.stack([log_likelihood_ratio(one) for one in windows]) * weight
            for name, windows in found.items()
        }
        path = path_of(scores["all"] + _PRIOR)
        here = np.arange(len(t_s))
        elsewhere = scores["all"].copy()
        for k in here:
            elsewhere[k, max(0, path[k] - 9) : path[k] + 10] = -1e3
        other = path_of(elsewhere + _PRIOR)
        margin = share * float((scores["all"][here, path] - elsewhere[here, other]).sum())
        agreement = {}
        for name in LAYOUTS:
            if name != "all":
                agreement[name] = float((np.abs(path_of(scores[name] + _PRIOR) - path) <= 5).mean())
        index = RATES[path]
        all_found = found["all"]
        return PulseTrack(
            t_s=t_s,
            rate_per_min=RATES_PER_MIN[path],
            power_over_noise=np.array([e.power_over_noise[i] for e, i in zip(all_found, index, strict=True)]),
            evidence=scores["all"][here, path],
            margin=margin,
            agreement=agreement,
            coherence=min(
                _coherence(found["upper"], found["lower"], index), _coherence(found["left"], found["right"], index)
            ),
            unexplained=np.array([e.unexplained[i] for e, i in zip(all_found, index, strict=True)]),
            reference_power=np.array(
                [_reference_power(self._windows[i], noise[k], int(index[k])) for k, i in enumerate(chosen)]
            ),
            amplitude=np.array(
                [
                    float(np.sqrt((np.abs(e.amplitude[i]) ** 2).mean()) * np.sqrt(2.0 / _SAMPLES))
                    for e, i in zip(all_found, index, strict=True)
                ]
            ),
        )

    def wave(self, track: PulseTrack) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """(t_s, bvp, valid) on the even grid over all windows of `track`: a fraction of the skin's level,
        positive in systole; valid where accepted frames stand behind it.

        Each window is filtered by the weights that are best at its rate; Hann-weighted windows are added up.
        """
        chosen = range(len(self._windows) - len(track.t_s), len(self._windows))
        start_s = self._traces[chosen[0]].t_s[0]
        end_s = self._traces[chosen[-1]].t_s[-1]
        n = round((end_s - start_s) * GRID_RATE_HZ) + 1
        total, weight = np.zeros(n), np.zeros(n)
        taper = np.hanning(_SAMPLES + 2)[1:-1] + 0.02
        for k, i in enumerate(chosen):
            traces = self._traces[i]
            noise = pooled_noise(self._windows, i, memory_s=_MEMORY_S)
            at = int(np.argmin(np.abs(GRID_HZ * 60.0 - track.rate_per_min[k])))
            weights = filter_weights(noise[at], SIGNATURE, self._windows[i].active)
            first = round((traces.t_s[0] - start_s) * GRID_RATE_HZ)
            total[first : first + _SAMPLES] += (traces.values @ weights) * taper * traces.weight
            weight[first : first + _SAMPLES] += taper * traces.weight
        t_s = start_s + np.arange(n) / GRID_RATE_HZ
        return t_s, total / np.maximum(weight, 1e-6), weight > 1e-6


def _coherence(first: list[PulseEvidence], second: list[PulseEvidence], index: NDArray[np.int64]) -> float:
    a = np.concatenate([e.amplitude[i] for e, i in zip(first, index, strict=True)])
    b = np.concatenate([e.amplitude[i] for e, i in zip(second, index, strict=True)])
    power = np.sqrt((np.abs(a) ** 2).sum() * (np.abs(b) ** 2).sum())
    return float((a * b.conj()).sum().real / power) if power > 0 else 0.0


def _reference_power(window: WindowSpectrum, noise: NDArray[np.float64], index: int) -> float:
    """Power of the strongest single reference at one frequency over the noise around it."""
    columns = regions.REFERENCES[window.active[regions.REFERENCES]]
    if not len(columns):
        return 1.0
    power = (np.abs(window.coefficients[index][:, columns]) ** 2).mean(axis=0)
    return float((power / np.maximum(np.diag(noise[index])[columns], 1e-20)).max())


def refined_rate_per_min(
    t_s: FloatArray, bvp: FloatArray, *, centre_s: float, near_per_min: float, reach_per_min: float = 7.0
) -> float:
    """The rate near `near_per_min` at which one window of the wave has most power, fundamental plus harmonic.

    Fits a Hann-weighted sine and its second harmonic to the window around centre_s on a fine grid.
    """
    inside = np.abs(t_s - centre_s) <= WINDOW_S / 2
    segment, at_s = bvp[inside], t_s[inside] - centre_s
    taper = np.cos(np.pi * at_s / WINDOW_S) ** 2
    candidates = np.arange(-reach_per_min, reach_per_min + 0.1, 0.25) + near_per_min
    segment = (segment - np.average(segment, weights=taper)) * taper
    fundamental = np.abs(fourier_matrix(at_s, candidates / 60.0) @ segment) ** 2
    harmonic = np.abs(fourier_matrix(at_s, candidates / 30.0) @ segment) ** 2
    total = fundamental + harmonic
    i = int(np.argmax(total))
    if i in (0, len(total) - 1):
        return near_per_min
    bend = total[i - 1] - 2 * total[i] + total[i + 1]
    shift = 0.5 * (total[i - 1] - total[i + 1]) / bend if bend < 0 else 0.0
    return float(candidates[i] + shift * 0.25)
