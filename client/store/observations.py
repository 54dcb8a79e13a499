"""What is in the store: people, and what was measured or entered for them.

A deleted thing is gone for every list at once and can be put back until `purge`; then its bytes are overwritten. Identifiers
are UUIDs made here. Saving the same identifier twice keeps the first: a save may be repeated when it is not known whether
it was done.
"""

from __future__ import annotations

import json
import unicodedata
import uuid
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from client.errors import BadInput
from client.language import said
from client.store.database import Change, Database, Row

PAGE = 50
LONGEST_NAME = 80
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
    """A named person on this device. made_at: UTC."""

    id: str
    name: str
    made_at: datetime


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
    body: Mapping[str, Any]
    wave: bytes | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """What can be put back: a person with all that was theirs (line is None), or one observation of somebody who is still here
    (person is None for a guest's). deleted_at: UTC.
    """

    deleted_at: datetime
    person: Person | None
    line: Line | None


def new_id() -> str:
    """A UUID, version 4."""
    return str(uuid.uuid4())


def utc_offset_min(moment: datetime) -> int:
    """What this computer's wall clock is ahead of UTC at a moment, for Line."""
    offset = moment.astimezone().utcoffset()
    return 0 if offset is None else round(offset.total_seconds() / 60)


def name_key(name: str) -> str:
    """The same for names that look alike: spaces, capitals, joiners and how accents are written make no difference."""
    plain = unicodedata.normalize("NFD", " ".join(name.split())).translate(_JOINERS)
    return unicodedata.normalize("NFC", plain.casefold())


