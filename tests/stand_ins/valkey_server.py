"""Stands in for Amazon ElastiCache: a real Valkey (or Redis) server on loopback that tests and the benchmark start themselves.

Never shipped: nothing of the backend imports it. What differs from ElastiCache: no IAM, one machine, and passwords where a test
wants them. With `tls` it has a certificate of its own authority, made for it.

`with ValkeyServer() as server:` gives an address; `stop()` and `start()` in between keep the port and nothing of what was kept.
"""

from __future__ import annotations

import atexit
import contextlib
import ipaddress
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PROGRAMS: Final = ("valkey-server", "redis-server")
_ELSEWHERE: Final = "/usr/bin:/usr/local/bin:/opt/homebrew/bin"
_STARTS_WITHIN_S: Final = 20.0


class NoValkey(Exception):
    """There is no server program on this machine."""


def program() -> str:
    """Raises NoValkey."""
    for name in _PROGRAMS:
        found = shutil.which(name) or shutil.which(name, path=_ELSEWHERE)
        if found:
            return found
    raise NoValkey("neither valkey-server nor redis-server is installed")


class ValkeyServer:
    """One server with its own folder, which is gone after `close`. acl: lines of `user …`, as Valkey has them; then nobody else may in.

    arguments: further ones, as the program takes them.
    """

    def __init__(self, *, tls: bool = False, acl: str = "", arguments: tuple[str, ...] = ()) -> None:
        self._program = program()
        self._tls, self._arguments = tls, arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="hh-valkey-"))
        atexit.register(self.close)
        self.port = _free_port()
        self.ca_file = self.folder / "ca.pem"
        if tls:
            make_certificates(self.folder)
        if acl:
            (self.folder / "users.acl").write_text(acl, encoding="utf-8")
            self._arguments += ("--aclfile", str(self.folder / "users.acl"))

    @property
    def url(self) -> str:
        return f"redis{'s' if self._tls else ''}://127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        """Of the server that runs."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Returns when it listens. The first start may move to another port, where somebody was quicker."""
        port = ["--port", str(self.port)]
        if self._tls:
            port = [
                *("--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"),
                *("--tls-cert-file", str(self.folder / "server.pem")),
                *("--tls-key-file", str(self.folder / "server.key"), "--tls-ca-cert-file", str(self.ca_file)),
            ]
        tool = shutil.which("setpriv") if sys.platform == "linux" else None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *([tool, "--pdeathsig", "KILL", "--"] if tool else []),
                    *(self._program, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
                    *("--daemonize", "no", "--dir", str(self.folder), *port, *self._arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        ends_s = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < ends_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError((self.folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:])

    def stop(self) -> None:
        """As a machine that fails: at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def close(self) -> None:
        atexit.unregister(self.close)
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def make_certificates(folder: Path, host: str = "127.0.0.1") -> None:
    """ca.pem, server.pem and server.key of one authority."""
    now = datetime.now(UTC)

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def built(subject: str, key: ec.EllipticCurvePrivateKey, *, is_ca: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named("stand-in authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_pem = built("stand-in authority", authority, is_ca=True).sign(authority, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    server_pem = built(host, server, is_ca=False).add_extension(names, critical=False)
    (folder / "ca.pem").write_bytes(authority_pem.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(
        server_pem.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    (folder / "server.key").write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
