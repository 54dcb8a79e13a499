"""Heads where nobody can change them, and a verification that names what somebody did in the database all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from backend_lambda import app
from backend_lambda.__main__ import main
from backend_lambda.errors import Code, unavailable
from backend_lambda.services.audit import Audit, Finding, ObjectFinding
from backend_lambda.store import audit, clinics
from backend_lambda.store.audit import Flaw, FlawKind
from backend_lambda.store.database import Database
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import Fakes
from tests.backend_lambda.world import settings
from tests.stand_ins.postgres import Postgres, Urls


class Room:
    """A database of its own with one clinic's chain of five rows."""

    def __init__(self, urls: Urls, connected: Callable[[str], Database], clock: SetClock) -> None:
        self.urls, self.clock, self.fakes = urls, clock, Fakes(clock)
        self.api, self.auditor = connected(urls.api), connected(urls.auditor)
        self.service = Audit(self.auditor, self.fakes.ports(), settings())
        self.clinic_id = uuid4()
        with self.api.outside() as transaction:
            clinics.add(transaction, self.clinic_id, "Clinic", clock.utc())
        self.add(5)

    def add(self, count: int) -> None:
        for number in range(count):
            with self.api.clinic(self.clinic_id) as transaction:
                entry = audit.Entry("device", "d", f"act-{number}", "thing", "t", "ok", "r")
                audit.append(transaction, entry, self.clock.utc())

    def tamper(self, *statements: str) -> None:
        """As whoever owns the machine."""
        with psycopg.connect(self.urls.superuser, autocommit=True) as connection:
            connection.execute(
                "ALTER TABLE audit DISABLE TRIGGER ALL; ALTER TABLE audit_head DISABLE TRIGGER ALL"
            )
            for statement in statements:
                connection.execute(statement.encode())

    def cut(self, to: int) -> None:
        """The end of the chain, and its head with it."""
        self.tamper(
            f"DELETE FROM audit WHERE seq > {to}",
            f"UPDATE audit_head SET seq = {to}, hash = (SELECT hash FROM audit WHERE seq = {to})",
        )

    def flaws(self, days: int | None = None) -> list[tuple[UUID, int, str]]:
        return [
            (finding.clinic_id, flaw.seq, str(flaw.kind))
            for finding in self.chains(days)
            for flaw in finding.flaws
        ]

    def chains(self, days: int | None = None) -> list[Finding]:
        return [found for found in self.service.verify(days=days) if isinstance(found, Finding)]

    def objects(self) -> list[tuple[str, str]]:
        found = [one for one in self.service.verify() if isinstance(one, ObjectFinding)]
        return [(one.key, str(one.flaw)) for one in found]


@pytest.fixture
def room(own_urls: Urls, connected: Callable[[str], Database], clock: SetClock) -> Room:
    return Room(own_urls, connected, clock)


def test_heads_are_kept_locked_for_seven_years(room: Room) -> None:
    key, count = room.service.keep_heads()
    assert (key, count) == ("heads/2026-11-27/12.json", 1)
    (version,) = room.fakes.audit.objects[key]
    assert version.locked_until == room.clock.utc() + timedelta(days=2557)
    kept = json.loads(version.data)
    assert kept["heads"][0]["clinic_id"] == str(room.clinic_id)
    assert kept["heads"][0]["seq"] == 5
    assert len(bytes.fromhex(kept["heads"][0]["hash"])) == 32


def test_a_whole_chain_has_no_flaw(room: Room) -> None:
    room.service.keep_heads()
    room.clock.go(3600)
    room.add(3)
    room.service.keep_heads()
    (finding,) = room.chains()
    assert (finding.clinic_id, finding.flaws, finding.anchors) == (room.clinic_id, [], 2)


def test_what_was_done_to_a_row_is_named(room: Room) -> None:
    room.tamper("UPDATE audit SET actor_id = 'somebody else' WHERE seq = 3")
    assert room.flaws() == [(room.clinic_id, 3, "changed")]
    room.tamper("DELETE FROM audit WHERE seq = 2")
    assert (room.clinic_id, 2, "missing") in room.flaws()


