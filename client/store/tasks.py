"""What the clinic's staff should look at: extreme readings. A reading and a bound, never a diagnosis.

Bounds: the red (3 points) ones of a single parameter in NEWS2 (Royal College of Physicians 2017), and a systolic pressure of 180 mmHg or a
diastolic of 120 mmHg and more (ACC/AHA 2017), which takes in the 220 mmHg of NEWS2. Of a scan only what was shown is judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from client.language import said
from client.store.database import Change, Database, Row
from client.store.moments import moment_of, new_id, text_of


@dataclass(frozen=True, slots=True)
class Bound:
    """A value of `low` and less, or of `high` and more, is put before staff. decimals: of the value as it is shown and judged."""

    name: str
    low: float | None
    high: float | None
    decimals: int = 0


HELP = "help_asked"
"""The reason where the person themselves asked for somebody, in a conversation with the assistant."""
PULSE = Bound("pulse", 40, 131)
"""/min."""
BREATHING = Bound("respiratory_rate", 8, 25)
"""/min."""
BOUNDS: Mapping[tuple[str, str], Bound] = {
    ("scan", "heart_rate"): PULSE,
    ("scan", "respiratory_rate"): BREATHING,
    ("blood_pressure", "systolic"): Bound("systolic", 90, 180),
    ("blood_pressure", "diastolic"): Bound("diastolic", None, 120),
    ("blood_pressure", "pulse"): PULSE,
    ("oximeter", "spo2"): Bound("spo2", 91, None),
    ("oximeter", "pulse"): PULSE,
    ("temperature", "celsius"): Bound("temperature", 35.0, None, decimals=1),
}
"""By the kind of an observation and the name of its value, in its unit."""


@dataclass(frozen=True, slots=True)
class Task:
    """reason: a code of `judge`, HELP, or of a newer version. observation, kind: of what it is about; None where somebody asked for help,
    measured or not. person: None for a guest. taken_at: of the observation, or when they asked; made_at: both UTC. done_at: when somebody
    said to have looked at it.
    """

    id: str
    observation: str | None
    person: str | None
    kind: str | None
    reason: str
    taken_at: datetime
    made_at: datetime
    done_at: datetime | None


class Tasks:
    """The tasks in an open database. Raises StoreFault as the database does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self) -> list[Task]:
        """Those that nobody has looked at, the newest first. Not those of what is deleted: with it they come back."""
        rows = self._database.ask(f"{_ALL} WHERE done_at IS NULL ORDER BY made_at DESC, id DESC")
        return [_task(row) for row in rows]

    def of(self, person: str | None) -> list[Task]:
        """All of a person, the oldest first."""
        rows = self._database.ask(f"{_ALL} WHERE person IS ? ORDER BY made_at, id", (person,))
        return [_task(row) for row in rows]

    def count(self) -> int:
        """How many are open."""
        rows = self._database.ask(f"SELECT count(*) FROM ({_ALL} WHERE done_at IS NULL)")  # noqa: S608 (fixed text)
        return int(rows[0][0])

    def ask_for_help(self, person: str | None, now: datetime) -> None:
        """Somebody is wanted, now. Asked again before somebody has looked, there is one task, of the last time; guests are one."""
        with self._database.changes() as change:
            again = change.do(
                "UPDATE help_call SET made_at = ? WHERE person IS ? AND done_at IS NULL",
                (text_of(now), person),
            )
            if not again:
                change.do(
                    "INSERT INTO help_call (id, person, made_at) VALUES (?, ?, ?)",
                    (new_id(), person, text_of(now)),
                )

    def done(self, task: str, now: datetime) -> bool:
        """Somebody has looked at it. Returns whether it was open."""
        with self._database.changes() as change:
            return any(
                change.do(
                    f"UPDATE {table} SET done_at = ? WHERE id = ? AND done_at IS NULL",  # noqa: S608 (fixed text)
                    (text_of(now), task),
                )
                for table in ("task", "help_call")
            )


def judge(kind: str, body: Mapping[str, Any]) -> list[str]:
    """Codes of what is extreme in an observation as it is kept, such as "pulse_high"; what can't be read is not judged.

    Values are judged as they are shown, rounded: whoever reads 131 on the screen is told of 131.
    """
    scan = body.get("scan")
    vitals = scan.get("vitals") if isinstance(scan, Mapping) else None
    values = vitals if kind == "scan" else body.get("values")
    if not isinstance(values, Mapping):
        return []
    found: list[str] = []
    for name, value in values.items():
        bound = BOUNDS.get((kind, name))
        number = value.get("value") if isinstance(value, Mapping) else value
        if bound is None or isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if not math.isfinite(number):
            continue
        shown = round(number, bound.decimals)
        if bound.low is not None and shown <= bound.low:
            found.append(f"{bound.name}_low")
        elif bound.high is not None and shown >= bound.high:
            found.append(f"{bound.name}_high")
    return found


def sentence(reason: str) -> str:
    """A reason as staff read it."""
    sentences = {
        "pulse_low": said("The pulse was {bound} /min or less", bound=40),
        "pulse_high": said("The pulse was {bound} /min or more", bound=131),
        "respiratory_rate_low": said("The respiratory rate was {bound} /min or less", bound=8),
        "respiratory_rate_high": said("The respiratory rate was {bound} /min or more", bound=25),
        "systolic_low": said("The systolic blood pressure was {bound} mmHg or less", bound=90),
        "systolic_high": said("The systolic blood pressure was {bound} mmHg or more", bound=180),
        "diastolic_high": said("The diastolic blood pressure was {bound} mmHg or more", bound=120),
        "spo2_low": said("The oxygen saturation was {bound} % or less", bound=91),
        "temperature_low": said("The temperature was {bound} °C or less", bound="35.0"),
        HELP: said("Somebody asked for help"),
    }
    return sentences.get(reason) or said("A reading to look at")


def insert(change: Change, observation: str, kind: str, body: Mapping[str, Any], now: datetime) -> None:
    """The tasks of an observation, in the transaction that keeps it."""
    for reason in judge(kind, body):
        change.do(
            "INSERT INTO task (id, observation, reason, made_at) VALUES (?, ?, ?, ?)",
            (new_id(), observation, reason, text_of(now)),
        )


_ALL = (
    "SELECT id, observation, person, kind, reason, taken_at, made_at, done_at FROM ("
    "SELECT task.id, task.observation, one.person, one.kind, reason, one.taken_at, made_at, done_at"
    " FROM task JOIN observation AS one ON one.id = task.observation"
    " WHERE NOT EXISTS (SELECT 1 FROM observation AS gone INDEXED BY observation_there"
    " WHERE gone.id = task.observation AND gone.deleted_at IS NOT NULL)"
    " UNION ALL SELECT id, NULL, person, NULL, 'help_asked', made_at, made_at, done_at FROM help_call"
    " WHERE NOT EXISTS (SELECT 1 FROM person AS gone WHERE gone.id = help_call.person AND gone.deleted_at IS NOT NULL))"
)


def _task(row: Row) -> Task:
    id_, observation, person, kind, reason, taken_at, made_at, done_at = row
    return Task(
        id_,
        observation,
        person,
        kind,
        reason,
        moment_of(taken_at),
        moment_of(made_at),
        None if done_at is None else moment_of(done_at),
    )
