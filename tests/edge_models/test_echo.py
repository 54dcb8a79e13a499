"""The echo of our own voice is taken out, and nobody else; whatever the way from loudspeaker to microphone is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_models.echo import BLOCK, RATE_HZ, Cleaned, EchoCanceller
from edge_models.types import Float32Array, FloatArray

S = RATE_HZ
Sound = FloatArray | Float32Array


def voice(length_s: float, rng: np.random.Generator) -> FloatArray:
    """Something like speech: coloured noise in syllables, with pauses [shape=(n,)], −20 dB of full scale while it sounds."""
    n = int(length_s * S)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum /= np.maximum(np.fft.rfftfreq(n, 1 / S), 200.0)
    made = np.fft.irfft(spectrum, n)
    t_s = np.arange(n) / S
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * t_s), 0.0, None) * (np.sin(2 * np.pi * 0.4 * t_s) > -0.8)
    made *= syllables
    return np.asarray(0.1 * made / np.sqrt(np.mean(made[np.abs(made) > 0] ** 2)))


def way(rng: np.random.Generator, delay_s: float = 0.05, t60_s: float = 0.25) -> FloatArray:
    """A delay, a filter and a room that dies away."""
    n = int(t60_s * S)
    late = rng.standard_normal(n) * 10.0 ** (-3.0 * np.arange(n) / n)
    late[0] = 3.0 * np.abs(late).max()
    whole = np.concatenate((np.zeros(int(delay_s * S)), late))
    return np.asarray(whole / np.sqrt(np.sum(whole**2)))


def through(sound: FloatArray, filter_: FloatArray) -> FloatArray:
    size = len(sound) + len(filter_)
    return np.asarray(np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(filter_, size), size)[: len(sound)])


def cleaned(heard: Sound, played: Sound, canceller: EchoCanceller | None = None) -> list[Cleaned]:
    used = canceller or EchoCanceller()
    ears, mouth = heard.astype(np.float32), played.astype(np.float32)
    return [
        used.clean(ears[at : at + BLOCK], mouth[at : at + BLOCK])
        for at in range(0, len(ears) - BLOCK + 1, BLOCK)
    ]


def joined(found: list[Cleaned]) -> FloatArray:
    return np.concatenate([one.samples for one in found]).astype(np.float64)


def power_db(sound: FloatArray) -> float:
    return 10.0 * float(np.log10(np.mean(sound**2) + 1e-20))


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.1, 0.2])
@pytest.mark.parametrize("gain_db", [-20.0, 0.0, 6.0])
def test_what_we_play_is_gone_after_two_seconds(
    delay_s: float, gain_db: float, rng: np.random.Generator
) -> None:
    played = voice(5.0, rng)
    heard = through(played, way(rng, delay_s)) * 10 ** (gain_db / 20)
    heard += rng.standard_normal(len(heard)) * 1e-5
    left = joined(cleaned(heard, played))
    assert power_db(left[2 * S :]) < power_db(heard[2 * S :]) - 15.0


def test_somebody_else_stays(rng: np.random.Generator) -> None:
    played, somebody = voice(6.0, rng), voice(6.0, rng)
    somebody[: 3 * S] = 0.0
    heard = 0.3 * through(played, way(rng)) + somebody
    left = joined(cleaned(heard, played))[3 * S :]
    late = 128  # what is left comes 8 ms late
    apart = np.corrcoef(left[late:], somebody[3 * S : 3 * S + len(left) - late])[0, 1]
    assert apart > 0.9
    assert abs(power_db(left) - power_db(somebody[3 * S :])) < 2.0


def test_somebody_is_far_above_the_echo_that_may_be_left_and_we_are_not(rng: np.random.Generator) -> None:
    played, somebody = voice(6.0, rng), voice(6.0, rng)
    somebody[: 4 * S] = 0.0
    heard = 0.3 * through(played, way(rng)) + somebody + rng.standard_normal(6 * S) * 1e-5
    found = cleaned(heard, played)
    edge = 4 * S // BLOCK
    audible = [one.rises_db for one in found[2 * S // BLOCK : edge] if one.left_db > -50.0]
    assert max(audible, default=-100.0) < 10.0
    assert max(one.rises_db for one in found[edge : edge + 10]) > 14.0


def test_while_nothing_is_played_everything_stays(rng: np.random.Generator) -> None:
    somebody = voice(2.0, rng)
    found = cleaned(somebody, np.zeros_like(somebody))
    left = joined(found)
    np.testing.assert_allclose(left[128:], somebody[: len(left) - 128], atol=1e-6)
    assert all(one.echo_db == -100.0 for one in found)


def test_silence_is_silence() -> None:
    for one in cleaned(np.zeros(S), np.zeros(S)):
        assert not one.samples.any()
        assert one.left_db == one.echo_db == -100.0


def test_silence_while_we_speak_teaches_that_nothing_is_heard(rng: np.random.Generator) -> None:
    """Headphones: what is played is not heard, and somebody is heard whole."""
    played = voice(4.0, rng)
    somebody = voice(4.0, rng)
    somebody[: 2 * S] = 0.0
    left = joined(cleaned(somebody, played))[2 * S :]
    assert abs(power_db(left) - power_db(somebody[2 * S :])) < 1.0


def test_a_way_that_changes_is_learned_again(rng: np.random.Generator) -> None:
    played = voice(10.0, rng)
    heard = np.concatenate(
        (through(played, way(rng))[: 5 * S], through(played, way(rng, delay_s=0.12))[5 * S :])
    )
    left = joined(cleaned(heard, played))
    assert power_db(left[9 * S :]) < power_db(heard[9 * S : len(left)]) - 10.0


def test_a_way_that_is_known_to_be_another_makes_nobody_of_us(rng: np.random.Generator) -> None:
    """Where it is not known the echo is taken for somebody at once, for all of it comes unexpected."""
    played = voice(8.0, rng)
    before, after = through(played, way(rng, 0.08)), through(played, way(rng, 0.03))
    heard = 0.3 * np.concatenate((before[: 4 * S], after[4 * S :])) + rng.standard_normal(8 * S) * 1e-5
    loudest, left = [], played
    for told in (False, True):
        canceller = EchoCanceller()
        cleaned(heard[: 4 * S], played[: 4 * S], canceller)
        if told:
            canceller.forget_way()
        found = cleaned(heard[4 * S :], played[4 * S :], canceller)
        loudest.append(max((one.rises_db for one in found if one.left_db > -50.0), default=-100.0))
        left = joined(found)
    assert power_db(left[2 * S :]) < power_db(heard[6 * S :]) - 15.0, "and it is learned soon"
    assert loudest[0] > 13.0 and loudest[1] < 10.0, loudest


@pytest.mark.parametrize("hole_s", [0.01, 0.03, 0.1])
def test_a_hole_in_what_is_heard_of_us_is_nobody(hole_s: float, rng: np.random.Generator) -> None:
    """A device had no sound in time. The echo that is expected and does not come would be as loud as somebody, were it taken out."""
    played = rng.standard_normal(6 * S) * 0.1
    heard = through(played, way(rng)) * 0.5 + rng.standard_normal(6 * S) * 1e-5
    for at in range(3 * S, 6 * S - S // 2, S // 2):
        heard[at : at + int(hole_s * S)] = 0.0
    found = cleaned(heard, played)[3 * S // BLOCK :]
    assert max(one.rises_db for one in found) < 10.0
    assert max(one.left_db for one in found) < -25.0


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_silence_and_harms_nothing(rubbish: float, rng: np.random.Generator) -> None:
    played = voice(5.0, rng)
    heard = through(played, way(rng))
    broken, mouth = heard.copy(), played.copy()
    broken[S : S + 200] = rubbish
    mouth[S + 100 : S + 400] = rubbish
    found = cleaned(broken, mouth)
    left = joined(found)
    assert np.isfinite(left).all()
    assert all(np.isfinite([one.left_db, one.echo_db, one.rises_db, one.noise_db]).all() for one in found)
    assert power_db(left[4 * S :]) < power_db(heard[4 * S : len(left)]) - 15.0


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float32, (4, 2, BLOCK), elements=st.floats(-1.0, 1.0, width=32)),
)
def test_whatever_comes_it_is_finite_and_no_louder_than_can_be(sound: Float32Array) -> None:
    canceller = EchoCanceller()
    for heard, played in sound:
        one = canceller.clean(heard, played)
        assert one.samples.shape == (BLOCK,) and one.samples.dtype == np.float32
        assert np.isfinite(one.samples).all()
        assert one.left_db >= -100.0 and one.echo_db >= -100.0 and one.noise_db >= -100.0


def test_the_noise_of_the_room_is_known_while_we_speak_and_before(rng: np.random.Generator) -> None:
    played = voice(6.0, rng)
    room = rng.standard_normal(6 * S) * 10 ** (-45 / 20)
    found = cleaned(0.3 * through(played, way(rng)) + room, played)
    assert found[-1].noise_db == pytest.approx(-45.0, abs=4.0)
    canceller = EchoCanceller()
    for at in range(0, S, BLOCK):
        canceller.listen(room[at : at + BLOCK].astype(np.float32))
    first = canceller.clean(room[:BLOCK].astype(np.float32), played[:BLOCK].astype(np.float32))
    assert first.noise_db == pytest.approx(-45.0, abs=4.0)


def test_a_noise_that_begins_is_known_after_some_seconds_and_one_that_ends_at_once(
    rng: np.random.Generator,
) -> None:
    canceller = EchoCanceller()
    noise = rng.standard_normal(BLOCK * 400).astype(np.float32)

    def known(loud_db: float, blocks: int) -> float:
        loud = noise[: blocks * BLOCK] * np.float32(10 ** (loud_db / 20))
        return cleaned(loud, np.zeros_like(loud), canceller)[-1].noise_db

    assert known(-60.0, 60) == pytest.approx(-60.0, abs=4.0)
    assert known(-40.0, 30) < -50.0, "somebody speaks, for all that is known"
    assert known(-40.0, 300) == pytest.approx(-40.0, abs=4.0)
    assert known(-60.0, 10) == pytest.approx(-60.0, abs=4.0)


def test_it_costs_little(rng: np.random.Generator) -> None:
    import time

    played = voice(3.0, rng)
    heard = through(played, way(rng))
    began_s = time.thread_time()
    blocks = len(cleaned(heard, played))
    assert (time.thread_time() - began_s) / blocks < 0.25 * BLOCK / RATE_HZ
