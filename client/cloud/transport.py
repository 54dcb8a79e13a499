"""Requests over HTTPS: to the server and nobody else, within limits of size and time, and what went wrong on the way told apart.

Who vouches for the server is what this computer's system trusts (truststore), and the policy's own authority beside it; nothing in the
environment changes that. Proxies come from the policy, else from the environment. A redirect is never followed, a cookie never kept.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Never, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from client.clock import Clock
from client.cloud import faults
from client.cloud.forms import Unfit, bearer, header_name, web_url
from client.cloud.wire import ANSWER_BYTES, Answer, AnswerUnreadable, Code, Problem
from client.policy import Policy

A = TypeVar("A", bound=Answer)

_PROBLEM, _JSON, _HTML = "application/problem+json", "application/json", "text/html"
_EVENTS = "text/event-stream"
_NO_CONTENT, _UNAUTHORIZED, _TOO_MANY, _PORTAL = 204, 401, 429, 511
_LONGEST_RETRY_AFTER_S = 400 * 86_400.0
_ISSUER_S = 3.0
_DAY = timedelta(days=1)
_YEARS = range(2020, 2200)
"""Of a clock that may be believed. Others are lies, and those near the end of the calendar cannot be counted on from."""

_EXPIRED: Final = {10, 0x800B0101, -67818}
"""Of OpenSSL (X509_V_ERR_CERT_HAS_EXPIRED), Windows (CERT_E_EXPIRED) and macOS (errSecCertificateExpired)."""
_NOT_YET: Final = {9, -67819}
_OTHER_HOST: Final = {62, 64, 0x800B010F, -67602}
_NO_WAY: Final = {
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.EHOSTUNREACH,
    errno.EHOSTDOWN,
    10050,
    10051,
    10064,
    10065,
}
"""The numbers are those of Windows' sockets."""
_OF_LINUX = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)
"""Where distributions have what they trust: Debian, Fedora (new and old), Arch and Alpine, SUSE."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds. answer_s: of silence; the server's own limit is 29. whole_s: one request with its answer, however it trickles.

    least_bytes_per_s: a file may take whole_s and as long as this needs.
    """

    connect_s: float = 10.0
    send_s: float = 30.0
    answer_s: float = 35.0
    whole_s: float = 60.0
    least_bytes_per_s: float = 8_000.0


@dataclass(frozen=True, slots=True)
class Reply:
    """headers: names in small letters, one of each. arrived_s: monotonic, when its head had come.

    date: the sender's clock then; None where it does not say, or the answer comes out of a cache.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    date: datetime | None
    arrived_s: float

    @property
    def media_type(self) -> str:
        """In small letters and without parameters; "" where there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def problem(self) -> Problem | None:
        """The API's own refusal, if this is one."""
        if self.media_type != _PROBLEM:
            return None
        try:
            return Problem.read(self.body)
        except AnswerUnreadable:
            return None

    @property
    def retry_after_s(self) -> float | None:
        """Of the header (RFC 9110 §10.2.3: seconds, or a moment by the sender's clock), else of the refusal."""
        given = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,12}", given):
            return min(float(given), _LONGEST_RETRY_AFTER_S)
        moment = _http_date(given)
        if moment is not None and self.date is not None:
            wait_s = (moment - self.date).total_seconds()
            return min(max(wait_s, 0.0), _LONGEST_RETRY_AFTER_S)
        problem = self.problem
        return None if problem is None else problem.retry_after_s


class ServerClock:
    """What time it is at the server, once an answer has told it; before that, what the wall clock says.

    From then on the monotonic clock counts on: a wall clock that is set years ahead or back changes nothing. A computer that slept is behind
    afterwards, until the next answer, which then is a 401 with the time in it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: tuple[datetime, float] | None = None

    def learn(self, reply: Reply) -> None:
        """Its Date has whole seconds; half of one is added."""
        if reply.date is not None:
            self._known = reply.date + timedelta(seconds=0.5), reply.arrived_s

    def utc(self) -> datetime:
        """Now."""
        if self._known is None:
            return self._clock.utc()
        at, then_s = self._known
        return at + timedelta(seconds=self._clock.now_s() - then_s)

    @property
    def offset_s(self) -> float | None:
        """How far the wall clock of this computer is ahead; None: not known yet."""
        return None if self._known is None else (self._clock.utc() - self.utc()).total_seconds()


class _Stopped(Exception):
    """By `close`, or because the time was over."""


class _Nonsense(Exception):
    """What came is against the protocol, and the libraries stumbled over it with an error of any kind."""


class _Asking:
    """One request under way. reached: its head may have left. late: its time is over, and `cut` was called.

    theirs: what the caller's own chunks have raised.
    """

    def __init__(self, cut: Callable[[], None]) -> None:
        self.reached = False
        self.late = False
        self.proxied = False
        self.theirs: Exception | None = None
        self._cut = cut
        self._timer: threading.Timer | None = None

    def give(self, seconds: float) -> None:
        """It has so much time from now on. A thread of its own looks after that, for the library waits for each piece anew."""
        self.end()
        self._timer = threading.Timer(seconds, self._over)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """No thread is left afterwards."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()

    def _over(self) -> None:
        self.late = True
        self._cut()


