"""What is owed to the cloud, and what it has acknowledged.

A row is made in the transaction that keeps the observation or document, and only where this device is enrolled. It ends in one of
three ways: acknowledged, by its id, it becomes a row of `sent`; what it stands for is purged; or the person withdraws their consent.
What was deleted and can still be put back is held: not claimed, not counted as pending.

A row belongs to the clinic this device was enrolled with when it was made. After an enrolment with another one it is held until the
device is back with the first, or until `forget_clinic` is called: nothing goes to a clinic that it was not meant for.

Whoever was claimed once is in `told` from before the first byte leaves: the cloud may have them even if no answer came. When they
are forgotten here, that is what an erasure is owed for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from client.store.database import Change, Database, Row
from client.store.moments import moment_of, new_id, text_of

PAGE = 100
_ENROLLED = "cloud"
"""The setting with what this device is enrolled with."""
_CONTACT = "cloud_contact"
"""The setting with what became of that; it goes with the enrolment."""
HEARD_EVERY = timedelta(hours=1)
"""So often it is written down that all is well."""


class ItemKind(StrEnum):
    """What is owed. ERASURE: of all that the cloud has of a patient."""

    OBSERVATION = "observation"
    DOCUMENT = "document"
    ERASURE = "erasure"


class ItemState(StrEnum):
    """HELD is no state of a row: deleted and may be put back, of another clinic, or of a kind that only a newer version knows."""

    PENDING = "pending"
    SENDING = "sending"
    PARKED = "parked"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is owed. kind: of ItemKind, or of a newer version. state: of ItemState. made_at: UTC. tries: how often it was
    claimed. reason: a code, why it was put back or parked.
    """

    seq: int
    id: str
    kind: str
    patient: str
    state: str
    made_at: datetime
    tries: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many are in each state. oldest_made_at: UTC, of those that are pending or being sent; None where there is none."""

    pending: int
    sending: int
    parked: int
    held: int
    oldest_made_at: datetime | None


@dataclass(frozen=True, slots=True)
class Contact:
    """What became of the tries to reach the cloud. reached_at: UTC, when it last answered as it should, to HEARD_EVERY; None: never.

    code: what has stood against sending since then (`since`, UTC), None: nothing; status: of HTTP, beside some codes.
    """

    reached_at: datetime | None
    code: str | None
    status: int | None
    since: datetime | None


_THERE = """CASE outbox.kind
 WHEN 'observation' THEN EXISTS (SELECT 1 FROM observation AS one INDEXED BY observation_there
  WHERE one.id = outbox.id AND one.deleted_at IS NULL)
 WHEN 'document' THEN EXISTS (SELECT 1 FROM document AS one WHERE one.id = outbox.id AND one.deleted_at IS NULL)
 ELSE outbox.kind = 'erasure' END"""
_CLINIC = "(SELECT json_extract(value, '$.clinic_id') FROM setting WHERE name = 'cloud')"
_STATE = f"CASE WHEN outbox.clinic IS {_CLINIC} AND {_THERE} THEN state ELSE 'held' END"
_WITHHELD = """kind IN ('observation', 'document') AND EXISTS (SELECT 1 FROM person WHERE person.id = outbox.patient)
 AND NOT coalesce((SELECT given FROM consent WHERE person = outbox.patient AND subject = 'cloud' ORDER BY seq DESC LIMIT 1), 0)"""
_AMONG = "IN (SELECT value FROM json_each(?))"
_COLUMNS = "seq, id, kind, patient, state, made_at, tries, reason"


class Outbox:
    """The outbox of an open database. Raises StoreFault as the database does. Any thread and process may save meanwhile: whatever is
    done here is done to the rows whose ids are handed in, and to no others.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # Sending

    def recover(self) -> int:
        """What was being sent when a process ended is pending again. Only for the one that holds the lock of sending. Returns how many."""
        with self._database.changes() as change:
            found = change.do("UPDATE outbox SET state = 'pending' WHERE state = 'sending'")
            change.do(f"DELETE FROM outbox WHERE state <> 'sending' AND {_WITHHELD}")  # noqa: S608 (fixed text)
        return found

    def claim(self, kind: ItemKind, limit: int, *, but: Collection[str] = ()) -> list[Item]:
        """The oldest pending ones of a kind; they are being sent from now on, and one try more. but: ids that are left out for now."""
        with self._database.changes() as change:
            rows = change.ask(
                f"SELECT {_COLUMNS} FROM outbox INDEXED BY outbox_due"  # noqa: S608 (fixed text)
                f" WHERE state = 'pending' AND kind = ? AND clinic = {_CLINIC} AND id NOT {_AMONG} AND {_THERE}"
                " ORDER BY seq LIMIT ?",
                (str(kind), _json(but), limit),
            )
            if not rows:
                return []
            ids = _json(row[1] for row in rows)
            change.do(
                f"UPDATE outbox SET state = 'sending', tries = tries + 1 WHERE id {_AMONG}",  # noqa: S608 (fixed text)
                (ids,),
            )
            change.do(
                f"INSERT INTO told (patient, clinic) SELECT DISTINCT patient, clinic FROM outbox WHERE id {_AMONG}"  # noqa: S608 (fixed text)
                " AND kind <> 'erasure' ON CONFLICT DO NOTHING",
                (ids,),
            )
        return [_item((*row[:4], str(ItemState.SENDING), row[5], row[6] + 1, row[7])) for row in rows]

    def acknowledge(self, ids: Collection[str], *, now: datetime) -> None:
        """The cloud has them. Of an acknowledged erasure nothing is left, nor of whom it was for; an id that is not being sent any more,
        because it was purged meanwhile or is owed to another clinic by now, is passed over: that the cloud may have it is in `told`
        since it was claimed.
        """
        these = _json(ids)
        with self._database.changes() as change:
            change.do(
                "INSERT INTO sent (id, kind, patient, clinic, at) SELECT id, kind, patient, clinic, ? FROM outbox"  # noqa: S608 (fixed text)
                f" WHERE state = 'sending' AND id {_AMONG} AND kind <> 'erasure' ON CONFLICT DO NOTHING",
                (text_of(now), these),
            )
            for table in ("sent", "told"):
                change.do(
                    f"DELETE FROM {table} WHERE (patient, clinic) IN (SELECT patient, clinic FROM outbox"  # noqa: S608 (fixed text)
                    f" WHERE state = 'sending' AND id {_AMONG} AND kind = 'erasure')",
                    (these,),
                )
            change.do(f"DELETE FROM outbox WHERE state = 'sending' AND id {_AMONG}", (these,))  # noqa: S608 (fixed text)

    def put_back(self, ids: Collection[str], reason: str | None, *, tried: bool = True) -> None:
        """They are pending again, in their old place. reason: a code. tried: whether it counts as a try; not where they never left."""
        self._returned(ids, ItemState.PENDING, reason, less=0 if tried else 1)

    def park(self, ids: Collection[str], reason: str) -> None:
        """They were refused and wait for somebody to `retry`. reason: a code, never a text from outside."""
        self._returned(ids, ItemState.PARKED, reason, less=0)

    def retry(self, ids: Collection[str] | None = None) -> int:
        """Those that are parked are pending again, as if never tried. None: all. Returns how many."""
        which, values = ("", ()) if ids is None else (f" AND id {_AMONG}", (_json(ids),))
        with self._database.changes() as change:
            return change.do(
                f"UPDATE outbox SET state = 'pending', tries = 0, reason = NULL WHERE state = 'parked'{which}",  # noqa: S608 (fixed text)
                values,
            )

    def _returned(self, ids: Collection[str], state: ItemState, reason: str | None, *, less: int) -> None:
        these = _json(ids)
        with self._database.changes() as change:
            change.do(
                f"UPDATE outbox SET state = ?, reason = ?, tries = max(tries - ?, 0) WHERE state = 'sending' AND id {_AMONG}",  # noqa: S608 (fixed text)
                (str(state), reason, less, these),
            )
            change.do(  # whoever withdrew their consent while it was on its way
                f"DELETE FROM outbox WHERE state <> 'sending' AND id {_AMONG} AND {_WITHHELD}",  # noqa: S608 (fixed text)
                (these,),
            )

    # Looking

    def counts(self) -> Counts:
        """How much waits."""
        rows = self._database.ask(
            f"SELECT {_STATE} AS now, count(*), min(made_at) FROM outbox GROUP BY now"  # noqa: S608 (fixed text)
        )
        many = {state: int(count) for state, count, _ in rows}
        oldest = [made_at for state, _, made_at in rows if state in {ItemState.PENDING, ItemState.SENDING}]
        return Counts(
            pending=many.get(ItemState.PENDING, 0),
            sending=many.get(ItemState.SENDING, 0),
            parked=many.get(ItemState.PARKED, 0),
            held=many.get(ItemState.HELD, 0),
            oldest_made_at=moment_of(min(oldest)) if oldest else None,
        )

    def items(self, limit: int = PAGE, after_seq: int = 0) -> list[Item]:
        """The oldest first, whatever their state: one page, from the one that follows `after_seq`."""
        rows = self._database.ask(
            f"SELECT seq, id, kind, patient, {_STATE}, made_at, tries, reason FROM outbox"  # noqa: S608 (fixed text)
            " WHERE seq > ? ORDER BY seq LIMIT ?",
            (after_seq, limit),
        )
        return [_item(row) for row in rows]

    def sent(self, ids: Collection[str]) -> set[str]:
        """Those of them that the cloud has acknowledged."""
        return {row[0] for row in self._database.ask(f"SELECT id FROM sent WHERE id {_AMONG}", (_json(ids),))}  # noqa: S608 (fixed text)

    def last_sent_at(self) -> datetime | None:
        """When the cloud last acknowledged something that is still here. Reads all of what was sent."""
        [(at,)] = self._database.ask("SELECT max(at) FROM sent")
        return None if at is None else moment_of(at)

    # Contact

    def contact(self) -> Contact:
        """For whoever asks no network."""
        rows = self._database.ask("SELECT value FROM setting WHERE name = ?", (_CONTACT,))
        its = json.loads(rows[0][0]) if rows else {}
        reached_at, since = its.get("reached_at"), its.get("since")
        return Contact(
            None if reached_at is None else moment_of(reached_at),
            its.get("code"),
            its.get("status"),
            None if since is None else moment_of(since),
        )

    def note_contact(self, now: datetime, code: str | None = None, status: int | None = None) -> None:
        """The cloud has answered as it should (code None), or this stands against sending: written where it is news, else it writes nothing."""
        was = self.contact()
        if (code, status) == (was.code, was.status) and (
            code is not None or (was.reached_at is not None and abs(now - was.reached_at) < HEARD_EVERY)
        ):
            return
        reached_at = now if code is None else was.reached_at
        its = {
            "reached_at": None if reached_at is None else text_of(reached_at),
            "code": code,
            "status": status,
            "since": None if code is None else text_of(now),
        }
        with self._database.changes() as change:
            if change.ask(
                "SELECT 1 FROM setting WHERE name = ?", (_ENROLLED,)
            ):  # left meanwhile: of no interest
                change.do("DELETE FROM setting WHERE name = ?", (_CONTACT,))
                change.do("INSERT INTO setting (name, value) VALUES (?, ?)", (_CONTACT, json.dumps(its)))

    # Enrolment

    def enrolled(self) -> dict[str, Any] | None:
        """What this device is enrolled with: url, clinic_id, device_id; None where it is not."""
        rows = self._database.ask("SELECT value FROM setting WHERE name = ?", (_ENROLLED,))
        return dict(json.loads(rows[0][0])) if rows else None

    def set_enrolled(self, facts: Mapping[str, str] | None) -> None:
        """With url, clinic_id and device_id; None: no more. Sends nothing that is here already, and forgets nothing: what waits for another
        clinic is held, what that one has stays known as sent. Raises ValueError where one is missing (our bug).
        """
        if facts is not None and not all(facts.get(name) for name in ("url", "clinic_id", "device_id")):
            raise ValueError("an enrolment has url, clinic_id and device_id")
        with self._database.changes() as change:
            change.do("DELETE FROM setting WHERE name IN (?, ?)", (_ENROLLED, _CONTACT))
            if facts is not None:
                change.do(
                    "INSERT INTO setting (name, value) VALUES (?, ?)", (_ENROLLED, json.dumps(dict(facts)))
                )

    def forget_clinic(self, clinic_id: str) -> int:
        """Nothing is owed to a clinic any more, and nothing is known as sent to it: erasures too, which nobody can ask it for from here.
        Returns how many rows waited. Afterwards `offer_earlier` offers the same things to the present one.
        """
        with self._database.changes() as change:
            for table in ("sent", "told"):
                change.do(f"DELETE FROM {table} WHERE clinic = ?", (clinic_id,))  # noqa: S608 (fixed text)
            return change.do("DELETE FROM outbox WHERE clinic = ?", (clinic_id,))

    def offer_earlier(self, person: str, *, now: datetime) -> int:
        """Owe what was kept of a person before it could be sent, the oldest first. Nothing where the device is not enrolled or the person
        has not agreed. Returns how much that is.
        """
        found = 0
        with self._database.changes() as change:
            for kind, table, when, but in (
                (ItemKind.OBSERVATION, "observation", "taken_at", "simulated"),
                (
                    ItemKind.DOCUMENT,
                    "document",
                    "added_at",
                    "EXISTS (SELECT 1 FROM observation WHERE observation.id = one.observation AND simulated)",
                ),
            ):
                rows = change.ask(
                    f"SELECT id FROM {table} AS one WHERE person = ? AND deleted_at IS NULL AND NOT {but}"  # noqa: S608 (fixed text)
                    f" ORDER BY {when}, id",
                    (person,),
                )
                if rows and _agreed(change, person):
                    found += sum(enqueue(change, kind, id_, person, now) for (id_,) in rows)
        return found


