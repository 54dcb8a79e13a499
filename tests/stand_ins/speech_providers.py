"""Deepgram and Cartesia on loopback, as far as their documentation tells: they refuse what the real ones would, and misbehave on demand."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

DEEPGRAM_KEY = "0123456789abcdef0123456789abcdef01234567"
CARTESIA_KEY = "sk_car_0123456789abcdefABCDEF"
VOICES = {"f786b574-daa5-4673-aa0c-cbe3e8534c02", "a5136bf9-224c-4d76-b823-52bd5efcffcc"}
_CARTESIA_LANGUAGES = {
    *("en", "fr", "de", "es", "pt", "zh", "ja", "hi", "it", "ko", "nl", "pl", "ru", "sv", "tr", "tl"),
    *("bg", "ro", "ar", "cs", "el", "fi", "hr", "ms", "sk", "da", "ta", "uk", "hu", "no", "vi", "bn", "th"),
}
_NOVA_3 = {
    *("en", "en-US", "en-AU", "en-GB", "en-IN", "en-NZ", "es", "es-419", "fr", "fr-CA", "de", "de-CH"),
    *("pt", "pt-BR", "pt-PT", "zh", "zh-CN", "zh-TW", "zh-HK", "hi", "ar", "it", "ja", "ko", "ko-KR"),
}
_BIT_RATES, _SAMPLE_RATES = (
    {32_000, 64_000, 96_000, 128_000, 192_000},
    {8_000, 16_000, 22_050, 24_000, 44_100, 48_000},
)
_FRAME = b"\xff\xf3\x84\xc4" + bytes(188)
"""24 ms of silence: MPEG-2, layer III, 64 kbit/s, 24 kHz, one channel."""


@dataclass(frozen=True)
class Raw:
    """Sent instead of an answer. pieces: with a pause before each, then the connection ends."""

    pieces: Sequence[bytes]
    pause_s: float = 0.0


def answer(status: int, content: object, media_type: str = "application/json", **headers: str) -> Raw:
    """A whole answer. content: bytes, or what becomes JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    lines = {"Content-Type": media_type, "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return Raw([f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body])


@dataclass(frozen=True)
class Asked:
    """headers: names in small letters."""

    path: str
    headers: dict[str, str]
    content: Any


@dataclass
class SpeechProviders:
    """certificate: of the server, with its key (PEM); None: plain HTTP. instead: the next answers, whatever is asked. asked: what came."""

    certificate: Path | None = None
    instead: list[Raw] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.world = self
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http{'' if self.certificate is None else 's'}://127.0.0.1:{self._server.server_port}"

    def grant(self, asked: Asked) -> Raw:
        """A token of Deepgram's, from its key."""
        if asked.headers.get("authorization") != f"Token {DEEPGRAM_KEY}":
            return answer(401, {"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."})
        ttl_s = asked.content.get("ttl_seconds", 30)
        if (
            not isinstance(ttl_s, int | float)
            or not 1 <= ttl_s <= 3600
            or set(asked.content) - {"ttl_seconds"}
        ):
            return answer(400, {"err_code": "Bad Request", "err_msg": "Invalid TTL"})
        token = ".".join(_part(part) for part in ({"alg": "RS256"}, {"exp": int(time.time() + ttl_s)}))
        token += "." + secrets.token_urlsafe(256)
        self.tokens[token] = time.monotonic() + ttl_s
        return answer(200, {"access_token": token, "expires_in": ttl_s})

    def listen(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Whether Deepgram would open this stream: status and why not."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or self.tokens.get(token, 0.0) <= time.monotonic():
            return 401, "no token"
        query = {name: values for name, values in parse_qs(urlsplit(path).query).items() if len(values) == 1}
        said = {name: values[0] for name, values in query.items()}
        known = {
            *("model", "language", "encoding", "sample_rate", "channels"),
            *("interim_results", "smart_format", "mip_opt_out"),
        }
        if set(said) - known or said.get("model") != "nova-3" or said.get("language") not in _NOVA_3:
            return 400, "no such model or language"
        if said.get("encoding") == "linear16" and not said.get("sample_rate", "").isdigit():
            return 400, "a rate is needed with an encoding"
        return 101, ""

    def speak(self, asked: Asked) -> Raw:
        """Silence of Cartesia's, a frame for each letter."""
        if asked.headers.get("authorization") != f"Bearer {CARTESIA_KEY}":
            return _refused(401, "unauthorized")
        if asked.headers.get("cartesia-version") != "2026-03-01":
            return _refused(400, "version")
        content = asked.content
        needed = {"model_id", "transcript", "voice", "output_format"}
        if not needed <= set(content) <= needed | {"language", "generation_config"}:
            return _refused(400, "fields")
        form = content["output_format"]
        if (
            form["container"] != "mp3"
            or form["bit_rate"] not in _BIT_RATES
            or form["sample_rate"] not in _SAMPLE_RATES
        ):
            return _refused(400, "format")
        if content["model_id"] != "sonic-3" or content["language"] not in _CARTESIA_LANGUAGES:
            return _refused(400, "model")
        if not 0.6 <= content["generation_config"]["speed"] <= 1.5 or not content["transcript"].strip():
            return _refused(400, "value")
        if content["voice"]["mode"] != "id" or str(UUID(content["voice"]["id"])) not in VOICES:
            return _refused(404, "voice")
        return answer(200, _FRAME * len(content["transcript"]), "audio/mpeg")


def _part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _refused(status: int, code: str) -> Raw:
    return answer(status, {"error_code": code, "title": code, "message": code, "request_id": "r"})


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    world: SpeechProviders

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up or does not trust us is no bug of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5
    server: _Server

    def do_POST(self) -> None:
        world = self.server.world
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = Asked(self.path, self._headers(), json.loads(body))
        world.asked.append(asked)
        try:
            routes = {"/v1/auth/grant": world.grant, "/tts/bytes": world.speak}
            given = world.instead.pop(0) if world.instead else routes[self.path](asked)
        except Exception as error:
            world.failures.append(error)
            raise
        for piece in given.pieces:
            if given.pause_s and world.stopped.wait(given.pause_s):
                return
            self.wfile.write(piece)
            self.wfile.flush()
        self.close_connection = True

    def do_GET(self) -> None:
        status, why = self.server.world.listen(self.path, self._headers())
        self.send_response(status, why)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name in the library)
        """Nothing."""
