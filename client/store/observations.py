"""What is in the store: people, and what was measured or entered for them.

A deleted thing is gone for every list at once and can be put back until it is purged (client.store.forgetting); then its bytes are
overwritten. Identifiers are UUIDs made here. Saving the same identifier twice keeps the first: a save may be repeated when it is not
known whether it was done. What is owed to the cloud, and what staff should look at, is written in the transaction that keeps the
observation.
"""

from __future__ import annotations

import json
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from client.errors import BadInput
from client.language import said
from client.store import consents, outbox, tasks
from client.store.database import Change, Database, Row
from client.store.moments import milliseconds, moment_of, text_of
from client.store.moments import new_id as new_id  # noqa: PLC0414 (also for those above)
from client.store.moments import utc_offset_min as utc_offset_min  # noqa: PLC0414

PAGE = 50
LONGEST_NAME = 80
LONGEST_RECORD_NUMBER = 40
KEEP_DELETED_DAYS = 30
"""A mistake is noticed at the next monthly look at one's history at the latest; what somebody wanted gone should not lie about for longer."""
_JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))
"""Zero width non-joiner and joiner: names in Persian and in Indic scripts are misspelt without them. Nobody sees them by themselves."""


class Kind(StrEnum):
    """What an observation is. All but the scan are read off another device by a person and typed in."""

    SCAN = "scan"
    BLOOD_PRESSURE = "blood_pressure"
    OXIMETER = "oximeter"
    TEMPERATURE = "temperature"
    WEIGHT = "weight"


@dataclass(frozen=True, slots=True)
class Person:
    """A named person on this device. made_at: UTC. record_number: that the clinic knows them by, as it was typed or read off a barcode."""

    id: str
    name: str = field(repr=False)
    made_at: datetime
    record_number: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of a scan, for lists and trends, /min and ms; None where withheld or not measured."""

    heart_rate: float | None = None
    heart_rate_low: float | None = None
    heart_rate_high: float | None = None
    respiratory_rate: float | None = None
    rmssd: float | None = None
    sdnn: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """An observation as a list shows it.

    person: None for a guest. kind: of Kind; one that this version does not know is kept as it is. taken_at: UTC;
    utc_offset_min: what the wall clock there was ahead of it.
    """

    id: str
    person: str | None
    kind: str
    taken_at: datetime
    utc_offset_min: int
    numbers: Numbers
    simulated: bool


@dataclass(frozen=True, slots=True)
class Observation:
    """An observation as it was saved. body: plain values (JSON). wave: bytes of its pulse wave, or None."""

    line: Line
    body: Mapping[str, Any] = field(repr=False)
    wave: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What can be put back: a person with all that was theirs (line is None), or one observation of somebody who is still here
    (person is None for a guest's). deleted_at: UTC.
    """

    deleted_at: datetime
    person: Person | None
    line: Line | None


def name_key(name: str) -> str:
    """The same for names that look alike: spaces, capitals, joiners and how accents are written make no difference."""
    plain = unicodedata.normalize("NFD", " ".join(name.split())).translate(_JOINERS)
    return unicodedata.normalize("NFC", plain.casefold())


def record_number_key(typed: str) -> str:
    """The same for record numbers that are one: spaces, capitals, wide signs, the digits of another script, and the control characters
    that a barcode scanner adds make no difference. "" where nothing is left.
    """
    plain = unicodedata.normalize("NFKC", typed)
    return "".join(
        str(unicodedata.decimal(sign, sign)) for sign in plain if unicodedata.category(sign)[0] not in "CZ"
    ).casefold()


def matches(person: Person, typed: str) -> bool:
    """Whether a record number that was typed or scanned is this person's: asked before somebody is measured under a wrong name."""
    key = record_number_key(typed)
    return bool(key) and person.record_number is not None and record_number_key(person.record_number) == key


