"""What is forgotten for ever: rows, their keys, what was to be sent of them, and, through the cloud's outbox, what was sent.

Everything that is purged goes with what refers to it: an observation with its tasks and the documents about it, a person with all that
is theirs. In the same transaction an erasure is owed for each patient of whom the cloud may have something and this device has nothing
left: a person who is forgotten, a guest's pseudonym. A single observation of a person stays in the cloud, which erases whole patients
only; so does all that `retention` takes, for there the cloud's is the copy that is meant to last.

Clocks may be wrong. What an opening finds due, by its clock, it only notes; it goes when an opening half a day and more from that one,
by their clocks, finds it due too. What the next one does not find due is not noted any more. So no single opening purges anything, be its
clock years ahead or the deletion's years behind.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from client.errors import BadInput
from client.language import said
from client.store import outbox
from client.store.database import Change, Database
from client.store.documents import SETTLED, Documents
from client.store.moments import moment_of, text_of
from client.store.observations import KEEP_DELETED_DAYS

_APART = timedelta(hours=12)
"""An opening on another day: so far from the first, at least."""


@dataclass(frozen=True, slots=True)
class Held:
    """Something deleted that can still be put back. kind: "person", "observation" or "document". purged_from: the moment from which an
    opening may purge it. Both UTC.
    """

    kind: str
    id: str
    deleted_at: datetime
    purged_from: datetime


class Forgetting:
    """Of an open database and its documents. Raises StoreFault as the database does. What is still read elsewhere leaves its traces in the
    log until the next purge or opening.
    """

    def __init__(self, database: Database, documents: Documents) -> None:
        self._database = database
        self._documents = documents

    def purge_old(self, now: datetime, keep_deleted_days: int = KEEP_DELETED_DAYS) -> int:
        """What every opening of the store does: `purge` what was deleted more than so many days ago, and was found so before by one on
        another day. Returns how many observations and documents that were.
        """
        moment = text_of(now - timedelta(days=keep_deleted_days))
        with self._database.changes() as change:
            due = _deleted(change, moment)
            ripe = _ripe(change, "deleted", [*due.people, *due.observations, *due.documents], now)
            gone = _Gone(
                *(
                    [id_ for id_ in ids if id_ in ripe]
                    for ids in (due.people, due.observations, due.documents)
                )
            )
            files = gone.purge(change, now)
        return self._done(files, len(gone.observations) + len(files))

    def purge(self, *, deleted_before: datetime, now: datetime) -> int:
        """Overwrite what was deleted before a moment, for ever, whatever the clocks say. Returns how many observations and documents that were."""
        moment = text_of(deleted_before)
        with self._database.changes() as change:
            gone = _deleted(change, moment)
            files = gone.purge(change, now)
        return self._done(files, len(gone.observations) + len(files))

    def retention(self, now: datetime, keep_days: int | None) -> int:
        """Remove from this device what is older than the policy keeps, and was found so before by an opening on another day: observations by
        when they were taken, documents by when they were added. Only what the cloud has acknowledged or what is not to be sent, a
        document only once the cloud is done with it; what staff should still look at stays, and of calls for them those that they have
        seen go likewise. Nothing is erased in the cloud. None: for ever. Returns how many observations and documents.
        """
        if keep_days is None:
            return 0
        moment = text_of(now - timedelta(days=keep_days))
        with self._database.changes() as change:
            documents = _ids(
                change,
                "SELECT id FROM document WHERE added_at < ? AND deleted_at IS NULL"  # noqa: S608 (fixed text)
                f" AND (cloud_state IS NULL OR cloud_state IN {SETTLED})"
                " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.id = document.id)",
                moment,
            )
            observations = _ids(
                change,
                "SELECT id FROM observation AS one WHERE taken_at < ? AND deleted_at IS NULL"
                " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.id = one.id)"
                " AND NOT EXISTS (SELECT 1 FROM task WHERE task.observation = one.id AND done_at IS NULL)"
                " AND NOT EXISTS (SELECT 1 FROM document WHERE document.observation = one.id"
                "  AND document.id NOT IN (SELECT value FROM json_each(?)))",
                moment,
                _json(documents),
            )
            calls = _ids(change, "SELECT id FROM help_call WHERE made_at < ? AND done_at IS NOT NULL", moment)
            ripe = _ripe(change, "old", [*observations, *documents, *calls], now)
            gone = _Gone(
                people=[],
                observations=[id_ for id_ in observations if id_ in ripe],
                documents=[id_ for id_ in documents if id_ in ripe],
            )
            files = gone.purge(change, None)
            seen = _json([id_ for id_ in calls if id_ in ripe])
            change.do(f"DELETE FROM due WHERE id {_AMONG}", (seen,))  # noqa: S608 (fixed text)
            if change.do(f"DELETE FROM help_call WHERE id {_AMONG}", (seen,)):  # noqa: S608 (fixed text)
                change.forget_later()
        return self._done(files, len(gone.observations) + len(files))

    def forget_person(self, person: str, now: datetime) -> None:
        """At once and for ever, deleted before or not: the person, all that is theirs, their consents, and what the cloud has. Raises BadInput
        where there is no such person.
        """
        with self._database.changes() as change:
            if not change.ask("SELECT 1 FROM person WHERE id = ?", (person,)):
                raise BadInput(
                    title=said("This person is not on this device"), remedy=said("Choose another one.")
                )
            gone = _Gone(
                people=[person],
                observations=_ids(change, "SELECT id FROM observation WHERE person = ?", person),
                documents=_ids(change, "SELECT id FROM document WHERE person = ?", person),
            )
            files = gone.purge(change, now)
        self._done(files, 1)

    def forget_observation(self, observation: str, now: datetime) -> bool:
        """One, at once and for ever, with the documents about it. What the cloud has of a guest goes too when it is the last here; a
        person's single observation stays there. Returns whether it was here.
        """
        with self._database.changes() as change:
            gone = _Gone(
                people=[],
                observations=_ids(change, "SELECT id FROM observation WHERE id = ?", observation),
                documents=[],
            )
            files = gone.purge(change, now)
        return bool(self._done(files, len(gone.observations)))

    def forget_document(self, document: str, now: datetime) -> bool:
        """As forget_observation, of a document."""
        with self._database.changes() as change:
            gone = _Gone(
                people=[],
                observations=[],
                documents=_ids(change, "SELECT id FROM document WHERE id = ?", document),
            )
            files = gone.purge(change, now)
        return bool(self._done(files, len(gone.documents)))

    def held(self, keep_deleted_days: int = KEEP_DELETED_DAYS) -> list[Held]:
        """What is deleted and not yet purged, the first to go first. What was deleted with a person or an observation is listed by itself too."""
        found = [
            Held(kind, id_, moment_of(at), moment_of(at) + timedelta(days=keep_deleted_days))
            for kind in ("person", "observation", "document")
            for id_, at in self._database.ask(
                f"SELECT id, deleted_at FROM {kind} WHERE deleted_at IS NOT NULL"  # noqa: S608 (fixed text)
            )
        ]
        return sorted(found, key=lambda one: (one.purged_from, one.kind, one.id))

    def _done(self, files: Collection[str], found: int) -> int:
        """After the rows are gone for ever, their files; then what is left of both in logs and copies."""
        self._documents.remove_files(files)
        self._database.forget_what_is_due()
        return found


@dataclass(frozen=True, slots=True)
class _Gone:
    """Ids of what is purged in one transaction."""

    people: Collection[str]
    observations: Collection[str]
    documents: Collection[str]

    def purge(self, change: Change, now: datetime | None) -> list[str]:
        """Remove the rows, with what refers to them. now: erasures are owed, made at this moment; None: none is. Returns the documents."""
        observations, people = _json(self.observations), _json(self.people)
        about = _ids(change, f"SELECT id FROM document WHERE observation {_AMONG}", observations)  # noqa: S608 (fixed text)
        files = sorted({*self.documents, *about})
        if not (self.people or self.observations or files):
            return []
        things = _json([*self.observations, *files])
        guests = [] if now is None else _guests_of(change, things)
        change.do(f"DELETE FROM due WHERE id {_AMONG}", (_json([*self.people, *self.observations, *files]),))  # noqa: S608 (fixed text)
        change.do(f"DELETE FROM outbox WHERE id {_AMONG} AND kind <> 'erasure'", (things,))  # noqa: S608 (fixed text)
        change.do(f"DELETE FROM task WHERE observation {_AMONG}", (observations,))  # noqa: S608 (fixed text)
        change.do(f"DELETE FROM document WHERE id {_AMONG}", (_json(files),))  # noqa: S608 (fixed text)
        change.do(f"DELETE FROM observation WHERE id {_AMONG}", (observations,))  # noqa: S608 (fixed text)
        # A person goes only once nothing is theirs: what was deleted before them by a clock that was ahead is still to be undone.
        gone = _ids(
            change,
            f"SELECT id FROM person WHERE id {_AMONG}"  # noqa: S608 (fixed text)
            " AND NOT EXISTS (SELECT 1 FROM observation WHERE observation.person = person.id)"
            " AND NOT EXISTS (SELECT 1 FROM document WHERE document.person = person.id)",
            people,
        )
        change.do(f"DELETE FROM consent WHERE person {_AMONG}", (_json(gone),))  # noqa: S608 (fixed text)
        change.do(f"DELETE FROM help_call WHERE person {_AMONG}", (_json(gone),))  # noqa: S608 (fixed text)
        change.do(f"DELETE FROM person WHERE id {_AMONG}", (_json(gone),))  # noqa: S608 (fixed text)
        if now is not None:
            for patient in [*gone, *(guest for guest in guests if not _is_left(change, guest))]:
                outbox.enqueue_erasure(change, patient, now)
        change.forget_later()
        return files


def _deleted(change: Change, moment: str) -> _Gone:
    """What was deleted before a moment."""
    people, observations, documents = (
        _ids(change, f"SELECT id FROM {table} WHERE deleted_at < ?", moment)  # noqa: S608 (fixed text)
        for table in ("person", "observation", "document")
    )
    return _Gone(people, observations, documents)


def _ripe(change: Change, why: str, due: Collection[str], now: datetime) -> set[str]:
    """Those of them that an opening on another day found due too. Notes the others, and forgets what is not due any more."""
    these = _json(due)
    change.do(f"DELETE FROM due WHERE why = ? AND id NOT {_AMONG}", (why, these))  # noqa: S608 (fixed text)
    seen = change.ask("SELECT id, seen_at FROM due WHERE why = ?", (why,))
    change.do(
        "INSERT INTO due (why, id, seen_at) SELECT ?, value, ? FROM json_each(?) WHERE true ON CONFLICT DO NOTHING",
        (why, text_of(now), these),
    )
    return {id_ for id_, seen_at in seen if abs(now - moment_of(seen_at)) >= _APART}


def _guests_of(change: Change, things: str) -> list[str]:
    """Under which pseudonyms these were offered that are no people's."""
    return _ids(
        change,
        f"SELECT patient FROM (SELECT patient FROM outbox WHERE id {_AMONG} AND kind <> 'erasure'"  # noqa: S608 (fixed text)
        f" UNION SELECT patient FROM sent WHERE id {_AMONG})"
        " WHERE NOT EXISTS (SELECT 1 FROM person WHERE person.id = patient) ORDER BY patient",
        things,
        things,
    )


def _is_left(change: Change, guest: str) -> bool:
    """Whether anything that was offered under this pseudonym is still on this device."""
    rows = change.ask(
        "SELECT 1 FROM (SELECT id FROM outbox WHERE patient = ? UNION SELECT id FROM sent WHERE patient = ?) AS offered"
        " WHERE EXISTS (SELECT 1 FROM observation WHERE observation.id = offered.id)"
        " OR EXISTS (SELECT 1 FROM document WHERE document.id = offered.id) LIMIT 1",
        (guest, guest),
    )
    return bool(rows)


_AMONG = "IN (SELECT value FROM json_each(?))"


def _ids(change: Change, sql: str, *values: object) -> list[str]:
    return [row[0] for row in change.ask(sql, values)]


def _json(ids: Collection[str]) -> str:
    return json.dumps(list(ids))