def enqueue(change: Change, kind: ItemKind, id_: str, patient: str, now: datetime) -> bool:
    """Owe one thing, in the transaction that keeps it. Returns whether a row was made: not where this device is not enrolled, or it is
    owed or sent already. Whether the person agrees is asked before.
    """
    return bool(
        change.do(  # no ON CONFLICT: it uses up a number and changes nothing, and what changes nothing is not in the journal
            "INSERT INTO outbox (id, kind, patient, clinic, made_at)"  # noqa: S608 (fixed text)
            f" SELECT ?, ?, ?, {_CLINIC}, ? WHERE {_CLINIC} IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM sent WHERE id = ?) AND NOT EXISTS (SELECT 1 FROM outbox WHERE id = ?)",
            (id_, str(kind), patient, text_of(now), id_, id_),
        )
    )


def patient_for(change: Change, *ids: str | None) -> str:
    """The pseudonym that a guest's thing is sent under: that of what it belongs to, where that was offered; otherwise a new one."""
    for id_ in ids:
        rows = change.ask(
            "SELECT patient FROM outbox WHERE id = ? UNION ALL SELECT patient FROM sent WHERE id = ?",
            (id_, id_),
        )
        if rows:
            return str(rows[0][0])
    return new_id()


def enqueue_erasure(change: Change, patient: str, now: datetime) -> int:
    """Owe the erasure of a patient to each clinic that may have anything of them; once. What of them was still to be sent is not any
    more. Returns to how many.
    """
    change.do("DELETE FROM outbox WHERE patient = ? AND kind <> 'erasure'", (patient,))
    clinics = change.ask(
        "SELECT clinic FROM told WHERE patient = ? AND NOT EXISTS (SELECT 1 FROM outbox"
        " WHERE outbox.patient = told.patient AND outbox.clinic = told.clinic AND kind = 'erasure') ORDER BY clinic",
        (patient,),
    )
    for (clinic,) in clinics:
        change.do(
            "INSERT INTO outbox (id, kind, patient, clinic, made_at) VALUES (?, ?, ?, ?, ?)",
            (new_id(), str(ItemKind.ERASURE), patient, clinic, text_of(now)),
        )
    return len(clinics)


def _agreed(change: Change, person: str) -> bool:
    rows = change.ask(
        "SELECT given FROM consent WHERE person = ? AND subject = 'cloud' ORDER BY seq DESC LIMIT 1",
        (person,),
    )
    return bool(rows and rows[0][0])


def _item(row: Row) -> Item:
    seq, id_, kind, patient, state, made_at, tries, reason = row
    return Item(seq, id_, kind, patient, state, moment_of(made_at), tries, reason)


def _json(ids: Iterable[str]) -> str:
    """One value however many there are."""
    return json.dumps(list(ids))
