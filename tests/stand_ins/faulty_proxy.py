"""A bad network between a device and the local cloud, for tests; never shipped. HTTP/1.1 on the loopback address, one port for each server.

While `troubles` is on, requests of devices are dropped, halved, sent twice, delayed, and their answers lost, halved, delayed, changed or
replaced by a page. What is no device's request (the functions' own requests to S3, which are signed in a header) passes as it is.

What TLS would notice and nobody else can is not done: the answer to a sign-in (whose tokens are secrets without a checksum) and the
address of a server are lost, halved and replaced, but no single sign of them is changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

_PIECE_BYTES = 65_536
_HEAD_BYTES = 65_536
_PAGE = b"<!doctype html><title>Free Wi-Fi</title><p>Please agree to our terms."
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]+)[ \t]*\r$")
_ADDRESS = re.compile(rb"[a-z]+://[^/\"?]*")
_LATER_S = 0.4


class Trouble(StrEnum):
    """What happens to one request."""

    DROPPED = "dropped"
    """The connection ends and the server hears nothing."""
    CUT = "cut"
    """The server gets half of the request."""
    TWICE = "twice"
    """The server gets it two times at once; the device gets one of the answers."""
    DELAYED = "delayed"
    LOST = "lost"
    """The server has done it, and its answer does not arrive."""
    HALVED = "halved"
    CHANGED = "changed"
    """Some bytes of the answer are others."""
    PAGE = "page"
    """Instead of the answer a page of HTML, as a portal has it."""
    TOO_LONG = "too_long"
    """The answer says it is longer than it is."""
    TOO_SHORT = "too_short"
    """The answer says it is shorter than it is."""
    NOISE = "noise"
    """Bytes that are no HTTP."""


@dataclass(frozen=True, slots=True)
class _Message:
    """Of one request or answer, as it stood on the wire."""

    head: bytes
    body: bytes

    @property
    def whole(self) -> bytes:
        return self.head + self.body


class _Gone(Exception):
    """One of the two ends is."""


class FaultyProxy:
    """Serves until the block is left. servers: name → port of 127.0.0.1; `ports` has where each is reached here.

    share: how many of the devices' requests get a trouble. counts: of those that were made. never: paths that are left alone.
    """

    def __init__(
        self,
        servers: Mapping[str, int],
        rng: random.Random,
        *,
        share: float = 0.3,
        never: tuple[str, ...] = ("/v1/devices/enrol",),
    ) -> None:
        self._servers, self._rng, self._share = dict(servers), rng, share
        self._never = tuple(path.encode() for path in never)
        self.ports: dict[str, int] = {}
        self.troubles = threading.Event()
        self.counts: Counter[Trouble] = Counter()
        self.requests = 0
        self.script: Callable[[bytes, bytes], Trouble | None] | None = None
        """Instead of chance: of method and target to what happens. For tests of one moment."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="faulty-proxy")
        self._ready = threading.Event()
        self._end: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._end is not None
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    # --- Its own thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        open_: set[asyncio.Task[None]] = set()

        def served(port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
            def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                task = self._loop.create_task(self._connection(reader, writer, port))
                open_.add(task)
                task.add_done_callback(open_.discard)

            return begin

        listeners = []
        for name, port in self._servers.items():
            listener = await asyncio.start_server(served(port), "127.0.0.1", 0, limit=_HEAD_BYTES)
            listeners.append(listener)
            self.ports[name] = int(listener.sockets[0].getsockname()[1])
        self._ready.set()
        await self._end.wait()
        for listener in listeners:
            listener.close()
        for task in list(open_):
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)

    async def _connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        """One connection of a device with its own to the server: where one ends, both do."""
        ends = [writer]
        try:
            await self._requests(reader, writer, port, ends)
        except (_Gone, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # of whichever end; the other one hears it now
        finally:
            for one in ends:
                one.close()

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        port: int,
        ends: list[asyncio.StreamWriter],
    ) -> None:
        """Until one end is gone, which is raised."""
        head = await _head(reader)
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port, limit=_HEAD_BYTES)
        ends.append(upstream)
        while True:
            trouble = self._chosen(head)
            if trouble is Trouble.DROPPED:
                raise _Gone
            if b"100-continue" in head:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if trouble is Trouble.CUT:
                upstream.write(head + await reader.read(max(1, _length(head) // 2)))
                await upstream.drain()
                raise _Gone
            request = _Message(head, await reader.readexactly(_length(head)))
            if trouble is Trouble.DELAYED:
                await asyncio.sleep(self._rng.uniform(0.0, _LATER_S))
            answers = [_exchanged(request, upstream_reader, upstream)]
            if trouble is Trouble.TWICE:
                answers.append(self._once_more(request, port))
            found = await asyncio.gather(*answers)
            await self._answer(writer, self._rng.choice(found), trouble, head)
            head = await _head(reader)

    async def _once_more(self, request: _Message, port: int) -> _Message:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_HEAD_BYTES)
        try:
            return await _exchanged(request, reader, writer)
        finally:
            writer.close()

    def _chosen(self, head: bytes) -> Trouble | None:
        method, target = head.split(b" ", 2)[:2]
        if not (target.startswith(b"/v1/") or b"X-Amz-Signature=" in target):
            return None
        self.requests += 1
        if target.partition(b"?")[0] in self._never:
            return None
        if self.script is not None:
            trouble = self.script(method, target)
        elif self.troubles.is_set() and self._rng.random() < self._share:
            trouble = self._rng.choice(list(Trouble))
        else:
            trouble = None
        if trouble is not None:
            self.counts[trouble] += 1
        return trouble

    async def _answer(
        self, writer: asyncio.StreamWriter, answer: _Message, trouble: Trouble | None, request: bytes
    ) -> None:
        sent, ends = answer.whole, True
        match trouble:
            case Trouble.LOST:
                raise _Gone
            case Trouble.HALVED:
                sent = sent[: len(sent) // 2]
            case Trouble.CHANGED:
                sent = answer.head + self._changed(answer.body, request)
                ends = False
            case Trouble.PAGE:
                sent = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (
                    len(_PAGE),
                    _PAGE,
                )
            case Trouble.TOO_LONG:
                sent = _with_length(answer.head, len(answer.body) + 7) + answer.body
            case Trouble.TOO_SHORT:
                sent = _with_length(answer.head, max(0, len(answer.body) - 7)) + answer.body
            case Trouble.NOISE:
                sent = self._rng.randbytes(64)
            case _:
                ends = False
        writer.write(sent)
        await writer.drain()
        if ends:
            raise _Gone

    def _changed(self, body: bytes, request: bytes) -> bytes:
        if not body or b" /v1/token " in request:
            return body
        spared = {at for found in _ADDRESS.finditer(body) for at in range(*found.span())}
        changed = bytearray(body)
        for _ in range(self._rng.choice((1, 1, 3))):
            at = self._rng.randrange(len(body))
            if at not in spared:
                changed[at] ^= 1 << self._rng.randrange(7)
        return bytes(changed)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        raise _Gone from None


def _length(head: bytes) -> int:
    """Bytes of the body. Nobody here sends chunks."""
    if b"transfer-encoding:" in head.lower():
        raise _Gone
    found = _LENGTH.search(head)
    return 0 if found is None else int(found[1])


def _with_length(head: bytes, length: int) -> bytes:
    return _LENGTH.sub(b"Content-Length: %d\r" % length, head)


async def _exchanged(
    request: _Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> _Message:
    for at in range(0, len(request.whole), _PIECE_BYTES):
        writer.write(request.whole[at : at + _PIECE_BYTES])
        with contextlib.suppress(
            ConnectionResetError
        ):  # what it has answered before it broke off is read below
            await writer.drain()
    while True:
        head = await _head(reader)
        status = int(head.split(b" ", 2)[1])
        if status >= 200:
            break
    bodiless = request.head.startswith(b"HEAD ") or status in {204, 304}
    return _Message(head, b"" if bodiless else await reader.readexactly(_length(head)))