def test_a_chain_that_was_cut_with_its_head_is_seen_by_the_kept_head(room: Room) -> None:
    room.service.keep_heads()
    room.cut(3)
    assert room.flaws() == [(room.clinic_id, 5, "head")]


def test_a_newer_version_takes_nothing_away_from_a_kept_head(room: Room) -> None:
    """Object Lock forbids neither it nor a delete marker; the locked version is still there."""
    key, _ = room.service.keep_heads()
    room.cut(3)
    assert room.service.keep_heads()[0] == key, "in the same hour: heads that fit what was done"
    assert room.flaws() == [(room.clinic_id, 5, "head")]
    assert room.objects() == []
    room.fakes.audit.delete(key)
    assert room.flaws() == [(room.clinic_id, 5, "head")]
    assert room.objects() == [(key, "hidden by a delete marker")]
    assert [finding.anchors for finding in room.chains()] == [2]


def test_a_kept_head_that_was_written_over_and_hidden_long_ago_is_named(room: Room) -> None:
    key, _ = room.service.keep_heads()
    room.fakes.audit.delete(key)
    room.fakes.audit.put(key, b"{}", "application/json")
    room.clock.go(30 * 86_400)
    room.service.keep_heads()
    assert room.flaws() == []
    assert sorted(room.objects()) == [(key, "hidden by a delete marker"), (key, "holds no heads")]


def test_a_chain_that_is_old_enough_has_a_kept_head(room: Room) -> None:
    room.clock.go(3 * 3600)
    assert room.flaws() == []
    room.clock.go(1)
    assert room.flaws() == [(room.clinic_id, 1, "unanchored")]
    room.service.keep_heads()
    assert room.flaws() == []
    room.add(2)
    room.clock.go(3 * 3600)
    assert room.flaws() == []
    room.clock.go(1)
    assert room.flaws() == [(room.clinic_id, 6, "unanchored")], "they are kept no more"


def test_a_clinic_that_nobody_knows_is_not_called_whole(room: Room) -> None:
    unknown = uuid4()
    assert list(room.service.verify(unknown)) == [Finding(unknown, [Flaw(1, FlawKind.MISSING)], 0)]


def test_a_chain_that_is_gone_is_seen_by_the_kept_head(room: Room) -> None:
    room.service.keep_heads()
    room.tamper("DELETE FROM audit", "DELETE FROM audit_head")
    assert room.flaws() == [(room.clinic_id, 5, "head")]


def test_without_kept_heads_a_rewritten_chain_would_pass(room: Room) -> None:
    """Why they are kept: this is the limit of a chain alone."""
    room.tamper("DELETE FROM audit", "DELETE FROM audit_head")
    assert room.flaws() == []


def test_heads_older_than_asked_for_are_not_read(room: Room) -> None:
    room.service.keep_heads()
    room.clock.go(3 * 86_400)
    assert [finding.anchors for finding in room.chains(days=2)] == [0]
    assert room.flaws(days=2) == [(room.clinic_id, 1, "unanchored")]
    assert [finding.anchors for finding in room.chains(days=3)] == [1]
    room.clock.go(1000 * 86_400)
    assert [finding.anchors for finding in room.chains()] == [1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"5",
        b'{"heads": [{"clinic_id": "x"}]}',
        b'{"heads": [{"clinic_id": 1, "seq": 1, "hash": ""}]}',
        b"[" * 100_000,
    ],
    ids=range(6),
)
def test_heads_that_are_none_are_named_and_hide_nothing(room: Room, data: bytes) -> None:
    key, _ = room.service.keep_heads()
    room.cut(3)
    room.fakes.audit.put(key, data, "application/json")
    assert room.objects() == [(key, "holds no heads")]
    assert room.flaws() == [(room.clinic_id, 5, "head")]


