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
from edge_models.types import FloatArray

GRID_HZ: FloatArray = np.arange(21, 433) / 60.0
"""Frequencies of every spectrum here: 21 to 432 per minute in steps of one."""

TAPERS = 2
_NEAR_HZ = 0.22
_FAR_HZ = 0.85
_FAR_SHARE = 0.75
_LOADING = 0.02


@dataclass(frozen=True, slots=True)
class WindowSpectrum:
    """The Fourier coefficients of one window, and the noise covariance around each frequency.

    t_s: centre of the window. weight: share of its samples that counted, in (0, 1].
    coefficients: complex128 [shape=(frequencies, TAPERS, traces)].
    noise: float64 [shape=(frequencies, traces, traces)], real part: light and shading act without delay.
    active: bool [shape=(traces,)], False for a trace that was absent (a covered cheek, no background).
    """

    t_s: float
    weight: float
    coefficients: NDArray[np.complex128]
    noise: NDArray[np.float64]
    active: NDArray[np.bool_]


class Analyser:
    """Spectra of windows of one length; the Fourier matrix is made once.

    noise_floor: [shape=(n,)], standard deviation per sample added to each trace's own noise.
    """

    def __init__(self, *, samples: int, rate_hz: float, noise_floor: FloatArray) -> None:
        t_s = np.arange(samples) / rate_hz
        self._fourier = fourier_matrix(t_s, GRID_HZ).astype(np.complex64)
        self._floor = np.diag(noise_floor**2)
        self._tapers = sine_tapers(samples, TAPERS)
        step_hz = GRID_HZ[1] - GRID_HZ[0]
        self._near = round(_NEAR_HZ / step_hz)
        self._far = round(_FAR_HZ / step_hz)

    def spectrum(self, traces: NDArray[np.float64], weight: FloatArray, *, t_s: float) -> WindowSpectrum:
        """traces: float64 [shape=(samples, n)], without baseline. weight: [shape=(samples,)], 0 where invalid."""
        samples, count = traces.shape
        share = max(float(weight.mean()), 1e-3)
        tapered = (self._tapers[:, :, None] * (traces * weight[:, None])[None]) / np.sqrt(share)
        flat = tapered.transpose(1, 0, 2).reshape(samples, -1).astype(np.float32)
        coefficients = (self._fourier @ flat).reshape(len(GRID_HZ), TAPERS, count).astype(np.complex128)
        outer = np.einsum("fki,fkj->fij", coefficients, coefficients.conj()).real / TAPERS
        total = np.concatenate([np.zeros((1, count, count)), np.cumsum(outer, axis=0)])
        centre = np.arange(len(GRID_HZ))

        def between(low: NDArray[np.int64], high: NDArray[np.int64]) -> tuple[NDArray[np.float64], FloatArray]:
            first, last = np.clip(low, 0, len(GRID_HZ)), np.clip(high, 0, len(GRID_HZ))
            return total[last] - total[first], (last - first).astype(np.float64)

        # A neighbour at twice the frequency would hold the pulse's own harmonic.
        far = np.maximum(np.minimum(self._far, (_FAR_SHARE * GRID_HZ * 60).astype(np.int64)), self._near + 4)
        below, n_below = between(centre - far, centre - self._near + 1)
        above, n_above = between(centre + self._near, centre + far + 1)
        noise = (below + above) / np.maximum(n_below + n_above, 1.0)[:, None, None] + self._floor
        return WindowSpectrum(t_s, share, coefficients, noise, np.abs(traces).sum(axis=0) > 0)


def pooled_noise(windows: list[WindowSpectrum], index: int, *, memory_s: float) -> NDArray[np.float64]:
    """Noise covariance at windows[index], averaged over its neighbours in time with a two-sided exponential.

    One window alone has too few independent neighbours in frequency for a stable inverse.
    """
    at_s = windows[index].t_s
    weights = np.array([w.weight * np.exp(-abs(w.t_s - at_s) / memory_s) for w in windows])
    near = np.flatnonzero(weights > 0.02 * weights[index])
    noise = np.zeros_like(windows[index].noise)
    total = np.zeros(noise.shape[1:])
    for i in near:
        noise += weights[i] * windows[i].noise
        total += weights[i] * np.outer(windows[i].active, windows[i].active)
    return noise / np.maximum(total, 1e-12)


@dataclass(frozen=True, slots=True)
class PulseEvidence:
    """Per frequency of GRID_HZ. power_over_noise sums over tapers (mean TAPERS without a pulse).

    amplitude: complex [shape=(frequencies, TAPERS)], in units of the traces along the signature.
    unexplained: whitened power that the signature does not explain, over its mean without a pulse;
    about 1 for noise and for a clean pulse, large for anything else that is periodic.
    """

    power_over_noise: FloatArray
    amplitude: NDArray[np.complex128]
    unexplained: FloatArray


def evidence(
    window: WindowSpectrum, noise: NDArray[np.float64], signature: FloatArray, traces: NDArray[np.int64]
) -> PulseEvidence:
    """Matched filter for `signature` [shape=(n,)] at every frequency, from the active ones of `traces`.

    Where none of them carries the signature there is no evidence: power 0, unexplained 1.
    """
    traces = traces[window.active[traces]]
    signature = signature[traces]
    if not np.any(signature):
        nothing = np.zeros(len(GRID_HZ))
        return PulseEvidence(nothing, np.zeros((len(GRID_HZ), TAPERS), np.complex128), nothing + 1.0)
    coefficients = window.coefficients[:, :, traces]
    noise = noise[:, traces][:, :, traces]
    scale = np.sqrt(np.maximum(np.einsum("fii->fi", noise), 1e-20))
    count = noise.shape[1]
    correlation = noise / (scale[:, :, None] * scale[:, None, :]) + _LOADING * np.eye(count)
    x = coefficients / scale[:, None, :]
    s = signature[None] / scale
    right = np.concatenate([s[:, :, None], x.real.transpose(0, 2, 1), x.imag.transpose(0, 2, 1)], axis=2)
    solved = np.linalg.solve(correlation, right)
    gain = np.einsum("fi,fi->f", s, solved[:, :, 0])
    amplitude = np.einsum("fki,fi->fk", x, solved[:, :, 0]) / gain[:, None]
    power_over_noise = (np.abs(amplitude) ** 2).sum(axis=1) * gain
    whitened = np.einsum("fik,fik->f", right[:, :, 1:], solved[:, :, 1:])
    unexplained = (whitened - power_over_noise) / (TAPERS * max(count - 1, 1))
    return PulseEvidence(power_over_noise, amplitude, unexplained)


def filter_weights(noise: NDArray[np.float64], signature: FloatArray, active: NDArray[np.bool_]) -> FloatArray:
    """Real weights w [shape=(n,)] with wᵀ·signature = 1 and least noise power, for one covariance [shape=(n, n)].

    Inactive traces weigh 0. Needs an active trace that carries the signature.
    """
    weights = np.zeros(len(signature))
    noise, signature = noise[np.ix_(active, active)], signature[active]
    scale = np.sqrt(np.maximum(np.diag(noise), 1e-20))
    correlation = noise / np.outer(scale, scale) + _LOADING * np.eye(len(noise))
    s = signature / scale
    solved = np.linalg.solve(correlation, s)
    weights[active] = solved / (s @ solved) / scale
    return weights
