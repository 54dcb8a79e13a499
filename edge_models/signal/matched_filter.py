"""How much a window of traces speaks for a pulse of a given colour at each frequency.

At frequency f the tapered Fourier coefficients of all traces form a vector x(f): skin regions × RGB,
then references that carry no pulse (background, head motion). A pulse adds a·s, with s known: the
blood's colour on every skin region, zero on the references. Everything else is noise with covariance S(f),
learnt from the neighbouring frequencies. The best linear estimate of a is wᵀx with
w = S⁻¹s / (sᵀS⁻¹s) (Capon, Proc. IEEE, 1969), and t(f) = |wᵀx|²·(sᵀS⁻¹s) is its power over noise:
1 per taper on average where there is no pulse. Light and motion that reach the references cancel by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

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
"""Where the noise is learnt: at every rate, and beyond the fastest one at every second grid point."""
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
    noise: float32 [shape=(frequencies, traces, traces)], real part: light and shading act without delay.
    active: bool [shape=(traces,)], False for a trace that was absent (a covered cheek, no background).
    """

    t_s: float
    weight: float
    coefficients: NDArray[np.complex64]
    noise: Float32Array
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
        per_min = _GRID_PER_MIN[_AT]
        # A neighbour at twice the frequency would hold the pulse's own harmonic.
        far = np.maximum(np.minimum(_FAR_PER_MIN, (_FAR_SHARE * per_min).astype(np.int64)), _NEAR_PER_MIN + 4)
        last = len(_GRID_PER_MIN)
        self._below = (np.clip(_AT - far, 0, last), np.clip(_AT - _NEAR_PER_MIN + 1, 0, last))
        self._above = (np.clip(_AT + _NEAR_PER_MIN, 0, last), np.clip(_AT + far + 1, 0, last))
        self._neighbours = (self._below[1] - self._below[0] + self._above[1] - self._above[0]).astype(
            np.float32
        )

    def spectrum(self, traces: NDArray[np.float64], weight: FloatArray, *, t_s: float) -> WindowSpectrum:
        """traces: float64 [shape=(samples, n)], without baseline. weight: [shape=(samples,)], 0 where invalid."""
        samples, count = traces.shape
        share = max(float(weight.mean()), 1e-3)
        tapered = (self._tapers[:, :, None] * (traces * weight[:, None])[None]) / np.sqrt(share)
        flat = tapered.transpose(1, 0, 2).reshape(samples, -1).astype(np.float32)
        coefficients = (self._fourier @ flat).reshape(len(_GRID_PER_MIN), TAPERS, count)
        parts = np.concatenate([coefficients.real, coefficients.imag], axis=1)
        outer = np.matmul(parts.transpose(0, 2, 1), parts) / np.float32(TAPERS)
        total = np.zeros((len(outer) + 1, count, count))
        np.cumsum(outer, axis=0, out=total[1:])
        noise = total[self._below[1]] - total[self._below[0]] + total[self._above[1]] - total[self._above[0]]
        mean = np.asarray(noise / self._neighbours[:, None, None] + self._floor, np.float32)
        return WindowSpectrum(t_s, share, coefficients[_AT], mean, np.abs(traces).sum(axis=0) > 0)


@dataclass(frozen=True, slots=True)
class Noise:
    """A noise covariance [shape=(frequencies, traces, traces)] and how many windows' worth stands behind it."""

    covariance: Float32Array
    windows: float


def pooled_noise(windows: list[WindowSpectrum], index: int, *, memory_s: float) -> Noise:
    """Noise at windows[index], averaged over its neighbours in time with a two-sided exponential.

    One window alone has too few independent neighbours in frequency for a stable inverse.
    """
    at_s = windows[index].t_s
    weights = np.array([w.weight * np.exp(-abs(w.t_s - at_s) / memory_s) for w in windows], np.float32)
    near = np.flatnonzero(weights > 0.05 * weights[index])
    noise = np.zeros_like(windows[index].noise)
    total = np.zeros(noise.shape[1:], np.float32)
    for i in near:
        noise += weights[i] * windows[i].noise
        total += weights[i] * np.outer(windows[i].active, windows[i].active)
    spread_s = float(np.ptp([windows[i].t_s for i in near]))
    return Noise(np.asarray(noise / np.maximum(total, 1e-6), np.float32), 1.0 + spread_s / 10.0)


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
    covariance = noise.covariance[np.ix_(at, traces, traces)]
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
