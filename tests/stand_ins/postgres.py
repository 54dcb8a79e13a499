"""Stands in for Amazon RDS: a real PostgreSQL server on loopback that the tests, the benchmark and the local cloud start themselves.

Never shipped: nothing of the backend imports it. What differs from RDS: no TLS, no IAM, no proxy in front; the tables' owner is
an ordinary role that may make roles, as RDS's master user is.

`with Postgres() as server: urls = server.migrated()` gives an address for each role. Works as root (the server then runs as
"nobody", for PostgreSQL refuses root) and as anybody else. `stop()` and `start()` in between keep data and port.
`with Replica(server) as replica` is a streaming standby of it, as RDS's read replicas are.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import psycopg
from psycopg import sql

from backend_lambda.store.migrate import migrate

_NOBODY: Final = 65534
_STARTS_WITHIN_S: Final = 60.0
_STOPS_WITHIN_S: Final = 30.0
_FOLLOWS_WITHIN_S: Final = 20.0
_KEPT_FOR_REPLICAS: Final = "1GB"
"""Of the log, for one that stood still or was stopped while others were made: each copy ends a segment of 16 MiB."""
_ROLES: Final = ("api", "chat", "processing", "auditor", "export")
_SAFE: Final = re.compile(r"^[a-z][a-z0-9_]{0,40}$")


class NoPostgres(Exception):
    """There is no PostgreSQL server program on this machine."""


@dataclass(frozen=True, slots=True)
class Urls:
    """Of one database, by role. superuser: what nobody has on RDS; for looking at the catalog and for tampering."""

    superuser: str
    owner: str
    api: str
    chat: str
    processing: str
    auditor: str
    export: str


def programs() -> Path:
    """The folder with initdb and postgres, the newest version first. Raises NoPostgres."""
    name = "initdb.exe" if os.name == "nt" else "initdb"
    roots = (
        ("/usr/lib/postgresql", "*/bin"),  # Debian, Ubuntu
        ("/usr", "pgsql-*/bin"),  # Red Hat
        ("/opt/homebrew/opt", "postgresql*/bin"),
        ("/usr/local/opt", "postgresql*/bin"),
        ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
        (os.environ.get("PROGRAMFILES", "C:/Program Files") + "/PostgreSQL", "*/bin"),
        (os.environ.get("PGROOT", "/nowhere"), "bin"),  # GitHub's Windows machines name PGROOT
    )
    found = [
        folder for root, pattern in roots for folder in Path(root).glob(pattern) if (folder / name).exists()
    ]
    if found:
        return max(found, key=_version)
    if on_path := shutil.which(name):
        return Path(on_path).resolve().parent
    raise NoPostgres("no initdb under /usr/lib/postgresql, of Homebrew, in Program Files or on PATH")


def _version(folder: Path) -> int:
    numbers = re.findall(r"\d+", str(folder))
    return int(numbers[-1]) if numbers else 0


class Postgres:
    """One server with its own folder, which is gone after `close`.

    durable: fsync on, as in production (for benchmarks); otherwise what is committed survives a crash of the server and not of the
    machine.
    extra: further settings, name to value.
    """

    def __init__(self, *, durable: bool = False, extra: dict[str, str] | None = None) -> None:
        self._programs = programs()
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "100",
            "timezone": "Asia/Kathmandu",  # nobody may rely on the server's
            "log_timezone": "UTC",
            **({} if durable else {"fsync": "off", "full_page_writes": "off"}),
            **(extra or {}),
        }
        self._superuser_password = secrets.token_urlsafe(16)
        self._passwords = {name: secrets.token_urlsafe(16) for name in ("owner", *_ROLES)}
        self._process: subprocess.Popen[bytes] | None = None
        self._template: str | None = None
        self.port = 0
        self._as_nobody = os.name == "posix" and os.geteuid() == 0
        self.folder = Path(tempfile.mkdtemp(prefix="hh-postgres-"))
        atexit.register(self.close)
        try:
            self._make()
            self.start()
            self._make_owner()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- The server ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Returns when it answers. The first start picks a free port, later ones keep it."""
        if self._process is not None:
            return
        for _ in range(5):
            port = self.port or _free_port()
            if self._runs_on(port):
                self.port = port
                return
            if self.port or "Address already in use" not in self.log():
                break
        raise RuntimeError(f"PostgreSQL does not start: {self.log()[-2000:]}")

    def stop(self, *, crash: bool = False) -> None:
        """Breaks every connection. crash: without a checkpoint, so that the next start has to recover."""
        process, self._process = self._process, None
        if process is None:
            return
        if os.name == "nt":
            self._run("pg_ctl", "stop", "-D", str(self._data), "-m", "immediate" if crash else "fast", "-w")
        elif process.poll() is None:
            process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
        try:
            process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Stop it and take its folder away."""
        atexit.unregister(self.close)
        self.stop(crash=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """Of the server's first process; None: it does not run."""
        return None if self._process is None else self._process.pid

    def log(self) -> str:
        """What the server has said."""
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _make(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self._superuser_password, encoding="utf-8")
        if self._as_nobody:
            os.chown(self.folder, _NOBODY, _NOBODY)
            os.chown(password_file, _NOBODY, _NOBODY)
        self._run(
            "initdb",
            "--pgdata",
            str(self._data),
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={password_file}",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        )
        password_file.unlink()

    def _runs_on(self, port: int) -> bool:
        settings = [f"--{name}={value}" for name, value in {**self._settings, "port": str(port)}.items()]
        with (self.folder / "log").open("ab") as log:
            command = [str(self._programs / "postgres"), "-D", str(self._data), *settings]
            if (
                os.name == "nt"
            ):  # pg_ctl gives up an administrator's rights, without which postgres does not start
                options = subprocess.list2cmdline(settings)
                command = [
                    str(self._programs / "pg_ctl"),
                    "start",
                    "-W",
                    "-D",
                    str(self._data),
                    "-o",
                    options,
                ]
            process = subprocess.Popen(
                [*self._dies_with_us(), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=os.name == "posix",  # Ctrl-C is for us, who then end it
                **self._identity(),
            )
        deadline_s = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < deadline_s:
            if self._says_ready():
                self._process = process
                return True
            if process.poll() not in {None, 0}:
                return False
            time.sleep(0.01)
        process.kill()
        process.wait()
        return False

    def _says_ready(self) -> bool:
        """The eighth line of postmaster.pid is the server's state."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            return len(lines) >= 8 and lines[7].strip() == "ready"
        return False

    def _dies_with_us(self) -> list[str]:
        """On Linux the kernel ends the server when the thread that started it is gone, however it ended."""
        tool = shutil.which("setpriv") if sys.platform == "linux" else None
        return [tool, "--pdeathsig", "INT", "--"] if tool else []

    def _identity(self) -> dict[str, Any]:
        return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if self._as_nobody else {}

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            capture_output=True,
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder), "LC_ALL": "C"},
            check=False,
            **self._identity(),
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.decode(errors='replace')[-2000:]}")

    # --- Databases -----------------------------------------------------------------------------------

    def url(self, database: str, role: str = "superuser") -> str:
        """role: superuser, owner, api, chat, processing, auditor or export."""
        user, password = (
            ("postgres", self._superuser_password)
            if role == "superuser"
            else (f"{role}_login", self._passwords[role])
        )
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def urls(self, database: str) -> Urls:
        """All of them."""
        return Urls(self.url(database), *(self.url(database, role) for role in ("owner", *_ROLES)))

    def empty(self, name: str) -> Urls:
        """A new database without tables. Its role logins work only after something has been migrated on this server."""
        self._create(name, template="template0")
        return self.urls(name)

    def migrated(self, name: str | None = None) -> Urls:
        """A new database with all migrations. The first is made by them, later ones are copies of it, which takes a tenth."""
        if self._template is None:
            self._create("migrated", template="template0")
            migrate(self.url("migrated", "owner"))
            self._make_logins()
            self._template = "migrated"
        if name is None:
            name = f"hh_{secrets.token_hex(6)}"
        self._create(name, template=self._template)
        return self.urls(name)

    def drop(self, name: str) -> None:
        """With whoever is connected to it."""
        self._as_superuser(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _create(self, name: str, *, template: str) -> None:
        if not _SAFE.match(name):
            raise ValueError(f"no name for a database: {name!r}")
        self._as_superuser(
            sql.SQL("CREATE DATABASE {} OWNER owner_login TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )

    def _make_owner(self) -> None:
        self._as_superuser(
            sql.SQL("CREATE ROLE owner_login LOGIN CREATEROLE NOSUPERUSER NOBYPASSRLS PASSWORD {}").format(
                self._passwords["owner"]
            )
        )

    def _make_logins(self) -> None:
        """What a deployment does after migrating."""
        for role in _ROLES:
            self._as_superuser(
                sql.SQL("CREATE ROLE {} LOGIN NOBYPASSRLS IN ROLE {} PASSWORD {}").format(
                    sql.Identifier(f"{role}_login"), sql.Identifier(f"hh_{role}"), self._passwords[role]
                )
            )

    def _as_superuser(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


class Replica(Postgres):
    """A hot standby that follows the primary, with all of its databases and logins. Read only.

    Begins with a copy of the primary as it is now; `close` before the primary. `stop()` and `start()`: it catches up.
    """

    def __init__(self, primary: Postgres) -> None:
        self._primary = primary
        super().__init__(extra={**primary._settings, "hot_standby": "on"})

    def pause(self) -> None:
        """What comes from the primary is kept and not shown. `resume` shows it."""
        self._ask("SELECT pg_wal_replay_pause()")
        self._until("SELECT pg_get_wal_replay_pause_state() = 'paused'")

    def resume(self) -> None:
        self._ask("SELECT pg_wal_replay_resume()")

    def catch_up(self) -> None:
        """Returns when it shows all that the primary has committed by now."""
        with psycopg.connect(self._primary.url("postgres"), autocommit=True) as connection:
            written = connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchall()[0][0]
        self._until(
            f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn AND EXISTS (SELECT FROM pg_stat_wal_receiver)"
        )

    def leave(self) -> None:
        """The connection to the primary ends and is not made again; what it has can still be read."""
        self._ask("ALTER SYSTEM SET primary_conninfo = ''")
        self._ask("SELECT pg_reload_conf()")
        self._until("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")

    def promote(self) -> None:
        """No standby any more."""
        self._ask("SELECT pg_promote()")

    def _make(self) -> None:
        self._superuser_password = self._primary._superuser_password
        self._passwords = dict(self._primary._passwords)
        if self._as_nobody:
            os.chown(self.folder, _NOBODY, _NOBODY)
        with psycopg.connect(self._primary.url("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET wal_keep_size = '{_KEPT_FOR_REPLICAS}'")
            connection.execute("SELECT pg_reload_conf()")
        self._run(
            "pg_basebackup",
            f"--pgdata={self._data}",
            f"--dbname={self._primary.url('postgres')}",
            "--write-recovery-conf",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
            "--no-manifest",
        )

    def _make_owner(self) -> None:
        """It came with the copy."""

    def _ask(self, statement: str) -> object:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall()[0][0] if found.description else None

    def _until(self, question: str) -> None:
        deadline_s = time.monotonic() + _FOLLOWS_WITHIN_S
        while not self._ask(question):
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"the standby does not come to it: {question}; {self.log()[-2000:]}")
            time.sleep(0.01)


def _free_port() -> int:
    """Free a moment ago: another program may take it, then the server says so and another is tried."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
