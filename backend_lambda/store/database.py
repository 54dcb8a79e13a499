"""Connections and transactions of PostgreSQL, and its faults told as refusals.

A transaction costs two round trips beside its own statements: BEGIN with the clinic, and COMMIT. Nothing of a row ever gets into an
error's text, for errors are logged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import errors as pg
from psycopg import sql
from psycopg.pq import TransactionStatus

from backend_lambda.errors import Code, Refusal, unavailable
from backend_lambda.ports import Clock

STATEMENT_MAY_TAKE_S = 5.0
CONNECTING_MAY_TAKE_S = 3
IDLE_IN_TRANSACTION_S = 15.0
"""A function that was frozen in the middle of a transaction holds locks no longer than this."""
USED_AGAIN_WITHIN_S = 300.0
"""Balancers and address translation forget a connection that was idle for 350 s, without a word to either end."""
_KEPT_IDLE = 32
_SENDING_MAY_TAKE_MS = 10_000
_LOST = (psycopg.OperationalError, psycopg.InterfaceError, pg.IdleInTransactionSessionTimeout)
_ORDINARY = sql.SQL("READ COMMITTED")
_SNAPSHOT = sql.SQL("REPEATABLE READ")
_OPENING = sql.SQL(
    "BEGIN ISOLATION LEVEL {isolation}; SELECT set_config('app.clinic_id', {clinic}, true),"
    " set_config('statement_timeout', {statement_ms}, true),"
    " set_config('idle_in_transaction_session_timeout', {idle_ms}, true), set_config('TimeZone', 'UTC', true)"
)
"""Two statements, one round trip. psycopg's pipelines would save another one and disarm the time-out of idle transactions: they end
with a flush request, which PostgreSQL takes for activity."""

Row = tuple[Any, ...]
Params = Sequence[Any] | Mapping[str, Any]
Connection = psycopg.Connection[Row]


class StoreFault(Exception):
    """Our own mistake: PostgreSQL refused a statement. Says which rule by name, never a value. sqlstate: five characters or None."""

    def __init__(self, error: psycopg.Error) -> None:
        self.sqlstate = error.sqlstate
        self.rule = error.diag.constraint_name or error.diag.table_name
        super().__init__(f"{type(error).__name__} {self.sqlstate} {self.rule or ''}".strip())


class _Line:
    """One connection and what is known of it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.used_s: float | None = None

    def drop(self) -> None:
        self.connection.close()


class Transaction:
    """One transaction, on one thread. Statements take their values as parameters only (`%s`, or `%(name)s` of a mapping).

    clinic_id: whose rows can be seen; None: nobody's. Raises Refusal 503 where the store does not answer or takes too long,
    and StoreFault where it refuses.
    """

    def __init__(self, database: Database, clinic_id: UUID | None, *, snapshot: bool) -> None:
        self._database = database
        self._snapshot = snapshot
        self._line: _Line | None = None
        self.clinic_id = clinic_id

    def ask(self, statement: LiteralString, params: Params = ()) -> list[Row]:
        """The rows of a query."""
        return self._run(statement, params).fetchall()

    def do(self, statement: LiteralString, params: Params = ()) -> int:
        """How many rows a statement changed."""
        return self._run(statement, params).rowcount

    def enter(self, clinic_id: UUID) -> None:
        """Go on as a transaction of this clinic, which only this transaction has found out: a code, a token, a share.

        Locks and changes made so far stay in the same transaction. Once at most; raises RuntimeError inside a clinic.
        """
        if self.clinic_id is not None:
            raise RuntimeError("a transaction belongs to one clinic")
        if self._line is not None:
            self._run("SELECT set_config('app.clinic_id', %s, true)", (str(clinic_id),))
        self.clinic_id = clinic_id

    def _run(self, statement: LiteralString, params: Params) -> psycopg.Cursor[Row]:
        try:
            if self._line is None:
                self._line = self._begin()
            return self._line.connection.execute(statement, params)
        except psycopg.Error as error:
            raise self._told(error) from None

    def _begin(self) -> _Line:
        """One round trip. A connection that has died while idle is replaced: nothing was asked of it yet."""
        opening = _OPENING.format(
            isolation=_SNAPSHOT if self._snapshot else _ORDINARY,
            clinic=str(self.clinic_id or ""),
            statement_ms=str(round(self._database.statement_may_take_s * 1000)),
            idle_ms=str(round(IDLE_IN_TRANSACTION_S * 1000)),
        )
        while True:
            line = self._database.take()
            try:
                line.connection.execute(opening)
            except psycopg.Error:
                line.drop()
                if line.used_s is None:
                    raise
                self._database.forget_idle()  # whatever ended this one has ended them too
            else:
                return line

    def _told(self, error: psycopg.Error) -> Exception:
        """What to raise for it. A connection that failed is not used again."""
        lost = self._line is None or self._line.connection.closed or isinstance(error, _LOST)
        if not lost:
            return StoreFault(error)
        if self._line is not None:
            self._line.drop()
        return _does_not_answer(error)

    def finish(self, *, commit: bool) -> None:
        """COMMIT or ROLLBACK, and give the connection back. For `Database`."""
        line, self._line = self._line, None
        if line is None:
            return
        try:
            if line.connection.closed:
                if commit:
                    raise unavailable(
                        Code.STORE_UNAVAILABLE, "the store was lost in the middle of a transaction"
                    )
                return
            failed = line.connection.info.transaction_status != TransactionStatus.INTRANS
            line.connection.execute("COMMIT" if commit and not failed else "ROLLBACK")
            if commit and failed:
                raise RuntimeError("a transaction went on after its failure; it was rolled back")
        except psycopg.Error as error:
            line.drop()
            if commit:
                raise _does_not_answer(error) from None
        finally:
            self._database.give_back(line)


