"""Several processes that measure cases at the same time, fed one case at a time, each with one thread of arithmetic.

A worker is our own command `bench worker`: it reads jobs as JSON lines and writes what came of them as JSON lines.
Worker processes and not threads, because the arithmetic is Python's; programs of our own and not forks, so that one
that is killed (by a decoder's crash, for want of memory) costs one case and not the run.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TextIO

from client.errors import EnvironmentFault
from client.evaluation.cases import Case, Workshop
from client.evaluation.ledger import Line
from client.evaluation.outcomes import Outcome

_POLL_S = 0.2
_GRACE_S = 2.0
"""How long a worker may take to end what it runs, before it is killed."""
_ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "MKL_NUM_THREADS"), "1"
)


@dataclass(frozen=True, slots=True)
class Task:
    """A case with the jobs that are to be done on it. keys: of each job."""

    case: Case
    keys: Mapping[str, str]


def serve(
    cases: Iterable[Case], workshop: Workshop, asked: Iterable[str], say: Callable[[str], None]
) -> None:
    """A worker's life: answer every line asked, until there are no more."""
    known = {(case.group, case.name): case for case in cases}
    for text in asked:
        wanted = json.loads(text)
        case = known[wanted["group"], wanted["case"]]
        try:
            for job, outcomes in case.measure(wanted["jobs"], workshop):
                say(json.dumps({"job": job, "outcomes": [outcome.to_json() for outcome in outcomes]}))
        except EnvironmentFault as fault:
            say(json.dumps({"fault": {"title": fault.title, "remedy": fault.remedy}}))
            return
        say(json.dumps({"done": True}))


@dataclass(slots=True)
class _Worker:
    """One process and the thread that talks to it."""

    process: subprocess.Popen[str]
    errors: TextIO
    thread: threading.Thread | None = field(default=None)

    @classmethod
    def start(cls, command: Sequence[str]) -> _Worker:
        errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed in end)
        # A session of its own: Ctrl-C reaches us alone, and we end it with all that it started.
        process = subprocess.Popen(  # noqa: S603 (our own command)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            env={**_ONE_THREAD, **os.environ},
            start_new_session=True,
        )
        return cls(process, errors)

    def last_words(self) -> str:
        """Of a worker that says nothing more."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE_S)
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        return lines[-1] if lines else f"ended with status {self.process.poll()}"

    def kill(self) -> None:
        """At once, with all that it started in its session."""
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()

    def end(self) -> None:
        """Its process is gone when this returns."""
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self.process.wait()
        self.errors.close()


def measured(tasks: Sequence[Task], *, command: Sequence[str], workers: int) -> Generator[Line]:
    """Every job's line as soon as it is there, in whatever order. command: starts a worker.

    Closing the iterator, or an exception in it (Ctrl-C), ends all workers. A worker that dies costs the case that it
    had, which is put down as failed. Raises EnvironmentFault where a worker says that the machine is not ready.
    """
    waiting = deque(tasks)
    told: queue.Queue[Line | EnvironmentFault | BaseException | None] = queue.Queue()
    stop = threading.Event()
    running: list[threading.Thread] = [
        threading.Thread(target=_talk, args=(command, waiting, told, stop), name=f"bench-{number}")
        for number in range(min(workers, len(tasks)))
    ]
    for thread in running:
        thread.start()
    left = len(running)
    try:
        while left:
            try:
                said = told.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if said is None:
                left -= 1
            elif isinstance(said, BaseException):
                raise said
            else:
                yield said
    finally:
        stop.set()
        for thread in running:
            thread.join()


def _talk(
    command: Sequence[str],
    waiting: deque[Task],
    told: queue.Queue[Line | EnvironmentFault | BaseException | None],
    stop: threading.Event,
) -> None:
    """One worker process after another (more than one only if they die), until nothing waits."""
    worker: _Worker | None = None
    watch: threading.Thread | None = None
    ended = threading.Event()
    try:
        while not stop.is_set():
            try:
                task = waiting.popleft()
            except IndexError:
                break
            if worker is None:
                worker = _Worker.start(command)
                ended = threading.Event()
                watch = threading.Thread(target=_end_on_stop, args=(worker, stop, ended), name="bench-watch")
                watch.start()
            open_jobs = dict(task.keys)
            for answer in _answers(worker, task):
                if "fault" in answer:
                    told.put(EnvironmentFault(**answer["fault"]))
                    return
                key = open_jobs.pop(answer["job"])
                outcomes = tuple(Outcome.from_json(outcome) for outcome in answer["outcomes"])
                told.put(Line(task.case.group, task.case.name, answer["job"], key, outcomes))
            if open_jobs and not stop.is_set():  # it died
                why = worker.last_words()
                _end_watched(worker, watch, ended)
                worker, watch = None, None
                for job, key in open_jobs.items():
                    failed = tuple(task.case.failure(job, why))
                    told.put(Line(task.case.group, task.case.name, job, key, failed))
    except BaseException as error:  # noqa: BLE001 (carried to the caller's thread, which raises it)
        told.put(error)
    finally:
        if worker is not None:
            _end_watched(worker, watch, ended)
        told.put(None)


def _answers(worker: _Worker, task: Task) -> Iterator[dict[str, Any]]:
    """What the worker says of a task, up to its end or the worker's."""
    assert worker.process.stdin is not None
    assert worker.process.stdout is not None
    asked = {"group": task.case.group, "case": task.case.name, "jobs": list(task.keys)}
    try:
        worker.process.stdin.write(json.dumps(asked) + "\n")
        worker.process.stdin.flush()
        for text in worker.process.stdout:
            answer = json.loads(text)
            if "done" in answer:
                return
            yield answer
    except (OSError, ValueError):  # it died, in the middle of a line maybe
        return


def _end_on_stop(worker: _Worker, stop: threading.Event, ended: threading.Event) -> None:
    """A worker in the middle of a case hears nothing but a signal; it ends the programs that it runs by itself."""
    while not ended.wait(_POLL_S):
        if stop.is_set():
            worker.process.terminate()
            if not ended.wait(_GRACE_S):
                worker.kill()
            return


def _end_watched(worker: _Worker, watch: threading.Thread | None, ended: threading.Event) -> None:
    ended.set()
    if watch is not None:
        watch.join()
    worker.end()


def own_command(*arguments: str) -> list[str]:
    """Our command by this interpreter."""
    return [sys.executable, "-m", "client", *arguments]
