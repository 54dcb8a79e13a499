"""A command that has ended tries nothing again by itself, and says so."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

import pytest

from client.cli.by_hand import by_hand
from client.cloud import faults, wire
from client.pipeline import sync


def sentences(module: ModuleType) -> list[str]:
    """The texts of a module that promise that something happens by itself; not of a clock, which does."""
    tree = ast.parse(inspect.getsource(module))
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)]
    said = [
        argument.value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in {"said", "marked"}
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
    return [text for text in said if "by itself" in text and "set them by itself" not in text]


def test_there_are_such_sentences() -> None:
    assert len(sentences(faults)) > 5 and len(sentences(sync)) > 3


@pytest.mark.parametrize("text", [*sentences(faults), *sentences(sync), *sentences(wire)])
def test_no_sentence_promises_what_nobody_does(text: str) -> None:
    said = by_hand(text)
    assert "by itself" not in said and "un this command again" in said
    assert said.count("..") == 0 and said[0].isupper()


def test_another_command_can_be_named() -> None:
    found = by_hand(faults.RateLimited().remedy, "Run 'health-helper sync --once'")
    assert found == "Run 'health-helper sync --once' after a while."


def test_what_promises_nothing_stays() -> None:
    remedy = faults.DeviceRevoked().remedy
    assert by_hand(remedy) == remedy