class Observations:
    """The people and observations of an open database. Raises StoreFault as the database does. keep_deleted_days: so long a deletion can be
    undone.
    """

    def __init__(self, database: Database, keep_deleted_days: int = KEEP_DELETED_DAYS) -> None:
        self._database = database
        self._keep_deleted_days = keep_deleted_days
        self._opening = object()

    # People

    def people(self) -> list[Person]:
        """All that are not deleted, by name."""
        rows = self._database.ask(f"SELECT {_PERSON} FROM person WHERE deleted_at IS NULL")  # noqa: S608 (fixed text)
        return sorted((_person(row) for row in rows), key=lambda person: (name_key(person.name), person.id))

    def add_person(self, name: str, *, now: datetime, record_number: str | None = None) -> Person:
        """A new one. Raises BadInput for a name or a record number that is empty, too long or already there."""
        person = Person(new_id(), _name(name), milliseconds(now), _record_number(record_number))
        with self._database.changes() as change:
            _check_free(change, person.name, but=person.id)
            _check_number_free(change, person.record_number, but=person.id)
            change.do(
                "INSERT INTO person (id, name, made_at, record_number) VALUES (?, ?, ?, ?)",
                (person.id, person.name, text_of(person.made_at), person.record_number),
            )
        return person

    def set_record_number(self, person: str, record_number: str | None) -> None:
        """None: without one. Raises BadInput as add_person does, and where there is no such person."""
        number = _record_number(record_number)
        with self._database.changes() as change:
            _check_number_free(change, number, but=person)
            if not change.do(
                "UPDATE person SET record_number = ? WHERE id = ? AND deleted_at IS NULL", (number, person)
            ):
                raise _nobody()

    def person_with_record_number(self, typed: str) -> Person | None:
        """Whose it is, however it was typed or scanned."""
        return next((person for person in self.people() if matches(person, typed)), None)

    def rename_person(self, person: str, name: str) -> None:
        """Raises BadInput as add_person does, and where there is no such person."""
        with self._database.changes() as change:
            _check_free(change, _name(name), but=person)
            if not change.do(
                "UPDATE person SET name = ? WHERE id = ? AND deleted_at IS NULL", (_name(name), person)
            ):
                raise _nobody()

    def delete_person(self, person: str, *, now: datetime) -> None:
        """The person and all that is theirs, to be put back by restore_person. Nothing of it is sent meanwhile."""
        with self._database.changes() as change:
            if not change.do(
                "UPDATE person SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL", (text_of(now), person)
            ):
                raise _nobody()
            for table in _OF_A_PERSON:
                change.do(
                    f"UPDATE {table} SET deleted_at = ? WHERE person = ? AND deleted_at IS NULL",  # noqa: S608 (fixed text)
                    (text_of(now), person),
                )

    def restore_person(self, person: str) -> None:
        """Undo delete_person: what was deleted with them comes back, what had been deleted before does not. Raises BadInput where there is no
        such person, or somebody else has the name or record number by now.
        """
        with self._database.changes() as change:
            rows = change.ask("SELECT name, deleted_at, record_number FROM person WHERE id = ?", (person,))
            if not rows:
                raise _nobody()
            name, deleted_at, record_number = rows[0]
            if deleted_at is None:
                return
            _check_free(change, name, but=person)
            _check_number_free(change, record_number, but=person)
            change.do("UPDATE person SET deleted_at = NULL WHERE id = ?", (person,))
            for table in _OF_A_PERSON:
                change.do(
                    f"UPDATE {table} SET deleted_at = NULL WHERE person = ? AND deleted_at = ?",  # noqa: S608 (fixed text)
                    (person, deleted_at),
                )

    # Observations

    def save(self, observation: Observation, *, guest_agrees: bool = False) -> bool:
        """Keep it, and owe it to the cloud where it is to be sent. Returns whether it is new: False where this identifier was kept before.
        Durable when this returns. guest_agrees: that a guest's is sent; a person's is where they have agreed (client.store.consents).
        """
        return bool(self.save_all([observation], guest_agrees=guest_agrees))

    def save_all(self, observations: Iterable[Observation], *, guest_agrees: bool = False) -> int:
        """Keep them all or none. Returns how many were new."""
        with self._database.changes() as change:
            return sum(
                _insert(change, observation, guest_agrees=guest_agrees) for observation in observations
            )

    def lines(self, person: str | None, *, before: Line | None = None, limit: int = PAGE) -> list[Line]:
        """The newest first, from the one that follows `before`."""
        after = "" if before is None else " AND (taken_at, id) < (?, ?)"
        values: list[object] = [person] if before is None else [person, text_of(before.taken_at), before.id]
        rows = self._database.ask(
            f"SELECT {_LINE} FROM observation WHERE person IS ? AND deleted_at IS NULL{after}"  # noqa: S608 (fixed text)
            " ORDER BY taken_at DESC, id DESC LIMIT ?",
            [*values, limit],
        )
        return [_line(row) for row in rows]

    def between(self, person: str | None, start: datetime | None, end: datetime | None) -> list[Line]:
        """Those of [start, end), the oldest first: for a trend, or all of them. None: no bound."""
        bounds = [
            text_of(start) if start else "",
            text_of(end) if end else "~",
        ]  # before and after every moment
        rows = self._database.ask(
            f"SELECT {_LINE} FROM observation WHERE person IS ? AND deleted_at IS NULL"  # noqa: S608 (fixed text)
            " AND taken_at >= ? AND taken_at < ? ORDER BY taken_at, id",
            [person, *bounds],
        )
        return [_line(row) for row in rows]

    def numbers(
        self, person: str | None, start: datetime | None
    ) -> tuple[list[str], list[Sequence[float | None]]]:
        """Of the scans from `start` on (None: all), the oldest first: moments (ISO 8601, UTC, without a zone), and the fields of Numbers."""
        rows = self._database.ask(
            f"SELECT substr(taken_at, 1, 23), {_NUMBERS} FROM observation"  # noqa: S608 (fixed text)
            " WHERE person IS ? AND deleted_at IS NULL AND taken_at >= ? AND +kind = ? ORDER BY taken_at, id",
            (person, text_of(start) if start else "", str(Kind.SCAN)),
        )
        return [row[0] for row in rows], [row[1:] for row in rows]

    def stamp(self) -> tuple[object, ...]:
        """Another one whenever anything was kept, changed or deleted, by whomever, and after every opening."""
        ours = self._database.ask("SELECT total_changes()")
        others = self._database.ask("PRAGMA data_version")
        return (self._opening, ours[0][0], others[0][0])

    def count(self, person: str | None) -> int:
        """How many a person has."""
        rows = self._database.ask(
            "SELECT count(*) FROM observation WHERE person IS ? AND deleted_at IS NULL", (person,)
        )
        return int(rows[0][0])

    def newest(self, person: str | None, kind: str) -> Line | None:
        """The last one of a kind, or None where there is none."""
        rows = self._database.ask(
            f"SELECT {_LINE} FROM observation INDEXED BY observation_by_kind"  # noqa: S608 (fixed text)
            " WHERE person IS ? AND kind = ? AND deleted_at IS NULL"
            " ORDER BY taken_at DESC, id DESC LIMIT 1",
            (person, str(kind)),
        )
        return _line(rows[0]) if rows else None

    def get(self, observation: str) -> Observation | None:
        """The whole of one, or None where it is not there or deleted."""
        rows = self._database.ask(
            f"SELECT {_LINE}, body, wave FROM observation WHERE id = ? AND deleted_at IS NULL",  # noqa: S608 (fixed text)
            (observation,),
        )
        if not rows:
            return None
        return _whole(rows[0])

    def wholes(self, observations: Sequence[str]) -> list[Observation]:
        """Those of them that are there and not deleted, in no order."""
        if not observations:
            return []
        places = ", ".join("?" * len(observations))
        rows = self._database.ask(
            f"SELECT {_LINE}, body, wave FROM observation WHERE id IN ({places}) AND deleted_at IS NULL",  # noqa: S608 (fixed text)
            observations,
        )
        return [_whole(row) for row in rows]

    def delete(self, observation: str, *, now: datetime) -> bool:
        """With the documents that are about it. Returns whether there was one to delete; `restore` puts it back."""
        with self._database.changes() as change:
            found = change.do(
                "UPDATE observation SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL",
                (text_of(now), observation),
            )
            if found:
                change.do(
                    "UPDATE document SET deleted_at = ? WHERE observation = ? AND deleted_at IS NULL",
                    (text_of(now), observation),
                )
        return bool(found)

    def restore(self, observation: str) -> bool:
        """Undo `delete`. Returns whether it is back: not where its person is deleted, or it was purged."""
        with self._database.changes() as change:
            rows = change.ask("SELECT deleted_at FROM observation WHERE id = ?", (observation,))
            found = change.do(
                "UPDATE observation SET deleted_at = NULL WHERE id = ? AND deleted_at IS NOT NULL AND (person IS NULL"
                " OR person IN (SELECT id FROM person WHERE deleted_at IS NULL))",
                (observation,),
            )
            if found:
                change.do(
                    "UPDATE document SET deleted_at = NULL WHERE observation = ? AND deleted_at = ?",
                    (observation, rows[0][0]),
                )
        return bool(found)

    def deleted(self, *, now: datetime) -> list[Deleted]:
        """What `restore_person` and `restore` can put back, the newest first: what was deleted in the last `keep_deleted_days`."""
        since = text_of(now - timedelta(days=self._keep_deleted_days))
        gone = self._database.ask(
            f"SELECT {_PERSON}, deleted_at FROM person WHERE deleted_at >= ?",  # noqa: S608 (fixed text)
            (since,),
        )
        lines = self._database.ask(
            f"SELECT {_LINE}, deleted_at FROM observation WHERE deleted_at >= ?"  # noqa: S608 (fixed text)
            " AND (person IS NULL OR person IN (SELECT id FROM person WHERE deleted_at IS NULL))",
            (since,),
        )
        here = {person.id: person for person in self.people()}
        found = [Deleted(moment_of(row[-1]), _person(row[:-1]), None) for row in gone]
        for *row, deleted_at in lines:
            line = _line(row)
            found.append(Deleted(moment_of(deleted_at), here.get(line.person or ""), line))
        return sorted(found, key=lambda one: one.deleted_at, reverse=True)


