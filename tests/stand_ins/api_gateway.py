"""Amazon API Gateway on the loopback address: real HTTP in, REST proxy events (format 1.0) to the real handlers, their answers out.

A stand-in for tests and for `make cloud`; never shipped. It keeps the limits that the service has (10 MB, 29 s, no answer that is
no proxy answer, or larger than Lambda gives back: 6 MB as JSON, the body a text in it), knows no stages, no WAF and no TLS. Streaming routes get a generator handler, as the small runtime calls it.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from backend_lambda.streaming.runtime import Context, Prelude

MAX_BODY_BYTES = 10_000_000
MAX_ANSWER_BYTES = 6_291_556
"""What Lambda itself names when it refuses an answer (413, Function.ResponseSizeTooLarge)."""
TIME_OUT_MS = 29_000
_BINARY = ("audio/", "image/", "application/pdf", "application/octet-stream")

Buffered = Callable[[dict[str, Any], Any], dict[str, Any]]
Streaming = Callable[[dict[str, Any], Any], Generator[Prelude | bytes, None, None]]


@dataclass(frozen=True, slots=True)
class BufferedContext:
    """What Powertools asks of a context."""

    aws_request_id: str
    function_name: str = "api"
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "1024"
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:api"
    log_group_name: str = "/aws/lambda/api"
    log_stream_name: str = "local"

    def get_remaining_time_in_millis(self) -> int:
        return TIME_OUT_MS


def proxy_event(
    method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes, source_ip: str, request_id: str
) -> dict[str, Any]:
    """As API Gateway makes it of an HTTP request. target: path and query."""
    parts = urlsplit(target)
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    many: dict[str, list[str]] = {}
    for name, value in headers:
        many.setdefault(name, []).append(value)
    one = {name: values[-1] for name, values in many.items()}
    media_type = next((value for name, value in one.items() if name.lower() == "content-type"), "")
    try:
        text: str | None = body.decode("utf-8") if body else None
        encoded = media_type.startswith(_BINARY)
    except UnicodeDecodeError:
        text, encoded = None, True
    if body and encoded:
        text = base64.b64encode(body).decode()
    path = unquote(parts.path)
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": one or None,
        "multiValueHeaders": many or None,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "httpMethod": method,
            "identity": {"sourceIp": source_ip, "userAgent": one.get("User-Agent", "")},
            "path": path,
            "protocol": "HTTP/1.1",
            "requestId": request_id,
            "requestTimeEpoch": int(time.time() * 1000),
            "resourceId": "proxy",
            "resourcePath": "/{proxy+}",
            "stage": "v1",
        },
        "body": text,
        "isBase64Encoded": bool(body) and encoded,
    }


class ApiGateway:
    """Serves until the block is left. streaming: (method, path) → generator handler; every other request goes to `buffered`."""

    def __init__(
        self, buffered: Buffered, streaming: Mapping[tuple[str, str], Streaming] | None = None, port: int = 0
    ) -> None:
        gateway = self
        self._buffered, self._streaming = buffered, dict(streaming or {})
        self.faults: list[str] = []
        """Answers of handlers that are none, by kind."""

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # an answer's head and body go out together
            server_version = "local-api-gateway"
            sys_version = ""

            def log_message(self, *_: object) -> None: ...

            def _any(self) -> None:
                gateway._serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _any  # noqa: N815

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, *_: object) -> None: ...  # a client that is gone is no matter

        self._server = Server(("127.0.0.1", port), Requests)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="api-gateway", daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        request_id = str(uuid.uuid4())
        length = request.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES or request.headers.get("Transfer-Encoding"):
            request.close_connection = True
            _plain(request, 413, "Request Too Long")
            return
        body = request.rfile.read(int(length))
        event = proxy_event(
            request.command,
            request.path,
            request.headers.items(),
            body,
            request.client_address[0],
            request_id,
        )
        streaming = self._streaming.get((request.command, str(event["path"])))
        if streaming is not None:
            self._stream(request, streaming, event, request_id)
            return
        try:
            answer = self._buffered(event, BufferedContext(request_id))
            status, headers, sent = _answer(answer)
        except Exception as error:  # noqa: BLE001 (as the service does)
            self.faults.append(type(error).__name__)
            _plain(request, 502, "Internal server error")
            return
        request.send_response(status)
        for name, value in headers:
            if name.lower() != "content-length":
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(sent)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(sent)
        request.wfile.flush()

    def _stream(
        self, request: BaseHTTPRequestHandler, handler: Streaming, event: dict[str, Any], request_id: str
    ) -> None:
        context = Context(request_id, int((time.time() + 60) * 1000), "chat", "$LATEST", "512", "")
        pieces = handler(event, context)
        try:
            first = next(pieces)
            assert isinstance(first, Prelude)
        except Exception as error:  # noqa: BLE001 (as the service does)
            self.faults.append(type(error).__name__)
            _plain(request, 502, "Internal server error")
            return
        request.send_response(first.status)
        for name, value in first.headers.items():
            request.send_header(name, value)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        try:
            request.wfile.flush()
            for piece in pieces:
                if isinstance(piece, bytes) and piece:
                    request.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    request.wfile.flush()
            request.wfile.write(b"0\r\n\r\n")
            request.wfile.flush()
        except OSError:
            request.close_connection = True  # the client is gone
        except Exception as error:  # noqa: BLE001 (the stream is cut, as the service does)
            self.faults.append(type(error).__name__)
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
        finally:
            pieces.close()


class ResponseSizeTooLarge(Exception):
    """The function has answered with more than Lambda takes."""


def _answer(answer: Mapping[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
    """Raises where the service would call it malformed, and where Lambda would not give it back."""
    if len(json.dumps(answer, ensure_ascii=False).encode()) > MAX_ANSWER_BYTES:  # as its runtime writes it
        raise ResponseSizeTooLarge
    status = int(answer["statusCode"])
    many = answer.get("multiValueHeaders") or {}
    headers = [(name, str(value)) for name, values in many.items() for value in values]
    headers += [
        (name, str(value)) for name, value in (answer.get("headers") or {}).items() if name not in many
    ]
    body = answer.get("body") or ""
    if not isinstance(body, str):
        raise TypeError("a body is text")
    return status, headers, base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()


def _plain(request: BaseHTTPRequestHandler, status: int, message: str) -> None:
    sent = json.dumps({"message": message}).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(sent)))
    request.end_headers()
    request.wfile.write(sent)
    request.wfile.flush()
