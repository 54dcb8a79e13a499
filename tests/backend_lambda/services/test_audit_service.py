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
from backend_lambda.services.audit import Audit, BadAnchor
from backend_lambda.store import audit, clinics
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

    def flaws(self) -> list[tuple[UUID, int, str]]:
        return [
            (finding.clinic_id, flaw.seq, str(flaw.kind))
            for finding in self.service.verify()
            for flaw in finding.flaws
        ]


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
    (finding,) = room.service.verify()
    assert (finding.clinic_id, finding.flaws, finding.anchors) == (room.clinic_id, [], 2)


def test_what_was_done_to_a_row_is_named(room: Room) -> None:
    room.tamper("UPDATE audit SET actor_id = 'somebody else' WHERE seq = 3")
    assert room.flaws() == [(room.clinic_id, 3, "changed")]
    room.tamper("DELETE FROM audit WHERE seq = 2")
    assert (room.clinic_id, 2, "missing") in room.flaws()


def test_a_chain_that_was_cut_with_its_head_is_seen_by_the_kept_head(room: Room) -> None:
    room.service.keep_heads()
    room.tamper(
        "DELETE FROM audit WHERE seq > 3",
        "UPDATE audit_head SET seq = 3, hash = (SELECT hash FROM audit WHERE seq = 3)",
    )
    assert room.flaws() == [(room.clinic_id, 5, "head")]


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
    assert [finding.anchors for finding in room.service.verify(days=2)] == [0]
    assert [finding.anchors for finding in room.service.verify(days=3)] == [1]


def test_a_head_that_is_none_is_named(room: Room) -> None:
    for data in (b"", b"[]", b'{"heads": [{"clinic_id": "x"}]}'):
        room.fakes.audit.objects["heads/2026-11-27/12.json"] = []
        room.fakes.audit.put("heads/2026-11-27/12.json", data, "application/json")
        with pytest.raises(BadAnchor, match=r"heads/2026-11-27/12\.json"):
            list(room.service.verify())


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
    assert command("audit", "verify", "--clinic", str(uuid4())) == 0


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
    assert main(["ingest", str(tmp_path), "--bucket", "b", "--data-source", "d"]) == 2
    said = capsys.readouterr().err
    assert "HH_STAGE" in said and "HH_REGION" in said and "canary" not in said


@pytest.mark.parametrize("arguments", [[], ["audit"], ["nothing"], ["audit", "verify", "--clinic", "x"]])
def test_a_wrong_command_line_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    capsys.readouterr()
