"""Looking into a file in a process of its own.

The libraries that take PDFs and pictures apart are large native programs, and they read what anybody hands in. A mistake in them would
end the window, with a result in it that is not saved; a thread could neither be stopped nor be outlived. So a child does it: without
our environment, without files to write, with bounded memory and time (Linux; elsewhere the time only). It gets the file through a
pipe and gives back pixels or a verdict, so nothing of the file is on the disk. If it dies or hangs, that is the verdict.

The child is this program again: `python -m client.intake`. A frozen program has no interpreter; there the same words are understood
by where it starts (packaging/entry.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from client.errors import EnvironmentFault
from client.intake.refusals import Refusal, Refused
from client.language import said

LIMIT_S = 60.0
"""On the wall. The slowest honest file (40 million pixels) takes a few seconds; more than that is for a busy machine."""
MEMORY_BYTES = 2 << 30
CPU_S = 45
FILES = 64
STARTED = b"started\n"
_LOOK_EVERY_S = 0.1
_FROM_OUTSIDE = (-15, -2)
"""SIGTERM, SIGINT: whoever stops the machine stops the child too. Every other signal was the file's doing."""
_ENVIRONMENT = ("LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP")
"""All that Python itself (and a frozen program's start) needs."""


class Cancelled(Exception):
    """The person gave it up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """facts: of JSON. data: what came with them, maybe nothing."""

    facts: Mapping[str, object]
    data: bytes

    def number(self, name: str) -> int:
        """One of the facts. Raises Refused where the child answers nonsense: then somebody else speaks through it."""
        value = self.facts.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Refused(Refusal.TOO_COMPLEX)
        return value


def command() -> list[str]:
    """How the child is started."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "-m", "client.intake"]
    return [sys.executable, "-B", "-P", "-X", "utf8", "-m", "client.intake"]


def ask(
    job: Mapping[str, object],
    data: bytes,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    limit_s: float = LIMIT_S,
) -> Answer:
    """job: see `client.intake.__main__`. data: the file.

    Raises Refused (the child's verdict, or its death), Cancelled, and EnvironmentFault where no child can be had.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    environment["OPENBLAS_NUM_THREADS"] = "1"  # each takes address space, which is bounded
    try:
        child = subprocess.Popen(  # noqa: S603 (a list of our own making, never a shell)
            command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what a library complains of may quote the file
            env=environment,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise _no_child() from error
    # Whoever gives it the file and whoever takes its answer must not wait for each other; communicate() can't go on giving after a time-out.
    given, child.stdin = child.stdin, None
    assert given is not None
    giver = threading.Thread(
        target=_give, args=(given, json.dumps(job).encode() + b"\n", data), name="intake", daemon=True
    )
    giver.start()
    try:
        output = _output(child, cancelled, limit_s)
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()  # nothing is left behind: neither it nor its pipes
        giver.join()
    return _read(output, child.returncode)


def _give(to: IO[bytes], job: bytes, data: bytes) -> None:
    with suppress(OSError):  # it may end, or be ended, before it has read all
        to.write(job)
        to.write(data)
    with suppress(OSError):
        to.close()


def _output(child: subprocess.Popen[bytes], cancelled: Callable[[], bool], limit_s: float) -> bytes:
    for _ in range(max(1, round(limit_s / _LOOK_EVERY_S))):
        if cancelled():
            raise Cancelled
        try:
            return child.communicate(timeout=_LOOK_EVERY_S)[0]
        except subprocess.TimeoutExpired:
            continue
    raise Refused(Refusal.TOO_COMPLEX)


def _read(output: bytes, status: int) -> Answer:
    started, begun, rest = output.partition(STARTED)
    if started or not begun or status in _FROM_OUTSIDE:
        raise _no_child()
    line, ended, data = rest.partition(b"\n")
    if status or not ended:
        raise Refused(Refusal.TOO_COMPLEX)
    try:
        facts = json.loads(line)
        refused = None if facts.get("refused") is None else Refusal(facts["refused"])
    except (ValueError, AttributeError):
        raise Refused(Refusal.TOO_COMPLEX) from None
    if refused is not None:
        raise Refused(refused)
    return Answer(facts, data)


def _no_child() -> EnvironmentFault:
    return EnvironmentFault(
        title=said("The part of this program that looks into files could not be started"),
        remedy=said(
            "Close other programs and try again; if that does not help, install Health Helper again."
        ),
        retry=True,
    )