class Observations:
    """The people and observations of an open database. Raises StoreFault as the database does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._opening = object()

    # People

    def people(self) -> list[Person]:
        """All that are not deleted, by name."""
        rows = self._database.ask("SELECT id, name, made_at FROM person WHERE deleted_at IS NULL")
        return sorted((_person(row) for row in rows), key=lambda person: (name_key(person.name), person.id))

    def add_person(self, name: str, *, now: datetime) -> Person:
        """A new one. Raises BadInput for a name that is empty, too long or already there."""
        person = Person(new_id(), _name(name), _milliseconds(now))
        with self._database.changes() as change:
            _check_free(change, person.name, but=person.id)
            change.do(
                "INSERT INTO person (id, name, made_at) VALUES (?, ?, ?)",
                (person.id, person.name, _text(person.made_at)),
            )
        return person

    def rename_person(self, person: str, name: str) -> None:
        """Raises BadInput as add_person does, and where there is no such person."""
        with self._database.changes() as change:
            _check_free(change, _name(name), but=person)
            if not change.do(
                "UPDATE person SET name = ? WHERE id = ? AND deleted_at IS NULL", (_name(name), person)
            ):
                raise _nobody()

    def delete_person(self, person: str, *, now: datetime) -> None:
        """The person and all their observations, to be put back by restore_person."""
        with self._database.changes() as change:
            if not change.do(
                "UPDATE person SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL", (_text(now), person)
            ):
                raise _nobody()
            change.do(
                "UPDATE observation SET deleted_at = ? WHERE person = ? AND deleted_at IS NULL",
                (_text(now), person),
            )

    def restore_person(self, person: str) -> None:
        """Undo delete_person: what was deleted with them comes back, what had been deleted before does not."""
        with self._database.changes() as change:
            rows = change.ask("SELECT name, deleted_at FROM person WHERE id = ?", (person,))
            if not rows:
                raise _nobody()
            if rows[0][1] is None:
                return
            _check_free(change, rows[0][0], but=person)
            change.do("UPDATE person SET deleted_at = NULL WHERE id = ?", (person,))
            change.do(
                "UPDATE observation SET deleted_at = NULL WHERE person = ? AND deleted_at = ?",
                (person, rows[0][1]),
            )

    # Observations

    def save(self, observation: Observation) -> bool:
        """Keep it. Returns whether it is new: False where this identifier was kept before. Durable when this returns."""
        return bool(self.save_all([observation]))

    def save_all(self, observations: Iterable[Observation]) -> int:
        """Keep them all or none. Returns how many were new."""
        with self._database.changes() as change:
            return sum(_insert(change, observation) for observation in observations)

    def lines(self, person: str | None, *, before: Line | None = None, limit: int = PAGE) -> list[Line]:
        """The newest first, from the one that follows `before`."""
        after = "" if before is None else " AND (taken_at, id) < (?, ?)"
        values: list[object] = [person] if before is None else [person, _text(before.taken_at), before.id]
        rows = self._database.ask(
            f"SELECT {_LINE} FROM observation WHERE person IS ? AND deleted_at IS NULL{after}"  # noqa: S608 (fixed text)
            " ORDER BY taken_at DESC, id DESC LIMIT ?",
            [*values, limit],
        )
        return [_line(row) for row in rows]

    def between(self, person: str | None, start: datetime | None, end: datetime | None) -> list[Line]:
        """Those of [start, end), the oldest first: for a trend, or all of them. None: no bound."""
        bounds = [_text(start) if start else "", _text(end) if end else "~"]  # before and after every moment
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
            (person, _text(start) if start else "", str(Kind.SCAN)),
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
        """Returns whether there was one to delete; `restore` puts it back."""
        with self._database.changes() as change:
            return bool(
                change.do(
                    "UPDATE observation SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL",
                    (_text(now), observation),
                )
            )

    def restore(self, observation: str) -> bool:
        """Undo `delete`. Returns whether it is back: not where its person is deleted, or it was purged."""
        with self._database.changes() as change:
            return bool(
                change.do(
                    "UPDATE observation SET deleted_at = NULL WHERE id = ? AND deleted_at IS NOT NULL AND (person IS NULL"
                    " OR person IN (SELECT id FROM person WHERE deleted_at IS NULL))",
                    (observation,),
                )
            )

    def deleted(self, *, now: datetime) -> list[Deleted]:
        """What `restore_person` and `restore` can put back, the newest first: what was deleted in the last KEEP_DELETED_DAYS."""
        since = _text(now - timedelta(days=KEEP_DELETED_DAYS))
        gone = self._database.ask(
            "SELECT id, name, made_at, deleted_at FROM person WHERE deleted_at >= ?", (since,)
        )
        lines = self._database.ask(
            f"SELECT {_LINE}, deleted_at FROM observation WHERE deleted_at >= ?"  # noqa: S608 (fixed text)
            " AND (person IS NULL OR person IN (SELECT id FROM person WHERE deleted_at IS NULL))",
            (since,),
        )
        here = {person.id: person for person in self.people()}
        found = [Deleted(_moment(row[3]), _person(row), None) for row in gone]
        for *row, deleted_at in lines:
            line = _line(row)
            found.append(Deleted(_moment(deleted_at), here.get(line.person or ""), line))
        return sorted(found, key=lambda one: one.deleted_at, reverse=True)

    def purge(self, *, deleted_before: datetime) -> int:
        """Overwrite what was deleted before a moment, for ever. Returns how many observations that were.

        Where somebody still reads what was there, its traces in the log go with the next purge or the next opening of the store.
        """
        with self._database.changes() as change:
            gone = change.do("DELETE FROM observation WHERE deleted_at < ?", (_text(deleted_before),))
            people = change.do(
                "DELETE FROM person WHERE deleted_at < ? AND NOT EXISTS (SELECT 1 FROM observation WHERE person = person.id)",
                (_text(deleted_before),),
            )
            if gone or people:
                change.forget_later()
        self._database.forget_what_is_due()
        return gone

    def purge_old(self, *, now: datetime) -> int:
        """What every opening of the store does: `purge` what was deleted more than KEEP_DELETED_DAYS ago."""
        return self.purge(deleted_before=now - timedelta(days=KEEP_DELETED_DAYS))


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
_NUMBERS = ", ".join(field.name for field in fields(Numbers))


def _insert(change: Change, observation: Observation) -> int:
    line, numbers = observation.line, observation.line.numbers
    if line.person is not None and not change.ask(
        "SELECT 1 FROM person WHERE id = ? AND deleted_at IS NULL", (line.person,)
    ):
        raise _nobody()
    return change.do(
        f"INSERT INTO observation ({_LINE}, body, wave)"  # noqa: S608 (fixed text)
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (
            line.id,
            line.person,
            str(line.kind),
            _text(line.taken_at),
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


def _line(row: Sequence[Any]) -> Line:
    id_, person, kind, taken_at, offset_min, *numbers, simulated = row
    return Line(id_, person, kind, _moment(taken_at), offset_min, Numbers(*numbers), bool(simulated))


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
    return Person(row[0], row[1], _moment(row[2]))


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


def _nobody() -> BadInput:
    return BadInput(title=said("This person is not on this device"), remedy=said("Choose another one."))


def _milliseconds(moment: datetime) -> datetime:
    utc = moment.astimezone(UTC)
    return utc - timedelta(microseconds=utc.microsecond % 1000)


def _text(moment: datetime) -> str:
    """Sorts as the moments do."""
    return _milliseconds(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
