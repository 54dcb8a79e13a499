"""Stands in for Amazon Transcribe's and Deepgram's web sockets in tests; never shipped. It understands nothing: it says what a test scripted."""

from __future__ import annotations

import json
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.stand_ins.aws import event_stream

Words = Sequence[str]


def sound_of(message: bytes) -> bytes:
    """What an AudioEvent carries; the frame is checked as Amazon's decoder would."""
    total, length, crc = struct.unpack_from("!III", message)
    assert total == len(message) and crc == zlib.crc32(message[:8])
    assert struct.unpack("!I", message[-4:])[0] == zlib.crc32(message[:-4])
    assert b"AudioEvent" in message[12 : 12 + length]
    return message[12 + length : -4]


def transcript(name: str, words: str, *, partial: bool) -> bytes:
    """A TranscriptEvent."""
    items = [{"Content": one, "Confidence": 0.9} for one in words.split()]
    result = {
        "ResultId": name,
        "IsPartial": partial,
        "Alternatives": [{"Transcript": words, "Items": items}],
    }
    return event_stream.event("TranscriptEvent", {"Transcript": {"Results": [result]}})


@dataclass
class HearingServer:
    """words: of an utterance; after each 100 ms of sound one more is understood. heard: all sound that came, by connection.

    breaks: called with each connection instead, where a test wants trouble. Serves until the block is left.
    """

    words: Words = ("my", "chest", "hurts")
    protocol: str = "transcribe"
    tls: ssl.SSLContext | None = None
    breaks: Callable[[ServerConnection], None] | None = None
    heard: list[bytearray] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server: Server = serve(self._serve, "127.0.0.1", 0, ssl=self.tls, compression=None)
        self._thread = threading.Thread(target=self._server.serve_forever, name="hearing-server")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()

    @property
    def url(self) -> str:
        scheme = "ws" if self.tls is None else "wss"
        return f"{scheme}://127.0.0.1:{self._server.socket.getsockname()[1]}/stream?signed=yes"

    def _serve(self, line: ServerConnection) -> None:
        assert line.request is not None
        self.headers.append(dict(line.request.headers.raw_items()))
        try:
            if self.breaks is not None:
                self.breaks(line)
            elif self.protocol == "deepgram":
                self._deepgram(line)
            else:
                self._transcribe(line)
        except ConnectionClosed:
            return

    def _said_by(self, sound: bytearray) -> str:
        return " ".join(self.words[: len(sound) // 3200])

    def _transcribe(self, line: ServerConnection) -> None:
        sound = bytearray()
        self.heard.append(sound)
        for message in line:
            assert isinstance(message, bytes)
            piece = sound_of(message)
            if not piece:
                line.send(transcript("r1", " ".join(self.words), partial=False))
                return
            sound += piece
            line.send(transcript("r1", self._said_by(sound), partial=True))

    def _deepgram(self, line: ServerConnection) -> None:
        sound = bytearray()
        self.heard.append(sound)
        for message in line:
            if isinstance(message, str):
                assert json.loads(message) == {"type": "CloseStream"}
                line.send(self._results(" ".join(self.words), final=True))
                return
            sound += message
            line.send(self._results(self._said_by(sound), final=False))

    @staticmethod
    def _results(words: str, *, final: bool) -> str:
        best = {"transcript": words, "confidence": 0.8}
        return json.dumps({"type": "Results", "is_final": final, "channel": {"alternatives": [best]}})
