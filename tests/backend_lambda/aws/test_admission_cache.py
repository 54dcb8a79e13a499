"""The admission cache against a real server: proofs, minutes, sign-in, TLS, and what happens when it is gone."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import valkey

from backend_lambda.aws import admission_cache
from backend_lambda.aws.admission_cache import (
    COUNT_KEPT_S,
    LEFT_ALONE_S,
    PROOF_KEPT_S,
    IamToken,
    ValkeyAdmission,
)
from backend_lambda.aws.clients import Clients
from backend_lambda.errors import Code, Refusal
from tests.backend_lambda.conftest import SetClock
from tests.stand_ins.valkey_server import NoValkey, ValkeyServer

NOW = datetime(2026, 11, 27, 12, 0, 20, tzinfo=UTC)
CLIENTS = Clients("eu-central-1")
ACL = """user default off
user api on >secret resetchannels ~hh:* -@all +set +incrby +expire +multi +exec
"""
"""As stacks/optional/cache.yaml has it, with a password instead of IAM."""


def server_or_skip(**options: object) -> ValkeyServer:
    try:
        return ValkeyServer(**options)  # type: ignore[arg-type]
    except NoValkey as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{error}")


HASTE = admission_cache.CONNECTING_MAY_TAKE_S, admission_cache.ANSWERING_MAY_TAKE_S


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that runs all tests at once is slower than a cache may be."""
    monkeypatch.setattr(admission_cache, "CONNECTING_MAY_TAKE_S", 10.0)
    monkeypatch.setattr(admission_cache, "ANSWERING_MAY_TAKE_S", 10.0)


@pytest.fixture(scope="module")
def one_server() -> Iterator[ValkeyServer]:
    with server_or_skip() as server:
        yield server


@pytest.fixture
def made(clock: SetClock) -> Iterator[Callable[..., ValkeyAdmission]]:
    """`made(url)`: a cache that is closed after the test."""
    with ExitStack() as stack:
        yield lambda url, **options: stack.enter_context(
            closing(ValkeyAdmission(url, clock, CLIENTS, **{"is_local": True, **options}))
        )


@pytest.fixture
def cache(one_server: ValkeyServer, made: Callable[..., ValkeyAdmission]) -> ValkeyAdmission:
    return made(one_server.url)


@pytest.fixture
def raw(one_server: ValkeyServer) -> Iterator[valkey.Valkey]:
    """To look behind it."""
    with valkey.Valkey(port=one_server.port) as client:
        client.flushall()
        yield client


def left_s(raw: valkey.Valkey, key: bytes) -> int:
    found = raw.ttl(key)
    assert isinstance(found, int)
    return found


def test_a_proof_is_seen_the_second_time_and_kept_for_25_minutes(
    cache: ValkeyAdmission, raw: valkey.Valkey
) -> None:
    proof = os.urandom(32)
    assert not cache.seen(proof)
    assert cache.seen(proof)
    assert not cache.seen(os.urandom(32))
    assert all(PROOF_KEPT_S - 5 <= left_s(raw, key) <= PROOF_KEPT_S for key in raw.scan_iter())


def test_seen_again_does_not_keep_it_longer(cache: ValkeyAdmission, raw: valkey.Valkey) -> None:
    proof = os.urandom(32)
    cache.seen(proof)
    (key,) = list(raw.scan_iter())
    raw.expire(key, 100)
    assert cache.seen(proof)
    assert left_s(raw, key) <= 100


def test_of_many_at_once_one_is_the_first(cache: ValkeyAdmission) -> None:
    proof, found = os.urandom(32), []
    start = threading.Barrier(16)

    def ask() -> None:
        start.wait()
        found.append(cache.seen(proof))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False] + [True] * 15


