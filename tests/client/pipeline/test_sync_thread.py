"""The thread that sends: it begins by itself, is woken, survives our bugs, and ends in the middle of anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from client.clock import SystemClock
from client.cloud import faults, wire
from client.pipeline.sync import SyncThread
from client.store.database import FILE_NAME, Database, DiskFull
from client.store.outbox import ItemState
from tests.client.pipeline.cloud_double import CloudDouble
from tests.client.pipeline.fakes import HandClock
from tests.client.pipeline.test_sync import Desk
from tests.client.store.conftest import KEY

PATIENCE_S = 10.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    database = Database(tmp_path / FILE_NAME, KEY)
    yield Desk(database, HandClock(), CloudDouble(SystemClock()))
    database.close()


@pytest.fixture
def begin(desk: Desk) -> Iterator[Callable[..., SyncThread]]:
    """Begins one; ended after the test."""
    made: list[SyncThread] = []

    def start(chores: Callable[[], None] = lambda: None) -> SyncThread:
        thread = SyncThread(desk.uploader, SystemClock(), chores)
        made.append(thread)
        thread.start()
        return thread

    yield start
    for thread in made:
        assert thread.end(PATIENCE_S)


def sent(desk: Desk, *ids: str) -> bool:
    """Waits until the cloud has them, for a while."""
    for _ in range(int(PATIENCE_S / 0.01)):
        if set(ids) <= desk.outbox.sent(ids):
            return True
        threading.Event().wait(0.01)
    return False


def test_it_sends_what_is_there_and_what_comes_once_it_is_woken(
    desk: Desk, begin: Callable[..., SyncThread]
) -> None:
    first = desk.scan()
    thread = begin()
    assert sent(desk, first)
    second = desk.scan()
    thread.wake()
    assert sent(desk, second)
    assert "upload" in {one.name for one in threading.enumerate()}


def test_it_is_woken_by_somebody_who_does_not_want_to_wait(
    desk: Desk, begin: Callable[..., SyncThread]
) -> None:
    asked = threading.Event()

    def offline(_name: str) -> None:
        asked.set()
        raise faults.DeviceRevoked

    desk.cloud.trouble = offline
    one = desk.scan()
    thread = begin()
    assert asked.wait(PATIENCE_S)
    desk.cloud.trouble = lambda _name: None
    thread.try_now()
    assert sent(desk, one)


class Stuck(CloudDouble):
    """A file takes for ever, until the connection is closed."""

    began = threading.Event()
    cut = threading.Event()

    def put(self, place: wire.UploadUrl, chunks: Iterable[bytes], length_bytes: int) -> None:
        del place, length_bytes
        next(iter(chunks))
        self.began.set()
        assert self.cut.wait(PATIENCE_S)
        raise faults.Closed

    def close(self) -> None:
        self.cut.set()


def test_it_ends_in_the_middle_of_a_file_which_is_pending_again(desk: Desk) -> None:
    desk.cloud = cloud = Stuck(SystemClock())
    id_ = desk.document()
    thread = SyncThread(desk.uploader, SystemClock(), lambda: None)
    thread.start()
    assert cloud.began.wait(PATIENCE_S)
    assert desk.states()[id_][0] == ItemState.SENDING
    assert thread.end(3.0)
    assert desk.states()[id_] == (ItemState.PENDING, None) and desk.items()[id_].tries == 0
    assert thread.end(0.0)  # once more does no harm


def test_who_waits_to_be_alone_is_next_however_much_there_is_to_send(
    desk: Desk, begin: Callable[..., SyncThread]
) -> None:
    """Each step lets the lock go and takes it again at once: without a rule nobody else would have it for a long time."""
    began, waits = threading.Event(), threading.Event()

    def slow(name: str) -> None:
        if name == "announce":
            began.set()
            assert waits.wait(PATIENCE_S)

    desk.cloud.trouble = slow
    for _ in range(20):
        desk.document()
    begin()
    assert began.wait(PATIENCE_S)

    class Told(threading.Event):
        def set(self) -> None:
            super().set()
            waits.set()

    desk.uploader._interrupted = Told()
    with desk.uploader.alone():
        assert desk.cloud.count("announce") == 1


def test_a_store_that_is_closed_under_it_is_no_bug(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: shown.append(args.exc_type))
    began, go_on = threading.Event(), threading.Event()

    def hangs(_name: str) -> None:
        began.set()
        assert go_on.wait(PATIENCE_S)

    desk.cloud.trouble = hangs
    desk.scan()
    thread = SyncThread(desk.uploader, SystemClock(), lambda: None)
    thread.start()
    assert began.wait(PATIENCE_S)
    assert not thread.end(0.01)
    desk.database.close()
    go_on.set()
    thread._thread.join(PATIENCE_S)
    assert not thread._thread.is_alive() and shown == [] and desk.uploader.bug is None


def test_it_may_end_before_it_began(desk: Desk) -> None:
    assert SyncThread(desk.uploader, SystemClock(), lambda: None).end(0.0)


def test_a_bug_of_ours_is_shown_once_and_sending_goes_on(
    desk: Desk, begin: Callable[..., SyncThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: shown.append(args.exc_type))
    left = [1, 2, 3]

    def buggy(name: str) -> None:
        if name == "observations" and left:
            left.pop()
            raise ZeroDivisionError

    desk.cloud.trouble = buggy
    one = desk.scan()
    thread = begin()
    for _ in range(20):
        threading.Event().wait(0.05)
        thread.try_now()
    assert sent(desk, one)
    assert shown == [ZeroDivisionError] and left == []


def test_chores_are_done_behind_the_first_page_and_may_fail(
    desk: Desk, begin: Callable[..., SyncThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SyncThread, "FIRST_CHORES_S", 0.05)
    done = threading.Event()

    def chores() -> None:
        done.set()
        raise DiskFull

    one = desk.scan()
    thread = begin(chores)
    assert done.wait(PATIENCE_S) and sent(desk, one)
    done.clear()
    two = desk.scan()
    thread.wake()
    assert sent(desk, two) and not done.is_set()  # once a day
