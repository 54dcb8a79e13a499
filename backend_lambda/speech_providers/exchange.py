"""One question to a provider over HTTPS, and its whole answer or none. Nothing of what was asked or answered gets into errors."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from backend_lambda.errors import Code, Refusal, unavailable

CONNECT_S = 3.0
LONGEST_WAIT_S = 3600.0
USUAL_WAIT_S = 5.0
_PIECE_BYTES = 16_384
_ILL_FORMED = {400, 405, 415, 422}


@dataclass(frozen=True, slots=True)
class Answer:
    """media_type: without parameters, in small letters. retry_after_s: None where none was said in seconds."""

    status: int
    media_type: str
    retry_after_s: float | None
    body: bytes = field(repr=False)


class Exchange:
    """With one host. A new connection for each question: one that was kept may be dead after the function slept, and nothing is asked twice.

    base_url: "https://api.example.org"; "http://…" for stand-ins. within_s: for all of it after the connection stands, however slowly it drips.
    Redirects are not followed, proxies of the environment are not used.
    """

    def __init__(self, base_url: str, within_s: float) -> None:
        parts = urlsplit(base_url)
        if (
            parts.scheme not in {"https", "http"}
            or not parts.hostname
            or parts.username
            or parts.path.strip("/")
        ):
            raise ValueError("no address of a host")
        self._host, self._port, self._is_secure = parts.hostname, parts.port, parts.scheme == "https"
        self._within_s = within_s

    def post(self, path: str, headers: Mapping[str, str], content: object, most_bytes: int) -> Answer | None:
        """None: no whole answer came, or one that is too large."""
        body = json.dumps(content, ensure_ascii=False).encode()
        given = {
            "User-Agent": "health-helper",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "Content-Type": "application/json",
            **headers,
        }
        try:
            return self._posted(path, given, body, most_bytes)
        except (OSError, http.client.HTTPException, ValueError):
            return None  # their texts may quote what was asked

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _connection(self) -> http.client.HTTPConnection:
        if self._is_secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=CONNECT_S, context=self._context
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_S)

    def _posted(self, path: str, headers: Mapping[str, str], body: bytes, most_bytes: int) -> Answer | None:
        connection = self._connection()
        try:
            connection.connect()
            connection.sock.settimeout(self._within_s)
            # the time-out is for each read; this is for all of them, so that the head cannot drip either
            watch = threading.Timer(self._within_s, _cut, (connection.sock,))
            watch.daemon = True
            watch.start()
            try:
                connection.request("POST", path, body, dict(headers))
                response = connection.getresponse()
                return _answer(response, _whole(response, most_bytes))
            finally:
                watch.cancel()
        finally:
            connection.close()


def _cut(connected: socket.socket) -> None:
    with suppress(OSError, ValueError):
        connected.shutdown(socket.SHUT_RDWR)


def _whole(response: http.client.HTTPResponse, most_bytes: int) -> bytes | None:
    """None: too large, cut off, packed, or nothing says where it ends."""
    is_packed = response.headers.get("Content-Encoding", "identity").lower() != "identity"
    if is_packed or (response.length is None and not response.chunked):
        return None
    data = bytearray()
    while piece := response.read1(_PIECE_BYTES):
        data += piece
        if len(data) > most_bytes:
            return None
    return None if response.length else bytes(data)


def _answer(response: http.client.HTTPResponse, body: bytes | None) -> Answer | None:
    if body is None:
        return None
    wait = response.headers.get("Retry-After", "")
    return Answer(
        response.status,
        response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
        min(float(wait), LONGEST_WAIT_S) if re.fullmatch(r"[0-9]{1,9}", wait) else None,
        body,
    )


def checked_key(key: Callable[[], str], what: str) -> str:
    """What the store of secrets has. Raises Refusal 500 where it cannot stand in a header."""
    found = key().strip()
    if not re.fullmatch(r"[!-~]{8,512}", found):
        raise Refusal(500, Code.INTERNAL, f"The key of {what} is ill-formed.")
    return found


def refusal(answer: Answer | None, what: str) -> Refusal:
    """429 where the provider says so, 500 where our request was ill-formed, else 503. what: names the provider in a sentence."""
    if answer is None:
        return unavailable(
            Code.SPEECH_UNAVAILABLE, f"{what} does not answer now.", retry_after_s=USUAL_WAIT_S
        )
    wait_s = answer.retry_after_s or USUAL_WAIT_S
    if answer.status == 429:
        return Refusal(429, Code.RATE_LIMITED, f"{what} takes no more requests now.", retry_after_s=wait_s)
    if answer.status in _ILL_FORMED:
        return Refusal(500, Code.INTERNAL, f"A request to {what} was ill-formed ({answer.status}).")
    return unavailable(
        Code.SPEECH_UNAVAILABLE,
        f"{what} does not answer as it should ({answer.status}).",
        retry_after_s=wait_s,
    )