def test_the_limit_is_for_a_minute_and_one_asker(cache: ValkeyAdmission, raw: valkey.Valkey) -> None:
    clinic_id, device_id = uuid4(), uuid4()
    asked = [cache.count(clinic_id, device_id, NOW, 3) for _ in range(5)]
    assert asked == [None, None, None, 40.0, 40.0]
    assert cache.count(clinic_id, uuid4(), NOW, 3) is None
    assert cache.count(uuid4(), device_id, NOW, 3) is None
    assert cache.count(clinic_id, device_id, NOW + timedelta(seconds=39.9), 3) == pytest.approx(0.1, abs=0.01)
    assert cache.count(clinic_id, device_id, NOW + timedelta(seconds=40), 3) is None
    assert all(0 < left_s(raw, key) <= COUNT_KEPT_S for key in raw.scan_iter()), "none is kept for ever"


def test_a_new_minute_waits_a_whole_one(cache: ValkeyAdmission) -> None:
    clinic_id, device_id = uuid4(), uuid4()
    begin = NOW + timedelta(seconds=40)
    cache.count(clinic_id, device_id, begin, 1)
    assert cache.count(clinic_id, device_id, begin, 1) == 60.0


def test_the_rights_of_the_template_are_enough_and_no_more(made: Callable[..., ValkeyAdmission]) -> None:
    with server_or_skip(acl=ACL) as server:
        url = f"redis://api:secret@127.0.0.1:{server.port}/"
        cache = made(url)
        proof = os.urandom(32)
        assert [cache.seen(proof), cache.seen(proof)] == [False, True]
        assert cache.count(uuid4(), uuid4(), NOW, 1) is None
        with valkey.Valkey(port=server.port, username="api", password="secret") as client:
            for command in (
                ["GET", "hh:p:x"],
                ["KEYS", "*"],
                ["FLUSHALL"],
                ["DEL", "hh:p:x"],
                ["SET", "other", "1"],
                ["CONFIG", "GET", "*"],
            ):
                with pytest.raises(valkey.exceptions.NoPermissionError):
                    client.execute_command(*command)
        with pytest.raises(Refusal):
            made(f"redis://api:wrong@127.0.0.1:{server.port}/").seen(proof)
        with pytest.raises(Refusal):
            made(server.url).seen(proof)


def test_tls_is_verified(made: Callable[..., ValkeyAdmission]) -> None:
    with server_or_skip(tls=True) as server, server_or_skip(tls=True) as other:
        proof = os.urandom(32)
        assert not made(server.url, ca_file=str(server.ca_file)).seen(proof)
        for wrong in ({"ca_file": str(other.ca_file)}, {}):
            with pytest.raises(Refusal, match="does not answer"):
                made(server.url, **wrong).seen(proof)
        named = server.url.replace("127.0.0.1", "localhost")  # the certificate is for the address
        with pytest.raises(Refusal, match="does not answer"):
            made(named, ca_file=str(server.ca_file)).seen(proof)


@pytest.mark.parametrize(
    "url, is_local",
    [
        ("redis://127.0.0.1:1/", False),
        ("http://127.0.0.1:1/", True),
        ("rediss:///", True),
        ("rediss://api@127.0.0.1:1/", True),
        ("rediss://127.0.0.1:1/?cache=name", True),
    ],
)
def test_urls_that_are_refused(made: Callable[..., ValkeyAdmission], url: str, *, is_local: bool) -> None:
    with pytest.raises(ValueError, match=r"TLS|host|IAM"):
        made(url, is_local=is_local)


def test_a_cache_that_is_gone_is_left_alone_and_found_again(
    made: Callable[..., ValkeyAdmission], clock: SetClock
) -> None:
    with server_or_skip() as server:
        cache, proof = made(server.url), os.urandom(32)
        assert not cache.seen(proof)
        server.stop()
        with pytest.raises(Refusal, match="does not answer") as refused:
            cache.seen(proof)
        assert (refused.value.status, refused.value.code) == (503, Code.STORE_UNAVAILABLE)
        server.start()
        for _ in range(3):
            with pytest.raises(Refusal, match="left alone"):
                cache.count(uuid4(), uuid4(), NOW, 1)
        clock.go(LEFT_ALONE_S)
        assert not cache.seen(proof), "its memory went with it"
        assert cache.seen(proof)


