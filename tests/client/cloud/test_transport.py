"""client.cloud.transport: whom it speaks to, how long and how much it listens, and how each trouble on the way is told."""

from __future__ import annotations

import errno
import gzip
import random
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme
import truststore

from client.clock import SystemClock
from client.cloud import faults, transport
from client.cloud.forms import Unfit
from client.cloud.transport import Reply, ServerClock, TimeLimits, Transport
from client.policy import Policy
from tests.client.pipeline.fakes import HandClock
from tests.stand_ins.tls_server import Asked, Connection, Script, Server, answer, problem, says, tunnel

SOON = TimeLimits(connect_s=1.0, send_s=1.0, answer_s=0.3, whole_s=0.8)
OK = answer(200, {"ok": True})


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Our Authority")


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("trust") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


def tls_of(certificate: trustme.LeafCert, *, http2: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    return tls_of(authority.issue_cert("127.0.0.1"))


Made = Callable[..., Transport]


@pytest.fixture
def made(ca_file: Path) -> Iterator[Made]:
    """Makes a Transport that trusts our authority; each is closed at the end."""
    all_of_them: list[Transport] = []

    def make(policy: Policy | None = None, limits: TimeLimits | None = None) -> Transport:
        one = Transport(policy or Policy(ca_file=ca_file), SystemClock(), "1.0", limits=limits)
        all_of_them.append(one)
        return one

    yield make
    for one in all_of_them:
        one.close()


# --- The good way ------------------------------------------------------------------------------------


def test_an_answer_over_tls_comes_whole_and_its_time_is_learned(made: Made, tls: ssl.SSLContext) -> None:
    at = datetime(2031, 5, 4, 3, 2, 1, tzinfo=UTC)
    with Server(says(answer(200, {"a": 1}, {"Date": format_datetime(at, usegmt=True)})), tls) as server:
        way = made()
        reply = way.request("POST", f"{server.url}/v1/x?y=1", headers={"DPoP": "p"}, body=b"{}")
        assert (reply.status, reply.body, reply.media_type) == (200, b'{"a": 1}', "application/json")
        assert abs((way.server_clock.utc() - at).total_seconds()) < 5
        way.request("GET", server.url)
    asked = server.asked[0]
    assert (asked.method, asked.target, asked.body) == ("POST", "/v1/x?y=1", b"{}")
    assert asked.headers["accept-encoding"] == "identity" and asked.headers["dpop"] == "p"
    assert asked.headers["user-agent"] == "health-helper/1.0"
    assert server.connections == 2


@pytest.mark.parametrize("over_tls", [True, False])
def test_what_stands_behind_an_answer_answers_no_other_request(
    made: Made, tls: ssl.SSLContext, over_tls: bool
) -> None:
    """Of whomever: something between here and the server that has mixed up whose answer is whose."""
    both = answer(200, {"n": 1}) + answer(200, {"n": "of somebody else"})
    with Server(says(both, answer(200, {"n": 2}), both, b""), tls if over_tls else None) as server:
        way = made()
        assert [way.request("GET", server.url).body for _ in range(2)] == [b'{"n": 1}', b'{"n": 2}']
        assert way.put(server.url, headers={}, chunks=[b"a"], length_bytes=1).body == b'{"n": 1}'
        with pytest.raises(faults.CloudFault):
            way.request("GET", server.url)


def test_http2_is_spoken_where_it_is_offered(made: Made, authority: trustme.CA) -> None:
    with Server(says(OK), tls_of(authority.issue_cert("127.0.0.1"), http2=True)) as server:
        way = made()
        for _ in range(3):
            assert way.request("POST", f"{server.url}/v1/x", body=b'{"a":1}').body == b'{"http":2}'
        reply = way.put(server.url, headers={}, chunks=iter([b"abc", b"de"]), length_bytes=5)
        assert reply.status == 200
    assert [asked.body for asked in server.asked] == [b'{"a":1}'] * 3 + [b"abcde"]
    assert server.connections == 1


def test_neither_a_cookie_nor_a_redirect_is_followed(made: Made, tls: ssl.SSLContext) -> None:
    cookie = answer(200, {}, {"Set-Cookie": "a=b; Path=/"})
    with Server(says(OK)) as elsewhere, Server(says(cookie, cookie, b""), tls) as server:
        way = made()
        way.request("GET", server.url)
        way.request("GET", server.url)
        for status in (301, 302, 303, 307, 308):
            server.script = says(answer(status, b"", {"Location": elsewhere.url}))
            with pytest.raises(faults.CaptivePortal):
                way.request("GET", server.url, headers={"Authorization": "DPoP secret"})
            assert way.put(server.url, headers={}, chunks=[b"a"], length_bytes=1).status == status
    assert elsewhere.asked == []
    assert not any("cookie" in asked.headers for asked in server.asked)


@pytest.mark.parametrize("url", ["http://example.org/", "https://user@127.0.0.1/", "ftp://127.0.0.1/", "x"])
def test_nothing_is_sent_in_plain_text_or_to_what_is_no_address(made: Made, url: str) -> None:
    with pytest.raises(Unfit):
        made().request("GET", url)


@pytest.mark.parametrize(
    "host",
    ["xn--a", "xn--ls8h.la", "[1:2:3]", "[::::]", "999.1.1.1", "a..b", "." , "a" * 64 + ".org"],
)  # fmt: skip
def test_a_host_that_cannot_be_one_is_no_address(made: Made, host: str) -> None:
    """A server names such a place for a file; a person types one."""
    for url in (f"https://{host}/", f"https://{host}:8443/v1"):
        with pytest.raises(Unfit):
            made().put(url, headers={}, chunks=[b"a"], length_bytes=1)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1.example.org", "127.1", "0.0.0.0", "2130706433", "0x7f000001", "localhost.", "localhost.example.org",
        "127.0.0.1@example.org", "[::]", "[::ffff:7f00:1]", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "169.254.169.254",
    ],
)  # fmt: skip
def test_only_this_machine_itself_is_spoken_to_in_plain_text(made: Made, host: str) -> None:
    with pytest.raises(Unfit):
        made().request("GET", f"http://{host}/")


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b", "ä", ""])
def test_no_header_can_be_smuggled_in(made: Made, tls: ssl.SSLContext, value: str) -> None:
    with Server(says(OK), tls) as server:
        with pytest.raises(Unfit):
            made().request("GET", server.url, headers={"DPoP": value})
        with pytest.raises(Unfit):
            made().put(server.url, headers={f"X{value}:": "a"}, chunks=[], length_bytes=0)
    assert server.connections == 0