def test_heads_too_large_to_read_are_named(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = room.service.keep_heads()
    monkeypatch.setattr("backend_lambda.services.audit.MAX_HEADS_BYTES", 10)
    assert room.objects() == [(key, "holds no heads")]


# --- The commands ------------------------------------------------------------------------------------


@pytest.fixture
def command(room: Room, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    backend = app.Backend(settings(), room.fakes.ports(), room.auditor)
    monkeypatch.setattr(app, "backend", lambda: backend)
    return lambda *arguments: main(list(arguments))


def test_verify_says_what_it_found_by_its_exit_status_too(
    room: Room, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("audit", "heads") == 0
    assert capsys.readouterr().out == "heads/2026-11-27/12.json: 1\n"
    assert command("audit", "verify") == 0
    assert capsys.readouterr().out == f"{room.clinic_id}  whole, 1 kept heads compared\n"
    room.tamper("UPDATE audit SET action = 'nothing' WHERE seq = 4")
    assert command("audit", "verify", "--clinic", str(room.clinic_id)) == 1
    assert capsys.readouterr().out == f"{room.clinic_id}  row 4  changed\n"
    room.tamper("DELETE FROM audit WHERE seq IN (2, 3)")
    assert command("audit", "verify") == 1
    assert "row 2  missing (2 rows)" in capsys.readouterr().out
    assert command("audit", "verify", "--clinic", str(uuid4())) == 1


def test_verify_says_what_was_done_to_the_kept_heads(
    room: Room, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    key, _ = room.service.keep_heads()
    room.fakes.audit.delete(key)
    assert command("audit", "verify") == 1
    told = f"{key}  version v2  hidden by a delete marker\n{room.clinic_id}  whole, 1 kept heads compared\n"
    assert capsys.readouterr().out == told
    room.fakes.audit.objects.clear()
    room.clock.go(4 * 3600)
    assert command("audit", "verify", "--days", "7") == 1
    assert capsys.readouterr().out == f"{room.clinic_id}  row 1  unanchored (5 rows)\n"


def test_what_does_not_answer_is_another_exit_status(
    room: Room, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    room.fakes.audit.fault = unavailable(Code.OBJECTS_UNAVAILABLE, "S3 does not answer")
    assert command("audit", "heads") == 3
    assert command("audit", "verify") == 3
    assert "S3 does not answer" in capsys.readouterr().err
    room.fakes.audit.fault = None
    room.fakes.audit.put("heads/2026-11-27/12.json", b"?", "application/json")
    assert command("audit", "verify") == 1


def test_migrate_needs_an_owner_and_says_what_it_did(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = postgres.empty(f"empty_{uuid4().hex[:8]}")
    monkeypatch.setenv("HH_DATABASE_URL", empty.owner)
    assert main(["migrate"]) == 0
    assert "0001" in capsys.readouterr().out
    assert main(["migrate"]) == 0
    assert capsys.readouterr().out == "0 applied\n"
    monkeypatch.setenv("HH_DATABASE_URL", empty.api)
    assert main(["migrate"]) == 3
    monkeypatch.setenv("HH_DATABASE_URL", "")
    assert main(["migrate"]) == 2
    assert "canary" not in capsys.readouterr().err
    postgres.drop(empty.api.rpartition("/")[2])


def test_a_wrong_environment_is_told_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from backend_lambda.settings import settings as of_this_process

    monkeypatch.setenv("HH_STAGE", "canary")
    of_this_process.cache_clear()
    app.backend.cache_clear()
    assert main(["audit", "heads"]) == 2
    said = capsys.readouterr().err
    assert "HH_STAGE" in said and "HH_REGION" in said and "canary" not in said
    for name in ("HH_REGION", "HH_KNOWLEDGE_BASE_ID"):
        monkeypatch.delenv(name, raising=False)
    assert main(["ingest", str(tmp_path), "--bucket", "b", "--data-source", "d"]) == 2
    said = capsys.readouterr().err
    assert said == "the environment is wrong: HH_REGION, HH_KNOWLEDGE_BASE_ID\n"


@pytest.mark.parametrize("arguments", [[], ["audit"], ["nothing"], ["audit", "verify", "--clinic", "x"]])
def test_a_wrong_command_line_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    capsys.readouterr()
