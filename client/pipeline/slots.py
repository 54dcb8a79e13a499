"""The two places where threads meet: a short queue between two of them, and a one-place slot to look at."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """The queue was closed: nothing more will come out of it."""


class Bounded(Generic[T]):
    """A queue of at most `size` items from one thread to another.

    A full queue either makes the writer wait until half of it was read (a file: nothing may be lost) or drops its
    oldest item that may be dropped and counts it (a camera: a late picture is worse than none). For one writer and
    one reader.

    may_drop: which items that is; all, if not given.
    """

    def __init__(self, size: int, may_drop: Callable[[T], bool] = lambda _: True) -> None:
        self._may_drop = may_drop
        self._items: deque[T] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = 0

    def put(self, item: T, *, wait: bool) -> bool:
        """Add an item; False if the queue is closed (the item is then dropped). See the class for `wait`."""
        with self._changed:
            while len(self._items) >= self._size and not self._closed:
                if wait or not self._drop_oldest():
                    self._changed.wait()
            if self._closed:
                return False
            self._items.append(item)
            if len(self._items) == 1:  # of more the reader knows already
                self._changed.notify_all()
            return True

    def _drop_oldest(self) -> bool:
        at = next((at for at, item in enumerate(self._items) if self._may_drop(item)), None)
        if at is None:
            return False
        del self._items[at]
        self._dropped += 1
        return True

    def get(self, timeout_s: float) -> T | None:
        """The oldest item, or None if none came within `timeout_s`. Raises Closed once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout_s)
            if self._closed:
                raise Closed
            if not self._items:
                return None
            item = self._items.popleft()
            if len(self._items) <= self._size // 2:  # a writer woken for each place costs more than it writes
                self._changed.notify_all()
            return item

    def close(self) -> None:
        """Let go whoever waits on either side; what is still inside is thrown away. May be called again."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    @property
    def dropped(self) -> int:
        """How many items were dropped because the reader was late."""
        with self._changed:
            return self._dropped


class Latest(Generic[T]):
    """The newest value, for a reader who comes when it likes. Old values are forgotten unseen."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._lock = threading.Lock()

    def set(self, value: T) -> None:
        """Replace the value."""
        with self._lock:
            self._value = value

    def get(self) -> T:
        """The newest value; always there."""
        with self._lock:
            return self._value
