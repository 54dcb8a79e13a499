"""What the settings show of a microphone, without a window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.devices.ports import Level
from client.parts import MicrophoneEntry
from client.ui.views.devices import choices
from client.ui.views.microphone import HEARD, LOUD, ONLY_SILENCE, QUIET, Hearing

DESK = MicrophoneEntry("ALSA: Desk", "Desk microphone")


@pytest.mark.parametrize(
    ("dbfs", "share", "level", "words"),
    [
        (0.0, 1.0, "0 dB", LOUD),
        (-3.1, 0.956, "−3 dB", HEARD),
        (-35.0, 0.5, "−35 dB", HEARD),
        (-50.1, 0.284, "−50 dB", QUIET),
        (-200.0, 0.0, "−70 dB", QUIET),
    ],
)
def test_a_level_has_its_length_and_words(dbfs: float, share: float, level: str, words: str) -> None:
    view = Hearing().view(Level(dbfs, only_zeros=False), 10.0)
    assert view.share == view.loudest_share == pytest.approx(share, abs=0.001)
    assert (view.level, view.words) == (level, words)


def test_speech_has_pauses_and_stays_heard_for_two_seconds() -> None:
    hearing, quiet = Hearing(), Level(-60.0, only_zeros=False)
    hearing.view(Level(-30.0, only_zeros=False), 10.0)
    shown = hearing.view(quiet, 11.9)
    assert shown.words == HEARD and shown.share < shown.loudest_share
    assert hearing.view(quiet, 12.0).words == QUIET


def test_only_zeros_are_said_at_once() -> None:
    hearing = Hearing()
    hearing.view(Level(-30.0, only_zeros=False), 10.0)
    assert hearing.view(Level(-200.0, only_zeros=True), 10.1).words == ONLY_SILENCE


@given(st.lists(st.floats(allow_nan=False, allow_infinity=True), min_size=1, max_size=50))
def test_the_bar_is_never_longer_than_itself(levels: list[float]) -> None:
    hearing = Hearing()
    for at, dbfs in enumerate(levels):
        view = hearing.view(Level(dbfs, only_zeros=False), at / 10.0)
        assert 0.0 <= view.share <= view.loudest_share <= 1.0


def test_what_nobody_chose_comes_first_and_the_kept_one_is_always_there() -> None:
    assert choices("Its own", [], "") == [("Its own", "")]
    assert choices("Its own", [DESK], DESK.id) == [("Its own", ""), ("Desk microphone", DESK.id)]
    assert choices("Its own", [DESK], "ALSA: Phone: Mic")[-1] == (
        "Phone: Mic (not there now)",
        "ALSA: Phone: Mic",
    )
    assert choices("Its own", [], "rubbish")[-1] == ("rubbish (not there now)", "rubbish")
