"""Whether a conversation may ask the clinic, as the store says it: read anew each time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from client.clock import SystemClock
from client.parts import Kept
from client.pipeline.clinic_talk import clinic_of
from client.pipeline.talk import Clinic
from client.policy import Policy
from client.store.consents import ASSISTANT_VERSION, CLOUD_VERSION, Subject
from tests.client.store.conftest import MemoryVault, kept_in

CLOCK = SystemClock()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = kept_in(tmp_path / "store", MemoryVault())
    yield found
    found.close()


def clinic(kept: Kept, person: str | None) -> Clinic:
    def nobody(*_: object) -> NoReturn:
        raise AssertionError("nothing is connected here")

    made = clinic_of(nobody, kept.consents, person, Policy(), "en", CLOCK, nobody)
    assert isinstance(made, Clinic)
    return made


def test_what_was_agreed_to_holds_until_it_is_taken_back_or_gone_with_the_person(kept: Kept) -> None:
    ada = kept.observations.add_person("Ada", now=CLOCK.utc()).id
    of_ada = clinic(kept, ada)
    assert of_ada.agreed() is None and not of_ada.holds()
    of_ada.decide(True)
    assert of_ada.holds()
    kept.consents.record(ada, Subject.ASSISTANT, ASSISTANT_VERSION, False, "en", CLOCK.utc())
    assert not of_ada.holds()
    of_ada.decide(True)
    kept.forgetting.forget_person(ada, CLOCK.utc())
    assert not of_ada.holds()


def test_of_a_guest_nothing_is_kept(kept: Kept) -> None:
    guest = clinic(kept, None)
    guest.decide(True)
    assert guest.agreed() is None and guest.holds() and not guest.shares_documents()


def test_documents_are_named_while_that_is_agreed_to(kept: Kept) -> None:
    ada = kept.observations.add_person("Ada", now=CLOCK.utc()).id
    of_ada = clinic(kept, ada)
    assert not of_ada.shares_documents()
    for given in (True, False):
        kept.consents.record(ada, Subject.CLOUD, CLOUD_VERSION, given, "en", CLOCK.utc())
        assert of_ada.shares_documents() is given
