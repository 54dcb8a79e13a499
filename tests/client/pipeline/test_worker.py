"""The thread that may wait, and the picture of a camera without measuring."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from client.errors import BadInput, SourceStalled
from client.pipeline.preview import Preview
from client.pipeline.worker import Worker
from tests.client.pipeline.fakes import ScriptedSource, frames


def test_jobs_are_done_in_their_order_in_one_other_thread() -> None:
    worker = Worker("test")
    done: list[tuple[int, str]] = []

    def job(k: int) -> int:
        done.append((k, threading.current_thread().name))
        return k

    futures = [worker.do(partial(job, k)) for k in range(20)]
    assert [future.result(5.0) for future in futures] == list(range(20))
    assert done == [(k, "test") for k in range(20)]
    assert worker.end(5.0)


def test_what_a_job_raises_belongs_to_whoever_asks_and_the_next_is_done() -> None:
    worker = Worker("test")

    def fail() -> None:
        raise BadInput(title="No", remedy="Yes.")

    failed, after = worker.do(fail), worker.do(lambda: 1)
    with pytest.raises(BadInput):
        failed.result(5.0)
    assert after.result(5.0) == 1 and worker.end(5.0)


def test_a_job_that_hangs_keeps_nobody_from_ending() -> None:
    worker, go_on = Worker("test"), threading.Event()
    worker.do(go_on.wait)
    assert not worker.end(0.05)
    go_on.set()
    assert worker.end(5.0)


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + 5.0
    while not holds():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.005)


def test_a_preview_keeps_the_newest_frame_and_closes_its_source() -> None:
    source = ScriptedSource(frames(30))
    with Preview(source) as preview:

        def newest() -> bool:
            frame = preview.frame()
            return frame is not None and frame.t_s == pytest.approx(29 / 30)

        _until(newest, "the last")
        assert preview.fault() is None
    assert source.closed.is_set()


@pytest.mark.parametrize(
    ("source", "title"),
    [
        (ScriptedSource([SourceStalled(title="Silent", remedy="Wait.")] * 100), "Silent"),
        (ScriptedSource([], open_error=BadInput(title="Gone", remedy="Plug it in.")), "Gone"),
    ],
)
def test_a_preview_says_what_keeps_pictures_from_coming(source: ScriptedSource, title: str) -> None:
    with Preview(source) as preview:
        _until(lambda: preview.fault() is not None, "the fault")
        fault = preview.fault()
        assert fault is not None and fault.title == title
    assert source.closed.is_set()
