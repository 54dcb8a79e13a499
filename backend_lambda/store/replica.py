"""Reads that may see the store some seconds late go to a replica, where there is one that keeps up; else to the primary.

A replica is a streaming standby: what row-level security hides is hidden there too, nothing can be written, and unlogged tables
(proofs, counted requests) cannot be read at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from backend_lambda.errors import Refusal
from backend_lambda.ports import Clock, Measures
from backend_lambda.store.database import Database, StoreFault

T = TypeVar("T")
MAY_BE_BEHIND_S = 60.0
FRESH_FOR_S = 1.0
"""A replica that kept up is not asked again whether it does for so long."""
LEFT_ALONE_S = 30.0
"""One that failed or is behind is asked nothing for so long: connecting to what does not answer takes seconds."""
_STATE = (
    "SELECT pg_is_in_recovery(),"
    " EXISTS (SELECT FROM pg_stat_wal_receiver) AND pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn(),"
    " extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::double precision"
)
"""Whether it is a replica at all; whether it is connected to the primary and has replayed all that it was sent; the age of the last
transaction replayed (s), which on an idle primary grows and says nothing. A standby whose connection is silent gives it up
(wal_receiver_timeout, 60 s), so that the second is no longer true and the third decides."""


class LateReads:
    """Safe to share between threads. replica: as a login with the primary's rights; None: there is none.

    may_be_behind_s: a replica further behind than this is not asked. Measures: replica_failed, replica_behind.
    """

    def __init__(
        self,
        primary: Database,
        replica: Database | None,
        clock: Clock,
        measures: Measures,
        *,
        may_be_behind_s: float = MAY_BE_BEHIND_S,
    ) -> None:
        self._primary, self._replica = primary, replica
        self._clock, self._measures = clock, measures
        self._may_be_behind_s = may_be_behind_s
        self._lock = threading.Lock()
        self._keeps_up, self._until_s = False, float("-inf")
        """What is known of it, and until when that will do."""

    def by(self, question: Callable[[Database], T]) -> T:
        """What the question returns; it reads only, and is asked a second time, of the primary, where the replica fails.

        Raises what the question raises of the primary.
        """
        if self._replica is not None and self._asked_to_keep_up(self._replica):
            try:
                return question(self._replica)
            except (
                Refusal,
                StoreFault,
            ) as error:  # StoreFault: a form of the tables that has not come there yet
                if isinstance(error, Refusal) and error.status != 503:
                    raise
                self._note("replica_failed")
        return question(self._primary)

    def _asked_to_keep_up(self, replica: Database) -> bool:
        now_s = self._clock.now_s()
        with self._lock:
            if now_s < self._until_s:
                return self._keeps_up
        try:
            with replica.outside() as transaction:
                ((is_replica, is_level, age_s),) = transaction.ask(_STATE)
        except (Refusal, StoreFault):
            self._note("replica_failed")
            return False
        if not is_replica:  # promoted: it goes its own way
            self._note("replica_failed")
            return False
        if not is_level and (age_s is None or age_s > self._may_be_behind_s):
            self._note("replica_behind")
            return False
        with self._lock:
            self._keeps_up, self._until_s = True, now_s + FRESH_FOR_S
        return True

    def _note(self, measure: str) -> None:
        with self._lock:
            self._keeps_up, self._until_s = False, self._clock.now_s() + LEFT_ALONE_S
        self._measures.add(measure, 1.0, "Count")
