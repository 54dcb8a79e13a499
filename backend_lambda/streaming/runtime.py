"""A runtime for Lambda that streams what a generator handler yields: Python's own does not (November 2026).

Speaks the Runtime API: takes the next invocation, posts the answer chunk by chunk with
`Lambda-Runtime-Function-Response-Mode: streaming`. The first thing that a handler yields is a `Prelude`; on the wire it is JSON,
eight NUL bytes, then the body (as the Node runtime's `awslambda.HttpResponseStream`). A handler that raises before its prelude
is reported as an invocation error, one that raises later in the trailers `Lambda-Runtime-Function-Error-*`.

The function's handler is named by `_HANDLER` as "package.module.function". Sources: AWS Lambda developer guide, "Runtime API",
"Custom runtimes", "Response streaming".
"""

from __future__ import annotations

import base64
import http.client
import importlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass

Handler = Callable[[dict[str, object], "Context"], Generator["Prelude | bytes", None, None]]
_API = "2018-06-01"
_INVOCATION = "Lambda-Runtime-Invocation-Id"
_SEPARATOR = b"\0" * 8


@dataclass(frozen=True, slots=True)
class Prelude:
    """What goes ahead of the body."""

    status: int
    headers: Mapping[str, str]

    def encoded(self) -> bytes:
        return json.dumps({"statusCode": self.status, "headers": dict(self.headers)}).encode() + _SEPARATOR


@dataclass(frozen=True, slots=True)
class Context:
    """Of one invocation. deadline_ms: Unix time."""

    aws_request_id: str
    deadline_ms: int
    function_name: str
    function_version: str
    memory_limit_in_mb: str
    invoked_function_arn: str
    log_group_name: str = ""
    log_stream_name: str = ""
    invocation_id: str = ""

    def echo(self) -> dict[str, str]:
        """Goes back with the answer: Lambda tells by it the answer of a run that timed out from that of its repetition, which may have
        the same request id. Else somebody could be given another one's answer. "" from a Lambda that does not send one.
        """
        return {_INVOCATION: self.invocation_id} if self.invocation_id else {}


def serve(api: str, handler: Handler, *, at_most: int | None = None) -> None:
    """Work off invocations. api: "host:port". at_most: end after so many."""
    done = 0
    while at_most is None or done < at_most:
        connection = http.client.HTTPConnection(api)
        try:
            connection.request("GET", f"/{_API}/runtime/invocation/next")
            answer = connection.getresponse()
            event = json.loads(answer.read())
            _answer(api, handler, event, _context(answer.headers))
        finally:
            connection.close()
        done += 1


def _context(headers: http.client.HTTPMessage) -> Context:
    return Context(
        aws_request_id=headers["Lambda-Runtime-Aws-Request-Id"],
        deadline_ms=int(headers.get("Lambda-Runtime-Deadline-Ms", "0")),
        function_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        function_version=os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
        memory_limit_in_mb=os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", ""),
        invoked_function_arn=headers.get("Lambda-Runtime-Invoked-Function-Arn", ""),
        invocation_id=headers.get(_INVOCATION, ""),
    )


def _answer(api: str, handler: Handler, event: dict[str, object], context: Context) -> None:
    pieces = handler(event, context)
    connection = http.client.HTTPConnection(api)
    where = f"/{_API}/runtime/invocation/{context.aws_request_id}"
    try:
        first = next(pieces, None)
        if not isinstance(first, Prelude):
            raise TypeError("a streaming handler yields its prelude first")  # noqa: TRY301 (reported like any other)
    except Exception as error:  # noqa: BLE001 (reported to Lambda, which answers with 502)
        _report(connection, where, context, error)
        connection.close()
        return
    try:
        _stream(connection, where, context, first, pieces)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass  # the caller is gone: the generator is closed below, and the next invocation is asked for
    finally:
        pieces.close()
        connection.close()


def _stream(
    connection: http.client.HTTPConnection,
    where: str,
    context: Context,
    first: Prelude,
    pieces: Iterator[Prelude | bytes],
) -> None:
    connection.putrequest("POST", f"{where}/response")
    connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
    for name, value in context.echo().items():
        connection.putheader(name, value)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.putheader("Content-Type", "application/vnd.awslambda.http-integration-response")
    connection.putheader("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
    connection.endheaders()
    _chunk(connection, first.encoded())
    trailers = b""
    try:
        for piece in pieces:
            if isinstance(piece, bytes) and piece:
                _chunk(connection, piece)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 (told in the trailers)
        body = base64.b64encode(json.dumps({"errorType": type(error).__name__}).encode())
        trailers = (
            f"Lambda-Runtime-Function-Error-Type: {type(error).__name__}\r\n"
            f"Lambda-Runtime-Function-Error-Body: {body.decode()}\r\n"
        ).encode()
    connection.send(b"0\r\n" + trailers + b"\r\n")


def _chunk(connection: http.client.HTTPConnection, data: bytes) -> None:
    connection.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _report(connection: http.client.HTTPConnection, where: str, context: Context, error: Exception) -> None:
    """Its kind only: an error's text may hold what a person said."""
    body = json.dumps({"errorType": type(error).__name__, "errorMessage": "", "stackTrace": []})
    connection.request(
        "POST",
        f"{where}/error",
        body,
        {"Lambda-Runtime-Function-Error-Type": type(error).__name__, **context.echo()},
    )
    connection.getresponse().read()


def main() -> None:
    """The function's process. Called by `streaming/start`, not by `python -m`: that would make this module twice, and the handler's
    `Prelude` another class than this one's.
    """
    module, _, name = os.environ["_HANDLER"].rpartition(".")
    serve(os.environ["AWS_LAMBDA_RUNTIME_API"], getattr(importlib.import_module(module), name))
