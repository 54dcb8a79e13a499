"""/v1 over HTTP: which request goes to which service, who may send it, and how refusals are told.

Before anything of a body is read a request has a known path and method, an allowed size and media type, and somebody who signed in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
import threading
import traceback
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import format_datetime
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Never
from uuid import UUID

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.params import Path as InPath
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
from aws_lambda_powertools.utilities.typing import LambdaContext

from backend_lambda import wire
from backend_lambda.auth import headers
from backend_lambda.auth.dpop import Proof
from backend_lambda.auth.gate import Gate
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Clock
from backend_lambda.principals import AdminRole, Device, Principal
from backend_lambda.services import fields
from backend_lambda.services.audit import Audit
from backend_lambda.services.clinics import Clinics
from backend_lambda.services.enrolment import Enrolment
from backend_lambda.services.fleet import Fleet
from backend_lambda.services.observations import PAGE_DEFAULT, Observations
from backend_lambda.services.sessions import Sessions
from backend_lambda.services.shares import Shares
from backend_lambda.services.speech import Speech
from backend_lambda.services.uploads import Uploads

MAX_BODY_BYTES = 1_000_000
_PROBLEM = "application/problem+json"
_HERE = Path(__file__).parent
_VARIABLE = re.compile(r"<(\w+)>")
_SEGMENT = "[A-Za-z0-9-]{1,64}"


class Who(StrEnum):
    """Who may send a request. Nobody signs in for ANYONE; KEY: a proof by a key that is not enrolled yet, or asks for a token."""

    DEVICE = "device"
    OPERATOR = "operator"
    CLINIC_ADMIN = "clinic_admin"
    AUDITOR = "auditor"
    KEY = "key"
    ANYONE = "anyone"


@dataclass(frozen=True, slots=True)
class Route:
    """operation: the function's name in `Operations` and the OpenAPI operationId. body: whether the request has one."""

    method: str
    path: str
    who: frozenset[Who]
    operation: str
    summary: str

    @property
    def name(self) -> str:
        """As logs and metrics call it: never a path that somebody sent."""
        return f"{self.method} {self.path}"

    @property
    def has_body(self) -> bool:
        return self.method == "POST" and self.operation not in _WITHOUT_BODY


_WITHOUT_BODY = {"revoke_device", "complete_upload"}
_BINARY = {"synthesis"}
_DEVICE = frozenset({Who.DEVICE})
_KEEPERS = frozenset({Who.DEVICE, Who.CLINIC_ADMIN})
_KEY = frozenset({Who.KEY})
_ANYONE = frozenset({Who.ANYONE})
_CLINIC_ADMIN = frozenset({Who.CLINIC_ADMIN})

ROUTES = (
    Route("POST", "/v1/clinics", frozenset({Who.OPERATOR}), "add_clinic", "Make a clinic"),
    Route(
        "POST",
        "/v1/clinics/<clinic_id>/enrolment-codes",
        _CLINIC_ADMIN,
        "add_enrolment_code",
        "A code that enrols one device",
    ),
    Route(
        "GET",
        "/v1/clinics/<clinic_id>/devices",
        frozenset({Who.CLINIC_ADMIN, Who.AUDITOR}),
        "list_devices",
        "The clinic's devices",
    ),
    Route(
        "POST",
        "/v1/clinics/<clinic_id>/devices/<device_id>/revoke",
        _CLINIC_ADMIN,
        "revoke_device",
        "Send a device away",
    ),
    Route("POST", "/v1/devices/enrol", _KEY, "enrol", "Enrol a device with a code and its key"),
    Route("POST", "/v1/token", _KEY, "token", "The next access and refresh tokens"),
    Route("POST", "/v1/observations", _DEVICE, "add_observations", "Add a batch, each item by itself"),
    Route("GET", "/v1/observations", _DEVICE, "list_observations", "A patient's observations, by page"),
    Route("DELETE", "/v1/observations", _KEEPERS, "erase_patient", "Erase all of a patient"),
    Route(
        "GET", "/v1/observations/export", _KEEPERS, "export_observations", "A patient's data, to take away"
    ),
    Route("POST", "/v1/uploads", _DEVICE, "begin_upload", "Announce a file; a URL to put it to"),
    Route("POST", "/v1/uploads/<upload_id>/complete", _DEVICE, "complete_upload", "The file is there"),
    Route("GET", "/v1/uploads/<upload_id>", _KEEPERS, "get_upload", "What became of a file"),
    Route("GET", "/v1/uploads/<upload_id>/download", _KEEPERS, "download_upload", "A URL to get a file from"),
    Route("POST", "/v1/shares", _DEVICE, "add_share", "A link that opens one report once"),
    Route("GET", "/v1/shares/<share_id>", _ANYONE, "share_page", "The page that a link leads to"),
    Route("DELETE", "/v1/shares/<share_id>", _KEEPERS, "withdraw_share", "Make a link open nothing any more"),
    Route("POST", "/v1/shares/<share_id>/open", _ANYONE, "open_share", "Use a link up"),
    Route("POST", "/v1/speech/transcription", _DEVICE, "transcription", "A URL to stream speech to"),
    Route("POST", "/v1/speech/synthesis", _DEVICE, "synthesis", "A text as MP3"),
    Route("GET", "/v1/health", _ANYONE, "health", "Whether the service is ready, by part"),
    Route("GET", "/v1/config", _DEVICE, "config", "What this clinic may use"),
    Route("POST", "/v1/heartbeat", _DEVICE, "heartbeat", "How a device is"),
    Route("GET", "/v1/audit", frozenset({Who.AUDITOR}), "list_audit", "The clinic's audit, by page"),
)


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes lead to."""

    clinics: Clinics
    enrolment: Enrolment
    sessions: Sessions
    observations: Observations
    uploads: Uploads
    shares: Shares
    speech: Speech
    fleet: Fleet
    audit: Audit


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, as far as the route wants to know it."""

    request_id: str
    principal: Principal | None = None
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """response: for API Gateway. The rest is for logs and metrics, and all that they may know.

    fault: kind and place of an error of ours.
    """

    response: dict[str, Any]
    route: str
    status: int
    code: str | None
    clinic_id: str | None
    fault: str | None


