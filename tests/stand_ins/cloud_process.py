"""The local cloud in a process of its own, which can be killed at any moment and started again with all that it had said to have.

The database is PostgreSQL, run by whoever uses this (`Postgres(durable=True)`); a crash of it is that one's `stop(crash=True)`.
What forks is a process that has loaded everything and begun no thread, so that a start takes a fraction of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.stand_ins.local_cloud import Lasting, LocalCloud
from tests.stand_ins.postgres import Urls

ROOT = Path(__file__).resolve().parents[2]
_LOOKS_S = 0.2


class CloudProcess:
    """Ready when `start` returns; runs until the block is left. port, aws_port: of the API and of S3, the same at each start."""

    def __init__(self, folder: Path, urls: Urls, *, settings: dict[str, str] | None = None) -> None:
        """folder: where S3's objects and the signing key lie; it is there already."""
        self.folder, self.urls, self._settings = folder, urls, dict(settings or {})
        self.port, self.aws_port = _free_port(), _free_port()
        self.public_url = self.aws_public_url = ""
        self.nice = 0
        """How far it stands back where others want the processor too; from the next start on."""
        self._pid: int | None = None
        self._log = (folder / "cloud.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.stand_ins.cloud_process import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._log.close()

    @property
    def pid(self) -> int | None:
        """Of the process that answers; None: none does."""
        return self._pid

    def start(self, *, clinics: int = 0, codes: int = 0) -> list[tuple[str, str]]:
        """Returns so many enrolment codes, of so many new clinics in turn, each with its clinic's id."""
        if self._pid is not None:
            raise RuntimeError("it runs")
        self._say(
            {
                "port": self.port,
                "settings": self._settings,
                "folder": str(self.folder),
                "urls": [getattr(self.urls, name) for name in Urls.__slots__],
                "aws_port": self.aws_port,
                "public_url": self.public_url,
                "aws_public_url": self.aws_public_url,
                "nice": self.nice,
                "clinics": clinics,
                "codes": codes,
            }
        )
        self._pid = int(self._line()["pid"])
        answer = self._line()
        if "failed" in answer:
            self.kill()
            raise RuntimeError(answer["failed"])
        return [(clinic, code) for clinic, code in answer["codes"]]

    def kill(self) -> None:
        """With SIGKILL: nothing is finished and nobody is told."""
        pid, self._pid = self._pid, None
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self._say({"reap": pid})
            self._line()

    def _say(self, asked: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process that forks is gone")
        found: dict[str, Any] = json.loads(line)
        return found


def serve() -> None:
    """For each line of standard input a child, or the end of one."""
    told = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the functions' log lines
    running: int | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        if "reap" in asked:
            os.waitpid(asked["reap"], 0)
            running = None
            os.write(told, b"{}\n")
            continue
        running = os.fork()
        if not running:
            _child(asked, told)
        os.write(told, json.dumps({"pid": running}).encode() + b"\n")
    if running is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running, signal.SIGKILL)


def _child(asked: dict[str, Any], told: int) -> None:
    """Never returns. Ends by itself only where whoever forked it is gone."""
    parent = os.getppid()
    os.nice(asked["nice"])
    lasting = Lasting(
        Path(asked["folder"]),
        Urls(*asked["urls"]),
        asked["aws_port"],
        asked["public_url"],
        asked["aws_public_url"],
    )
    try:
        with LocalCloud(asked["port"], settings=asked["settings"], lasting=lasting) as cloud:
            clinics = [cloud.add_clinic() for _ in range(asked["clinics"])]
            codes = [
                (str(clinic), cloud.enrolment_code(clinic))
                for clinic in (clinics[at % len(clinics)] for at in range(asked["codes"]))
            ]
            os.write(told, json.dumps({"codes": codes}).encode() + b"\n")
            never = threading.Event()
            while os.getppid() == parent:
                never.wait(_LOOKS_S)
    except BaseException as error:  # noqa: BLE001 (told to whoever started it)
        os.write(told, json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode() + b"\n")
    finally:
        os._exit(0)


def _free_port() -> int:
    """Free a moment ago. Linux gives it to nobody else by itself for some time."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
