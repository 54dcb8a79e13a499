"""The short queue between two threads and the slot that holds the newest value."""

from __future__ import annotations

import threading

import pytest

from client.pipeline.slots import Bounded, Closed, Latest


def test_items_come_out_in_the_order_in_which_they_went_in() -> None:
    queue: Bounded[int] = Bounded(3)
    for item in (1, 2, 3):
        assert queue.put(item, wait=True)
    assert [queue.get(0.0), queue.get(0.0), queue.get(0.0), queue.get(0.0)] == [1, 2, 3, None]


def test_a_full_queue_of_a_camera_drops_its_oldest_items_and_counts_them() -> None:
    queue: Bounded[int] = Bounded(2)
    for item in range(5):
        queue.put(item, wait=False)
    assert queue.dropped == 3
    assert [queue.get(0.0), queue.get(0.0)] == [3, 4]


def test_only_what_may_be_dropped_is_dropped() -> None:
    queue: Bounded[int] = Bounded(3, may_drop=lambda item: item > 0)
    for item in (0, 1, 2, 3, 4):
        assert queue.put(item, wait=False)
    assert queue.dropped == 2
    assert [queue.get(0.0) for _ in range(4)] == [0, 3, 4, None]


def test_a_queue_full_of_what_may_not_be_dropped_makes_every_writer_wait() -> None:
    queue: Bounded[int] = Bounded(2, may_drop=lambda item: item > 0)
    queue.put(0, wait=True)
    queue.put(0, wait=True)
    writer = threading.Thread(target=lambda: queue.put(1, wait=False))
    writer.start()
    got = [queue.get(5.0) for _ in range(3)]
    writer.join(5.0)
    assert (got, queue.dropped) == ([0, 0, 1], 0)


def test_a_full_queue_of_a_file_makes_the_writer_wait_and_loses_nothing() -> None:
    queue: Bounded[int] = Bounded(2)
    writer = threading.Thread(target=lambda: [queue.put(item, wait=True) for item in range(100)])
    writer.start()
    got = [queue.get(5.0) for _ in range(100)]
    writer.join(5.0)
    assert got == list(range(100))
    assert queue.dropped == 0


def test_closing_lets_a_waiting_writer_and_a_waiting_reader_go() -> None:
    full: Bounded[int] = Bounded(1)
    full.put(1, wait=True)
    accepted: list[bool] = []
    writer = threading.Thread(target=lambda: accepted.append(full.put(2, wait=True)))
    writer.start()
    full.close()
    writer.join(5.0)
    assert accepted == [False]

    empty: Bounded[int] = Bounded(1)
    ended: list[bool] = []

    def read() -> None:
        try:
            empty.get(20.0)
        except Closed:
            ended.append(True)

    reader = threading.Thread(target=read)
    reader.start()
    empty.close()
    reader.join(5.0)
    assert ended == [True]


def test_a_closed_queue_takes_and_gives_nothing() -> None:
    queue: Bounded[int] = Bounded(2)
    queue.put(1, wait=True)
    queue.close()
    queue.close()
    assert not queue.put(2, wait=True)
    assert not queue.put(2, wait=False)
    with pytest.raises(Closed):
        queue.get(0.0)


def test_the_slot_shows_the_newest_value_as_often_as_it_is_asked() -> None:
    slot = Latest(1)
    slot.set(2)
    slot.set(3)
    assert (slot.get(), slot.get()) == (3, 3)