# --- Who is trusted ----------------------------------------------------------------------------------


def refused(way: Transport, url: str) -> faults.CloudFault:
    with pytest.raises(faults.CloudFault) as caught:
        way.request("GET", url, headers={"Authorization": "DPoP secret"})
    fault = caught.value
    assert fault.title and not fault.title.endswith(".") and fault.remedy.endswith(".")
    return fault


def test_a_certificate_of_nobody_who_is_trusted_is_named_and_nothing_is_sent(
    made: Made, tls: ssl.SSLContext
) -> None:
    with Server(says(OK), tls) as server:
        fault = refused(made(Policy()), server.url)
    assert type(fault) is faults.CertificateUntrusted and not fault.reached
    assert fault.issuer == "Our Authority" and "Our Authority" in fault.title
    assert server.asked == []


def test_no_variable_of_the_environment_adds_trust(
    made: Made, tls: ssl.SSLContext, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(ca_file))
    monkeypatch.setenv("SSL_CERT_DIR", str(ca_file.parent))
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    with Server(says(OK), tls) as server:
        assert isinstance(refused(made(Policy()), server.url), faults.CertificateUntrusted)
    assert server.asked == []


def test_no_variable_of_the_environment_takes_trust_or_keys_away(
    made: Made, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with Server(says(OK), tls) as server:
        assert made().request("GET", server.url).status == 200
    assert list(tmp_path.iterdir()) == []


def test_windows_and_macos_are_asked_themselves(monkeypatch: pytest.MonkeyPatch, ca_file: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    context = transport.trust(ca_file)
    assert type(context) is truststore.SSLContext
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname


def test_a_file_of_certificates_that_is_none_is_told(tmp_path: Path) -> None:
    for file in (tmp_path / "gone.pem", tmp_path / "bad.pem"):
        (tmp_path / "bad.pem").write_text("no certificate", encoding="utf-8")
        with pytest.raises(faults.AuthoritiesUnreadable) as caught:
            transport.trust(file)
        assert str(file) in caught.value.remedy


def test_a_certificate_for_another_host(made: Made, authority: trustme.CA) -> None:
    with Server(says(OK), tls_of(authority.issue_cert("portal.example"))) as server:
        fault = refused(made(), server.url)
    assert type(fault) is faults.CertificateWrongHost and "127.0.0.1" in fault.title


def aged(authority: trustme.CA, begins_d: int, ends_d: int) -> ssl.SSLContext:
    now = datetime.now(UTC)
    return tls_of(
        authority.issue_cert(
            "127.0.0.1", not_before=now + timedelta(days=begins_d), not_after=now + timedelta(days=ends_d)
        )
    )


def test_an_expired_certificate_may_be_the_clocks_fault(made: Made, authority: trustme.CA) -> None:
    with Server(says(OK), aged(authority, -20, -10)) as server:
        way = made()
        fault = refused(way, server.url)
        assert type(fault) is faults.CertificateExpired
        assert datetime.now(UTC).date().isoformat() in fault.title
        way.server_clock.learn(Reply(200, {}, b"", datetime.now(UTC) - timedelta(days=15), way.clock.now_s()))
        assert type(refused(way, server.url)) is faults.ClockWrong  # the server has said that it is earlier


def test_a_certificate_of_the_future_is_the_clocks_fault(made: Made, authority: trustme.CA) -> None:
    with Server(says(OK), aged(authority, 10, 20)) as server:
        fault = refused(made(), server.url)
    assert type(fault) is faults.ClockWrong and not fault.reached


def test_old_tls_and_no_tls_are_no_secure_connection(made: Made, authority: trustme.CA) -> None:
    old = tls_of(authority.issue_cert("127.0.0.1"))
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with Server(says(OK), old) as server:
        assert type(refused(made(), server.url)) is faults.TlsFailed
    with Server(
        says(OK), raw=lambda one: one.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n")
    ) as server:
        assert type(refused(made(), f"https://127.0.0.1:{server.port}")) is faults.TlsFailed


# --- No way there ------------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, error: OSError, *, route: bool) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    monkeypatch.setattr(transport, "has_route", lambda: route)


@pytest.mark.parametrize(
    ("error", "route", "kind"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "x"), False, faults.Offline),
        (socket.gaierror(socket.EAI_NONAME, "x"), True, faults.NameUnknown),
        (OSError(errno.ENETUNREACH, "x"), False, faults.Offline),
        (OSError(errno.EHOSTUNREACH, "x"), True, faults.Unreachable),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), True, faults.ConnectionRefused),
        (ConnectionResetError(errno.ECONNRESET, "x"), True, faults.ConnectionBroken),
        (TimeoutError(), True, faults.TimedOut),
        (OSError(errno.EMFILE, "x"), True, faults.ConnectionBroken),
    ],
    ids=lambda one: str(getattr(one, "errno", one)) if isinstance(one, OSError) else None,
)
def test_each_way_to_get_nowhere_has_its_own_word(
    made: Made, monkeypatch: pytest.MonkeyPatch, error: OSError, route: bool, kind: type[faults.CloudFault]
) -> None:
    way = made()
    failing(monkeypatch, error, route=route)
    fault = refused(way, "https://api.example.org/v1/token")
    assert type(fault) is kind and not fault.reached and fault.retry and fault.scope == "all"


