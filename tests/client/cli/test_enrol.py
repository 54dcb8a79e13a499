"""A device comes to a clinic from the terminal: what is said. Against the whole backend: tests/contract/test_sync_with_cloud.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from client.cloud.faults import CodeRefused
from client.parts import Kept
from tests.client.cli.conftest import Bench, Said
from tests.client.pipeline.test_sync import CLINIC
from tests.client.store.conftest import MemoryVault, kept_in

Command = Callable[..., Said]


class Asked:
    """What the clinic's server was asked, and its answer."""

    def __init__(self) -> None:
        self.with_: list[tuple[str, str | None]] = []
        self.answer: Exception | None = None


@pytest.fixture
def asked(bench: Bench, tmp_path: Path) -> Asked:
    made, vault = Asked(), MemoryVault()

    def store() -> Kept:
        kept = kept_in(tmp_path / "store", vault)

        def enrol(code: str, url: str | None) -> Mapping[str, str]:
            made.with_.append((code, url))
            if made.answer is not None:
                raise made.answer
            kept.outbox.set_enrolled(CLINIC)
            return CLINIC

        return replace(kept, enrol=enrol)

    bench.store = store
    return made


def test_a_code_enrols_and_says_with_whom(command: Command, asked: Asked) -> None:
    said = command("enrol", "ABCD-EFGH-2345")
    assert said.status == 0 and said.out == ""
    assert CLINIC["clinic_id"] in said.err and "https://cloud.example" in said.err
    assert "have agreed" in said.err
    assert command("enrol", "ABCD-EFGH-2345", "--url", "https://other.example").status == 0
    assert asked.with_ == [("ABCD-EFGH-2345", None), ("ABCD-EFGH-2345", "https://other.example")]


def test_a_code_that_is_refused_is_4(command: Command, asked: Asked) -> None:
    asked.answer = CodeRefused()
    said = command("enrol", "ABCD-EFGH-2345")
    assert said.status == 4 and "was used already" in said.err


def test_whoever_leaves_is_told_of_whom(command: Command, asked: Asked) -> None:
    assert "enrolled with no clinic" in command("enrol", "--leave").err
    command("enrol", "ABCD-EFGH-2345")
    assert CLINIC["clinic_id"] in command("enrol", "--leave").err
    assert "enrolled with no clinic" in command("enrol", "--leave").err


@pytest.mark.parametrize("flags", [(), ("CODE", "--leave"), ("--leave", "--url", "https://cloud.example")])
def test_either_a_code_or_leaving(command: Command, asked: Asked, flags: tuple[str, ...]) -> None:
    assert command("enrol", *flags).status == 2 and asked.with_ == []
