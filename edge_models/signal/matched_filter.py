"""How much a window of traces speaks for a pulse of a given colour at each frequency.

At frequency f the tapered Fourier coefficients of all traces form a vector x(f): skin regions × RGB,
then references that carry no pulse (background, head motion). A pulse adds a·s, with s known: the
blood's colour on every skin region, zero on the references. Everything else is noise with covariance S(f),
learnt from the neighbouring frequencies. The best linear estimate of a is wᵀx with
w = S⁻¹s / (sᵀS⁻¹s) (Capon, Proc. IEEE, 1969), and t(f) = |wᵀx|²·(sᵀS⁻¹s) is its power over noise:
1 per taper on average where there is no pulse. Light and motion that reach the references cancel by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edge_models.signal.spectrum import fourier_matrix, sine_tapers
from edge_models.types import Float32Array, FloatArray

LOWEST_PER_MIN, HIGHEST_PER_MIN = 34, 205
RATES_PER_MIN: FloatArray = np.arange(LOWEST_PER_MIN, HIGHEST_PER_MIN + 1, dtype=np.float64)
"""Candidate heart rates, in steps of one per minute."""
_FIRST_PER_MIN = 19
_GRID_PER_MIN: NDArray[np.int64] = np.arange(_FIRST_PER_MIN, 2 * HIGHEST_PER_MIN + 23)
"""Frequencies of every spectrum here, per minute: the rates, their harmonics, and neighbours of both."""
_HARMONICS_PER_MIN: NDArray[np.int64] = np.arange(HIGHEST_PER_MIN + 1, 2 * HIGHEST_PER_MIN + 1, 2)
_AT: NDArray[np.int64] = (
    np.concatenate([np.arange(LOWEST_PER_MIN, HIGHEST_PER_MIN + 1), _HARMONICS_PER_MIN]) - _FIRST_PER_MIN
)
"""Where a pulse is looked for: at every rate, and beyond the fastest one, for harmonics, at every second point."""
_NOISE_STEP = 5
"""Noise is smooth: it is learnt at every fifth of those frequencies, for a fifth of the memory and of the algebra."""
_NOISE_AT: NDArray[np.int64] = _AT[_NOISE_STEP // 2 :: _NOISE_STEP]
HARMONIC: NDArray[np.int64] = np.array(
    [
        2 * r - LOWEST_PER_MIN
        if 2 * r <= HIGHEST_PER_MIN
        else len(RATES_PER_MIN) + min((2 * r - HIGHEST_PER_MIN - 1) // 2, len(_HARMONICS_PER_MIN) - 1)
        for r in range(LOWEST_PER_MIN, HIGHEST_PER_MIN + 1)
    ]
)
"""For each candidate rate, where its second harmonic stands among the frequencies of PulseEvidence."""

TAPERS = 2
_NEAR_PER_MIN = 13
_FAR_PER_MIN = 51
_FAR_SHARE = 0.75
_LOADING = 0.002
_SAMPLES_PER_WINDOW = 50.0
"""Independent real numbers that one window gives to each noise covariance: 2 · TAPERS · bandwidth · length."""


@dataclass(frozen=True, slots=True)
class WindowSpectrum:
    """The Fourier coefficients of one window, and the noise covariance around each frequency.

    t_s: centre of the window. weight: share of its samples that counted, in (0, 1].
    coefficients: complex64 [shape=(frequencies, TAPERS, traces)], at the rates first, then beyond them.
    noise: float32 [shape=(noise frequencies, traces, traces)], real part: light and shading act without delay.
    noise_for_others: the same without the pulse found in this window, for windows at other times: a heart that
    beats faster there must not be drowned in "noise" that was the pulse here.
    active: bool [shape=(traces,)], False for a trace that was absent (a covered cheek, no background).
    """

    t_s: float
    weight: float
    coefficients: NDArray[np.complex64]
    noise: Float32Array
    noise_for_others: Float32Array
    active: NDArray[np.bool_]


class Analyser:
    """Spectra of windows of one length; the Fourier matrix is made once.

    noise_floor: [shape=(n,)], standard deviation per sample added to each trace's own noise.
    """

    def __init__(self, *, samples: int, rate_hz: float, noise_floor: FloatArray) -> None:
        t_s = np.arange(samples) / rate_hz
        self._fourier = fourier_matrix(t_s, _GRID_PER_MIN / 60.0).astype(np.complex64)
        self._floor = np.diag(noise_floor**2).astype(np.float32)
        self._tapers = sine_tapers(samples, TAPERS)
        # A neighbour at twice the frequency would hold the pulse's own harmonic.
        far = (_FAR_SHARE * _GRID_PER_MIN[_NOISE_AT]).astype(np.int64)
        far = np.maximum(np.minimum(_FAR_PER_MIN, far), _NEAR_PER_MIN + 4)
        distance = np.abs(np.arange(len(_GRID_PER_MIN))[None] - _NOISE_AT[:, None])
        self._neighbours = ((distance >= _NEAR_PER_MIN) & (distance <= far[:, None])).astype(np.float32)

    def spectrum(
        self, coefficients: NDArray[np.complex64], weight: FloatArray, *, t_s: float
    ) -> WindowSpectrum:
        """Of one window's `coefficients`. weight: [shape=(samples,)], 0 where invalid."""
        noise = self._noise(coefficients, ())
        active = np.abs(coefficients).sum(axis=(0, 1)) > 0
        return WindowSpectrum(t_s, _share(weight), coefficients[_AT], noise, noise, active)

    def without_pulses(
        self,
        window: WindowSpectrum,
        coefficients: NDArray[np.complex64],
        *,
        rates_per_min: tuple[float, ...],
    ) -> WindowSpectrum:
        """`window`, made of these coefficients, with pulses at these rates and their harmonics left out for others."""
        lines = (*rates_per_min, *(2 * rate for rate in rates_per_min))
        return replace(window, noise_for_others=self._noise(coefficients, lines))

    def coefficients(self, traces: NDArray[np.float64], weight: FloatArray) -> NDArray[np.complex64]:
        """Tapered Fourier coefficients [shape=(all frequencies, TAPERS, n)] of traces [shape=(samples, n)].

        traces: without baseline. weight: [shape=(samples,)], 0 where invalid.
        """
        samples, count = traces.shape
        tapered = self._tapers[:, :, None] * (traces * weight[:, None])[None] / np.sqrt(_share(weight))
        flat = tapered.transpose(1, 0, 2).reshape(samples, -1).astype(np.float32)
        return np.asarray((self._fourier @ flat).reshape(len(_GRID_PER_MIN), TAPERS, count), np.complex64)

    def _noise(self, coefficients: NDArray[np.complex64], lines_per_min: tuple[float, ...]) -> Float32Array:
        """Mean outer product over the neighbours of each noise frequency, those near a line left out."""
        parts = np.concatenate([coefficients.real, coefficients.imag], axis=1)
        outer = np.matmul(parts.transpose(0, 2, 1), parts) / np.float32(TAPERS)
        neighbours = self._neighbours
        for line in lines_per_min:
            neighbours = neighbours * (np.abs(_GRID_PER_MIN - line) >= _NEAR_PER_MIN).astype(np.float32)
        number = np.maximum(neighbours.sum(axis=1, keepdims=True), 1.0)
        mean = (neighbours / number) @ outer.reshape(len(outer), -1)
        return np.asarray(mean.reshape(-1, *outer.shape[1:]) + self._floor, np.float32)


