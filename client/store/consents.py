"""Who agreed to what, in which version of its text, and when. Only ever added to; what holds is the newest by its number, not by a
clock that may have been wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from client.errors import BadInput
from client.language import said
from client.store.database import Change, Database, Row
from client.store.moments import milliseconds, moment_of, new_id, text_of, utc_offset_min

MEASURING_VERSION = 1
CLOUD_VERSION = 1
ASSISTANT_VERSION = 1
"""Of the texts that this version of the application shows."""


class Subject(StrEnum):
    """MEASURING: being filmed and measured. CLOUD: what is kept goes to the clinic's cloud. ASSISTANT: what is asked of the assistant, and
    speech to it, goes there.
    """

    MEASURING = "measuring"
    CLOUD = "cloud"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Consent:
    """One decision. person: None for whoever used this device as a guest. subject: of Subject, or of a newer version. version: of the
    text that was shown; language: in which. given False: withdrawn or refused. at: UTC; utc_offset_min: what the wall clock there was
    ahead of it.
    """

    id: str
    person: str | None
    subject: str
    version: int
    given: bool
    language: str
    at: datetime
    utc_offset_min: int


class Consents:
    """The consents in an open database. Raises StoreFault as the database does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        person: str | None,
        subject: str,
        version: int,
        given: bool,  # noqa: FBT001 (the decision itself)
        language: str,
        now: datetime,
    ) -> Consent:
        """Keep a decision. Where a person no longer agrees to the cloud, nothing of theirs that waits is sent. Raises BadInput where there
        is no such person.
        """
        made = Consent(
            new_id(), person, str(subject), version, given, language, milliseconds(now), utc_offset_min(now)
        )
        with self._database.changes() as change:
            if person is not None and not change.ask(
                "SELECT 1 FROM person WHERE id = ? AND deleted_at IS NULL", (person,)
            ):
                raise BadInput(
                    title=said("This person is not on this device"), remedy=said("Choose another one.")
                )
            [(seq,)] = change.ask("SELECT coalesce(max(seq), 0) + 1 FROM consent")
            change.do(
                "INSERT INTO consent (id, person, subject, version, given, language, at, utc_offset_min, seq)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    made.id,
                    person,
                    made.subject,
                    version,
                    int(given),
                    language,
                    text_of(made.at),
                    made.utc_offset_min,
                    seq,
                ),
            )
            if subject == Subject.CLOUD and not given and person is not None:
                # What is on its way is let go by the outbox when it comes back, or is known as sent.
                change.do(
                    "DELETE FROM outbox WHERE patient = ? AND kind <> 'erasure' AND state <> 'sending'",
                    (person,),
                )
        return made

    def newest(self, person: str | None, subject: str) -> Consent | None:
        """What holds, or None where nobody was ever asked."""
        rows = self._database.ask(
            f"SELECT {_COLUMNS} FROM consent WHERE person IS ? AND subject = ? ORDER BY seq DESC LIMIT 1",  # noqa: S608 (fixed text)
            (person, str(subject)),
        )
        return _consent(rows[0]) if rows else None

    def all(self, person: str | None) -> list[Consent]:
        """Every decision, the oldest first."""
        rows = self._database.ask(
            f"SELECT {_COLUMNS} FROM consent WHERE person IS ? ORDER BY seq",  # noqa: S608 (fixed text)
            (person,),
        )
        return [_consent(row) for row in rows]


def is_given(change: Change, person: str, subject: Subject) -> bool:
    """Whether a person agrees, as it is in this transaction."""
    rows = change.ask(
        "SELECT given FROM consent WHERE person = ? AND subject = ? ORDER BY seq DESC LIMIT 1",
        (person, str(subject)),
    )
    return bool(rows and rows[0][0])


_COLUMNS = "id, person, subject, version, given, language, at, utc_offset_min"


def _consent(row: Row) -> Consent:
    id_, person, subject, version, given, language, at, offset_min = row
    return Consent(id_, person, subject, version, bool(given), language, moment_of(at), offset_min)
