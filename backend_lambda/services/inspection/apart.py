"""An inspection in a process of its own.

`inspect` counts its own steps, but pypdf is a large program that reads what enemies write. So it runs where a mistake in it gains
little: without our credentials in its environment, without files to write, with bounded memory and CPU time, and its death is a
finding (too complex) instead of the death of the function, whose time-out would leave the upload without a state. What it
still has is the function's network, which is for the deployment to bound; our own memory and environment are closed to it by the
function that starts it (`backend_lambda.processing`).
A thread could not be stopped, and Lambda has no shared memory for `multiprocessing`'s queues; a plain child has neither trouble.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from backend_lambda.services.inspection.findings import Finding, Reason

CPU_S = 40
MEMORY_BYTES = 1 << 30
FILES = 64
STARTED = "started"
_ALL_S = 90.0
"""On the wall: twice the CPU time, for a busy machine."""
_FROM_OUTSIDE = {-signal.SIGTERM, -signal.SIGINT}
"""Whoever stops the machine stops this process too. Every other signal was the file's doing: memory, CPU time, a crash in a library."""
_ENVIRONMENT = ("LD_LIBRARY_PATH", "SYSTEMROOT")
"""All that Python itself needs to start."""


class InspectionFault(Exception):
    """The inspection itself broke: our bug or the machine's trouble, not the file's fault."""


class InspectionBroke(InspectionFault):
    """After it had begun to read: where that happens again and again, it is the file's fault after all."""


def inspect_apart(data: bytes, media_type: str, sha256: str, *, seconds: float = _ALL_S) -> Finding:
    """As `inspect`, with the usual limits. Raises InspectionFault."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    asked = json.dumps({"media_type": media_type, "sha256": sha256}).encode() + b"\n"
    try:
        done = subprocess.run(
            [sys.executable, "-B", "-P", "-S", "-X", "utf8", "-m", "backend_lambda.services.inspection"],
            input=asked + data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback might quote the file
            env=environment,
            timeout=seconds,
            check=False,
        )
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as expired:
        output, status = expired.stdout or b"", -9
    except OSError as error:
        raise InspectionFault(f"no process: {type(error).__name__}") from error
    started, _, answer = output.partition(b"\n")
    if started.strip() != STARTED.encode():
        raise InspectionFault(f"it did not start: status {status}")
    if status < 0 and status not in _FROM_OUTSIDE:
        return Finding(Reason.TOO_COMPLEX)
    if status:
        raise InspectionBroke(f"it broke: status {status}")
    return _read(answer)


def _read(answer: bytes) -> Finding:
    try:
        found = json.loads(answer)
        return Finding(
            reason=None if found["reason"] is None else Reason(found["reason"]),
            pages=None if found["pages"] is None else int(found["pages"]),
            text=str(found["text"]),
            text_complete=bool(found["text_complete"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InspectionBroke("it answered nonsense") from error
