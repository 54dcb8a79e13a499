"""From light to 8-bit pictures: frame times, lamp and screen, exposure and white balance, noise, gamma, JPEG.

The camera codes light as code = 255 · light^(1/2.2), a plain power. Two things follow that keep it fast and right:
a gain in light is a gain of its 2.2nd root in code, exactly; and sensor noise can be added in code by its slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from edge_models.types import ByteArray, Float32Array, FloatArray

GAMMA = 2.2


class Timing(StrEnum):
    """How the frames follow each other. Jitter and drops come on top of any of them."""

    STEADY = "steady"
    HALVING = "halving"
    """fps in the first half, half of it in the second: what a webcam does when the room gets darker."""
    UNEVEN = "uneven"
    """Every interval is drawn anew, from half to one and a half times 1 / fps."""


def to_code(light: Float32Array | FloatArray) -> Float32Array:
    """Linear light (white = 1) to code values (white = 255, not rounded, not clipped above)."""
    return np.asarray(255 * np.power(np.maximum(light, 0), 1 / GAMMA), dtype=np.float32)


def to_light(code: ByteArray | Float32Array | FloatArray) -> Float32Array:
    """Code values (white = 255) to linear light (white = 1)."""
    return np.asarray(np.power(np.asarray(code, dtype=np.float32) / 255, GAMMA), dtype=np.float32)


def frame_times(
    rng: np.random.Generator,
    *,
    fps: float,
    duration_s: float,
    timing: Timing = Timing.STEADY,
    jitter_s: float = 0.0,
    drop_fraction: float = 0.0,
) -> FloatArray:
    """True moments of exposure in [0, duration_s), strictly increasing [shape=(n,)], seconds.

    jitter_s: standard deviation of each moment around its place (clipped to 0.4 of the interval).
    drop_fraction: of frames that never arrive, one by one and in short bursts.
    """
    if timing is Timing.HALVING:
        first = np.arange(0, duration_s / 2, 1 / fps)
        times = np.concatenate([first, np.arange(first[-1] + 2 / fps, duration_s, 2 / fps)])
    elif timing is Timing.UNEVEN:
        steps = rng.uniform(0.5, 1.5, int(duration_s * fps * 1.2) + 8) / fps
        times = np.concatenate([[0.0], np.cumsum(steps)])
    else:
        times = np.arange(int(np.ceil(duration_s * fps))) / fps
    times = times[times < duration_s]
    if jitter_s > 0:
        room = 0.4 * np.min(np.diff(times)) if times.size > 1 else 0.0
        times = times + np.clip(rng.normal(0, jitter_s, times.size), -room, room)
        times = times - min(0.0, float(times[0]))
        times = times[times < duration_s]
    if drop_fraction > 0:
        # Half of the losses are single frames, half are bursts of four.
        lost = rng.uniform(size=times.size) < drop_fraction / 2
        starts = rng.uniform(size=times.size) < drop_fraction / 8
        for k in range(4):
            lost[k:] |= starts[: max(0, times.size - k)]
        lost[0] = False
        times = times[~lost]
    return np.asarray(times)


def flicker_alias_hz(flicker_hz: float, fps: float) -> float:
    """Where a lamp's flicker is seen at a steady frame rate: its distance to the nearest multiple of fps."""
    return abs(flicker_hz - round(flicker_hz / fps) * fps)


def lamp_flicker(
    t_s: FloatArray, *, flicker_hz: float, depth: float, exposure_s: float, phase: float
) -> FloatArray:
    """Gain of a flickering lamp, averaged over an exposure centred at each t_s [shape=(n,)]. Mean 1.

    depth: amplitude of the lamp's own ripple. A whole number of periods in exposure_s averages it away.
    """
    if flicker_hz <= 0:
        return np.ones(t_s.size)
    seen = depth * np.sinc(flicker_hz * exposure_s)
    return np.asarray(1 + seen * np.cos(2 * np.pi * flicker_hz * t_s + phase))


def screen_light(rng: np.random.Generator, t_s: FloatArray, *, level: float, duration_s: float) -> FloatArray:
    """Light that a screen throws on the face, BGR [shape=(n, 3)], lamp = 1: scenes cut and drift. Mean about level."""
    if level <= 0:
        return np.zeros((t_s.size, 3))
    cuts = np.cumsum(rng.uniform(1.0, 5.0, int(duration_s) + 4))
    colours = rng.uniform(0.3, 1.7, (cuts.size + 1, 3)) * rng.uniform(0.5, 1.5, (cuts.size + 1, 1))
    light = np.tile(colours[0], (t_s.size, 1))
    for cut, before, after in zip(cuts, colours[:-1], colours[1:], strict=True):
        light += _step(t_s, float(cut), 0.12)[:, None] * (after - before)
    drift = np.zeros(t_s.size)
    for hz in rng.uniform(0.05, 0.6, 4):
        drift += 0.06 * np.sin(2 * np.pi * (hz * t_s + rng.uniform()))
    return np.asarray(level * light * (1 + drift[:, None]))