_asked: ContextVar[Asked] = ContextVar("asked")
Cursor = Annotated[str | None, Query(max_length=64)]
Limit = Annotated[int, Query(ge=1, le=wire.MAX_PAGE)]
Patient = Annotated[UUID, Query()]


def _principal() -> Principal:
    principal = _asked.get().principal
    if principal is None:
        raise Refusal(401, Code.UNAUTHENTICATED, "Nobody has signed in.")
    return principal


def _device() -> Device:
    principal = _principal()
    if not isinstance(principal, Device):
        raise Refusal(403, Code.FORBIDDEN, "Only a device may do this.")
    return principal


def _proof() -> Proof:
    proof = _asked.get().proof
    if proof is None:
        raise Refusal(401, Code.UNAUTHENTICATED, "There is no proof.")
    return proof


class Operations:
    """One function for each route. Its signature is the request's and the answer's form."""

    def __init__(self, services: Services) -> None:
        self._to = services

    def add_clinic(self, body: wire.NewClinic) -> wire.Clinic:
        return self._to.clinics.add(_principal(), body, _asked.get().request_id)

    def add_enrolment_code(
        self, clinic_id: Annotated[UUID, InPath()], body: wire.NewEnrolmentCode
    ) -> wire.EnrolmentCode:
        return self._to.enrolment.code(_principal(), clinic_id, body, _asked.get().request_id)

    def list_devices(self, clinic_id: Annotated[UUID, InPath()]) -> wire.Devices:
        return self._to.enrolment.devices(_principal(), clinic_id, _asked.get().request_id)

    def revoke_device(
        self, clinic_id: Annotated[UUID, InPath()], device_id: Annotated[UUID, InPath()]
    ) -> Response[None]:
        self._to.enrolment.revoke(_principal(), clinic_id, device_id, _asked.get().request_id)
        return Response(204)

    def enrol(self, body: wire.Enrol) -> wire.Enrolled:
        return self._to.enrolment.enrol(_proof(), body, _asked.get().request_id)

    def token(self, body: wire.TokenRequest) -> wire.Tokens:
        return self._to.sessions.token(_proof(), body, _asked.get().request_id)

    def add_observations(self, body: wire.ObservationBatch) -> wire.BatchResult:
        return self._to.observations.add(_principal(), body, _asked.get().request_id)

    def list_observations(
        self, patient_id: Patient, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT
    ) -> wire.ObservationPage:
        return self._to.observations.page(_principal(), patient_id, cursor, limit, _asked.get().request_id)

    def erase_patient(self, patient_id: Patient) -> wire.Erased:
        return self._to.observations.erase(_principal(), patient_id, _asked.get().request_id)

    def export_observations(self, patient_id: Patient, cursor: Cursor = None) -> wire.Export:
        return self._to.observations.export(_principal(), patient_id, cursor, _asked.get().request_id)

    def begin_upload(self, body: wire.NewUpload) -> wire.UploadUrl:
        return self._to.uploads.begin(_principal(), body, _asked.get().request_id)

    def complete_upload(self, upload_id: Annotated[UUID, InPath()]) -> wire.Upload:
        return self._to.uploads.complete(_principal(), upload_id, _asked.get().request_id)

    def get_upload(self, upload_id: Annotated[UUID, InPath()]) -> wire.Upload:
        return self._to.uploads.get(_principal(), upload_id, _asked.get().request_id)

    def download_upload(self, upload_id: Annotated[UUID, InPath()]) -> wire.Download:
        return self._to.uploads.download(_principal(), upload_id, _asked.get().request_id)

    def add_share(self, body: wire.NewShare) -> wire.Share:
        return self._to.shares.create(_principal(), body, _asked.get().request_id)

    def withdraw_share(self, share_id: Annotated[UUID, InPath()]) -> Response[None]:
        self._to.shares.withdraw(_principal(), share_id, _asked.get().request_id)
        return Response(204)

    def share_page(self, share_id: Annotated[UUID, InPath()]) -> Response[str]:
        del share_id  # the page is the same for all: it tells nothing of which shares there are
        page, policy = _share_page()
        return Response(
            200,
            "text/html; charset=utf-8",
            page,
            {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"},
        )

    def open_share(self, share_id: Annotated[UUID, InPath()], body: wire.OpenShare) -> wire.Download:
        return self._to.shares.open(share_id, body, _asked.get().request_id)

    def transcription(self, body: wire.NewTranscription) -> wire.Transcription:
        return self._to.speech.transcription(_device(), body, _asked.get().request_id)

    def synthesis(self, body: wire.NewSynthesis) -> Response[str]:
        spoken = self._to.speech.synthesis(_device(), body, _asked.get().request_id)
        return Response(200, spoken.media_type, base64.b64encode(spoken.audio).decode())

    def health(self) -> Response[wire.Health]:
        health = self._to.fleet.health()
        return Response(200 if health.ready else 503, "application/json", health)

    def config(self) -> wire.Config:
        return self._to.fleet.config(_principal())

    def heartbeat(self, body: wire.Heartbeat) -> Response[None]:
        self._to.fleet.heartbeat(_principal(), body)
        return Response(204)

    def list_audit(self, cursor: Cursor = None, limit: Limit = wire.MAX_PAGE) -> wire.AuditPage:
        return self._to.audit.page(_principal(), cursor, limit, _asked.get().request_id)


class Resolver(APIGatewayRestResolver):
    """Powertools keeps the request that is answered in attributes of class and instance; here each thread has its own.

    On Lambda there is one at a time. A server that answers several at once would else mix up who asks for what.
    """

    def __init__(self) -> None:
        self._own = threading.local()
        super().__init__(
            enable_validation=True,
            response_validation_error_http_code=500,
            json_body_deserializer=_json_object,
            debug=False,  # whatever POWERTOOLS_DEV says: it would print requests
        )

    @property
    def current_event(self) -> APIGatewayProxyEvent:  # type: ignore[override]
        event: APIGatewayProxyEvent = self._own.event
        return event

    @property
    def context(self) -> dict[str, Any]:
        if not hasattr(self._own, "context"):
            self._own.context = {}
        found: dict[str, Any] = self._own.context
        return found

    @context.setter
    def context(self, value: dict[str, Any]) -> None:
        self._own.context = value

    def resolve(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        self._own.event = APIGatewayProxyEvent(dict(event), _json_object)
        return super().resolve(event, context)


@dataclass(slots=True)
class _Seen:
    """What is known of a request, as it comes to be known."""

    request_id: str
    route: Route | None = None
    principal: Principal | None = None


def resolver_of(operations: Operations) -> Resolver:
    """With every route registered."""
    resolver = Resolver()
    for route in ROUTES:
        register = resolver.route(
            route.path, route.method, summary=route.summary, operation_id=route.operation
        )
        register(getattr(operations, route.operation))
    resolver.exception_handler(Exception)(_on_it_goes)
    return resolver


class Api:
    """Answers API Gateway REST proxy events. Safe to share between threads."""

    def __init__(self, services: Services, gate: Gate, clock: Clock) -> None:
        self._gate, self._clock = gate, clock
        self._resolver = resolver_of(Operations(services))
        self._first = threading.Lock()
        self._built: set[Route] = set()

    def answer(self, event: Mapping[str, Any], request_id: str) -> Answered:
        """Raises nothing."""
        seen = _Seen(request_id)
        code: str | None = None
        fault: str | None = None
        try:
            response = self._response(event, seen)
        except Refusal as refusal:
            self._tell_denial(seen, refusal)
            response, code = _problem(refusal, request_id), str(refusal.code)
        except RequestValidationError as error:
            response, code = _problem(_invalid(), request_id, _wrong(error)), str(Code.INVALID)
        except Exception as error:  # noqa: BLE001 (whatever it is, the answer is ours and says nothing of it)
            response, code = internal(request_id), str(Code.INTERNAL)
            fault = place_of(error)
        _always(response, request_id, self._clock)
        return Answered(
            response,
            seen.route.name if seen.route else "-",
            int(response["statusCode"]),
            code,
            str(seen.principal.clinic_id) if seen.principal and seen.principal.clinic_id else None,
            fault,
        )

    def _response(self, event: Mapping[str, Any], seen: _Seen) -> dict[str, Any]:
        method, path = str(event.get("httpMethod") or ""), str(event.get("path") or "")
        route = seen.route = find(method, path)
        given = headers.of(event)
        body = _body(event)
        if route.has_body:
            _check_media_type(given.get("content-type", ""))
            if not body.strip():
                raise Refusal(400, Code.BAD_REQUEST, "The body is missing.")
        asked = self._sign_in(route, given, method, path, seen)
        clean = {
            "httpMethod": method,
            "path": path,
            "headers": {"content-type": "application/json"},
            "multiValueHeaders": {},
            "queryStringParameters": event.get("queryStringParameters") or {},
            "multiValueQueryStringParameters": event.get("multiValueQueryStringParameters") or {},
            "requestContext": {},
            "body": body,
            "isBase64Encoded": False,
        }
        token = _asked.set(asked)
        try:
            response = self._resolved(route, clean)
        finally:
            _asked.reset(token)
        if (
            route.operation in _BINARY
        ):  # the function gave it as base64, which Powertools' validation lets through
            response["isBase64Encoded"] = True
        return response

    def _resolved(self, route: Route, event: dict[str, Any]) -> dict[str, Any]:
        """Powertools puts a route together at its first request, which two threads must not do at once."""
        if route in self._built:
            return self._resolver.resolve(event, LambdaContext())
        with self._first:
            try:
                return self._resolver.resolve(event, LambdaContext())
            finally:
                self._built.add(route)

    def _sign_in(self, route: Route, given: Mapping[str, str], method: str, path: str, seen: _Seen) -> Asked:
        if route.who == _ANYONE:
            return Asked(seen.request_id)
        if route.who == _KEY:
            return Asked(seen.request_id, proof=self._gate.proof(given, method, path))
        principal = seen.principal = self._gate.anyone(given, method, path, seen.request_id)
        kind = Who.DEVICE if isinstance(principal, Device) else _ROLES[principal.role]
        if kind not in route.who:
            raise Refusal(403, Code.FORBIDDEN, "Only somebody else may do this.")
        return Asked(seen.request_id, principal=principal)

    def _tell_denial(self, seen: _Seen, refusal: Refusal) -> None:
        if refusal.status == 403 and seen.principal is not None and seen.route is not None:
            self._gate.denied(seen.principal, seen.route.operation, str(refusal.code), seen.request_id)


def _on_it_goes(error: Exception) -> Never:
    """To `Api.answer`: Powertools would log its text."""
    raise error


_ROLES = {
    AdminRole.OPERATOR: Who.OPERATOR,
    AdminRole.CLINIC_ADMIN: Who.CLINIC_ADMIN,
    AdminRole.AUDITOR: Who.AUDITOR,
}


@cache
def _patterns() -> list[tuple[re.Pattern[str], Route]]:
    return [(re.compile(_VARIABLE.sub(_SEGMENT, route.path)), route) for route in ROUTES]


def find(method: str, path: str) -> Route:
    """Raises Refusal 404, 405."""
    there = [route for pattern, route in _patterns() if pattern.fullmatch(path)]
    for route in there:
        if route.method == method:
            return route
    if there:
        raise NotAllowed(sorted({route.method for route in there}))
    raise Refusal(404, Code.NOT_FOUND, "There is nothing here.")


class NotAllowed(Refusal):
    """405. methods: those that this path knows."""

    def __init__(self, methods: Iterable[str]) -> None:
        super().__init__(405, Code.BAD_REQUEST, "This path knows other methods.")
        self.methods = list(methods)


def place_of(error: BaseException) -> str:
    """Kind and innermost place of ours: "ValueError at services/fleet.py:12", and what it came from. Never its text."""
    told: list[str] = []
    one: BaseException | None = error
    while one is not None and len(told) < 4:
        frames = traceback.extract_tb(one.__traceback__)
        ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_HERE)]
        where = ""
        if ours:
            where = f" at {Path(ours[-1].filename).relative_to(_HERE).as_posix()}:{ours[-1].lineno}"
        told.append(f"{type(one).__name__}{where}")
        one = one.__cause__ or one.__context__
    return " from ".join(told)


