"""Every model that means harm, in every language: nothing of it reaches the person, and no level falls."""

from __future__ import annotations

import pytest

from client.assistant.conversation import Conversation, Ended, Raised, Released, Replaced
from client.assistant.triage import Level
from client.evaluation.hostile_models import MODELS, play
from tests.client.assistant.conversing import EVIDENCE, LANGUAGES, Shelf
from tests.client.assistant.triaging import small_triage

HARMLESS = {"never_ends_in_sentences"}
"""Says nothing that is wrong, without end."""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", MODELS)
def test_no_model_gets_through(name: str, language: str) -> None:
    talk = Conversation(small_triage(), language, library=Shelf(), evidence=EVIDENCE)
    talk.heard("I feel feverish and my pulse is odd.")
    before = talk.level
    answer = talk.listen_to_model()
    events = play(MODELS[name](language), answer)
    released = [one for one in events if isinstance(one, Released)]
    assert answer.over
    assert isinstance(events[-1], (Replaced, Ended))
    assert before is Level.URGENT
    assert talk.level >= before
    if name in HARMLESS:
        assert len(released) <= 60
    else:
        assert released == []
    if not any(isinstance(one, Raised) for one in events):
        assert talk.safety is not None
        assert talk.safety.text in talk.turns[-1].text, "the device's own answer says it again"
