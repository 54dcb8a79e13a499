"""Keys of OIDC issuers: fetched with care, kept for a while, asked for anew seldom."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from backend_lambda.aws import key_sets
from backend_lambda.aws.key_sets import ANEW_S, KEPT_S, LARGEST, STALE_S, JwksKeySets
from backend_lambda.errors import Refusal
from tests.backend_lambda.conftest import SetClock
from tests.stand_ins.aws.exchange import Answer
from tests.stand_ins.aws.oidc import OidcIssuer
from tests.stand_ins.aws.server import AwsStandIn

DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture
def issuer(aws: AwsStandIn) -> Iterator[OidcIssuer]:
    aws.oidc.rotate()
    aws.oidc.asked.clear()
    aws.oidc.answers.clear()
    yield aws.oidc
    aws.oidc.answers.clear()


@pytest.fixture
def sets(issuer: OidcIssuer, clock: SetClock) -> JwksKeySets:
    return JwksKeySets([issuer.issuer], clock, is_local=True)


def of_json(content: object, status: int = 200, **headers: str) -> Answer:
    return Answer(status, list(headers.items()), json.dumps(content).encode())


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_token_can_be_verified(issuer: OidcIssuer, sets: JwksKeySets, algorithm: str) -> None:
    key = issuer.rotate(algorithm)
    token = issuer.token("somebody", "clinic_admin", "c-1")
    pem = sets.key_pem(issuer.issuer, jwt.get_unverified_header(token)["kid"])
    assert pem is not None
    claims = jwt.decode(token, pem, algorithms=[algorithm], audience="health-helper", issuer=issuer.issuer)
    assert (claims["sub"], claims["hh_role"], claims["hh_clinic"]) == ("somebody", "clinic_admin", "c-1")
    assert key.id == jwt.get_unverified_header(token)["kid"]


def test_keys_are_kept(issuer: OidcIssuer, sets: JwksKeySets, clock: SetClock) -> None:
    key = issuer.keys[0].id
    for _ in range(3):
        assert sets.key_pem(issuer.issuer, key)
        clock.go(KEPT_S / 4)
    assert issuer.asked == {DISCOVERY: 1, "/jwks": 1}
    clock.go(KEPT_S / 4)
    assert sets.key_pem(issuer.issuer, key)
    assert issuer.asked["/jwks"] == 2


def test_a_new_key_is_found_and_an_old_one_is_gone(
    issuer: OidcIssuer, sets: JwksKeySets, clock: SetClock
) -> None:
    old = issuer.keys[0].id
    assert sets.key_pem(issuer.issuer, old)
    new = issuer.rotate().id
    assert sets.key_pem(issuer.issuer, new) is None  # asked a moment ago
    clock.go(ANEW_S)
    assert sets.key_pem(issuer.issuer, new)
    assert sets.key_pem(issuer.issuer, old) is None


def test_unknown_keys_ask_at_most_once_a_minute(
    issuer: OidcIssuer, sets: JwksKeySets, clock: SetClock
) -> None:
    for number in range(600):
        assert sets.key_pem(issuer.issuer, f"made up {number}") is None
        clock.go(0.5)
    assert issuer.asked["/jwks"] == 5


def test_nobody_else_is_ever_asked(sets: JwksKeySets) -> None:
    for issuer in ("http://127.0.0.1:1", "https://evil.example.com", ""):
        assert sets.key_pem(issuer, "a") is None


def test_known_keys_outlive_their_issuer_for_a_while(
    issuer: OidcIssuer, sets: JwksKeySets, clock: SetClock
) -> None:
    key = issuer.keys[0].id
    assert sets.key_pem(issuer.issuer, key)
    issuer.answers["/jwks"] = Answer(503)
    clock.go(STALE_S - 1)
    assert sets.key_pem(issuer.issuer, key)
    clock.go(2)
    with pytest.raises(Refusal) as caught:
        sets.key_pem(issuer.issuer, key)
    assert (caught.value.status, caught.value.retry_after_s) == (503, ANEW_S)
    issuer.answers.clear()
    clock.go(ANEW_S)
    assert sets.key_pem(issuer.issuer, key)


def test_an_issuer_that_is_down_is_not_asked_for_each_request(
    issuer: OidcIssuer, sets: JwksKeySets, clock: SetClock
) -> None:
    issuer.answers[DISCOVERY] = Answer(500)
    for _ in range(5):
        with pytest.raises(Refusal):
            sets.key_pem(issuer.issuer, "a")
    assert issuer.asked == {DISCOVERY: 1}


def _discovery(of: OidcIssuer, **changed: object) -> Answer:
    return of_json({"issuer": of.issuer, "jwks_uri": f"{of.issuer}/jwks", **changed})


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (DISCOVERY, lambda i: _discovery(i, issuer="https://somebody.else")),
        (DISCOVERY, lambda i: _discovery(i, jwks_uri=None)),
        (DISCOVERY, lambda i: _discovery(i, jwks_uri="file:///etc/passwd")),
        (DISCOVERY, lambda i: _discovery(i, jwks_uri="ftp://127.0.0.1/jwks")),
        (DISCOVERY, lambda i: _discovery(i, jwks_uri=i.issuer.replace("http://", "http://a:b@") + "/jwks")),
        (DISCOVERY, lambda i: _discovery(i, jwks_uri=f"{i.issuer}/jwks\r\nHost: x")),
        (DISCOVERY, lambda i: _discovery(i, jwks_uri="http://[")),
        (DISCOVERY, lambda i: _discovery(i, jwks_uri="http://127.0.0.1:99999/")),
        (DISCOVERY, lambda i: of_json([])),
        (DISCOVERY, lambda i: Answer(200, [], b"<html>")),
        (DISCOVERY, lambda i: Answer(200, [], b"[" * 100_000)),
        (DISCOVERY, lambda i: of_json({}, 302, Location=f"{i.issuer}/jwks")),
        ("/jwks", lambda i: of_json({}, 301, Location=f"{i.issuer}/jwks")),
        ("/jwks", lambda i: of_json({"keys": {}})),
        ("/jwks", lambda i: Answer(200, [], b"\xff")),
        ("/jwks", lambda i: Answer(404)),
        ("/jwks", lambda i: Answer(200, [], json.dumps({"keys": [key.public() for key in i.keys]}).encode() + b" " * LARGEST)),
        ("/jwks", lambda i: Answer(200, [], iter([b" " * 1000] * 1000))),
    ],
)  # fmt: skip
def test_what_is_no_key_set_is_none(issuer: OidcIssuer, sets: JwksKeySets, path: str, answer: object) -> None:
    issuer.answers[path] = answer(issuer)  # type: ignore[operator]
    with pytest.raises(Refusal) as caught:
        sets.key_pem(issuer.issuer, issuer.keys[0].id)
    assert caught.value.status == 503


def test_an_answer_that_drips_is_left(
    issuer: OidcIssuer, sets: JwksKeySets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(100):
            time.sleep(0.05)
            yield b" "

    monkeypatch.setattr(key_sets, "WITHIN_S", 0.3)
    issuer.answers["/jwks"] = Answer(200, [], drip())
    began_s = time.monotonic()
    with pytest.raises(Refusal):
        sets.key_pem(issuer.issuer, "a")
    assert time.monotonic() - began_s < 3


def test_silence_is_left(clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_sets, "READ_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(Refusal):
            JwksKeySets([issuer], clock, is_local=True).key_pem(issuer, "a")


def test_plain_http_is_for_stand_ins_alone(issuer: OidcIssuer, clock: SetClock) -> None:
    with pytest.raises(Refusal):
        JwksKeySets([issuer.issuer], clock).key_pem(issuer.issuer, issuer.keys[0].id)
    assert issuer.asked == {}


def test_only_keys_that_sign_as_we_accept_it_are_taken(issuer: OidcIssuer, sets: JwksKeySets) -> None:
    good = ec.generate_private_key(ec.SECP256R1())
    of_p256 = ECAlgorithm.to_jwk(good.public_key(), as_dict=True)
    small = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    of_p384 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
    edwards = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True)
    listed: list[object] = [
        None,
        "key",
        {},
        {"kid": "empty", "kty": "EC"},
        {**of_p256},
        {**of_p256, "kid": 1},
        {**of_p256, "kid": "encrypts", "use": "enc"},
        {**of_p256, "kid": "off the curve", "x": of_p256["y"]},
        {**of_p256, "kid": "no base64", "x": "*"},
        {**ECAlgorithm.to_jwk(good, as_dict=True), "kid": "private"},
        {**small, "kid": "small"},
        {**of_p384, "kid": "p384"},
        {**edwards, "kid": "edwards"},
        {"kty": "oct", "k": "AAAA", "kid": "secret"},
        {**of_p256, "kid": "good"},
        {**of_p384, "kid": "good"},
    ]
    issuer.answers["/jwks"] = of_json({"keys": listed})
    assert sets.key_pem(issuer.issuer, "good")
    assert set(sets._sets[issuer.issuer].keys) == {"good"}


def test_many_who_ask_at_once_ask_once(issuer: OidcIssuer, sets: JwksKeySets) -> None:
    found: list[bytes | None] = []
    key = issuer.keys[0].id
    threads = [
        threading.Thread(target=lambda: found.append(sets.key_pem(issuer.issuer, key))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 8 and all(found)
    assert issuer.asked["/jwks"] == 1


# --- HTTPS


def _certificate(folder: Path) -> Path:
    """Of 127.0.0.1, signed by itself: certificate and key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return file


