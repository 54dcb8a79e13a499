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

import numpy as np
from numpy.typing import NDArray

from edge_models.signal.spectrum import fourier_matrix, sine_tapers
from edge_models.types import Float32Array, FloatArray

LOWEST_PER_MIN, HIGHEST_PER_MIN = 38, 205
RATES_PER_MIN: FloatArray = np.arange(LOWEST_PER_MIN, HIGHEST_PER_MIN + 1, dtype=np.float64)
"""Candidate heart rates, in steps of one per minute."""
_GRID_PER_MIN: NDArray[np.int64] = np.arange(21, 2 * HIGHEST_PER_MIN + 23)
"""Frequencies of every spectrum here, per minute: the rates, their harmonics, and neighbours of both."""
_HARMONICS_PER_MIN: NDArray[np.int64] = np.arange(HIGHEST_PER_MIN + 1, 2 * HIGHEST_PER_MIN + 1, 2)
_AT: NDArray[np.int64] = (
    np.concatenate([np.arange(LOWEST_PER_MIN, HIGHEST_PER_MIN + 1), _HARMONICS_PER_MIN]) - 21
)
"""Where a pulse is looked for: at every rate, and beyond the fastest one, for harmonics, at every second point."""
_NOISE_STEP = 3
"""Noise is smooth: it is learnt at every third of those frequencies, for a third of the memory."""
HARMONIC: NDArray[np.int64] = np.array(
    [
        2 * r - LOWEST_PER_MIN
        if 2 * r <= HIGHEST_PER_MIN
        else len(RATES_PER_MIN) + min((2 * r - HIGHEST_PER_MIN - 1) // 2, len(_HARMONICS_PER_MIN) - 1)
        for r in range(LOWEST_PER_MIN, HIGHEST_PER_MIN + 1)
    ]
)
"""For each candidate rate, where its second harmonic stands among the frequencies of PulseEvidence."""

EVERYWHERE: NDArray[np.int64] = np.arange(len(_AT))
"""All frequencies of PulseEvidence: the candidate rates, then the harmonics beyond the fastest of them."""

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
        at = _AT[::_NOISE_STEP]
        # A neighbour at twice the frequency would hold the pulse's own harmonic.
        far = (_FAR_SHARE * _GRID_PER_MIN[at]).astype(np.int64)
        far = np.maximum(np.minimum(_FAR_PER_MIN, far), _NEAR_PER_MIN + 4)
        distance = np.abs(np.arange(len(_GRID_PER_MIN))[None] - at[:, None])
        self._neighbours = ((distance >= _NEAR_PER_MIN) & (distance <= far[:, None])).astype(np.float32)

    def spectrum(self, traces: NDArray[np.float64], weight: FloatArray, *, t_s: float) -> WindowSpectrum:
        """traces: float64 [shape=(samples, n)], without baseline. weight: [shape=(samples,)], 0 where invalid."""
        coefficients = self._coefficients(traces, weight)
        noise = self._noise(coefficients, ())
        active = np.abs(traces).sum(axis=0) > 0
        return WindowSpectrum(t_s, _share(weight), coefficients[_AT], noise, noise, active)

    def without_pulses(
        self,
        window: WindowSpectrum,
        traces: NDArray[np.float64],
        weight: FloatArray,
        *,
        rates_per_min: tuple[float, ...],
    ) -> WindowSpectrum:
        """`window`, made of these traces, with pulses at these rates and their harmonics left out for others."""
        lines = (*rates_per_min, *(2 * rate for rate in rates_per_min))
        noise = self._noise(self._coefficients(traces, weight), lines)
        return replace(window, noise_for_others=noise)

    def _coefficients(self, traces: NDArray[np.float64], weight: FloatArray) -> NDArray[np.complex64]:
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


def _nearest(frequencies: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Indices of the noise frequencies nearest to frequencies of PulseEvidence."""
    return np.minimum((frequencies + _NOISE_STEP // 2) // _NOISE_STEP, count - 1)


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise covariances [shape=(noise frequencies, traces, traces)] and how many windows' worth is behind them."""

    covariance: Float32Array
    windows: float

    def at(self, frequencies: NDArray[np.int64]) -> Float32Array:
        """The covariances for some frequencies of PulseEvidence [shape=(len(frequencies), traces, traces)]."""
        return np.asarray(self.covariance[_nearest(frequencies, len(self.covariance))], np.float32)


def pooled_noise(
    windows: list[WindowSpectrum], index: int, *, memory_s: float, at: int | None = None
) -> Noise:
    """Noise at windows[index], averaged over its neighbours in time with a two-sided exponential.

    One window alone has too few independent neighbours in frequency for a stable inverse.
    at: only around this frequency of PulseEvidence (the result then holds one covariance), None: everywhere.
    """
    here = windows[index]
    kept = slice(None) if at is None else _nearest(np.array([at]), len(here.noise))
    weights = [w.weight * float(np.exp(-abs(w.t_s - here.t_s) / memory_s)) for w in windows]
    noise = np.zeros_like(here.noise[kept])
    total = np.zeros(noise.shape[1:], np.float32)
    times_s = []
    for i, (window, weight) in enumerate(zip(windows, weights, strict=True)):
        if weight > 0.05 * weights[index]:
            noise += np.float32(weight) * (window.noise if i == index else window.noise_for_others)[kept]
            total += np.float32(weight) * np.outer(window.active, window.active)
            times_s.append(window.t_s)
    covariance = np.asarray(noise / np.maximum(total, 1e-6), np.float32)
    return Noise(covariance, 1.0 + float(np.ptp(times_s)) / 10.0)


@dataclass(frozen=True, slots=True)
class PulseEvidence:
    """Per frequency asked for.

    power_over_noise sums over tapers (mean TAPERS without a pulse).
    amplitude: complex [shape=(frequencies, TAPERS)], in units of the traces along the signature.
    unexplained: whitened power that the signature does not explain, over its mean without a pulse;
    about 1 for noise and for a clean pulse, large for anything else that is periodic.
    """

    power_over_noise: FloatArray
    amplitude: NDArray[np.complex64]
    unexplained: FloatArray


def evidence(
    window: WindowSpectrum,
    noise: Noise,
    signature: FloatArray,
    traces: NDArray[np.int64],
    at: NDArray[np.int64] = EVERYWHERE,
) -> PulseEvidence:
    """Matched filter for `signature` [shape=(n,)] from the active ones of `traces`, at the frequencies `at`.

    Where none of them carries the signature there is no evidence: power 0, unexplained 1. A covariance learnt
    from few samples flatters every vector; power is reduced by (1 − traces/samples), as for Hotelling's T².
    """
    traces = traces[window.active[traces]]
    picked = signature[traces].astype(np.float32)
    size = len(at)
    if not np.any(picked):
        return PulseEvidence(np.zeros(size), np.zeros((size, TAPERS), np.complex64), np.ones(size))
    covariance = noise.at(at)[:, traces[:, None], traces[None, :]]
    count = len(traces)
    scale = np.sqrt(np.maximum(np.einsum("fii->fi", covariance), 1e-20))
    covariance = covariance / (scale[:, :, None] * scale[:, None, :]) + np.float32(_LOADING) * np.eye(
        count, dtype=np.float32
    )
    x = window.coefficients[np.ix_(at, np.arange(TAPERS), traces)] / scale[:, None, :]
    s = picked[None] / scale
    right = np.concatenate([s[:, :, None], x.real.transpose(0, 2, 1), x.imag.transpose(0, 2, 1)], axis=2)
    solved = np.linalg.solve(covariance, right)
    gain = np.einsum("fi,fi->f", s, solved[:, :, 0])
    amplitude = np.einsum("fki,fi->fk", x, solved[:, :, 0]) / gain[:, None]
    honest = max(0.2, 1.0 - count / (_SAMPLES_PER_WINDOW * noise.windows))
    power_over_noise = (np.abs(amplitude) ** 2).sum(axis=1) * gain * honest
    whitened = np.einsum("fik,fik->f", right[:, :, 1:], solved[:, :, 1:]) * honest
    unexplained = (whitened - power_over_noise) / (TAPERS * max(count - 1, 1))
    return PulseEvidence(
        power_over_noise.astype(np.float64), amplitude.astype(np.complex64), unexplained.astype(np.float64)
    )


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