COLUMNS = (
    "id",
    "person",
    "kind",
    "taken_at",
    "utc_offset_min",
    "heart_rate",
    "heart_rate_low",
    "heart_rate_high",
    "respiratory_rate",
    "rmssd",
    "sdnn",
    "simulated",
)
"""What a list asks for: the fields of Line, its numbers among them."""
_LINE = ", ".join(COLUMNS)
_NUMBERS = ", ".join(number.name for number in fields(Numbers))
_PERSON = "id, name, made_at, record_number"
_OF_A_PERSON = ("observation", "document")
"""What is deleted and put back with them."""


def _insert(change: Change, observation: Observation, *, guest_agrees: bool) -> int:
    line, numbers = observation.line, observation.line.numbers
    if line.person is not None and not change.ask(
        "SELECT 1 FROM person WHERE id = ? AND deleted_at IS NULL", (line.person,)
    ):
        raise _nobody()
    is_new = change.do(
        f"INSERT INTO observation ({_LINE}, body, wave)"  # noqa: S608 (fixed text)
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (
            line.id,
            line.person,
            str(line.kind),
            text_of(line.taken_at),
            line.utc_offset_min,
            numbers.heart_rate,
            numbers.heart_rate_low,
            numbers.heart_rate_high,
            numbers.respiratory_rate,
            numbers.rmssd,
            numbers.sdnn,
            int(line.simulated),
            json.dumps(observation.body, allow_nan=False, ensure_ascii=False),
            None if observation.wave is None else zlib.compress(observation.wave),
        ),
    )
    if is_new and not line.simulated:
        tasks.insert(change, line.id, str(line.kind), observation.body, line.taken_at)
        agreed = (
            guest_agrees
            if line.person is None
            else consents.is_given(change, line.person, consents.Subject.CLOUD)
        )
        if agreed:
            patient = line.person or new_id()
            outbox.enqueue(change, outbox.ItemKind.OBSERVATION, line.id, patient, line.taken_at)
    return is_new


