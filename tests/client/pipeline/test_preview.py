"""A camera's picture without measuring: a bug in its thread is raised where somebody looks."""

from __future__ import annotations

import time

import pytest

from client.errors import EnvironmentFault
from client.pipeline.preview import Preview
from tests.client.pipeline.fakes import Hang, ScriptedSource, frames, stalled


def soon(holds: object) -> None:
    deadline_s = time.monotonic() + 5.0
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_the_newest_picture_is_there_and_the_source_is_let_go() -> None:
    source = ScriptedSource([*frames(5), Hang()])
    with Preview(source) as preview:
        soon(lambda: preview.frame() is not None and preview.frame().t_s > 0.1)  # type: ignore[union-attr]
        assert preview.fault() is None
    assert source.closed.is_set()


def test_a_bug_is_raised_once_where_somebody_looks() -> None:
    source = ScriptedSource([*frames(2), ZeroDivisionError("Ana")])
    with Preview(source) as preview:
        soon(source.closed.is_set)
        with pytest.raises(ZeroDivisionError):
            soon(preview.fault)
        assert preview.fault() is None


def test_the_worlds_fault_is_told_as_long_as_it_lasts() -> None:
    in_use = EnvironmentFault(title="The camera is in use", remedy="Close the other program.")
    with Preview(ScriptedSource([], open_error=in_use)) as preview:
        soon(lambda: preview.fault() is in_use)
    with Preview(ScriptedSource([stalled(), *frames(1), Hang()])) as preview:
        soon(lambda: preview.fault() is not None)
        soon(lambda: preview.frame() is not None and preview.fault() is None)
