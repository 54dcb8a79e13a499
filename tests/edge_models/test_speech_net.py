"""The net hears speech, real and synthetic, and nobody in noise; it can be begun anew and takes any rubbish."""

from __future__ import annotations

import numpy as np
import pytest

from client import weights
from client.evaluation import sounds
from edge_models.nets import SpeechNet
from edge_models.types import Float32Array, FloatArray
from tests.conftest import SHARED_DATA

BLOCK = SpeechNet.BLOCK
spoken = pytest.mark.skipif(not sounds.can_speak(), reason="there is no espeak-ng (Debian's package)")
recorded = pytest.mark.skipif(
    not (SHARED_DATA / "speech").is_dir(), reason="the recordings of shared/data are not here"
)


@pytest.fixture(scope="module")
def speech_net() -> bytes:
    return weights.load("speech_silero")


@pytest.fixture
def net(speech_net: bytes) -> SpeechNet:
    return SpeechNet(speech_net)


def odds(net: SpeechNet, sound: FloatArray) -> FloatArray:
    """Of each block."""
    whole = sound[: len(sound) // BLOCK * BLOCK].astype(np.float32)
    return np.array([net.probability(block) for block in whole.reshape(-1, BLOCK)])


def share_of_loud(found: FloatArray, sound: FloatArray) -> float:
    """How many of the loud blocks are speech to the net."""
    powers = sounds.powers_of(sound, BLOCK)[: len(found)]
    return float(np.mean(found[powers > np.percentile(powers, 90) * 0.01] > 0.5))


@recorded
def test_real_speech_is_heard(net: SpeechNet) -> None:
    for voice in sounds.recordings(SHARED_DATA / "speech")[:6]:
        net.reset()
        assert share_of_loud(odds(net, voice.samples), voice.samples) > 0.75, voice.name


@spoken
@pytest.mark.parametrize("voice", ["en-us+f3", "es-419+m2", "ar", "cmn", "hi"])
def test_synthetic_speech_is_heard(net: SpeechNet, voice: str) -> None:
    text = {"ar": "أشعر بتعب منذ الأمس.", "cmn": "我从昨天开始头疼。", "hi": "मुझे कल से बुखार है।"}.get(
        voice, "The heart beats one hundred times."
    )
    sound = sounds.at_level(sounds.spoken(text, voice), -26.0)
    assert share_of_loud(odds(net, sound), sound) > 0.7


@pytest.mark.parametrize("kind", [one for one in sounds.NOISES if one != "babble"])
@pytest.mark.parametrize("dbfs", [-60.0, -30.0, -15.0])
def test_nobody_speaks_in_noise(net: SpeechNet, kind: str, dbfs: float, rng: np.random.Generator) -> None:
    noise = sounds.noise(kind, 6 * 16_000, rng) * 10 ** (dbfs / 20)
    assert float(np.mean(odds(net, noise) > 0.5)) < 0.05


def test_silence_is_nobody(net: SpeechNet) -> None:
    assert odds(net, np.zeros(32_000)).max() < 0.2


@spoken
def test_reset_makes_it_say_the_same_again(net: SpeechNet) -> None:
    sound = sounds.spoken("Can you hear me?", "en-us")
    first = odds(net, sound)
    assert not np.array_equal(first, odds(net, sound)), "what it heard before counts"
    net.reset()
    np.testing.assert_array_equal(first, odds(net, sound))


@recorded
def test_music_does_not_make_it_deaf(
    net: SpeechNet, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state runs full in loud music; without being begun anew it hears nobody half a minute later."""
    voices = [sounds.at_level(one.samples, -26.0) for one in sounds.recordings(SHARED_DATA / "speech")]
    talk = np.concatenate([part for one in voices for part in (np.zeros(16_000), one)])
    sound = talk + sounds.noise("music", len(talk), rng) * 10 ** (-26 / 20)
    late = slice(len(sound) // BLOCK // 2, None)
    begun_anew = odds(net, sound)[late].mean()
    monkeypatch.setattr(SpeechNet, "_ANEW_BLOCKS", 1_000_000)
    net.reset()
    assert begun_anew > odds(net, sound)[late].mean() + 0.05


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_rubbish_is_taken_and_does_no_harm(net: SpeechNet, rubbish: float) -> None:
    for block in (np.full(BLOCK, rubbish, np.float32), np.zeros(BLOCK, np.float32)):
        assert 0.0 <= net.probability(block) <= 1.0
    assert odds(net, np.zeros(16_000)).max() < 0.3


def test_the_block_that_is_given_is_not_changed(net: SpeechNet) -> None:
    block: Float32Array = np.full(BLOCK, np.nan, np.float32)
    block[:10] = 3.0
    net.probability(block)
    assert np.isnan(block[10:]).all() and (block[:10] == 3.0).all()


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(1000)])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no ONNX model"):
        SpeechNet(content)


def test_another_model_is_refused(face_net: bytes) -> None:
    with pytest.raises(ValueError, match="not the Silero net"):
        SpeechNet(face_net)


def test_a_model_that_ends_early_is_refused(speech_net: bytes) -> None:
    with pytest.raises(ValueError, match="no ONNX model"):
        SpeechNet(speech_net[: len(speech_net) // 2])