class Transport:
    """Keeps its connections between requests where HTTP/2 is spoken. For one thread at a time; `close` may come from another."""

    def __init__(
        self, policy: Policy, clock: Clock, version: str, *, limits: TimeLimits | None = None
    ) -> None:
        self.policy = policy
        self.version = version
        self.server_clock = ServerClock(clock)
        self.clock = clock
        self._limits = limits or TimeLimits()
        self._ways: dict[str, httpx.HTTPTransport] = {}
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._closed = threading.Event()
        self._busy = False

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        most_bytes: int = ANSWER_BYTES,
        media_type: str = _JSON,
        answer_type: str | None = None,
    ) -> Reply:
        """Ask the API. Its Date is learned. Raises CloudFault for whatever is no answer of an API: a redirect, a portal's page.

        headers: beside those for content and the program's name. body: in media_type. answer_type: of a success, which may be plain JSON
        too; None: media_type. Raises Unfit for a header or a URL that cannot be one.
        """
        wanted = answer_type or media_type
        sent = {
            "Accept": ", ".join(dict.fromkeys((wanted, _JSON, _PROBLEM))),
            "Accept-Encoding": "identity",
            "User-Agent": f"health-helper/{self.version}",
            **({} if body is None else {"Content-Type": media_type}),
            **(headers or {}),
        }
        asking = _Asking(self._shut_down)
        reply = self._exchange(asking, method, url, sent, body, most_bytes, self._limits.whole_s)
        return self._checked(reply, wanted, _JSON)

    def _checked(self, reply: Reply, *media_types: str) -> Reply:
        """An answer of the API, whose time is learned. A success has to be of one of these types."""
        if 300 <= reply.status < 400 or reply.status == _PORTAL:
            raise faults.CaptivePortal
        if reply.status < 300 and reply.status != _NO_CONTENT and reply.media_type not in media_types:
            raise faults.CaptivePortal
        self.server_clock.learn(reply)
        return reply

    def stream(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, limit_s: float
    ) -> Generator[Reply | bytes, None, None]:
        """Ask for an answer that comes in pieces (text/event-stream): the reply first, whole where it is a refusal; then its pieces.

        Until the iterator is at its end or closed nothing else can be asked. Closing it before the end cuts the connection, so that nobody
        works on for nothing. limit_s: for all of it. Raises CloudFault, also between two pieces.
        """
        sent = {
            "Accept": f"{_EVENTS}, {_PROBLEM}",
            "Accept-Encoding": "identity",
            "User-Agent": f"health-helper/{self.version}",
            "Content-Type": _JSON,
            **headers,
        }
        asking = _Asking(self._shut_down)
        request = self._begin(asking, method, url, sent, body, limit_s)
        whole = False
        try:
            response = self._open(request, asking)
            head = self._head(response)
            try:
                if not 200 <= head.status < 300:
                    yield self._checked(
                        replace(head, body=self._body(response, asking, ANSWER_BYTES)), _EVENTS
                    )
                else:
                    yield self._checked(head, _EVENTS)
                    for piece in _pieces(response):
                        if asking.late:
                            raise _Stopped
                        yield piece
                whole = True
            finally:
                _put_down(response)
        except (httpx.HTTPError, _Stopped, _Nonsense) as error:
            fault = self._fault(error, asking, request.url)
            fault.reached = asking.reached
        else:
            return
        finally:
            self._end(asking, whole=whole)
        raise fault

    def put(
        self, url: str, *, headers: Mapping[str, str], chunks: Iterable[bytes], length_bytes: int
    ) -> Reply:
        """Send a file to a URL that is a permission in itself, with exactly these headers beside Host; nothing of the device goes with it.

        What `chunks` raises comes out as it is, and no half of a file can be taken for a whole one. Raises CloudFault; ValueError where the
        chunks are not length_bytes long.
        """
        limit_s = self._limits.whole_s + length_bytes / self._limits.least_bytes_per_s
        sent = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        sent["Content-Length"] = str(length_bytes)
        asking = _Asking(self._shut_down)

        def content() -> Iterator[bytes]:
            try:
                yield from _exactly(chunks, length_bytes)
            except Exception as error:
                asking.theirs = error
                raise
            asking.give(self._limits.whole_s)  # for the answer

        return self._exchange(asking, "PUT", url, sent, content(), ANSWER_BYTES, limit_s)

    def close(self) -> None:
        """Ends what is under way in another thread, with faults.Closed there, and every connection. Nothing can be asked afterwards.

        Looking a name up cannot be ended; it takes as long as the system lets it.
        """
        self._closed.set()
        self._shut_down()
        with self._lock:
            idle = not self._busy
        if idle:
            self._drop()

    # --- One exchange ---------------------------------------------------------------------------------

    def _exchange(
        self,
        asking: _Asking,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | Iterator[bytes] | None,
        most_bytes: int,
        limit_s: float,
    ) -> Reply:
        request = self._begin(asking, method, url, headers, content, limit_s)
        whole = False
        try:
            response = self._open(request, asking)
            head = self._head(response)
            try:
                reply = replace(head, body=self._body(response, asking, most_bytes))
            finally:
                _put_down(response)
            whole = True
        except (httpx.HTTPError, _Stopped, _Nonsense) as error:
            fault = self._fault(error, asking, request.url)
            fault.reached = asking.reached
        else:
            return reply
        finally:
            self._end(asking, whole=whole)
        raise fault

    def _begin(
        self,
        asking: _Asking,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | Iterator[bytes] | None,
        limit_s: float,
    ) -> httpx.Request:
        """Its time runs from now on."""
        checked = {header_name(name): bearer(value) for name, value in headers.items()}
        request = httpx.Request(
            method,
            address(url),
            headers=checked,
            content=content,
            extensions={"timeout": self._timeouts(), "trace": self._watcher(asking)},
        )
        with self._lock:
            if self._closed.is_set():
                raise faults.Closed
            self._busy = True
        asking.give(limit_s)
        return request

    def _end(self, asking: _Asking, *, whole: bool) -> None:
        asking.end()
        if not whole:
            # Half an exchange is never gone on with: the next one has a connection of its own.
            self._drop()
        with self._lock:
            self._busy = False
        if self._closed.is_set():
            self._drop()

    def _open(self, request: httpx.Request, asking: _Asking) -> httpx.Response:
        """Its head has come."""
        way = self._way(request.url, asking)
        try:
            return way.handle_request(request)
        except (httpx.HTTPError, _Stopped):
            raise
        except Exception as error:
            if error is asking.theirs:
                raise
            raise _Nonsense from error

    def _head(self, response: httpx.Response) -> Reply:
        """Without its body."""
        return Reply(
            status=response.status_code,
            headers={name.lower(): values[-1] for name, values in _grouped(response.headers).items()},
            body=b"",
            date=None
            if "age" in response.headers
            else _http_date((response.headers.get_list("date") or [""])[-1]),
            arrived_s=self.clock.now_s(),
        )

    def _body(self, response: httpx.Response, asking: _Asking, most_bytes: int) -> bytes:
        if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raise faults.AnswerUnreadable("content-encoding")  # was not asked for; a bomb, perhaps
        announced = response.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > most_bytes:
            raise faults.AnswerUnreadable("content-length")
        body = bytearray()
        for piece in _pieces(response):
            body += piece
            if len(body) > most_bytes:
                raise faults.AnswerUnreadable("length")
            if asking.late:
                raise _Stopped
        return bytes(body)

    def _timeouts(self) -> dict[str, float]:
        limits = self._limits
        return {
            "connect": limits.connect_s,
            "read": limits.answer_s,
            "write": limits.send_s,
            "pool": limits.connect_s,
        }

    def _watcher(self, asking: _Asking) -> Callable[[str, Mapping[str, Any]], None]:
        """Sees each step of the library: keeps the sockets, so that they can be cut, and notes what has left."""

        def watch(name: str, info: Mapping[str, Any]) -> None:
            if name.endswith((".connect_tcp.complete", ".start_tls.complete")):
                self._keep(info["return_value"].get_extra_info("socket"))
            elif name.endswith(".send_request_headers.started") and info["request"].method != b"CONNECT":
                asking.reached = True
            if asking.late or self._closed.is_set():
                raise _Stopped

        return watch

    def _keep(self, made: socket.socket) -> None:
        with self._lock:
            self._sockets = [one for one in self._sockets if one.fileno() >= 0]
            self._sockets.append(made)

    def _shut_down(self) -> None:
        with self._lock:
            for one in self._sockets:
                # The plain socket's own method: the TLS one drops its state under the reading thread.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(one, socket.SHUT_RDWR)

    def _drop(self) -> None:
        """Every connection. The next request makes new ones, by the proxy's and the system's settings of then."""
        with self._lock:
            ways, self._ways, self._sockets = self._ways, {}, []
        for way in ways.values():
            with contextlib.suppress(httpx.HTTPError):
                way.close()

    # --- Which way ------------------------------------------------------------------------------------

    def _way(self, url: httpx.URL, asking: _Asking) -> httpx.HTTPTransport:
        proxy = way_through(self.policy, url)
        asking.proxied = proxy is not None
        known = self._ways.get(proxy or "")
        if known is not None:
            return known
        try:
            made = httpx.HTTPTransport(
                verify=trust(self.policy.ca_file),
                trust_env=False,
                http1=True,
                http2=True,
                limits=httpx.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=30.0),
                proxy=None
                if proxy is None
                else httpx.Proxy(
                    proxy,
                    ssl_context=trust(self.policy.ca_file) if proxy.lower().startswith("https:") else None,
                ),
            )
        except (ValueError, httpx.InvalidURL):
            raise faults.ProxyUnusable from None
        with self._lock:
            self._ways[proxy or ""] = made
        return made

    # --- What went wrong ------------------------------------------------------------------------------

    def _fault(self, error: Exception, asking: _Asking, url: httpx.URL) -> faults.CloudFault:
        """The library's own words are left behind: there may be addresses in them."""
        if self._closed.is_set():
            return faults.Closed()
        if asking.late:
            return faults.TimedOut("whole")
        if isinstance(error, httpx.TimeoutException):
            if not asking.reached:
                return faults.TimedOut("connect")
            return faults.TimedOut("send" if isinstance(error, httpx.WriteTimeout) else "answer")
        if asking.reached:
            return faults.ConnectionBroken()
        if isinstance(error, httpx.ProxyError):
            status = str(error)[:3]
            return faults.ProxyRefused(int(status) if status.isdecimal() else None)
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return self._certificate_fault(cause, asking, url)
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return faults.TlsFailed()
        if asking.proxied:
            return faults.ProxyRefused(None)
        return _connection_fault(causes, url.host)

    def _certificate_fault(
        self, error: ssl.SSLCertVerificationError, asking: _Asking, url: httpx.URL
    ) -> faults.CloudFault:
        code = getattr(error, "verify_code", None)
        today = self.clock.utc().date().isoformat()
        if code in _NOT_YET or (
            code in _EXPIRED and abs(self.server_clock.offset_s or 0.0) > _DAY.total_seconds()
        ):
            return faults.ClockWrong(today)
        if code in _EXPIRED:
            return faults.CertificateExpired(today)
        # A proxy's way is not gone a second time for the sake of a name.
        issuer = None if asking.proxied else _issuer(url.host, url.port or 443)
        if code in _OTHER_HOST:
            return faults.CertificateWrongHost(url.host, issuer)
        return faults.CertificateUntrusted(issuer)


