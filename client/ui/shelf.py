"""The encrypted store as the window sees it: asked in a thread of its own, answers come back on a timer.

A store that does not open is a state, not an error: the window says what is wrong and what to do, and measures all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

from client.errors import EnvironmentFault, HealthHelperError
from client.language import said
from client.parts import Kept
from client.pipeline.worker import Worker
from client.store.observations import Observations, Person

T = TypeVar("T")
_LOOK_EVERY_MS = 30
_END_S = 3.0


@dataclass(frozen=True, slots=True)
class Closed:
    """Nobody has opened it, or it was locked."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The key store or the disk is being asked."""


@dataclass(frozen=True, slots=True)
class Open:
    """It is open. people: on this device, by name. needs_recovery_key: nobody has one on paper."""

    people: tuple[Person, ...]
    needs_recovery_key: bool


@dataclass(frozen=True, slots=True)
class Unusable:
    """It can't be opened. fault: what is wrong and what to do."""

    fault: HealthHelperError


ShelfState = Closed | Opening | Open | Unusable


class Shelf(QObject):
    """changed: the state is another one."""

    changed = Signal()

    def __init__(
        self,
        open_store: Callable[[], Kept],
        restore_store: Callable[[str], Kept],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._open_store, self._restore_store = open_store, restore_store
        self._worker = Worker("store")
        self._waiting: list[
            tuple[Future[Any], Callable[[Any], None], Callable[[HealthHelperError], None]]
        ] = []
        self._kept: Kept | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)
        self.state: ShelfState = Closed()

    def open(self) -> None:
        """Open it, if it is not; the state says what came of it."""
        if isinstance(self.state, (Closed, Unusable)):
            self._opening(self._open_store)

    def restore(self, recovery_key: str) -> None:
        """Open it with its recovery key, as typed."""
        if isinstance(self.state, (Closed, Unusable)):
            self._opening(lambda: self._restore_store(recovery_key))

    def close(self) -> None:
        """Lock it: the key leaves this program's memory."""

        def shut() -> None:
            if self._kept is not None:
                self._kept.close()
                self._kept = None

        if isinstance(self.state, (Open, Opening)):
            self._worker.do(shut)
            self._set(Closed())

    def end(self) -> bool:
        """Close everything; the program is about to end. Whether the thread did within 3 s."""
        self.close()
        self._timer.stop()
        self._waiting.clear()
        return self._worker.end(_END_S)

    def ask(
        self,
        job: Callable[[Observations], T],
        then: Callable[[T], None],
        otherwise: Callable[[HealthHelperError], None],
    ) -> None:
        """Do something with what is kept; then or otherwise are called in the window's thread. Our own bugs are raised there."""
        self._wait_for(self._worker.do(lambda: job(self._need().observations)), then, otherwise)

    def elsewhere(
        self, job: Callable[[], T], then: Callable[[T], None], otherwise: Callable[[HealthHelperError], None]
    ) -> None:
        """The same for work that needs no store and takes long (writing a report)."""
        self._wait_for(self._worker.do(job), then, otherwise)

    def new_recovery_key(
        self, then: Callable[[str], None], otherwise: Callable[[HealthHelperError], None]
    ) -> None:
        """A new one to be shown; in force from confirm_recovery_key on."""
        self._wait_for(self._worker.do(lambda: self._need().new_recovery_key()), then, otherwise)

    def confirm_recovery_key(
        self, then: Callable[[None], None], otherwise: Callable[[HealthHelperError], None]
    ) -> None:
        """It was written down."""

        def done(_: None) -> None:
            if isinstance(self.state, Open):
                self._set(Open(self.state.people, needs_recovery_key=False))
            then(None)

        self._wait_for(self._worker.do(lambda: self._need().confirm_recovery_key()), done, otherwise)

    def read_people(self) -> None:
        """Somebody was added, renamed or deleted."""

        def got(people: list[Person]) -> None:
            if isinstance(self.state, Open):
                self._set(Open(tuple(people), self.state.needs_recovery_key))

        self.ask(lambda kept: kept.people(), got, lambda fault: self._set(Unusable(fault)))

    def _need(self) -> Kept:
        if self._kept is None:
            raise EnvironmentFault(title=said("The store is locked"), remedy=said("Unlock it and try again."))
        return self._kept

    def _opening(self, make: Callable[[], Kept]) -> None:
        def job() -> Open:
            kept = make()
            self._kept = kept
            return Open(tuple(kept.observations.people()), kept.needs_recovery_key)

        def opened(state: Open) -> None:
            if isinstance(self.state, Opening):
                self._set(state)

        self._set(Opening())
        self._wait_for(self._worker.do(job), opened, lambda fault: self._set(Unusable(fault)))

    def _wait_for(
        self,
        future: Future[T],
        then: Callable[[T], None],
        otherwise: Callable[[HealthHelperError], None],
    ) -> None:
        self._waiting.append((future, then, otherwise))
        self._timer.start()

    def _set(self, state: ShelfState) -> None:
        self.state = state
        self.changed.emit()

    def _look(self) -> None:
        ready = [one for one in self._waiting if one[0].done()]
        self._waiting = [one for one in self._waiting if not one[0].done()]
        if not self._waiting:
            self._timer.stop()
        for future, then, otherwise in ready:
            error = future.exception()
            if error is None:
                then(future.result())
            elif isinstance(error, HealthHelperError):
                otherwise(error)
            else:
                raise error