def _share(weight: FloatArray) -> float:
    return max(float(weight.mean()), 1e-3)


def _noise_index(frequency: int) -> int:
    """Index of the noise frequency nearest to one of PulseEvidence."""
    return min(frequency // _NOISE_STEP, len(_NOISE_AT) - 1)


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise covariances [shape=(noise frequencies, traces, traces)] and how many windows' worth is behind them."""

    covariance: Float32Array
    windows: float

    def at(self, frequency: int) -> Float32Array:
        """The covariance [shape=(traces, traces)] around one frequency of PulseEvidence."""
        return np.asarray(self.covariance[_noise_index(frequency)], np.float32)

    def variances(self, traces: NDArray[np.int64], frequencies: int) -> Float32Array:
        """Variance of some traces at the first `frequencies` of PulseEvidence [shape=(frequencies, len(traces))]."""
        return np.asarray(self.covariance[_groups(1, frequencies)][:, traces, traces], np.float32)


@dataclass(frozen=True, slots=True)
class NoiseMemory:
    """What windows on one side of a moment say about the noise then: a sum that fades exponentially.

    t_s: the moment. first_s: centre of the window farthest away. total: [shape=(noise frequencies, traces, traces)],
    weighted sum of noise; weight: [shape=(traces,)], that of the windows in which a trace was there.
    """

    t_s: float
    first_s: float
    total: Float32Array | None = None
    weight: Float32Array | None = None

    def at(self, t_s: float, *, memory_s: float) -> NoiseMemory:
        """The same, faded to another moment."""
        if self.total is None or self.weight is None:
            return replace(self, t_s=t_s)
        fade = np.float32(np.exp(-abs(t_s - self.t_s) / memory_s))
        return NoiseMemory(t_s, self.first_s, self.total * fade, self.weight * fade)

    def with_window(self, window: WindowSpectrum, *, memory_s: float) -> NoiseMemory:
        """The memory at this window's moment, with what it tells others."""
        here = self.at(window.t_s, memory_s=memory_s)
        weight = np.float32(window.weight)
        there = weight * window.active.astype(np.float32)
        if here.total is None or here.weight is None:
            return NoiseMemory(window.t_s, window.t_s, weight * window.noise_for_others, there)
        return NoiseMemory(
            window.t_s, here.first_s, here.total + weight * window.noise_for_others, here.weight + there
        )


NOTHING_REMEMBERED = NoiseMemory(0.0, 0.0)


def pooled_noise(
    window: WindowSpectrum, before: NoiseMemory, after: NoiseMemory = NOTHING_REMEMBERED, *, memory_s: float
) -> Noise:
    """Noise in a window, from itself and from what windows before and after it remember.

    One window alone has too few independent neighbours in frequency for a stable inverse.
    """
    total = np.float32(window.weight) * window.noise
    weight = np.float32(window.weight) * window.active.astype(np.float32)
    span_s = 0.0
    for memory in (before.at(window.t_s, memory_s=memory_s), after.at(window.t_s, memory_s=memory_s)):
        if memory.total is not None and memory.weight is not None:
            total = total + memory.total
            weight = weight + memory.weight
            span_s += min(abs(window.t_s - memory.first_s), 3.0 * memory_s)
    # Both sides by the root: entry by entry, a trace that comes and goes would leave no covariance at all.
    size = 1.0 / np.sqrt(np.maximum(weight, 1e-6))
    return Noise(np.asarray(total * size[:, None] * size, np.float32), 1.0 + span_s / 10.0)


@dataclass(frozen=True, slots=True)
class PulseEvidence:
    """Per frequency asked for.

    power_over_noise sums over tapers (mean TAPERS without a pulse).
    amplitude: complex [shape=(frequencies, TAPERS)], in units of the traces along the signature.
    """

    power_over_noise: FloatArray
    amplitude: NDArray[np.complex64]


@lru_cache(maxsize=4)
def _groups(step: int, count: int) -> NDArray[np.int64]:
    """For frequencies 0, step, 2·step … (count of them), the noise frequency of each."""
    return np.array([_noise_index(step * k) for k in range(count)])


def evidence(
    window: WindowSpectrum,
    noise: Noise,
    signatures: FloatArray,
    traces: NDArray[np.int64],
    *,
    step: int = 1,
    count: int = len(_AT),
) -> tuple[PulseEvidence, ...]:
    """Matched filter for each of `signatures` [shape=(k, n)] from the active ones of `traces`.

    `count` frequencies, every step-th of PulseEvidence (the rates, then the harmonics beyond the fastest). Where no trace carries a signature there
    is no evidence: power 0. A covariance learnt from few samples flatters every vector; power is reduced by
    (1 − traces/samples), as for Hotelling's T².
    """
    traces = traces[window.active[traces]]
    picked = signatures[:, traces].astype(np.float32)
    if not np.any(picked):
        nothing = PulseEvidence(np.zeros(count), np.zeros((count, TAPERS), np.complex64))
        return (nothing,) * len(signatures)
    group = _groups(step, count)
    groups = int(group[-1]) + 1
    weights, gain = _solved(noise.covariance[:groups][:, traces[:, None], traces], picked)
    x = window.coefficients[: step * count : step][:, :, traces]
    amplitude = np.matmul(x, weights[group])  # [frequencies, TAPERS, signatures]
    honest = max(0.2, 1.0 - len(traces) / (_SAMPLES_PER_WINDOW * noise.windows))
    power = (np.abs(amplitude) ** 2).sum(axis=1) * gain[group] * honest
    return tuple(
        PulseEvidence(power[:, k].astype(np.float64), amplitude[:, :, k].astype(np.complex64))
        for k in range(len(signatures))
    )


def _solved(covariance: Float32Array, signatures: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Weights w with wᵀs = 1 and least noise [shape=(m, n, k)], and sᵀS⁻¹s [shape=(m, k)].

    covariance: [shape=(m, n, n)]. signatures: [shape=(k, n)].
    """
    n = covariance.shape[-1]
    scale = np.sqrt(np.maximum(covariance[:, np.arange(n), np.arange(n)], 1e-20))
    correlation = covariance / (scale[:, :, None] * scale[:, None, :])
    correlation[:, np.arange(n), np.arange(n)] += np.float32(_LOADING)
    s = signatures.T[None] / scale[:, :, None]
    solved = np.linalg.solve(correlation, s)
    gain = (s * solved).sum(axis=1)
    return np.asarray(solved / scale[:, :, None] / gain[:, None], np.float32), np.asarray(gain, np.float32)


def unexplained(window: WindowSpectrum, noise: Noise, signature: FloatArray, frequency: int) -> float:
    """Whitened power at one frequency that the signature does not explain, over its mean without a pulse.

    About 1 for noise and for a clean pulse, large for anything else that is periodic; 1 without active traces.
    """
    active = np.flatnonzero(window.active)
    picked = signature[active]
    if len(active) < 2 or not picked.any():
        return 1.0
    covariance = noise.at(frequency)[np.ix_(active, active)].astype(np.float64)
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-20))
    correlation = covariance / np.outer(scale, scale) + _LOADING * np.eye(len(active))
    x = window.coefficients[frequency][:, active] / scale
    s = picked / scale
    solved = np.linalg.solve(correlation, np.column_stack([s, x.real.T, x.imag.T]))
    whole = (np.concatenate([x.real, x.imag]) * solved[:, 1:].T).sum()
    seen = (np.abs(x @ solved[:, 0]) ** 2).sum() / (s @ solved[:, 0])
    honest = max(0.2, 1.0 - len(active) / (_SAMPLES_PER_WINDOW * noise.windows))
    return float((whole - seen) * honest / (TAPERS * (len(active) - 1)))


def filter_weights(
    noise: NDArray[np.floating], signature: FloatArray, active: NDArray[np.bool_]
) -> FloatArray:
    """Real weights w [shape=(n,)] with wᵀ·signature = 1 and least noise power, for one covariance [shape=(n, n)].

    Inactive traces weigh 0. All do where no active trace carries the signature.
    """
    weights = np.zeros(len(signature))
    if not signature[active].any():
        return weights
    covariance, signature = noise[np.ix_(active, active)].astype(np.float64), signature[active]
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-20))
    correlation = covariance / np.outer(scale, scale) + _LOADING * np.eye(len(covariance))
    s = signature / scale
    solved = np.linalg.solve(correlation, s)
    weights[active] = solved / (s @ solved) / scale
    return weights