def _wrong(error: RequestValidationError) -> list[str]:
    places = [tuple(one["loc"]) for one in error.errors()]
    return fields.names(place[1:] if len(place) > 1 else place for place in places)


def _problem(refusal: Refusal, request_id: str, wrong: list[str] | None = None) -> dict[str, Any]:
    body = refusal.problem(request_id)
    if wrong:
        body["fields"] = wrong
    sent = {"Content-Type": _PROBLEM}
    if refusal.retry_after_s is not None:
        sent["Retry-After"] = str(max(1, math.ceil(refusal.retry_after_s)))
    if refusal.status == 401:
        sent["WWW-Authenticate"] = 'DPoP algs="ES256", Bearer'
    if isinstance(refusal, NotAllowed):
        sent["Allow"] = ", ".join(refusal.methods)
    return {
        "statusCode": refusal.status,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "body": json.dumps(body, separators=(",", ":")),
        "isBase64Encoded": False,
    }


def _always(response: dict[str, Any], request_id: str, clock: Clock) -> None:
    response["multiValueHeaders"] = {
        **response.get("multiValueHeaders", {}),
        "x-request-id": [request_id],
        "Date": [format_datetime(clock.utc(), usegmt=True)],
        "Cache-Control": ["no-store"],
        "X-Content-Type-Options": ["nosniff"],
        "Strict-Transport-Security": ["max-age=63072000"],
    }
    response["body"] = response.get("body") or ""


