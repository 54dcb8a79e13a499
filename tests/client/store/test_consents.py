"""Consents: what holds is what was decided last, whatever the clock said, and nothing that was decided is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from client.errors import BadInput
from client.store.consents import ASSISTANT_VERSION, CLOUD_VERSION, Consents, Subject, is_given
from client.store.database import Database
from client.store.observations import Observations
from tests.client.store.conftest import NOW


@pytest.fixture
def consents(database: Database) -> Consents:
    return Consents(database)


def test_the_last_decision_holds_even_when_the_clock_went_back(
    consents: Consents, database: Database, store: Observations
) -> None:
    ada = store.add_person("Ada", now=NOW).id
    assert consents.newest(ada, Subject.CLOUD) is None
    made = [
        consents.record(ada, Subject.CLOUD, version, given, "en", NOW + timedelta(days=days))
        for version, given, days in ((1, True, 0), (1, False, 10), (2, True, -9000), (2, False, 3))
    ]
    assert consents.newest(ada, "cloud") == made[-1] and not made[-1].given
    assert consents.all(ada) == made
    again = consents.record(ada, Subject.CLOUD, CLOUD_VERSION, True, "de", NOW - timedelta(days=20_000))
    assert consents.newest(ada, Subject.CLOUD) == again
    with database.changes() as change:
        assert is_given(change, ada, Subject.CLOUD)


def test_subjects_and_people_are_apart(consents: Consents, database: Database, store: Observations) -> None:
    ada, ben = store.add_person("Ada", now=NOW).id, store.add_person("Ben", now=NOW).id
    measuring = consents.record(ada, Subject.MEASURING, 1, True, "en", NOW)
    guest = consents.record(None, Subject.CLOUD, 1, True, "en", NOW)
    newer = consents.record(ada, "research", 7, True, "en", NOW)  # of a newer version
    assert (
        consents.all(ada) == [measuring, newer] and consents.all(None) == [guest] and consents.all(ben) == []
    )
    with database.changes() as change:
        assert not is_given(change, ada, Subject.CLOUD) and not is_given(change, ben, Subject.CLOUD)


def test_only_somebody_who_is_here_decides(consents: Consents, store: Observations) -> None:
    ada = store.add_person("Ada", now=NOW).id
    store.delete_person(ada, now=NOW)
    for person in (ada, "nobody"):
        with pytest.raises(BadInput):
            consents.record(person, Subject.CLOUD, 1, True, "en", NOW)
    assert consents.all(ada) == []


def test_a_decision_is_never_changed(consents: Consents, database: Database, store: Observations) -> None:
    ada = store.add_person("Ada", now=NOW).id
    for given in (True, False) * 3:
        consents.record(ada, Subject.CLOUD, 1, given, "en", NOW)
    assert [one.given for one in consents.all(ada)] == [True, False] * 3
    assert database.ask("SELECT seq FROM consent ORDER BY seq") == [(k,) for k in range(1, 7)]


def test_the_assistant_is_agreed_to_apart_and_taken_back_as_easily(
    consents: Consents, database: Database, store: Observations
) -> None:
    ada = store.add_person("Ada", now=NOW).id
    consents.record(ada, Subject.CLOUD, CLOUD_VERSION, True, "en", NOW)
    assert consents.newest(ada, Subject.ASSISTANT) is None
    consents.record(ada, Subject.ASSISTANT, ASSISTANT_VERSION, True, "en", NOW)
    consents.record(ada, Subject.ASSISTANT, ASSISTANT_VERSION, False, "en", NOW)
    newest = consents.newest(ada, Subject.ASSISTANT)
    assert newest is not None and not newest.given
    with database.changes() as change:
        assert is_given(change, ada, Subject.CLOUD) and not is_given(change, ada, Subject.ASSISTANT)
