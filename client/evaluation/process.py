"""A program run to its end, with what it and all the programs that it started cost the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from client.clock import Clock
from client.config import persons_environment
from client.errors import EnvironmentFault

LIMIT_S = 900.0
"""A program that takes longer hangs: the slowest thing run here (a peer's installation) takes minutes."""
_LOOK_EVERY_S = 0.01


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that came to its end.

    status: its exit status, negative for the signal that ended it. output, errors: what it wrote.
    cpu_s: processor seconds, user and system, of the program and of all its children that it waited for.
    """

    status: int
    output: str
    errors: str
    wall_s: float
    cpu_s: float

    @property
    def last_words(self) -> str:
        """The last line that it wrote as an error (or at all)."""
        lines = (self.errors.strip() or self.output.strip()).splitlines()
        return lines[-1].strip() if lines else "it said nothing"


def run_to_end(
    command: Sequence[str], *, clock: Clock, folder: Path | None = None, limit_s: float = LIMIT_S
) -> Ended:
    """Run a program (in a folder) and wait for it; its input is empty, its output is kept.

    Its environment is the person's, without the settings that this process made for itself.

    Whatever interrupts the wait (Ctrl-C, the limit) ends the program and its children as well.
    Raises EnvironmentFault where it cannot be started, takes longer than limit_s, or where the system does
    not tell what a child cost (Windows).
    """
    if not hasattr(os, "wait4"):
        raise EnvironmentFault(
            title="This system does not tell what a program cost",
            remedy="Compare on Linux or macOS.",
        )
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begun_s = clock.now_s()
        try:
            # A session of its own: Ctrl-C reaches us alone, and one signal reaches it and its children.
            process = subprocess.Popen(  # noqa: S603 (a list of our own making, never a shell)
                command,
                cwd=folder,
                env=persons_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            raise EnvironmentFault(
                title=f"{command[0]} could not be started ({error.strerror})", remedy="Install it again."
            ) from error
        try:
            cpu_s = _wait(process, clock, begun_s + limit_s)
        except TimeoutError:
            raise EnvironmentFault(
                title=f"{command[0]} did not end within {limit_s:g} s", remedy="Run it by itself and look."
            ) from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        wall_s = clock.now_s() - begun_s
        output.seek(0)
        errors.seek(0)
        return Ended(
            status=process.returncode,
            output=output.read().decode("utf-8", "replace"),
            errors=errors.read().decode("utf-8", "replace"),
            wall_s=wall_s,
            cpu_s=cpu_s,
        )


def _wait(process: subprocess.Popen[bytes], clock: Clock, deadline_s: float) -> float:
    """Processor seconds of the process once it has ended. Raises TimeoutError."""
    pause = threading.Event()
    while True:
        reaped, how, usage = os.wait4(process.pid, os.WNOHANG)
        if reaped:
            process.returncode = os.waitstatus_to_exitcode(how)
            return usage.ru_utime + usage.ru_stime
        if clock.now_s() > deadline_s:
            raise TimeoutError
        pause.wait(_LOOK_EVERY_S)