def _line(row: Sequence[Any]) -> Line:
    id_, person, kind, taken_at, offset_min, *numbers, simulated = row
    return Line(id_, person, kind, moment_of(taken_at), offset_min, Numbers(*numbers), bool(simulated))


def _whole(row: Sequence[Any]) -> Observation:
    *line, body, wave = row
    return Observation(_line(line), json.loads(body), _unpacked(wave))


def _unpacked(wave: bytes | None) -> bytes | None:
    """None also for what is no wave: the numbers beside it are worth showing."""
    try:
        return None if wave is None else zlib.decompress(wave)
    except zlib.error:
        return None


def _person(row: Row) -> Person:
    id_, name, made_at, record_number = row
    return Person(id_, name, moment_of(made_at), record_number)


def _name(name: str) -> str:
    """As it is saved: composed (NFC), one space between words, joiners only where there is a sign to join. Raises BadInput."""
    whole = unicodedata.normalize("NFC", name)
    joined = "".join(
        sign
        for before, sign in zip(" " + whole, whole, strict=False)
        if ord(sign) not in _JOINERS or unicodedata.category(before)[0] in "LM"
    )
    tidy = " ".join(joined.split())
    if not 1 <= len(tidy) <= LONGEST_NAME or not tidy.translate(_JOINERS).isprintable():
        raise BadInput(
            title=said("This name can't be used") if tidy else said("A name needs a letter at least"),
            remedy=said("Give one of 1 to {most} letters.", most=LONGEST_NAME),
        )
    return tidy


