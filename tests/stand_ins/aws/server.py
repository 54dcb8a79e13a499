"""A stand-in for AWS on loopback, for tests and the local cloud. Never shipped, and no part of what is deployed.

The real boto3 reaches it by `endpoint_url`. Requests are told apart by the service in the scope of their signature, which is checked
as AWS does. What stands in for a service says in its own file what it can; what it cannot, it refuses.
"""

from __future__ import annotations

import contextlib
import json
import queue
import random
import select
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from tests.stand_ins.aws import sigv4
from tests.stand_ins.aws.bedrock import Bedrock
from tests.stand_ins.aws.calls import Connect, ParameterStore
from tests.stand_ins.aws.control import PREFIX, Control
from tests.stand_ins.aws.exchange import Answer, Body, Cut, Refused, Request
from tests.stand_ins.aws.faults import Fault, Faults, Kind
from tests.stand_ins.aws.feeds import EventBridge, Kinesis
from tests.stand_ins.aws.health_lake import HealthLake
from tests.stand_ins.aws.kms import Kms
from tests.stand_ins.aws.knowledge import Knowledge
from tests.stand_ins.aws.oidc import OidcIssuer
from tests.stand_ins.aws.polly import Polly
from tests.stand_ins.aws.recognition import ComprehendMedical, Textract
from tests.stand_ins.aws.s3 import S3, Kept
from tests.stand_ins.aws.secrets import SecretsManager
from tests.stand_ins.aws.service_models import Service
from tests.stand_ins.aws.ses import Ses

MAX_BODY_BYTES = 256_000_000
PIECE_BYTES = 65_536
IDLE_S = 30.0
SLOW_S = 20.0
"""A peer that says nothing in the midst of a request is left."""
CONTROL = PREFIX
"""No AWS path: scripts the stand-in, for loopback only."""