def test_whether_there_is_a_network_is_asked_without_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    class Nowhere(socket.socket):
        def connect(self, address: object) -> None:
            tried.append((self.family, self.type))
            raise OSError(errno.ENETUNREACH, "x")

    monkeypatch.setattr(socket, "socket", Nowhere)
    assert not transport.has_route()
    assert tried == [(socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_INET6, socket.SOCK_DGRAM)]


def test_a_closed_port_refuses(made: Made) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert type(refused(made(), f"https://127.0.0.1:{port}")) is faults.ConnectionRefused


def test_a_server_that_never_shakes_hands_is_given_up_on(made: Made) -> None:
    done = threading.Event()

    def mute(one: socket.socket) -> None:
        one.recv(1)
        done.wait(5.0)

    with Server(says(OK), raw=mute) as server:
        fault = refused(made(limits=TimeLimits(connect_s=0.2)), f"https://127.0.0.1:{server.port}")
        done.set()
    assert isinstance(fault, faults.TimedOut) and fault.phase == "connect" and not fault.reached


# --- Answers that are none ---------------------------------------------------------------------------


def broken(script: Script) -> Script:
    """And then the connection ends."""

    def run(asked: Asked, connection: Connection) -> None:
        script(asked, connection)
        connection.shut()

    return run