def address(url: str) -> httpx.URL:
    """In one spelling: the host in small letters, no port where it is the usual one. Raises Unfit for what is no address to ask at."""
    try:
        found = httpx.URL(web_url(url))
        found.host.encode("idna")  # as the system does it when it looks the name up
    except (httpx.InvalidURL, UnicodeError):
        raise Unfit("a URL of https") from None
    return found


def way_through(policy: Policy, url: httpx.URL) -> str | None:
    """The proxy to go through: the policy's, else the environment's (on Windows and macOS: or the system's) with its exceptions. None on
    this machine itself. Raises ProxyUnusable.
    """
    if url.scheme in {"http", "ws"}:
        return None
    proxy = policy.proxy
    if proxy is None:
        found = getproxies()
        proxy = found.get("https") or found.get("all")
        if not proxy or proxy_bypass(url.host):
            return None
        if "://" not in proxy:
            proxy = f"http://{proxy}"
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        usable = False
    if not usable:
        raise faults.ProxyUnusable
    return proxy


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """What this system trusts, and the authorities in ca_file. Raises AuthoritiesUnreadable.

    Not what the environment says: under Linux OpenSSL would take SSL_CERT_FILE and SSL_CERT_DIR for the system's own.
    """
    if sys.platform.startswith("linux"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with contextlib.suppress(
            OSError
        ):  # a damaged file of the system's: then nobody is trusted, and that is told
            _load_of_linux(context)
    else:
        import truststore

        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError:  # ssl.SSLError is one
            raise faults.AuthoritiesUnreadable(ca_file) from None
    return context


def _load_of_linux(context: ssl.SSLContext) -> None:
    paths = ssl.get_default_verify_paths()
    built_in = Path(paths.openssl_cafile)
    if built_in.is_file():
        context.load_verify_locations(cafile=built_in)
    hashed = Path(paths.openssl_capath)
    if hashed.is_dir() and any(re.fullmatch(r"[0-9a-f]{8}\.[0-9]+", one.name) for one in hashed.iterdir()):
        context.load_verify_locations(capath=hashed)
    elif not built_in.is_file():
        found = next((one for one in _OF_LINUX if Path(one).is_file()), None)
        if found is not None:
            context.load_verify_locations(cafile=found)


def _issuer(host: str, port: int) -> str | None:
    """Who signed what is shown for the server, for the person who has to do something about it. Nothing is sent over this connection.

    That it cannot be trusted is known; it is only read what it claims.
    """
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        shown = ssl.get_server_certificate((host, port), timeout=_ISSUER_S)
        issuer = x509.load_pem_x509_certificate(shown.encode()).issuer
        for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
            for one in issuer.get_attributes_for_oid(kind):
                name = "".join(sign for sign in str(one.value)[:80] if sign.isprintable()).strip()
                if name:
                    return name
    except (OSError, ValueError):
        pass
    return None


def _connection_fault(causes: list[BaseException], host: str) -> faults.CloudFault:
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return faults.NameUnknown(host) if has_route() else faults.Offline()
        if isinstance(cause, ConnectionRefusedError):
            return faults.ConnectionRefused(host)
        if isinstance(cause, OSError) and cause.errno in _NO_WAY:
            return faults.Unreachable(host) if has_route() else faults.Offline()
    return faults.ConnectionBroken()


def has_route() -> bool:
    """Whether this computer could send anything to anybody else. Nothing is sent: a UDP socket only looks its way up.

    The addresses are reserved for examples (RFC 5737, RFC 3849).
    """
    for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((address, 9))
            return True
    return False


def _put_down(response: httpx.Response) -> None:
    if response.http_version != "HTTP/2":
        # Whatever was sent behind this answer would be taken for the answer to the next request.
        response.extensions["network_stream"].close()
    response.close()


def _pieces(response: httpx.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_raw()
    except (httpx.HTTPError, _Stopped):
        raise
    except Exception as error:
        raise _Nonsense from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _exactly(chunks: Iterable[bytes], length_bytes: int) -> Iterator[bytes]:
    left = length_bytes
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise ValueError("the chunks are not as long as was said")


def _grouped(headers: httpx.Headers) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in headers.multi_items():
        grouped.setdefault(name, []).append(value)
    return grouped


def _http_date(text: str) -> datetime | None:
    """RFC 9110 §5.6.7; in UTC. None for anything else, and for a year that cannot be."""
    try:
        moment = parsedate_to_datetime(text)
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return found if found.year in _YEARS else None


# --- Answers of the API ------------------------------------------------------------------------------


def read_answer(reply: Reply, kind: type[A]) -> A:
    """What was asked for. Raises the refusal as CloudFault, and AnswerUnreadable."""
    if not 200 <= reply.status < 300:
        refuse(reply)
    try:
        return kind.read(reply.body)
    except AnswerUnreadable as unreadable:
        place = unreadable.place
    raise faults.AnswerUnreadable(place)


def refuse(reply: Reply) -> Never:
    """Raises what a status that is no success means."""
    status, problem = reply.status, reply.problem
    code = None if problem is None else problem.code
    if status == _UNAUTHORIZED and code == Code.DEVICE_REVOKED:
        raise faults.DeviceRevoked
    if code == Code.BUDGET_SPENT:
        raise faults.BudgetSpent(reply.retry_after_s)
    if status == _TOO_MANY:
        raise faults.RateLimited(reply.retry_after_s)
    if status >= 500 or status == 408:
        raise faults.ServerBusy(status, code, reply.retry_after_s)
    if status == 410:
        raise faults.PatientErased
    if status == _UNAUTHORIZED:
        raise faults.Refused(status, code, scope="all", retry=True)
    # Without a word of the API itself it was something before it (a firewall), which may think otherwise later.
    raise faults.Refused(status, code, retry=problem is None and status != 413)