def _check_free(change: Change, name: str, *, but: str) -> None:
    rows = change.ask("SELECT name FROM person WHERE deleted_at IS NULL AND id <> ?", (but,))
    if any(name_key(other) == name_key(name) for (other,) in rows):
        raise BadInput(
            title=said("There is already somebody of this name"),
            remedy=said("Add an initial or a nickname, so that nothing is saved under the wrong person."),
        )


def _record_number(typed: str | None) -> str | None:
    """As it is saved: as it was typed, without what can't be seen. Raises BadInput."""
    if typed is None:
        return None
    seen = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in typed)
    tidy = " ".join(seen.split())
    if not 1 <= len(tidy) <= LONGEST_RECORD_NUMBER or not record_number_key(tidy):
        raise BadInput(
            title=said("This record number can't be used"),
            remedy=said("Type or scan one of 1 to {most} signs.", most=LONGEST_RECORD_NUMBER),
        )
    return tidy


def _check_number_free(change: Change, number: str | None, *, but: str) -> None:
    if number is None:
        return
    rows = change.ask(
        "SELECT record_number FROM person WHERE record_number IS NOT NULL AND deleted_at IS NULL AND id <> ?",
        (but,),
    )
    if any(record_number_key(other) == record_number_key(number) for (other,) in rows):
        raise BadInput(
            title=said("There is already somebody with this record number"),
            remedy=said("Choose that person, or check the number."),
        )


def _nobody() -> BadInput:
    return BadInput(title=said("This person is not on this device"), remedy=said("Choose another one."))
