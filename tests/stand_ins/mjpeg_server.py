"""A network camera on the loopback address: real sockets, real HTTP, every kind of trouble on demand."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

BOUNDARY = "picture-follows"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the camera behaves. The default is a good one that ends its stream with the closing boundary.

    content_length: each part states its length. stamps: each part states its time (X-Timestamp, seconds).
    stamp_rate: how fast that clock runs; 1 is right.
    paced: every picture goes out when its time has come; otherwise as fast as the socket takes them.
    status, content_type: of the answer. boundary: as announced (None: not announced).
    answers: False keeps the connection open and never says a word; sends: False answers, then is silent.
    stall_after, stall_s: after so many pictures nothing is sent for that long, then it goes on.
    drop_after: after so many pictures the first connection is cut; later ones are served from then on.
    away_s: for so long after the cut, new connections are cut at once.
    rubbish_every: every n-th picture is replaced by bytes that are no picture (1: all of them).
    repeat_every: every n-th picture is sent twice, with the same stamp.
    closes: the closing boundary is sent at the end; otherwise the connection is simply closed.
    credentials: "user:password" that must be brought; None for nobody asked. digest: by HTTP digest
    authentication (RFC 2069, as many cameras do) instead of basic.
    tls: serve https with this context.
    """

    content_length: bool = True
    stamps: bool = False
    stamp_rate: float = 1.0
    paced: bool = True
    status: int = 200
    content_type: str = "multipart/x-mixed-replace"
    boundary: str | None = BOUNDARY
    answers: bool = True
    sends: bool = True
    stall_after: int | None = None
    stall_s: float = 0.0
    drop_after: int | None = None
    away_s: float = 0.0
    rubbish_every: int | None = None
    repeat_every: int | None = None
    closes: bool = True
    credentials: str | None = None
    digest: bool = False
    tls: ssl.SSLContext | None = None


class MjpegServer:
    """Serves `pictures`, pairs of (seconds since the first connection, JPEG bytes), on 127.0.0.1.

    A later connection gets what is due from then on, as from a camera that films all the time.
    connections: how many were accepted. sent_s: when each picture really went out (time.perf_counter), for a busy
    machine is late with some.
    """

    def __init__(self, pictures: Sequence[tuple[float, bytes]], behaviour: Behaviour | None = None) -> None:
        self._pictures = pictures
        self._behaviour = behaviour or Behaviour()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._began_s: float | None = None
        self._dropped_s: float | None = None
        self._next = 0
        self.connections = 0
        self.sent_s: list[float] = []

    @property
    def port(self) -> int:
        """The port that was free."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Where the stream is."""
        scheme = "https" if self._behaviour.tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}/video"

    def __enter__(self) -> Self:
        acceptor = threading.Thread(target=self._accept, name="mjpeg-server")
        self._threads.append(acceptor)
        acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the client was faster
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                thread = threading.Thread(
                    target=self._serve, args=(connection,), name="mjpeg-server-connection"
                )
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        behaviour = self._behaviour
        try:
            if behaviour.tls is not None:
                connection = behaviour.tls.wrap_socket(connection, server_side=True)
            with self._lock:
                self._open.add(connection)
            self._talk(connection)
        except OSError:  # the client has gone, or did not like the certificate
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _talk(self, connection: socket.socket) -> None:
        behaviour = self._behaviour
        request = b""
        while b"\r\n\r\n" not in request:
            data = connection.recv(4096)
            if not data:
                return
            request += data
            if not b"GET /".startswith(request[:5]):
                connection.sendall(b"HTTP/1.1 400 What?\r\nConnection: close\r\n\r\n")
                return
        if self._dropped_s is not None and time.monotonic() - self._dropped_s < behaviour.away_s:
            return
        if not behaviour.answers:
            self._stopped.wait()
            return
        status = behaviour.status if self._may_see(request) else 401
        kind = behaviour.content_type
        if kind.startswith("multipart/") and behaviour.boundary is not None:
            kind += f"; boundary={behaviour.boundary}"
        head = f"HTTP/1.1 {status} Stand-in\r\nContent-Type: {kind}\r\nConnection: close\r\n"
        if status == 401:
            scheme = 'Digest nonce="once", ' if behaviour.digest else "Basic "
            head += f'WWW-Authenticate: {scheme}realm="camera"\r\n'
        head += "\r\n"
        connection.sendall(head.encode())
        if status != 200:
            return
        if not behaviour.sends:
            self._stopped.wait()
            return
        self._send_pictures(connection)

    def _may_see(self, request: bytes) -> bool:
        credentials = self._behaviour.credentials
        if credentials is None:
            return True
        if not self._behaviour.digest:
            return b"Basic " + base64.b64encode(credentials.encode()) in request
        user, _, password = credentials.partition(":")
        response = _md5(f"{_md5(f'{user}:camera:{password}')}:once:{_md5('GET:/video')}")
        return re.search(rf'Digest .*response="{response}"', request.decode("latin-1")) is not None

    def _send_pictures(self, connection: socket.socket) -> None:
        behaviour = self._behaviour
        if self._began_s is None:
            self._began_s = time.monotonic()
        delimiter = f"--{behaviour.boundary or BOUNDARY}".encode()
        fresh = True
        while self._next < len(self._pictures):
            t_s, jpeg = self._pictures[self._next]
            number = self._next + 1
            if behaviour.paced:
                early_s = t_s - (time.monotonic() - self._began_s)
                if fresh and early_s < -0.1:  # nobody was there to see it
                    self._next = number
                    continue
                if early_s > 0 and self._stopped.wait(early_s):
                    return
            fresh = False
            if behaviour.rubbish_every and number % behaviour.rubbish_every == 0:
                jpeg = b"this is no picture " * 40
            head = b"\r\n" + delimiter + b"\r\nContent-Type: image/jpeg\r\n"
            if behaviour.content_length:
                head += f"Content-Length: {len(jpeg)}\r\n".encode()
            if behaviour.stamps:
                head += f"X-Timestamp: {1.7e9 + t_s * behaviour.stamp_rate:.6f}\r\n".encode()
            part = head + b"\r\n" + jpeg
            self.sent_s.append(time.perf_counter())
            connection.sendall(part)
            if behaviour.repeat_every and number % behaviour.repeat_every == 0:
                connection.sendall(part)
            self._next = number
            if behaviour.stall_after == number and self._stopped.wait(behaviour.stall_s):
                return
            if behaviour.drop_after == number and self._dropped_s is None:
                self._dropped_s = time.monotonic()
                return
        if behaviour.closes:
            connection.sendall(b"\r\n" + delimiter + b"--\r\n")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def unused_port() -> int:
    """A port of 127.0.0.1 at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