@pytest.fixture
def secure(issuer: OidcIssuer, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An issuer's address with TLS, and its certificate."""
    file = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    address = f"https://127.0.0.1:{listener.getsockname()[1]}"
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
                connection.settimeout(5)
                with context.wrap_socket(connection, server_side=True) as secured:
                    asked = secured.recv(4096)
                    content = (
                        {"issuer": address, "jwks_uri": f"{address}/jwks"}
                        if DISCOVERY.encode() in asked
                        else {"keys": [key.public() for key in issuer.keys]}
                    )
                    body = json.dumps(content).encode()
                    secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            except OSError:
                continue

    thread = threading.Thread(target=serve)
    thread.start()
    yield address, file
    stopped.set()
    thread.join(10)
    listener.close()


def test_over_https_with_a_certificate_that_is_trusted(
    issuer: OidcIssuer, secure: tuple[str, Path], clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, file = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert JwksKeySets([address], clock).key_pem(address, issuer.keys[0].id)


def test_not_with_a_certificate_that_nobody_knows(
    issuer: OidcIssuer, secure: tuple[str, Path], clock: SetClock
) -> None:
    with pytest.raises(Refusal):
        JwksKeySets([secure[0]], clock, is_local=True).key_pem(secure[0], issuer.keys[0].id)


def test_not_under_another_name(
    issuer: OidcIssuer, secure: tuple[str, Path], clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = secure[0].replace("127.0.0.1", "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(secure[1]))
    with pytest.raises(Refusal):
        JwksKeySets([address], clock).key_pem(address, issuer.keys[0].id)