def _does_not_answer(error: psycopg.Error) -> Refusal:
    return unavailable(Code.STORE_UNAVAILABLE, f"the store does not answer ({type(error).__name__})")


class Database:
    """As one login role. Connections are made when first needed and used again; a transaction has one to itself, a thread has one
    transaction at a time.

    url: postgresql://…, TLS as it says. password: asked for each new connection (IAM's are good for 15 minutes); None: the URL's.
    Safe to share between threads. Use nothing of a connection across a snapshot: those that died are noticed and replaced.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        password: Callable[[], str] | None = None,
        statement_may_take_s: float = STATEMENT_MAY_TAKE_S,
    ) -> None:
        self._url = url
        self._clock = clock
        self._password = password
        self._lock = threading.Lock()
        self._idle: list[_Line] = []
        self._inside: set[int] = set()
        """Threads that are in a transaction."""
        self._closed = False
        self.statement_may_take_s = statement_may_take_s

    @contextmanager
    def clinic(self, clinic_id: UUID, *, snapshot: bool = False) -> Iterator[Transaction]:
        """A transaction that sees and writes this clinic's rows only. COMMIT at the end, ROLLBACK where something is raised.

        snapshot: all its statements see the same moment (for reading only).
        """
        yield from self._transaction(clinic_id, snapshot=snapshot)

    @contextmanager
    def outside(self) -> Iterator[Transaction]:
        """A transaction before a clinic is known: it sees no rows, only functions made for this work in it."""
        yield from self._transaction(None, snapshot=False)

    def _transaction(self, clinic_id: UUID | None, *, snapshot: bool) -> Iterator[Transaction]:
        thread = threading.get_ident()
        if thread in self._inside:
            raise RuntimeError("a transaction inside another would wait for it for ever")
        self._inside.add(thread)
        transaction = Transaction(self, clinic_id, snapshot=snapshot)
        try:
            yield transaction
        except BaseException:
            transaction.finish(commit=False)
            raise
        else:
            transaction.finish(commit=True)
        finally:
            self._inside.discard(thread)

    def ready(self) -> bool:
        """Whether it answers and has our tables."""
        try:
            with self.outside() as tx:
                return tx.ask("SELECT to_regclass('public.observation') IS NOT NULL") == [(True,)]
        except Refusal:
            return False

    def close(self) -> None:
        """Those in use are closed when their transaction ends; a transaction after this is refused with 503."""
        with self._lock:
            self._closed = True
        self.forget_idle()

    # --- For Transaction -----------------------------------------------------------------------------

    def take(self) -> _Line:
        """A connection nobody uses. Raises psycopg.OperationalError where none can be made."""
        while True:
            with self._lock:
                if self._closed:
                    raise unavailable(Code.STORE_UNAVAILABLE, "the store was closed")
                line = self._idle.pop() if self._idle else None
            if line is None:
                return _Line(self._connect())
            if self._clock.now_s() - (line.used_s or 0.0) <= USED_AGAIN_WITHIN_S:
                return line
            line.drop()

    def give_back(self, line: _Line) -> None:
        line.used_s = self._clock.now_s()
        with self._lock:
            keep = not self._closed and not line.connection.closed and len(self._idle) < _KEPT_IDLE
            if keep:
                self._idle.append(line)
        if not keep:
            line.drop()

    def forget_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            line.drop()

    def _connect(self) -> Connection:
        secret: dict[str, Any] = {} if self._password is None else {"password": self._password()}
        return psycopg.connect(
            self._url,
            autocommit=True,  # BEGIN and COMMIT are ours
            prepare_threshold=None,  # RDS Proxy would pin the connection to this client
            application_name="health-helper",
            connect_timeout=CONNECTING_MAY_TAKE_S,
            keepalives_idle=60,
            tcp_user_timeout=_SENDING_MAY_TAKE_MS,
            **secret,
        )
