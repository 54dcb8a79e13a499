"""A microphone that hears what it is told."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from client.devices.ports import Level
from client.errors import HealthHelperError


@dataclass
class FakeMicrophone:
    """See client.devices.ports.LevelSource.

    hears: the level now, or what is raised instead. refuses: what opening raises. answers: opening waits for it.
    Afterwards: wanted, the ids that were asked for; opened and closed, how often.
    """

    hears: Level | HealthHelperError | None = None
    refuses: HealthHelperError | None = None
    answers: threading.Event | None = None
    wanted: list[str] = field(default_factory=list)
    opened: int = 0
    closed: int = 0

    def make(self, wanted: str) -> FakeMicrophone:
        """For Parts.microphone_level."""
        self.wanted.append(wanted)
        return self

    @property
    def is_open(self) -> bool:
        """Whether it listens."""
        return self.opened > self.closed

    def open(self) -> None:
        if self.answers is not None:
            self.answers.wait(20)
        if self.refuses is not None:
            raise self.refuses
        self.opened += 1

    def level(self) -> Level | None:
        if not self.is_open:
            return None
        if isinstance(self.hears, HealthHelperError):
            raise self.hears
        return self.hears

    def close(self) -> None:
        self.closed = self.opened