def _body(event: Mapping[str, Any]) -> str:
    """Raises Refusal 413 before anything is decoded, 400 for what is no text."""
    body = event.get("body") or ""
    encoded = bool(event.get("isBase64Encoded"))
    if len(body) > (MAX_BODY_BYTES * 4 // 3 + 4 if encoded else MAX_BODY_BYTES):
        raise _too_large()
    try:
        data = base64.b64decode(body, validate=True) if encoded else body.encode()
        if len(data) > MAX_BODY_BYTES:
            raise _too_large()
        return data.decode()
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, Code.BAD_REQUEST, "The body is no UTF-8 text.") from error


def internal(request_id: str) -> dict[str, Any]:
    """The answer where something of ours is broken."""
    return _problem(Refusal(500, Code.INTERNAL, "Something is wrong on our side."), request_id)


def _invalid() -> Refusal:
    return Refusal(422, Code.INVALID, "The request does not fit its form.")


def _too_large() -> Refusal:
    return Refusal(413, Code.TOO_LARGE, f"A request's body has at most {MAX_BODY_BYTES} bytes.")


def _check_media_type(value: str) -> None:
    """Raises Refusal 415."""
    kind, _, parameters = value.partition(";")
    charset = parameters.strip().lower()
    if kind.strip().lower() != "application/json" or charset not in {"", "charset=utf-8", 'charset="utf-8"'}:
        raise Refusal(415, Code.MEDIA_TYPE, "A request's body is application/json in UTF-8.")


def _json_object(text: str) -> dict[str, Any]:
    """Raises Refusal 400 for what is no JSON, 422 for what is no object."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, Code.BAD_REQUEST, "The body is no JSON.") from error
    if not isinstance(value, dict):
        raise _invalid()
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _no_constant(_: str) -> Never:
    raise ValueError("NaN and Infinity are no JSON")


@cache
def _share_page() -> tuple[str, str]:
    """The page and its policy, which lets just its own script and style run."""
    page = (resources.files("backend_lambda") / "templates" / "share.html").read_text(encoding="utf-8")
    allowed = {
        tag: base64.b64encode(
            hashlib.sha256(page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0].encode()).digest()
        ).decode()
        for tag in ("script", "style")
    }
    policy = (
        f"default-src 'none'; script-src 'sha256-{allowed['script']}'; style-src 'sha256-{allowed['style']}';"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy
