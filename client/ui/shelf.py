"""The encrypted store as the window sees it: asked in a thread of its own, answers come back on a timer.

A store that does not open is a state, not an error: the window says what is wrong and what to do, and measures all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from PySide6.QtCore import QDeadlineTimer, QObject, QTimer, Signal

from client.errors import EnvironmentFault, HealthHelperError
from client.language import said
from client.parts import Kept
from client.pipeline.worker import Worker
from client.store.database import StoreClosed, StoreDamaged, WrongKey
from client.store.observations import Observations, Person
from client.store.opening import tell, tell_set_aside

if TYPE_CHECKING:
    from client.pipeline.sync import SyncStatus, SyncThread
    from client.policy import Policy

T = TypeVar("T")
_LOOK_EVERY_MS = 30
_END_MS = 3000
_KEPT_S = 5.0


@dataclass(frozen=True, slots=True)
class Closed:
    """Nobody has opened it, or it was locked."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The key store or the disk is being asked."""


@dataclass(frozen=True, slots=True)
class Open:
    """It is open. people: on this device, by name. needs_recovery_key: nobody has one on paper.

    policy: of this installation. server, clinic: the address of the clinic that this device is enrolled with, and what it is called
    there; "" where it is with none. tasks: how many staff should look at. healed: what became of it where it was damaged and has been mended
    just now, or has been set aside for a new one; else "".
    """

    people: tuple[Person, ...]
    needs_recovery_key: bool
    policy: Policy
    server: str
    clinic: str
    tasks: int
    healed: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """It can't be opened. fault: what is wrong and what to do."""

    fault: HealthHelperError


ShelfState = Closed | Opening | Open | Unusable


@dataclass(frozen=True, slots=True)
class _Asked:
    """An answer that is still to come. of_window: somebody else than the shelf itself waits for it."""

    future: Future[Any]
    then: Callable[[Any], None]
    otherwise: Callable[[HealthHelperError], None]
    of_window: bool


def shut_words(state: ShelfState) -> tuple[str, str]:
    """Why nothing can be kept or shown now, and what the one button says that helps; two empty texts while it is open."""
    match state:
        case Open():
            return "", ""
        case Opening():
            return said("The store is being opened …"), ""
        case Closed():
            return said("The store is locked."), said("Unlock")
        case Unusable(fault):
            return f"{fault.title}. {fault.remedy}", said("Try again")


def may_begin_anew(state: ShelfState) -> bool:
    """Whether a new store is offered: to the one that is there no key is at hand, and its recovery key may be lost too."""
    return isinstance(state, Unusable) and isinstance(state.fault, WrongKey)


class Shelf(QObject):
    """changed: the state is another one."""

    changed = Signal()

    def __init__(
        self,
        open_store: Callable[[], Kept],
        restore_store: Callable[[str], Kept],
        begin_store_anew: Callable[[], Kept],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._open_store, self._restore_store = open_store, restore_store
        self._begin_store_anew = begin_store_anew
        self._worker = Worker("store")
        self._network: Worker | None = None
        self._sync: SyncThread | None = None
        self._waiting: list[_Asked] = []
        self._openings = 0
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

    def begin_anew(self) -> None:
        """Set one aside that nothing opens any more, and begin a new one."""
        if isinstance(self.state, Unusable):
            self._opening(self._begin_store_anew)

    def close(self) -> None:
        """Lock it: the key leaves this program's memory."""
        self._worker.do(self._shut)
        self._sync = None
        if isinstance(self.state, (Open, Opening)):
            self._set(Closed())

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come that the window asked for."""
        return any(asked.of_window for asked in self._waiting)

    def end(self) -> bool:
        """Close everything; the program is about to end. Whether the threads did within 3 s, both together."""
        self.close()
        self._timer.stop()
        self._waiting.clear()
        network, self._network = self._network, None
        until = QDeadlineTimer(_END_MS)
        # The store's first: it closes the store, and what waits for the network with it.
        ended = [
            one.end(until.remainingTime() / 1000.0) for one in (self._worker, network) if one is not None
        ]
        return all(ended)

    @property
    def sync_status(self) -> SyncStatus | None:
        """How it stands with sending, without waiting for anything; None while the store is not open."""
        return None if self._sync is None else self._sync.status

    def wake_sync(self) -> None:
        """There is something new to be sent, or somebody wants it tried now."""
        if self._sync is not None:
            self._sync.wake()

    def try_sync_now(self) -> None:
        """Somebody wants it tried now, whatever it waits for."""
        if self._sync is not None:
            self._sync.try_now()

    def scanned(self, *, shown: bool) -> None:
        """A scan of somebody has ended; shown: with a heart rate. How many there are is told to the clinic."""
        if self._sync is not None:
            self._sync.uploader.scanned(shown=shown)

    def cancel_sending(self, item: str) -> None:
        """Not this file, for now: it waits until somebody wants it tried again."""
        if self._sync is not None:
            self._sync.cancel(item)

    def ask(
        self,
        job: Callable[[Observations], T],
        then: Callable[[T], None],
        otherwise: Callable[[HealthHelperError], None],
    ) -> None:
        """Do something with what is kept; then or otherwise are called in the window's thread. After a bug of our own otherwise is
        called too, so that nobody waits for ever, and the bug is raised.
        """
        self.ask_kept(lambda kept: job(kept.observations), then, otherwise)

    def ask_kept(
        self,
        job: Callable[[Kept], T],
        then: Callable[[T], None],
        otherwise: Callable[[HealthHelperError], None],
    ) -> None:
        """The same with the whole of it."""
        self._wait_for(self._worker.do(lambda: job(self._need())), then, otherwise)

    def over_network(
        self,
        job: Callable[[Kept], T],
        then: Callable[[T], None],
        otherwise: Callable[[HealthHelperError], None],
    ) -> None:
        """The same for what waits for somebody far away: in a thread of its own, so that nobody here waits with it. The state says
        afterwards what is other than before.
        """

        def got(kept: Kept) -> None:
            if self._network is None:
                self._network = Worker("network")
            self._wait_for(self._network.do(lambda: with_store(kept)), done, otherwise)

        def with_store(kept: Kept) -> T:
            try:
                return job(kept)
            except StoreClosed:  # under it
                raise _locked() from None
            except HealthHelperError:
                raise
            except Exception:
                if self._kept is not kept:  # closed under it: that is what it has met
                    raise _locked() from None
                raise

        def done(found: T) -> None:
            if isinstance(self.state, Open):
                self.change(lambda _: found, then, lambda _: then(found))
            else:  # locked meanwhile; it is done all the same
                then(found)

        self.ask_kept(lambda kept: kept, got, otherwise)

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
                self._set(replace(self.state, needs_recovery_key=False))
            then(None)

        self._wait_for(self._worker.do(lambda: self._need().confirm_recovery_key()), done, otherwise)

    def change_people(
        self,
        job: Callable[[Observations], T],
        then: Callable[[T], None],
        otherwise: Callable[[HealthHelperError], None],
    ) -> None:
        """Add, rename, delete somebody or put them back; the people are others before `then` is called."""
        self.change(lambda kept: job(kept.observations), then, otherwise)

    def change(
        self,
        job: Callable[[Kept], T],
        then: Callable[[T], None],
        otherwise: Callable[[HealthHelperError], None],
        *,
        again: bool = False,
    ) -> None:
        """Do something after which there may be other people, tasks, another clinic or something to send; the state is the new one before
        `then` is called. again: where the store turns out to be damaged it is opened anew, which mends it, and the job is done once more,
        on its own: for what may be done twice.
        """
        reopened: list[tuple[Open | Unusable, SyncThread | None]] = []

        def both(kept: Kept) -> tuple[T, _Facts]:
            done = job(kept)
            return done, _facts(kept)

        def mended(kept: Kept) -> tuple[T, _Facts]:
            try:
                return both(kept)
            except StoreDamaged:
                try:
                    reopened.append(self._opened_by(self._open_store))
                except Exception as error:
                    fault = error if isinstance(error, HealthHelperError) else _bug()
                    reopened.append((Unusable(fault), None))
                    raise
            return both(self._need())

        def show_reopened() -> None:
            if reopened and isinstance(self.state, Open):  # not locked meanwhile
                state, self._sync = reopened.pop()
                self._set(state)

        def got(done: tuple[T, _Facts]) -> None:
            show_reopened()
            if isinstance(self.state, Open):
                new = done[1].put_into(self.state)
                if new != self.state:
                    self._set(new)
                self.wake_sync()
            then(done[0])

        def failed(fault: HealthHelperError) -> None:
            show_reopened()
            otherwise(fault)

        self.ask_kept(mended if again else both, got, failed)

    def read_people(self) -> None:
        """Somebody else may have changed them."""
        self.change_people(lambda _: None, lambda _: None, lambda fault: self._set(Unusable(fault)))

    def kept_now(self) -> Kept | None:
        """For another thread than the window's: the open store, also one that is just being opened, or None. Waits a few seconds at most.

        Whoever has it stops using it before it is closed.
        """
        try:
            return self._worker.do(lambda: self._kept).result(_KEPT_S)
        except TimeoutError:
            return None

    def _need(self) -> Kept:
        if self._kept is None:
            raise _locked()
        return self._kept

    def _shut(self) -> None:
        """In the worker's thread, as whatever touches _kept."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            kept.close()

    def _opened_by(self, make: Callable[[], Kept]) -> tuple[Open, SyncThread]:
        """In the worker's thread: what is open is closed before."""
        self._shut()
        kept = make()
        try:
            facts = _facts(kept)
            told = [] if kept.healed is None else [tell(kept.healed)]
            if kept.set_aside:
                told.append(tell_set_aside(kept.set_aside))
            kept.sync.start()
        except BaseException:
            kept.close()
            raise
        self._kept = kept
        state = Open(
            people=facts.people,
            needs_recovery_key=kept.needs_recovery_key,
            policy=kept.policy,
            server=facts.server,
            clinic=facts.clinic,
            tasks=facts.tasks,
            healed=" ".join(told),
        )
        return state, kept.sync

    def _opening(self, make: Callable[[], Kept]) -> None:
        def done(state: Open | Unusable, sync: SyncThread | None) -> None:
            if isinstance(self.state, Opening) and this == self._openings:  # not locked meanwhile
                self._sync = sync
                self._set(state)

        this = self._openings = self._openings + 1
        self._set(Opening())
        self._wait_for(
            self._worker.do(lambda: self._opened_by(make)),
            lambda found: done(*found),
            lambda fault: done(Unusable(fault), None),
            of_window=False,
        )

    def _wait_for(
        self,
        future: Future[T],
        then: Callable[[T], None],
        otherwise: Callable[[HealthHelperError], None],
        *,
        of_window: bool = True,
    ) -> None:
        self._waiting.append(_Asked(future, then, otherwise, of_window))
        self._timer.start()

    def _set(self, state: ShelfState) -> None:
        self.state = state
        self.changed.emit()

    def _look(self) -> None:
        """One by one: what is raised on the way is ours, and the others are still there for the next look."""
        while asked := next((one for one in self._waiting if one.future.done()), None):
            self._waiting.remove(asked)
            if not self._waiting:
                self._timer.stop()
            error = asked.future.exception()
            if error is None:
                asked.then(asked.future.result())
            elif isinstance(error, HealthHelperError):
                asked.otherwise(error)
            else:
                asked.otherwise(_bug())
                raise error


@dataclass(frozen=True, slots=True)
class _Facts:
    """What of the state can be other than before after somebody, here or elsewhere, has changed something."""

    people: tuple[Person, ...]
    server: str
    clinic: str
    tasks: int

    def put_into(self, state: Open) -> Open:
        return replace(state, people=self.people, server=self.server, clinic=self.clinic, tasks=self.tasks)


def _facts(kept: Kept) -> _Facts:
    enrolled = kept.outbox.enrolled() or {}
    server, clinic = (str(enrolled.get(name, "")) for name in ("url", "clinic_id"))
    return _Facts(tuple(kept.observations.people()), server, clinic, kept.tasks.count())


def _locked() -> EnvironmentFault:
    return EnvironmentFault(title=said("The store is locked"), remedy=said("Unlock it and try again."))


def _bug() -> EnvironmentFault:
    return EnvironmentFault(
        title=said("This failed, by a bug of Health Helper's own"),
        remedy=said("Try again; if it comes back, close the window and open it anew."),
    )