class AwsStandIn:
    """S3, Bedrock, KMS, Secrets Manager, Polly, SES, Textract, Comprehend Medical, Kinesis, EventBridge, Connect,
    HealthLake, Parameter Store and an OIDC issuer, on one port of 127.0.0.1.

    clock: seconds since 1970, by which signatures are judged. workers: so many connections are served at once; an idle one
    makes room for one that waits. port: 0 takes a free one. kept: of S3's objects, for a stand-in that is killed and started again.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        region: str = "eu-central-1",
        clock: Callable[[], float] = time.time,
        workers: int = 24,
        kept: Path | None = None,
    ) -> None:
        self.region = region
        self.clock = clock
        self.stopped = threading.Event()
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        """Requests by service (as boto3 names its clients), those that were refused too."""
        self.key = sigv4.Credentials("AKIDSTANDINSTANDIN00", "stand-in secret, worth nothing")
        self.credentials = {self.key.access_key: self.key}
        self._verifier = sigv4.Verifier(self.credentials, region, self.now_s)
        self.failures: list[BaseException] = []
        """Bugs of the stand-in itself. A test that finds one here should fail."""
        self._folder = Path(tempfile.mkdtemp(prefix="aws-stand-in-"))
        self.s3 = S3(self._folder, self.now_s, None if kept is None else Kept(kept))
        self.bedrock = Bedrock(self.stopped)
        self.knowledge = Knowledge(self.s3, self.now_s)
        self.kms = Kms()
        self.secrets = SecretsManager()
        self.polly = Polly()
        self.ses = Ses()
        self.textract = Textract()
        self.comprehend_medical = ComprehendMedical()
        self.kinesis = Kinesis()
        self.event_bridge = EventBridge()
        self.connect = Connect()
        self.health_lake = HealthLake(self.s3, self.now_s)
        self.parameters = ParameterStore()
        self._services: dict[str, list[Service]] = {
            "bedrock": [self.bedrock.service, *self.knowledge.services],
            "kms": [self.kms.service],
            "secretsmanager": [self.secrets.service],
            "polly": [self.polly.service],
            "ses": [self.ses.service],
            "textract": [self.textract.service],
            "comprehendmedical": [self.comprehend_medical.service],
            "kinesis": [self.kinesis.service],
            "events": [self.event_bridge.service],
            "connect": [self.connect.service],
            "healthlake": [self.health_lake.service],
            "ssm": [self.parameters.service],
        }
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(0.2)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.oidc = OidcIssuer(f"{self.url}{CONTROL}oidc", self.now_s)
        self._control = Control(self)
        self._waiting: queue.SimpleQueue[tuple[socket.socket, tuple[str, int]] | None] = queue.SimpleQueue()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, name="aws-stand-in-accept")]
        self._threads += [
            threading.Thread(target=self._work, name=f"aws-stand-in-{number}") for number in range(workers)
        ]

    def environment(self) -> dict[str, str]:
        """With these variables botocore finds this stand-in's key, and looks for no other."""
        return {
            "AWS_ACCESS_KEY_ID": self.key.access_key,
            "AWS_SECRET_ACCESS_KEY": self.key.secret,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopped.set()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the client was faster
                    connection.shutdown(socket.SHUT_RDWR)
        for _ in self._threads[1:]:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- Connections

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                self._waiting.put(self._listener.accept())
            except TimeoutError:
                continue
            except OSError:
                return

    def _work(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            connection, address = waiting
            with self._lock:
                self._open.add(connection)
            try:
                if not self.stopped.is_set():
                    _Connection(connection, address, cast("Any", self))
            except OSError:  # the peer is gone
                pass
            finally:
                with self._lock:
                    self._open.discard(connection)
                connection.close()

    def goes_on(self, connection: socket.socket) -> bool:
        """Waits for the next request on a connection. False: nothing came, or another one needs the place."""
        waited_s = 0.0
        while not self.stopped.is_set() and waited_s < IDLE_S:
            if select.select([connection], [], [], 0.05)[0]:
                return True
            waited_s += 0.05
            if not self._waiting.empty():
                return False
        return False

    # --- Requests

    def now_s(self) -> float:
        """As `clock` says, which a test may replace."""
        return self.clock()

    def answer(self, request: Request, peer: str) -> Answer | Fault:
        """A Fault: what the connection does instead of an answer."""
        if request.path.startswith(CONTROL):
            return self._control.answer(request, peer)
        service: Service | None = None
        try:
            claim = sigv4.claimed(request)
            service = self._service(request, claim)
            return self._answered(request, claim, service)
        except Refused as refused:
            return (service or self.s3).refusal(request, refused)
        except Exception as bug:  # noqa: BLE001 (kept for the test, and told as 500)
            self.failures.append(bug)
            return Answer(500, [("Content-Type", "text/plain")], b"the stand-in has a bug")

    def _service(self, request: Request, claim: sigv4.Claim | None) -> Service | None:
        """None: S3, which also gets what is not signed at all."""
        if claim is None or claim.service == "s3":
            return None
        candidates = self._services.get(claim.service)
        if candidates is None:
            raise Refused(400, "UnknownOperationException", "The stand-in has no such service.")
        return next((one for one in candidates if one.finds(request)), candidates[0])

    def _answered(
        self, request: Request, claim: sigv4.Claim | None, service: Service | None
    ) -> Answer | Fault:
        name = "s3" if service is None else service.name
        self.counts[name] += 1
        fault = self.faults.take(name)
        if fault is not None:
            match fault.kind:
                case Kind.DELAYED:
                    self.stopped.wait(fault.seconds)
                case Kind.UNAVAILABLE | Kind.BROKEN | Kind.THROTTLED | Kind.DENIED:
                    raise _refused(fault, name)
                case _:
                    return fault
        if service is None or claim is None:
            return self.s3.answer(request, claim, self._verifier)
        self._check(request, claim)
        return service.answer(request)

    def _check(self, request: Request, claim: sigv4.Claim) -> None:
        try:
            self._verifier.check(request, claim)
        except Refused as refused:
            raise Refused(
                403 if refused.status == 403 else 400,
                {
                    "InvalidAccessKeyId": "UnrecognizedClientException",
                    "InvalidToken": "UnrecognizedClientException",
                }.get(refused.code, "InvalidSignatureException"),
                refused.message,
            ) from None


_PHRASES = {int(status): status.phrase for status in HTTPStatus}


def _refused(fault: Fault, service: str) -> Refused:
    headers = [] if fault.retry_after_s is None else [("Retry-After", f"{fault.retry_after_s:.0f}")]
    status, of_s3, of_others = {
        Kind.UNAVAILABLE: (503, "SlowDown", "ServiceUnavailableException"),
        Kind.BROKEN: (500, "InternalError", "InternalServerException"),
        Kind.THROTTLED: (429, "TooManyRequests", "ThrottlingException"),
        Kind.DENIED: (403, "AccessDenied", "AccessDeniedException"),
    }[fault.kind]
    return Refused(status, of_s3 if service == "s3" else of_others, "as the test wants it", headers)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = SLOW_S
    server: AwsStandIn  # type: ignore[assignment]

    def handle(self) -> None:
        self.close_connection = False
        while not self.close_connection and self.server.goes_on(self.connection):
            self.handle_one_request()

    def _serve(self) -> None:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            lower = name.lower()
            headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
        body = Body(self.server._folder)
        try:
            refused = self._take(headers, body)
            request = Request(self.command, self.path, headers, body)
            if refused is not None:
                self.close_connection = True
                self._send(self.server.s3.refusal(request, refused))
                return
            answer = self.server.answer(request, self.client_address[0])
            if isinstance(answer, Fault):
                self._misbehave(answer)
            else:
                self._send(answer)
        finally:
            body.discard()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = do_OPTIONS = _serve  # noqa: N815

    def _take(self, headers: Mapping[str, str], body: Body) -> Refused | None:
        if "transfer-encoding" in headers:
            return Refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()) or len(length) > 18:
            return Refused(400, "InvalidArgument", "Content-Length is no number.")
        if int(length) > MAX_BODY_BYTES:
            return Refused(400, "EntityTooLarge", "Larger than the stand-in takes.")
        body.take(self._pieces(int(length)))
        if body.size < int(length):
            return Refused(400, "IncompleteBody", "The body is shorter than Content-Length says.")
        return None

    def _pieces(self, length: int) -> Iterator[bytes]:
        while length > 0:
            piece = self.rfile.read(min(length, PIECE_BYTES))
            if not piece:
                return
            length -= len(piece)
            yield piece

    def _send(self, answer: Answer) -> None:
        body, bodiless = answer.body, self.command == "HEAD" or answer.status == 204
        headers = [*answer.headers, ("x-amz-request-id", f"{random.getrandbits(64):016X}")]
        if isinstance(body, bytes | Path):
            size = len(body) if isinstance(body, bytes) else body.stat().st_size
            headers += [] if answer.status == 204 else [("Content-Length", str(size))]
        else:
            headers.append(("Transfer-Encoding", "chunked"))
        head = f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Unknown')}\r\nDate: {self.date_time_string()}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers)
        if self.close_connection:
            head += "Connection: close\r\n"
        raw = f"{head}\r\n".encode("latin-1", "replace")
        if bodiless:
            self.wfile.write(raw)
        elif isinstance(body, bytes):
            self.wfile.write(raw + body)
        elif isinstance(body, Path):
            self.wfile.write(raw)
            with body.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, PIECE_BYTES)
        else:
            self.wfile.write(raw)
            self._stream(body)

    def _stream(self, pieces: Iterator[bytes]) -> None:
        try:
            for piece in pieces:
                if piece:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        except Cut:
            self.close_connection = True

    def _misbehave(self, fault: Fault) -> None:
        self.close_connection = True
        match fault.kind:
            case Kind.SILENT:
                self.server.stopped.wait(fault.seconds)
            case Kind.RESET:
                self._reset()
            case Kind.CUT:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + bytes(50))
            case _:
                self._send(Answer(200, [("Content-Type", "application/octet-stream")], fault.body))

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no HTTP is the peer's fault."""
        self.close_connection = True
        body = json.dumps({"message": "bad request"}).encode()
        self.wfile.write(
            b"HTTP/1.1 %d Bad\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (code if code < 500 else 400, len(body), body)
        )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing: what a request carries belongs into no log."""
