"""One thread for work that may wait for something outside (the key store, the disk) and must not make the window wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
_Job = Callable[[], None]


class Worker:
    """Does jobs in their order, one by one, in a thread of its own. What hangs there never keeps the program from ending."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def do(self, job: Callable[[], T]) -> Future[T]:
        """The job's result, or what it raised, once it is done."""
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except BaseException as error:  # noqa: BLE001 (belongs to whoever asks for the result)
                    future.set_exception(error)

        self._jobs.put(run)
        return future

    def end(self, timeout_s: float) -> bool:
        """No more jobs; those in the queue are done. Whether it ended within `timeout_s`."""
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