def silent(_asked: Asked, connection: Connection) -> None:
    connection.wait(3.0)


def drips(head: bytes) -> Script:
    def run(_asked: Asked, connection: Connection) -> None:
        connection.send(head)
        while connection.wait(0.05):
            connection.send(b"a")

    return run


def resets(_asked: Asked, connection: Connection) -> None:
    connection.reset()


ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def pours(_asked: Asked, connection: Connection) -> None:
    connection.send(ENDLESS)
    while True:
        connection.send(b"10000\r\n" + bytes(65536) + b"\r\n")


def waits_for_ever(_asked: Asked, connection: Connection) -> None:
    while connection.wait(0.02):
        connection.send(b"HTTP/1.1 102 Processing\r\n\r\n")


BOMB = gzip.compress(bytes(10_000_000))


@pytest.mark.parametrize(
    ("script", "kind", "says_of_it"),
    [
        (silent, faults.TimedOut, "answer"),
        (
            drips(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"),
            faults.TimedOut,
            "whole",
        ),
        (drips(b"HTTP/1.1 200 OK\r\nX: "), faults.TimedOut, "whole"),
        (waits_for_ever, faults.TimedOut, "whole"),
        (resets, faults.ConnectionBroken, None),
        (broken(says(b"")), faults.ConnectionBroken, None),
        (broken(says(OK[:-3])), faults.ConnectionBroken, None),
        (broken(says(b"HTTP/1.1 200")), faults.ConnectionBroken, None),
        (broken(says(ENDLESS + b'5\r\n{"a":\r\n')), faults.ConnectionBroken, None),
        (broken(says(b"SSH-2.0-OpenSSH_9.0\r\n")), faults.ConnectionBroken, None),
        (
            broken(says(b"HTTP/1.1 200 OK\r\nA: " + b"a" * 300_000 + b"\r\n\r\n")),
            faults.ConnectionBroken,
            None,
        ),
        (pours, faults.AnswerUnreadable, "length"),
        (says(answer(200, {}, {"Content-Length": "9" * 15})), faults.AnswerUnreadable, "content-length"),
        (
            says(answer(200, BOMB, {"Content-Encoding": "gzip", "Content-Type": "application/json"})),
            faults.AnswerUnreadable,
            "content-encoding",
        ),
        (
            says(answer(200, b"<html>", {"Content-Type": "text/html; charset=utf-8"})),
            faults.CaptivePortal,
            None,
        ),
        (says(answer(200, b"OK")), faults.CaptivePortal, None),
        (says(answer(511, b"<html>", {"Content-Type": "text/html"})), faults.CaptivePortal, None),
        (says(answer(302, b"", {"Location": "https://login.example/"})), faults.CaptivePortal, None),
    ],
    ids=range(18),
)
def test_what_is_no_answer_is_told_apart_and_never_waited_for(
    made: Made, tls: ssl.SSLContext, script: Script, kind: type[faults.CloudFault], says_of_it: str | None
) -> None:
    with Server(script, tls) as server:
        way = made(limits=SOON)
        fault = refused(way, server.url)
        assert type(fault) is kind and fault.reached
        if says_of_it is not None:
            assert says_of_it in {getattr(fault, "phase", None), getattr(fault, "place", None)}
        server.script = says(OK)
        assert way.request("GET", server.url).status == 200  # the next one has a connection of its own
    if not isinstance(fault, faults.CaptivePortal):
        assert server.connections == 2


def spoilt(data: bytes, rng: random.Random) -> bytes:
    """Halved, doubled, or with some bytes changed."""
    kind = rng.randrange(4)
    if kind == 0:
        return data[: rng.randrange(len(data))]
    if kind == 1:
        return data + data
    changed = bytearray(data)
    for _ in range(kind):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("http2", [False, True])
def test_a_spoilt_answer_is_an_answer_or_a_fault_and_nothing_else(
    made: Made, authority: trustme.CA, http2: bool
) -> None:
    rng = random.Random(11)
    head = {"Date": "Fri, 20 Nov 2026 12:00:00 GMT", "Retry-After": "7", "ETag": '"a"'}
    good = answer(200, {"a": 1}, head)

    def script(_asked: Asked, connection: Connection) -> None:
        connection.send(spoilt(good, rng))
        connection.shut()

    tls = tls_of(authority.issue_cert("127.0.0.1"), http2=http2)
    outcomes: set[type] = set()
    with Server(script, tls, spoils=lambda data: spoilt(data, rng)) as server:
        way = made(limits=SOON)
        for _ in range(150):
            try:
                reply = way.request("GET", server.url)
            except faults.CloudFault as fault:
                outcomes.add(type(fault))
            else:
                outcomes.add(Reply)
                assert reply.retry_after_s is None or reply.retry_after_s >= 0.0
    assert {Reply, faults.ConnectionBroken} <= outcomes


@pytest.mark.parametrize(
    "frame",
    [
        "00000403000000000100000002",  # RST_STREAM: internal error
        "0000080700000000000000000000000001",  # GOAWAY: protocol error
        "ffffff000000000001",  # DATA that is larger than any frame may be
        "00000501040000000108036162630a",  # HEADERS with a status that is no number
        "000001010400000001ff",  # HEADERS that cannot be decoded
    ],
    ids=["reset", "go away", "too large", "no number", "no header"],
)  # fmt: skip
def test_what_is_against_http2_is_a_broken_connection(made: Made, authority: trustme.CA, frame: str) -> None:
    tls = tls_of(authority.issue_cert("127.0.0.1"), http2=True)
    with Server(says(OK), tls, spoils=lambda _data: bytes.fromhex(frame)) as server:
        assert isinstance(refused(made(limits=SOON), server.url), faults.ConnectionBroken)


def test_a_connection_that_ended_meanwhile_is_made_anew(made: Made, tls: ssl.SSLContext) -> None:
    with Server(broken(says(OK)), tls) as server:
        way = made()
        for _ in range(3):
            assert way.request("GET", server.url).status == 200
    assert server.connections == 3


# --- Files -------------------------------------------------------------------------------------------


def test_a_file_is_sent_in_pieces_with_exactly_its_headers(made: Made, tls: ssl.SSLContext) -> None:
    given = {"Content-Type": "application/pdf", "x-amz-meta-a": "b c", "Content-Length": "300000"}
    with Server(says(answer(200)), tls) as server:
        made().put(
            server.url + "/a?X-Amz-Signature=1",
            headers=given,
            chunks=iter([bytes(100_000)] * 3),
            length_bytes=300_000,
        )
    asked = server.asked[0]
    assert asked.body == bytes(300_000)
    assert asked.headers == {
        "host": f"127.0.0.1:{server.port}",
        **{name.lower(): value for name, value in given.items()},
    }


@pytest.mark.parametrize("http2", [False, True])
def test_cancelling_leaves_no_half_file_and_a_clean_connection(
    made: Made, authority: trustme.CA, http2: bool
) -> None:
    class Cancelled(Exception):
        pass

    def chunks() -> Iterator[bytes]:
        yield bytes(1000)
        raise Cancelled

    with Server(says(answer(200, {})), tls_of(authority.issue_cert("127.0.0.1"), http2=http2)) as server:
        way = made()
        way.request("GET", server.url)
        with pytest.raises(Cancelled):
            way.put(server.url, headers={}, chunks=chunks(), length_bytes=5000)
        assert way.request("GET", server.url).status == 200
    assert [
        len(asked.body) for asked in server.asked if asked.method == "PUT" and len(asked.body) == 5000
    ] == []
    assert server.connections == (2 if http2 else 3)


@pytest.mark.parametrize("chunks", [[b"abc"], [b"abc", b"def"]])
def test_another_length_than_was_said_is_our_bug(
    made: Made, tls: ssl.SSLContext, chunks: list[bytes]
) -> None:
    with Server(says(answer(200)), tls) as server, pytest.raises(ValueError):
        made().put(server.url, headers={}, chunks=chunks, length_bytes=5)


def test_a_file_that_nobody_takes_is_given_up_on(made: Made) -> None:
    with Server(silent, reads_body=False) as server:
        way = made(limits=TimeLimits(send_s=0.3))
        with pytest.raises(faults.TimedOut) as caught:
            way.put(server.url, headers={}, chunks=iter([bytes(1 << 20)] * 64), length_bytes=64 << 20)
    assert caught.value.phase == "send"


def test_a_refusal_before_the_end_is_heard(made: Made, tls: ssl.SSLContext) -> None:
    with Server(broken(says(answer(403, b"<Error/>"))), tls, reads_body=False) as server:
        try:
            reply = made().put(
                server.url, headers={}, chunks=iter([bytes(1 << 16)] * 64), length_bytes=1 << 22
            )
        except faults.ConnectionBroken:
            return  # the answer was lost with the reset connection: tried again
    assert reply.status == 403


# --- Proxies -----------------------------------------------------------------------------------------


def agrees(to_port: list[int]) -> Script:
    def run(asked: Asked, connection: Connection) -> None:
        assert asked.method == "CONNECT"
        to_port.append(int(asked.target.rpartition(":")[2]))
        connection.send(b"HTTP/1.1 200 Go\r\n\r\n")
        tunnel(connection._made, to_port[-1])

    return run


def test_the_policys_proxy_is_used_with_its_login_and_sees_nothing_else(
    made: Made, tls: ssl.SSLContext, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")  # of the environment's proxies, not of the policy's
    seen: list[int] = []
    with Server(says(OK), tls) as server, Server(agrees(seen)) as proxy:
        named = Policy(ca_file=ca_file, proxy=f"http://me:pass@127.0.0.1:{proxy.port}")
        made(named).request("GET", server.url, headers={"Authorization": "DPoP secret"})
    assert seen == [server.port]
    assert proxy.asked[0].headers["proxy-authorization"].startswith("Basic ")
    assert "authorization" not in proxy.asked[0].headers
    assert "proxy-authorization" not in server.asked[0].headers


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_the_environments_proxy_is_used(
    made: Made, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seen: list[int] = []
    with Server(says(OK), tls) as server, Server(agrees(seen)) as proxy:
        monkeypatch.setenv(name, f"127.0.0.1:{proxy.port}")
        made().request("GET", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        made().request("GET", server.url)
    assert seen == [server.port]


def test_this_machine_itself_is_reached_without_a_proxy(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Server(says(OK)) as server:
        assert made().request("GET", server.url).status == 200


@pytest.mark.parametrize("status", [407, 403, 502])
def test_a_proxy_that_refuses_is_told_by_its_status(made: Made, ca_file: Path, status: int) -> None:
    with Server(says(answer(status, b"no"))) as proxy:
        way = made(Policy(ca_file=ca_file, proxy=proxy.url))
        fault = refused(way, "https://api.example.org/")
    assert isinstance(fault, faults.ProxyRefused) and fault.status == status and not fault.reached
    assert str(status) in fault.title


def test_a_proxy_that_is_gone_breaks_off_or_is_silent(made: Made, ca_file: Path) -> None:
    with Server(broken(says(b""))) as proxy:
        url = proxy.url
        fault = refused(made(Policy(ca_file=ca_file, proxy=url)), "https://api.example.org/")
        assert isinstance(fault, faults.ProxyRefused) and fault.status is None
        proxy.script = silent
        fault = refused(made(Policy(ca_file=ca_file, proxy=url), SOON), "https://api.example.org/")
        assert isinstance(fault, faults.TimedOut) and not fault.reached
    fault = refused(made(Policy(ca_file=ca_file, proxy=url)), "https://api.example.org/")
    assert isinstance(fault, faults.ProxyRefused) and fault.status is None


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://127.0.0.1:99999", "http://[::1"])
def test_a_proxy_that_cannot_be_used_is_not_passed_by(
    made: Made, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    assert type(refused(made(), "https://api.example.org/")) is faults.ProxyUnusable


def test_behind_a_proxy_the_server_is_still_the_one_to_be_trusted(made: Made, tls: ssl.SSLContext) -> None:
    seen: list[int] = []
    with Server(says(OK), tls) as server, Server(agrees(seen)) as proxy:
        fault = refused(made(Policy(proxy=proxy.url)), server.url)
    assert type(fault) is faults.CertificateUntrusted and fault.issuer is None
    assert server.asked == []


# --- Ending ------------------------------------------------------------------------------------------


def test_close_from_another_thread_ends_what_waits(made: Made, tls: ssl.SSLContext) -> None:
    came = threading.Event()
    caught: list[BaseException] = []

    def script(_asked: Asked, connection: Connection) -> None:
        came.set()
        connection.wait(8.0)

    with Server(script, tls) as server:
        way = made()

        def ask() -> None:
            try:
                way.request("GET", server.url)
            except faults.CloudFault as fault:
                caught.append(fault)

        asking = threading.Thread(target=ask)
        asking.start()
        assert came.wait(5.0)
        way.close()
        asking.join(2.0)
        assert not asking.is_alive()
        with pytest.raises(faults.Closed):
            way.request("GET", server.url)
    assert [type(one) for one in caught] == [faults.Closed]


# --- Replies and the server's clock ------------------------------------------------------------------


def reply(status: int = 200, body: bytes = b"", *, date: datetime | None = None, **headers: str) -> Reply:
    return Reply(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, body, date, 100.0
    )


NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "wait_s"),
    [
        ("300", 300.0),
        ("0", 0.0),
        ("999999999999", 400 * 86_400.0),
        ("Fri, 20 Nov 2026 12:02:00 GMT", 120.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("-5", None),
        ("1e9", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_moment_by_the_servers_clock(given: str, wait_s: float | None) -> None:
    assert reply(503, date=NOON, retry_after=given).retry_after_s == wait_s


def test_a_moment_without_a_clock_to_measure_it_by_says_nothing() -> None:
    assert reply(503, retry_after="Fri, 20 Nov 2026 12:02:00 GMT").retry_after_s is None


def test_the_refusal_itself_says_how_long_where_no_header_does() -> None:
    body = problem(503, "store_unavailable", retry_after_s=5.5).partition(b"\r\n\r\n")[2]
    assert reply(503, body, content_type="application/problem+json").retry_after_s == 5.5


def test_signatures_have_the_servers_time_whatever_the_wall_clock_does() -> None:
    clock = HandClock()
    known = ServerClock(clock)
    assert known.utc() == clock.utc() and known.offset_s is None
    known.learn(reply(401, date=NOON))
    clock.at_s += 60.0
    assert known.utc() == NOON + timedelta(seconds=60.5)
    for years in (-30, 30):
        clock.starts += timedelta(days=365 * years)
        assert known.utc() == NOON + timedelta(seconds=60.5)
        assert known.offset_s == (clock.utc() - known.utc()).total_seconds()
    known.learn(reply(200))  # without a Date nothing changes
    assert known.utc() == NOON + timedelta(seconds=60.5)


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "Fri, 99 Nov 2026 12:00:00 GMT",
        "Fri, 20 Nov 99999999999 12:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",  # from there nobody can count on
        "Tue, 31 Dec 2019 23:59:59 GMT",
    ],
)
def test_a_date_that_is_none_teaches_nothing(made: Made, tls: ssl.SSLContext, date: str) -> None:
    with Server(says(answer(200, {}, {"Date": date} if date else {})), tls) as server:
        way = made()
        way.request("GET", server.url)
    assert way.server_clock.offset_s is None


def test_the_time_of_a_cache_or_a_portal_teaches_nothing(made: Made, tls: ssl.SSLContext) -> None:
    old = {"Date": "Fri, 20 Nov 2020 12:00:00 GMT"}
    with Server(says(answer(200, {}, {**old, "Age": "9"}), answer(302, b"", old)), tls) as server:
        way = made()
        way.request("GET", server.url)
        refused(way, server.url)
    assert way.server_clock.offset_s is None


def test_a_damaged_file_of_the_systems_trusts_nobody(
    made: Made, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "ca.crt"
    damaged.write_bytes(b"\0" * 100)
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile=str(damaged), openssl_capath=str(damaged))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    with Server(says(OK), tls) as server:
        assert type(refused(made(Policy()), server.url)) is faults.CertificateUntrusted
    assert server.asked == []


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_a_proxy_over_tls_is_trusted_as_the_server_is(
    made: Made, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with Server(says(answer(403, b"no")), tls) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://me:secret@127.0.0.1:{proxy.port}")
        fault = refused(made(), "https://api.example.org/")
        assert isinstance(fault, faults.ProxyRefused) and fault.status == 403
        assert "secret" not in f"{fault} {fault.title} {fault.remedy}"
        untrusted = refused(made(Policy()), "https://api.example.org/")
    assert type(untrusted) is faults.CertificateUntrusted and len(proxy.asked) == 1
