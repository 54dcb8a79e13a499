"""The file of what is done: it survives a cut, forgets what is stale, and tells a changed engine from the same one."""

from __future__ import annotations

from pathlib import Path

from client.evaluation.ledger import Ledger, Line, engine_digest, simulator_digest, source_digest
from tests.client.evaluation.outcome_maker import outcome


def line(case: str, key: str = "k") -> Line:
    return Line("traces", case, "Health Helper", key, (outcome(72.0, 72.0, case=case),))


def test_what_was_added_is_done(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "clips.jsonl")
    assert ledger.done(lambda _: True) == {}
    ledger.add(line("a"))
    ledger.add(line("b"))
    assert [found.case for found in ledger.done(lambda _: True).values()] == ["a", "b"]
    assert ledger.done(lambda _: True)["traces", "a", "Health Helper"] == line("a")


def test_a_half_written_line_is_dropped_and_the_next_one_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "clips.jsonl"
    ledger = Ledger(path)
    ledger.add(line("a"))
    path.write_text(path.read_text("utf-8") + '{"format": 1, "grou', "utf-8")
    assert list(ledger.done(lambda _: True)) == [("traces", "a", "Health Helper")]
    ledger.add(line("b"))
    assert len(ledger.done(lambda _: True)) == 2


def test_stale_lines_leave_the_file_and_the_last_of_two_counts(tmp_path: Path) -> None:
    path = tmp_path / "clips.jsonl"
    ledger = Ledger(path)
    for case, key in (("a", "old"), ("b", "new"), ("a", "new")):
        ledger.add(line(case, key))
    assert {found.case for found in ledger.done(lambda found: found.key == "new").values()} == {"a", "b"}
    assert "old" not in path.read_text("utf-8")
    ledger.forget()
    assert ledger.done(lambda _: True) == {}


def test_lines_of_another_format_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "clips.jsonl"
    ledger = Ledger(path)
    ledger.add(line("a"))
    path.write_text(path.read_text("utf-8").replace('"format": 1', '"format": 0'), "utf-8")
    assert ledger.done(lambda _: True) == {}


def test_a_digest_changes_with_any_source_but_those_left_out(tmp_path: Path) -> None:
    for name in ("a.py", "deep/b.py", "simulate/c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n", "utf-8")
    before = source_digest(tmp_path, without=("simulate",))
    (tmp_path / "simulate" / "c.py").write_text("x = 2\n", "utf-8")
    assert source_digest(tmp_path, without=("simulate",)) == before
    (tmp_path / "a.py").write_bytes(b"x = 1\r\n")  # a checkout on Windows
    assert source_digest(tmp_path, without=("simulate",)) == before
    (tmp_path / "deep" / "b.py").write_text("x = 2\n", "utf-8")
    assert source_digest(tmp_path, without=("simulate",)) != before
    assert engine_digest() != simulator_digest()
