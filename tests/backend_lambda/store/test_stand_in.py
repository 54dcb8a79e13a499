"""The stand-in itself: it starts for anybody, ends whatever happens, and listens to nobody from outside."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from tests.stand_ins import postgres as stand_in
from tests.stand_ins.postgres import Postgres

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import json, os, sys, time
from tests.stand_ins.postgres import Postgres
server = Postgres()
urls = server.migrated()
owner = os.stat(server.folder / "data").st_uid
print(json.dumps({"port": server.port, "folder": str(server.folder), "user": owner}), flush=True)
mode = sys.argv[1]
if mode == "wait": time.sleep(60)
if mode == "fail": raise SystemExit("on purpose")
"""


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def gone(port: int) -> bool:
    deadline_s = time.monotonic() + 10
    while answers(port):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def begin(mode: str, first: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", first + PROGRAM, mode],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )


def told(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    facts: dict[str, object] = json.loads(process.stdout.readline())
    return facts


def test_it_is_found() -> None:
    assert (stand_in.programs() / "postgres").exists() or (stand_in.programs() / "postgres.exe").exists()


def test_stop_start_close(postgres: Postgres) -> None:
    with Postgres(extra={"work_mem": "5MB"}) as server:
        urls = server.migrated("mine")
        with psycopg.connect(urls.api) as connection:
            assert connection.execute("SHOW work_mem").fetchall() == [("5MB",)]
            assert connection.execute("SHOW fsync").fetchall() == [("off",)]
            assert connection.execute("SHOW listen_addresses").fetchall() == [("127.0.0.1",)]
        port, folder = server.port, server.folder
        assert port != postgres.port
        server.start()  # it runs already
        server.stop()
        server.stop()
        assert not answers(port)
        server.start()
        assert server.port == port
        with psycopg.connect(urls.api) as connection:
            assert connection.execute("SELECT current_user").fetchall() == [("api_login",)]
        assert "ready to accept connections" in server.log()
    assert not answers(port)
    assert not folder.exists()


def test_durable() -> None:
    with Postgres(durable=True) as server, psycopg.connect(server.url("postgres")) as connection:
        shown = [
            connection.execute(f"SHOW {name}".encode()).fetchall()[0][0]
            for name in ("fsync", "synchronous_commit")
        ]
    assert shown == ["on", "on"]


def test_what_does_not_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    real = tempfile.mkdtemp

    def recorded(prefix: str) -> str:
        made.append(Path(real(prefix=prefix)))
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", recorded)
    with pytest.raises(RuntimeError, match=r"does not start.*no_such_setting"):
        Postgres(extra={"no_such_setting": "1"})
    assert len(made) == 1
    assert not made[0].exists()


def test_a_port_that_was_taken_in_the_meantime(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        real = stand_in._free_port
        offered = iter([taken.getsockname()[1]])
        monkeypatch.setattr(stand_in, "_free_port", lambda: next(offered, None) or real())
        with Postgres() as server, psycopg.connect(server.url("postgres")) as connection:
            assert server.port != taken.getsockname()[1]
            assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_it_ends_with_a_program_that_forgets_it() -> None:
    for mode in ("forget", "fail"):
        with begin(mode) as process:
            facts = told(process)
        assert gone(int(str(facts["port"])))
        assert not Path(str(facts["folder"])).exists()


@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("setpriv"), reason="asks the Linux kernel for it"
)
def test_it_ends_with_a_program_that_is_killed() -> None:
    with begin("wait") as process:
        facts = told(process)
        assert answers(int(str(facts["port"])))
        process.kill()
    assert gone(int(str(facts["port"])))
    shutil.rmtree(str(facts["folder"]), ignore_errors=True)  # nobody was left to do it


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be somebody else")
def test_as_an_ordinary_user() -> None:
    """The other tests run as whoever runs them; as root, this is the other way. Python's own files may be readable by root alone, so
    everything is loaded before the program becomes "nobody".
    """
    begin_as = (
        "import encodings.idna, os, psycopg\nfrom tests.stand_ins import postgres\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); os.environ['HOME'] = '/nowhere'\n"
    )
    with begin("forget", begin_as) as process:
        facts = told(process)
    assert gone(int(str(facts["port"])))
    assert facts["user"] == 65534
    assert not Path(str(facts["folder"])).exists()
