"""The providers' stand-in, on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stand_ins.speech_providers import SpeechProviders


@pytest.fixture
def providers() -> Iterator[SpeechProviders]:
    with SpeechProviders() as running:
        yield running
    assert running.failures == []
