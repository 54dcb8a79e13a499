"""Servers on the loopback address for the way to the cloud: HTTPS whose every byte a test decides, HTTP/2, and a proxy with tunnels."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

WAIT_S = 10.0
"""Longer than any test may take: a connection that is still open then ends."""


@dataclass
class Asked:
    """One request as it came. headers: names in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """What a script has: the way back to whoever asks."""

    def __init__(self, made: socket.socket, stopped: threading.Event) -> None:
        self._made, self._stopped = made, stopped
        self._rest = b""

    def send(self, data: bytes) -> None:
        self._made.sendall(data)

    def wait(self, seconds: float) -> bool:
        """False: the server is ended."""
        return not self._stopped.wait(seconds)

    def reset(self) -> None:
        """As a firewall does it: RST instead of an orderly end."""
        self._made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._made.close()

    def shut(self) -> None:
        with contextlib.suppress(OSError):
            self._made.close()

    def read(self) -> bytes:
        """What has come; b"" at the end."""
        data, self._rest = self._rest, b""
        return data or self._made.recv(65536)

    def head(self) -> tuple[str, str, dict[str, str]] | None:
        """Method, target and headers of the next request; None: there is none."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.read()
            if not piece:
                return None
            data += piece
        head, _, self._rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return method, target, headers

    def body(self, headers: Mapping[str, str]) -> bytes:
        """As long as was said, or what came of it."""
        length = int(headers.get("content-length", "0"))
        data = b""
        while len(data) < length:
            piece = self.read()
            if not piece:
                break
            data += piece
        data, self._rest = data[:length], data[length:] + self._rest
        return data


Script = Callable[[Asked, Connection], None]


def answer(
    status: int = 200, body: object = b"", headers: Mapping[str, str] | None = None, **more: str
) -> bytes:
    """HTTP/1.1, whole. body: bytes, or something to be JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
    all_of_it = {**kind, "Content-Length": str(len(data)), **(headers or {}), **more}
    lines = "".join(f"{name}: {value}\r\n" for name, value in all_of_it.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + data


def problem(
    status: int, code: str, headers: Mapping[str, str] | None = None, *, retry_after_s: float | None = None
) -> bytes:
    """A refusal as the API has it."""
    body = {
        "type": f"urn:health-helper:problem:{code}",
        "title": "Refused.",
        "status": status,
        "code": code,
        "request_id": "r-1",
        **({} if retry_after_s is None else {"retry_after_s": retry_after_s}),
    }
    return answer(status, body, {"Content-Type": "application/problem+json", **(headers or {})})


def says(*answers: bytes) -> Script:
    """One after another; the last again and again."""
    left = list(answers)

    def script(_asked: Asked, connection: Connection) -> None:
        connection.send(left.pop(0) if len(left) > 1 else left[0])

    return script


@dataclass
class Server:
    """Serves until the block is left. tls: None for plain HTTP. script: what it does with each request; it may be changed at any time.

    asked: every request, whole. connections: accepted so far. raw: takes a connection as it is, before TLS and HTTP.
    spoils: changes the bytes of an answer over HTTP/2 on their way; the connection then ends.
    """

    script: Script
    tls: ssl.SSLContext | None = None
    raw: Callable[[socket.socket], None] | None = None
    reads_body: bool = True
    spoils: Callable[[bytes], bytes] | None = None
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _open: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WAIT_S)

    def _start(self, work: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=work, args=given, name="tls-server", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                made, _ = self._listener.accept()
            except OSError:
                return
            made.settimeout(WAIT_S)
            self.connections += 1
            self._start(self._serve, made)

    def _serve(self, made: socket.socket) -> None:
        self._open.append(made)
        try:
            if self.raw is not None:
                self.raw(made)
                return
            if self.tls is not None:
                made = self.tls.wrap_socket(made, server_side=True)
                self._open.append(made)
                if made.selected_alpn_protocol() == "h2":
                    self._serve_http2(made)
                    return
            self._serve_http1(Connection(made, self._stopped))
        except (OSError, ValueError):
            pass  # whoever asked is gone, or does not trust us
        finally:
            made.close()

    def _serve_http1(self, connection: Connection) -> None:
        while (head := connection.head()) is not None:
            method, target, headers = head
            asked = Asked(method, target, headers, connection.body(headers) if self.reads_body else b"")
            self.asked.append(asked)
            self.script(asked, connection)

    def _serve_http2(self, made: socket.socket) -> None:
        """Each request gets 200 with {"http": 2}."""
        from h2.config import H2Configuration
        from h2.connection import H2Connection
        from h2.events import DataReceived, RequestReceived, StreamEnded

        speaking = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        speaking.initiate_connection()
        made.sendall(speaking.data_to_send())
        begun: dict[int, Asked] = {}
        while data := made.recv(65536):
            for event in speaking.receive_data(data):
                if isinstance(event, RequestReceived):
                    headers = {str(name): str(value) for name, value in event.headers}
                    begun[event.stream_id] = Asked(headers[":method"], headers[":path"], headers, b"")
                elif isinstance(event, DataReceived):
                    begun[event.stream_id].body += event.data
                    speaking.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    self.asked.append(begun.pop(event.stream_id))
                    head = [(":status", "200"), ("content-type", "application/json")]
                    speaking.send_headers(event.stream_id, head)
                    speaking.send_data(event.stream_id, b'{"http":2}', end_stream=True)
                    if self.spoils is not None:
                        made.sendall(self.spoils(speaking.data_to_send()))
                        return
            made.sendall(speaking.data_to_send())


def tunnel(made: socket.socket, port: int) -> None:
    """What a proxy does once it has agreed: bytes to and fro, until one side ends."""
    with socket.create_connection(("127.0.0.1", port)) as other:

        def copy(one: socket.socket, two: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := one.recv(65536):
                    two.sendall(data)
            with contextlib.suppress(OSError):
                two.shutdown(socket.SHUT_RDWR)

        back = threading.Thread(target=copy, args=(other, made), name="tunnel", daemon=True)
        back.start()
        copy(made, other)
        back.join(WAIT_S)
