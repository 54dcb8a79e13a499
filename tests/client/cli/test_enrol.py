"""A device comes to a clinic from the terminal: what is said. Against the whole backend: tests/contract/test_sync_with_cloud.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from client.cloud.faults import CodeRefused, Offline, ServerBusy
from client.parts import Kept
from tests.client.cli.conftest import Bench, Said
from tests.client.cli.test_kept import answers
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
    assert "this device belongs to the clinic" in said.err and "have agreed" in said.err
    assert command("enrol", "ABCD-EFGH-2345", "--url", "https://other.example", "--yes").status == 0
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


@pytest.mark.parametrize(("answer", "status"), [(True, 0), (False, 130), (None, 2)])
def test_an_enrolment_that_is_there_is_replaced_only_where_somebody_says_so(
    command: Command, asked: Asked, monkeypatch: pytest.MonkeyPatch, answer: bool | None, status: int
) -> None:
    questions = answers(monkeypatch, answer)
    assert command("enrol", "ABCD-EFGH-2345").status == 0 and questions == []
    said = command("enrol", "WXYZ-EFGH-2345")
    assert said.status == status and questions == ["Enrol it with this code instead?"]
    assert f"clinic {CLINIC['clinic_id']} at https://cloud.example already" in " ".join(said.err.split())
    assert [code for code, _ in asked.with_] == ["ABCD-EFGH-2345", *(["WXYZ-EFGH-2345"] if answer else [])]
    assert ("add --yes" in said.err) is (answer is None)


@pytest.mark.parametrize("fault", [Offline(), ServerBusy(503)])
def test_enrolling_is_not_tried_again_by_itself_and_does_not_say_so(
    command: Command, asked: Asked, fault: Exception
) -> None:
    asked.answer = fault
    said = command("enrol", "ABCD-EFGH-2345")
    assert said.status == 4 and "by itself" not in said.err and "un this command again" in said.err