def test_a_connection_that_died_while_idle_costs_nobody_anything(
    cache: ValkeyAdmission, raw: valkey.Valkey
) -> None:
    """As after a function was frozen for long."""
    proof = os.urandom(32)
    assert not cache.seen(proof)
    raw.client_kill_filter(_type="normal", skipme=True)
    assert cache.seen(proof)
    raw.client_kill_filter(_type="normal", skipme=True)
    assert cache.count(uuid4(), uuid4(), NOW, 1) is None


def test_a_try_that_was_lost_on_its_way_back_is_no_replay(
    cache: ValkeyAdmission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has kept the proof; the answer did not arrive; the second try must find our own word there."""
    connection = valkey.connection.Connection
    read: Callable[..., object] = connection.read_response
    lost: list[object] = []

    def losing(self: valkey.connection.Connection, *arguments: object, **named: object) -> object:
        answer = read(self, *arguments, **named)
        if not lost:
            lost.append(answer)
            raise valkey.exceptions.ConnectionError("gone")
        return answer

    proof = os.urandom(32)
    cache.seen(os.urandom(32))
    monkeypatch.setattr(connection, "read_response", losing)
    assert not cache.seen(proof)
    assert lost == [None], "the first try had been done"
    assert cache.seen(proof)


def test_silence_costs_a_request_a_quarter_of_a_second_and_no_more(
    made: Callable[..., ValkeyAdmission], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence is not asked twice. Told apart here from a client that waits for ever, not from one that waits a little longer."""
    monkeypatch.setattr(admission_cache, "CONNECTING_MAY_TAKE_S", HASTE[0])
    monkeypatch.setattr(admission_cache, "ANSWERING_MAY_TAKE_S", HASTE[1])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = made(f"redis://127.0.0.1:{silent.getsockname()[1]}/")
        begin_s = time.monotonic()
        with pytest.raises(Refusal, match="does not answer"):
            cache.seen(os.urandom(32))
        assert 0.9 * HASTE[1] < time.monotonic() - begin_s < 5.0


def test_nothing_of_a_fault_s_text_gets_out(made: Callable[..., ValkeyAdmission]) -> None:
    with server_or_skip(acl=ACL) as server, pytest.raises(Refusal) as refused:
        made(f"redis://api:pass-word@127.0.0.1:{server.port}/").seen(os.urandom(32))
    assert "pass-word" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@pytest.mark.parametrize("is_serverless", [True, False])
def test_iam_s_token(monkeypatch: pytest.MonkeyPatch, *, is_serverless: bool) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-role")
    login, token = IamToken(
        Clients("eu-central-1"), "health-helper", "hh-cache", is_serverless=is_serverless
    ).get_credentials()
    assert login == "health-helper"
    assert token.startswith("hh-cache/?")
    query = parse_qs(urlsplit(f"http://{token}").query)
    assert query["Action"] == ["connect"]
    assert query["User"] == ["health-helper"]
    assert query.get("ResourceType", []) == (["ServerlessCache"] if is_serverless else [])
    assert query["X-Amz-Expires"] == ["900"]
    assert query["X-Amz-Credential"][0].endswith("/eu-central-1/elasticache/aws4_request")
    assert query["X-Amz-Security-Token"] == ["of-the-role"]
    assert "secret" not in token


def test_without_credentials_it_is_the_cache_that_does_not_answer(
    made: Callable[..., ValkeyAdmission],
    one_server: ValkeyServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    cache = ValkeyAdmission(
        f"redis://api@127.0.0.1:{one_server.port}/?cache=hh",
        SetClock(),
        Clients("eu-central-1"),
        is_local=True,
    )
    with closing(cache), pytest.raises(Refusal) as refused:
        cache.seen(os.urandom(32))
    assert refused.value.status == 503


def test_botocore_s_list_of_authorities_can_be_read() -> None:
    """What is used where no other is given."""
    import botocore

    assert ssl.create_default_context(
        cafile=str(Path(botocore.__file__).with_name("cacert.pem"))
    ).get_ca_certs()
