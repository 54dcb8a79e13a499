"""The place where an adapter's own thread hands its frames over.

A camera's driver and a socket can block for as long as they like, and nothing can call them back. So a
small thread of the adapter sits in the blocking call, and whoever reads waits here for as long as it chose.
"""

from __future__ import annotations

import threading
from collections import deque

from edge_models.types import Frame


class NothingCame(Exception):
    """No frame within the time allowed."""


class Relay:
    """The newest few frames, in order; a full relay drops its oldest.

    `size` bridges a reader that is late by some frames; more would only make a live picture old.
    """

    def __init__(self, size: int = 4) -> None:
        self._frames: deque[Frame] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        self._counting = False
        self._dropped = 0

    def put(self, frame: Frame) -> None:
        """Hand over a frame; after `end` it is thrown away."""
        with self._changed:
            if self._ended:
                return
            if len(self._frames) >= self._size:
                self._frames.popleft()
                self._dropped += self._counting
            self._frames.append(frame)
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will come, because of `error` or because the source is over. The first call counts.

        error: the world's fault or a bug of ours; `take` raises it in the reader's thread.
        """
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
            self._changed.notify_all()

    def clear(self) -> None:
        """Throw away what waits and let the reader go (close)."""
        with self._changed:
            self._frames.clear()
            self._ended, self._error = True, None
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Frame | None:
        """The oldest frame; None once all are taken and the source is over.

        Raises NothingCame after `timeout_s` seconds, or the error that the source ended with.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._ended, timeout_s)
            if self._frames:
                return self._frames.popleft()
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            raise NothingCame

    def count_drops(self) -> None:
        """The reader reads from now on: what it misses counts. Before, nobody was late."""
        with self._changed:
            self._counting = True

    @property
    def dropped(self) -> int:
        """How many frames were dropped because the reader was late."""
        with self._changed:
            return self._dropped
