"""Lambda's Runtime API on the loopback address: hands out invocations and takes answers as they stream in.

A stand-in for tests; never shipped. Raw sockets, because the standard library's server reads neither chunks nor trailers.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass
class Answer:
    """What came back for one invocation. chunks: (monotonic second, bytes). trailers: lower-case names."""

    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return b"".join(data for _, data in self.chunks)


INVOCATION = "invocation"
"""What this one's invocation ids begin with."""


class RuntimeApi:
    """hang_up_after: so many chunks of an answer are read, then the connection is cut."""

    def __init__(self, hang_up_after: int | None = None) -> None:
        self.answers: queue.Queue[Answer] = queue.Queue()
        self._waiting: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self._hang_up_after = hang_up_after
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="runtime-api", daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def invoke(self, request_id: str, event: dict[str, Any]) -> None:
        self._waiting.put((request_id, event))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                try:
                    self._one(connection, lines)
                except (ConnectionError, TimeoutError):
                    continue

    def _one(self, connection: socket.socket, lines: Any) -> None:
        asked = lines.readline()
        if not asked:  # killed between its call and its first word
            return
        method, path, _ = asked.decode().split(" ", 2)
        headers = _headers(lines)
        if method == "GET":
            request_id, event = self._waiting.get()
            body = json.dumps(event).encode()
            deadline_ms = int((time.time() + 60) * 1000)
            connection.sendall(
                f"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {request_id}\r\n"
                f"Lambda-Runtime-Invocation-Id: {INVOCATION}-{request_id}\r\n"
                f"Lambda-Runtime-Deadline-Ms: {deadline_ms}\r\nLambda-Runtime-Invoked-Function-Arn: arn:local\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            return
        answer = Answer(path, headers)
        if headers.get("transfer-encoding") == "chunked":
            while size := int(lines.readline(), 16):
                answer.chunks.append((time.monotonic(), lines.read(size)))
                lines.readline()
                if len(answer.chunks) == self._hang_up_after:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    self.answers.put(answer)
                    return
            answer.trailers = _headers(lines)
        else:
            answer.chunks.append((time.monotonic(), lines.read(int(headers["content-length"]))))
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.answers.put(answer)


def _headers(lines: Any) -> dict[str, str]:
    found = {}
    while line := lines.readline().strip():
        name, _, value = line.decode().partition(":")
        found[name.lower()] = value.strip()
    return found
