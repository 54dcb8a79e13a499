"""Our own voice in the microphone: predicted from what is played, and taken out, so that only somebody else is heard.

The way from loudspeaker to microphone is learned by a frequency-domain adaptive Kalman filter in partitions (Enzner and Vary 2006,
"Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free telephones"; Kuech, Mabande and Enzner 2014 for the
partitions). It keeps for each frequency how unsure it is, so it learns fast at first, hardly while somebody speaks, and says how much
echo may be left: that much is taken off each frequency (spectral subtraction). Before anything is learned, all that could be echo is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_models.types import Float32Array, FloatArray

RATE_HZ = 16_000
BLOCK = 512
"""Samples that are cleaned at once: 32 ms, as the speech net wants them."""
_HOP = 128
"""Samples after which the filter learns: 8 ms."""
_PARTITIONS = 40
"""They reach back over 320 ms: what the sound system holds back, and the room."""
_FIRST_DOUBT = 0.3
"""Squared gain that a partition may have, for all that is known at first: a loud loudspeaker beside a microphone that is turned up."""
_DOUBT_FALLS_S = 0.1
"""What comes later is weaker: by e in so many seconds."""
_STAYS = 0.997
"""How much of the way is still true 8 ms later. It moves when a head or a hand does, or somebody turns the loudspeaker up."""
_NOISE_STAYS = 0.85
_REST_STAYS = 0.7
_OVER = 1.5
"""So many times the echo that may be left is taken off: it is only expected so high."""
_LEAST_GAIN = 0.03
_LOUD_STAYS = 0.8
_FLOOR_RISES = 10 ** (0.1 * 3.0 * _HOP / RATE_HZ)
"""A noise that begins is known after some seconds: what is taken for it rises by 3 dB a second, and falls at once."""
_MOSTLY = 0.5
"""Where what is expected of our voice has so much of the power of all that is heard, and taking it out makes it louder, it is not heard there."""
_SMALL = 1e-9
_LEAST_DB = -100.0


@dataclass(frozen=True, slots=True)
class Cleaned:
    """32 ms without our voice.

    samples: float32 [shape=(512,)], full scale ±1, 8 ms late. left_db: their power; echo_db: of the echo that may still be in them before
    it was taken off. Both in dB of full scale, −100 at least. rises_db: the greatest left_db − echo_db within 8 ms. noise_db: how loud it is
    at the microphone in the gaps, when nobody speaks.
    """

    samples: Float32Array
    left_db: float
    echo_db: float
    rises_db: float
    noise_db: float = _LEAST_DB


class EchoCanceller:
    """For one microphone and one loudspeaker; what it has learned holds as long as neither is moved.

    About 0.8 ms for each block while something is played, nothing otherwise.
    """

    def __init__(self) -> None:
        bins = _HOP + 1
        self._way: NDArray[np.complex128]
        self._doubt: FloatArray
        self.forget_way()
        self._played: NDArray[np.complex128] = np.zeros((_PARTITIONS, bins), np.complex128)
        self._noise: FloatArray = np.full(bins, 1e-6)
        self._rest: FloatArray = np.zeros(bins)
        self._loud: float | None = None
        self._floor = 0.0
        self._last_played: FloatArray = np.zeros(_HOP)
        self._last_left: FloatArray = np.zeros(_HOP)
        self._tail: FloatArray = np.zeros(_HOP)
        self._window: FloatArray = np.sqrt(np.hanning(2 * _HOP + 1)[:-1])

    def forget_way(self) -> None:
        """What is played is heard after another time, or elsewhere: nothing is known of its echo any more, and all that could be echo is."""
        bins = _HOP + 1
        late_s = np.arange(_PARTITIONS)[:, np.newaxis] * (_HOP / RATE_HZ)
        self._way = np.zeros((_PARTITIONS, bins), np.complex128)
        self._doubt = np.repeat(_FIRST_DOUBT * np.exp(-late_s / _DOUBT_FALLS_S), bins, axis=1)

    def clean(self, heard: Float32Array, played: Float32Array) -> Cleaned:
        """heard, played: of the same 32 ms [shape=(512,), full scale ±1]; what is played must not be heard before it is given here."""
        ears = np.nan_to_num(heard.astype(np.float64), posinf=0.0, neginf=0.0)
        mouth = np.nan_to_num(played.astype(np.float64), posinf=0.0, neginf=0.0)
        self.listen(heard)
        hops = [self._hop(ears[at : at + _HOP], mouth[at : at + _HOP]) for at in range(0, BLOCK, _HOP)]
        left = np.concatenate([one for one, _ in hops])
        echoes = np.array([echo for _, echo in hops])
        powers = np.mean(left.reshape(-1, _HOP) ** 2, axis=1)
        rises = max(_db(power) - _db(echo) for power, echo in zip(powers, echoes, strict=True))
        return Cleaned(
            left.astype(np.float32), _db(powers.mean()), _db(echoes.mean()), rises, _db(self._floor)
        )

    def listen(self, heard: Float32Array) -> None:
        """While nothing is played: how loud the room is, so that its noise is not taken for somebody later [shape=(512,)]."""
        ears = np.nan_to_num(heard.astype(np.float64), posinf=0.0, neginf=0.0)
        for power in np.mean(ears.reshape(-1, _HOP) ** 2, axis=1).tolist():
            if self._loud is None:
                self._loud = self._floor = power
            self._loud = _LOUD_STAYS * self._loud + (1.0 - _LOUD_STAYS) * power
            self._floor = min(max(self._floor, _SMALL) * _FLOOR_RISES, self._loud)

    def _hop(self, heard: FloatArray, played: FloatArray) -> tuple[FloatArray, float]:
        """8 ms: what is left of it, and the mean power of the echo that may be in it."""
        self._played = np.roll(self._played, 1, axis=0)
        self._played[0] = np.fft.rfft(np.concatenate((self._last_played, played)))
        self._last_played = played
        powers = np.abs(self._played) ** 2
        if not powers.any():
            left, may_be = heard, np.zeros_like(self._rest)
        else:
            echo = np.fft.irfft(np.sum(self._way * self._played, axis=0))[_HOP:]
            left = heard - echo
            may_be = 0.5 * np.sum(powers * self._doubt, axis=0)
            self._learn(left, powers, may_be)
            if _is_elsewhere(heard, echo):  # our voice has a hole there, or came at another time
                left = heard
                around = np.abs(np.fft.rfft(np.concatenate((self._last_left, heard)))) ** 2
                may_be = np.maximum(may_be, around)
        return self._weigh_down(left, may_be), float(may_be.sum()) / _HOP**2

    def _learn(self, left: FloatArray, powers: FloatArray, may_be: FloatArray) -> None:
        error = np.fft.rfft(np.concatenate((np.zeros(_HOP), left)))
        self._noise = _NOISE_STAYS * self._noise + (1.0 - _NOISE_STAYS) * np.abs(error) ** 2
        step = self._doubt / (may_be + self._noise + _SMALL)
        way = np.fft.irfft(self._way + step * np.conj(self._played) * error, axis=1)
        way[:, _HOP:] = (
            0.0  # what a partition says of times that belong to the next is an artefact of the circle
        )
        self._way = np.fft.rfft(way, axis=1)
        surer = np.maximum(1.0 - 0.5 * step * powers, 0.0) * self._doubt
        self._doubt = _STAYS**2 * surer + (1.0 - _STAYS**2) * np.abs(self._way) ** 2

    def _weigh_down(self, left: FloatArray, may_be: FloatArray) -> FloatArray:
        """With overlapping windows, so that it comes out 8 ms later."""
        found = np.fft.rfft(np.concatenate((self._last_left, left)) * self._window)
        self._last_left = left
        self._rest = np.maximum(may_be, _REST_STAYS * self._rest)
        gain = np.maximum(
            _LEAST_GAIN, 1.0 - _OVER * _smooth(self._rest) / (_smooth(np.abs(found) ** 2) + 1e-12)
        )
        whole = np.fft.irfft(gain * found) * self._window
        cleaned = self._tail + whole[:_HOP]
        self._tail = whole[_HOP:]
        return cleaned


def _is_elsewhere(heard: FloatArray, echo: FloatArray) -> bool:
    """Whether the echo that was expected is not in what is heard. Somebody who speaks into it makes it louder, and less so without it."""
    expected, left, whole = (float(np.mean(one**2)) for one in (echo, heard - echo, heard))
    return left > whole and expected > _MOSTLY * whole


def _smooth(spectrum: FloatArray) -> FloatArray:
    return np.convolve(spectrum, (0.25, 0.5, 0.25), "same")


def _db(power: float) -> float:
    return max(_LEAST_DB, 10.0 * float(np.log10(power + 1e-10)))
