"""What the README of the cloud points at is there, and what it shows is what the commands say."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from backend_lambda.planning import picture, readme

ROOT = Path(__file__).resolve().parents[2]
TEXT = readme.README.read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", TEXT)


@cache
def functions_of(path: str) -> set[str]:
    return set(re.findall(r"def (test_\w+)\(", (ROOT / path).read_text(encoding="utf-8")))


def named(pattern: str) -> list[str]:
    return sorted({one for one in CODE if re.fullmatch(pattern, one)})


@pytest.mark.parametrize("reference", named(r"tests/[\w/]+\.py::test_\w+"))
def test_a_test_that_is_named_is_there(reference: str) -> None:
    path, _, test = reference.partition("::")
    assert test in functions_of(path)


@pytest.mark.parametrize("reference", named(r"(tests|stacks|planning|requirements|optional|\.ci)/[\w./-]*"))
def test_a_file_that_is_named_is_there(reference: str) -> None:
    here = readme.README.parent
    assert any((folder / reference).exists() for folder in (ROOT, here, here / "stacks"))


@pytest.mark.parametrize("reference", named(r"[\w-]+\.yaml#\w+"))
def test_a_resource_that_is_named_is_there(reference: str) -> None:
    template, _, resource = reference.partition("#")
    assert resource in picture.read(picture.STACKS / template)["Resources"]


@pytest.mark.parametrize("reference", named(r"python -m backend_lambda.*"))
def test_a_command_that_is_named_is_known(reference: str) -> None:
    package, command = [*reference.split(), ""][2:4]
    source = (ROOT / package.replace(".", "/") / "__main__.py").read_text(encoding="utf-8")
    assert f'"{command}"' in source or not command


def test_every_line_of_the_law_names_what_shows_it() -> None:
    rows = [line for line in TEXT.splitlines() if re.match(r"\| \((a|b|c|d|e)\)", line)]
    assert len(rows) == 12
    for row in rows:
        shown = row.rstrip(" |").rpartition("|")[2]
        assert re.search(r"`(tests/|core\.yaml#)", shown), row


@pytest.mark.parametrize("name", readme.parts())
def test_what_is_shown_is_what_the_command_says(name: str) -> None:
    parts: dict[str, Callable[[], str]] = readme.parts()
    assert readme.filled(TEXT, {name: parts[name]}) == TEXT, "python -m backend_lambda.planning readme"


def test_a_place_that_is_missing_is_told() -> None:
    with pytest.raises(ValueError, match="no single place for cost"):
        readme.filled("nothing", {"cost": str})


def test_a_place_is_filled_and_filled_again_the_same() -> None:
    once = readme.filled("a\n<!-- x -->\nold\n<!-- /x -->\nb\n", {"x": lambda: "new\n\n"})
    assert once == "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n"
    assert readme.filled(once, {"x": lambda: "new"}) == once
