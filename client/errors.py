"""Errors of the world: each carries a title, what to do, and the exit status that it ends with.

    HealthHelperError
     ├─ BadInput          2   the file, the URL or the command line is wrong
     ├─ EnvironmentFault  4   camera, weights, disk, store, network: the machine is not ready
     └─ Interrupted     130   the person ended it

Anything else that is raised is our own bug (exit status 1).
"""

from __future__ import annotations

from typing import ClassVar


class HealthHelperError(Exception):
    """The world's fault, told to the person in one line.

    title: what is wrong, a sentence without a full stop. remedy: what to do, a full sentence.
    retry: whether trying again without a change may help.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, *, title: str, remedy: str, retry: bool = False) -> None:
        super().__init__(f"{title}. {remedy}")
        self.title = title
        self.remedy = remedy
        self.retry = retry


class BadInput(HealthHelperError):
    """What was handed in cannot be used, whatever the state of the machine."""

    exit_status = 2


class EnvironmentFault(HealthHelperError):
    """The machine is not ready; the same command works once the remedy is done."""

    exit_status = 4


class Interrupted(HealthHelperError):
    """The person ended it (Ctrl-C)."""

    exit_status = 130


class SourceStalled(EnvironmentFault):
    """No frame for a while; the source may come back, so the reader may call again."""