def automatic_gains(
    t_s: FloatArray,
    *,
    exposure_steps: tuple[tuple[float, float], ...] = (),
    white_balance_steps: tuple[tuple[float, float], ...] = (),
) -> FloatArray:
    """What the camera's automatics do to light, BGR gains [shape=(n, 3)].

    exposure_steps: (moment s, gain from then on). white_balance_steps: (moment s, warmth from then on; +0.1 is red
    10 % up and blue 10 % down). Each change takes 0.3 s.
    """
    gains = np.ones((t_s.size, 3))
    last = 1.0
    exposure = np.ones(t_s.size)
    for moment, gain in exposure_steps:
        exposure += _step(t_s, moment, 0.3) * (gain - last)
        last = gain
    warmth = np.zeros(t_s.size)
    last = 0.0
    for moment, value in white_balance_steps:
        warmth += _step(t_s, moment, 0.3) * (value - last)
        last = value
    gains *= exposure[:, None]
    gains[:, 0] *= 1 - warmth
    gains[:, 2] *= 1 + warmth
    return gains


def _step(t_s: FloatArray, moment_s: float, length_s: float) -> FloatArray:
    rise = np.clip((t_s - moment_s) / length_s, 0, 1)
    return np.asarray(rise * rise * (3 - 2 * rise))


@dataclass(frozen=True, slots=True)
class Sensor:
    """Shot and read noise of a pixel. full_scale_e: electrons at white; read_e: read noise, electrons (1 sigma)."""

    full_scale_e: float
    read_e: float

    def noise_in_light(self, light: FloatArray | Float32Array) -> FloatArray:
        """Standard deviation of one pixel in linear light (white = 1)."""
        electrons = np.maximum(light, 0) * self.full_scale_e
        return np.asarray(np.sqrt(electrons + self.read_e**2) / self.full_scale_e)

    def noise_in_code(self, code: FloatArray | Float32Array) -> FloatArray:
        """Standard deviation of one pixel in code values: noise in light times the slope of the gamma curve.

        Near black the slope of a power law has no bound; it is held below code 20, as real curves start straight.
        """
        held = np.maximum(code, 20.0) / 255
        light = held**GAMMA
        return np.asarray(self.noise_in_light(light) * 255 / GAMMA * held ** (1 - GAMMA))


class Digitiser:
    """Adds sensor noise to pictures in code values and rounds to 8 bits. The noise itself dithers the rounding.

    Noise comes from one pool of Gaussian numbers read at a random place with a random sign for each frame, so no
    pixel and no region has a noise that comes back at a period.
    """

    _POOL = 1 << 22

    def __init__(self, rng: np.random.Generator, sensor: Sensor, height: int, width: int) -> None:
        self._rng = rng
        self._values = height * width * 3
        self._shape = (height, width * 3)
        size = max(self._POOL, 3 * self._values)
        pool = rng.standard_normal(size, dtype=np.float32)
        self._pool = (pool - pool.mean()) / pool.std()
        self._table = sensor.noise_in_code(np.arange(256, dtype=np.float64)).astype(np.float32)
        self._noise = np.empty(self._shape, dtype=np.float32)

    def digitise(self, code: Float32Array) -> ByteArray:
        """code: float32 [shape=(height, width, 3)] → uint8 of the same shape, a new array."""
        flat = code.reshape(self._shape)
        sigma = cv2.LUT(
            cv2.convertScaleAbs(flat), self._table
        )  # light is never negative: the Abs does nothing
        start = int(self._rng.integers(0, self._pool.size - self._values))
        piece = self._pool[start : start + self._values].reshape(self._shape)
        sign = 1.0 if self._rng.integers(2) else -1.0
        cv2.multiply(sigma, piece, dst=self._noise, scale=sign)
        noisy = cv2.add(flat, self._noise, dtype=cv2.CV_8U)
        return np.asarray(noisy, dtype=np.uint8).reshape(code.shape)


def compressed(image: ByteArray, jpeg_quality: int) -> ByteArray:
    """The picture after a passage through JPEG (as in MJPEG), quality 1 to 100."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
