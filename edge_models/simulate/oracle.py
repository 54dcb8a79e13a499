"""How much pulse there is to be found: the oracle's signal-to-noise, from a trace and the true wave.

1. y = log of green of the mean skin trace, x = the true wave at the same moments, both brought to an even grid of
   30 Hz by straight lines between samples.
2. Both lose their straight line from end to end (least squares), their ends fade in and out over 1 s (raised cosine),
   and only 0.6 to 4 Hz are kept, with hard edges (FFT). The wave keeps its ramps, steps and every beat.
3. For each lag within ±0.3 s, in steps of 1/60 s: y ≈ a · x(t - lag), least squares, a ≤ 0, since blood takes light away.
4. The lag that explains most: dB = 10 · log10(power explained / power left over), both in 0.6 to 4 Hz.

Noise alone is explained to some parts in a hundred over the lags tried: -20 dB and below says nothing in 40 s.
"""

from __future__ import annotations

import numpy as np

from edge_models.types import FloatArray

LOW_HZ, HIGH_HZ = 0.6, 4.0
LAG_S = 0.3
LEAST_DB = -40.0
"""What is told where nothing is explained."""
SUPPORTED_DB, SUPPORTED_FACE_PX, SUPPORTED_FPS = 0.0, 100.0, 15.0
_GRID_HZ = 30.0
_FADE_S = 1.0
_LAG_STEP_S = 1 / 60


def oracle_db(t_s: FloatArray, rgb: FloatArray, true_wave: FloatArray) -> float:
    """Signal-to-noise of the pulse in a mean skin trace, dB, from LEAST_DB up.

    t_s: strictly increasing [shape=(n,)]. rgb: the trace in code values [shape=(n, 3)]. true_wave: [shape=(n,)], up is
    more blood. Zero everywhere (nobody there): LEAST_DB. Raises ValueError below 5 s or for other shapes.
    """
    if rgb.shape != (len(t_s), 3) or true_wave.shape != t_s.shape:
        raise ValueError(f"shapes do not agree: {t_s.shape}, {rgb.shape}, {true_wave.shape}")
    if len(t_s) < 2 or t_s[-1] - t_s[0] < 5.0:
        raise ValueError("an oracle needs 5 s")
    grid_s = np.arange(t_s[0], t_s[-1], 1 / _GRID_HZ)
    hz = np.fft.rfftfreq(len(grid_s), 1 / _GRID_HZ)
    band = (hz >= LOW_HZ) & (hz <= HIGH_HZ)
    hz = hz[band]
    seen = _spectrum(np.interp(grid_s, t_s, np.log(np.maximum(rgb[:, 1], 0.5))))[band]
    wave = _spectrum(np.interp(grid_s, t_s, true_wave))[band]
    wave_power, seen_power = float(np.sum(np.abs(wave) ** 2)), float(np.sum(np.abs(seen) ** 2))
    if wave_power <= 1e-12 * len(grid_s) or seen_power <= 0:
        return LEAST_DB
    steps = round(LAG_S / _LAG_STEP_S)
    lags = np.arange(-steps, steps + 1) * _LAG_STEP_S
    products = np.real(np.exp(2j * np.pi * lags[:, None] * hz) @ (seen * wave.conj()))
    size = min(0.0, float(products.min())) / wave_power
    explained = size**2 * wave_power
    left = max(seen_power - explained, 1e-12 * seen_power)
    return max(LEAST_DB, float(10 * np.log10(max(explained, 1e-30 * left) / left)))


def _spectrum(values: FloatArray) -> FloatArray:
    n = len(values)
    place = np.arange(n) - (n - 1) / 2
    values = values - values.mean()
    values = values - place * (place @ values) / (place @ place)
    edge = min(round(_FADE_S * _GRID_HZ), n // 2)
    fade = np.ones(n)
    fade[:edge] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    fade[n - edge :] = fade[:edge][::-1]
    return np.asarray(np.fft.rfft(values * fade))


def supported(db: float, *, face_px: float, fps: float) -> bool:
    """Whether a heart rate has to be found: enough pulse, face and frames. face_px: width; fps: frames that arrived."""
    return db >= SUPPORTED_DB and face_px >= SUPPORTED_FACE_PX and fps >= SUPPORTED_FPS - 1e-6
