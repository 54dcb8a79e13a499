"""What runs beside the API: what CloudFormation is told and when, and what of the audit is measured and told."""

from __future__ import annotations

import io
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import psycopg
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from backend_lambda import app, maintenance
from backend_lambda.errors import Code, unavailable
from backend_lambda.maintenance import NotAnswered, heads_handler, migrate_handler, verify_handler
from backend_lambda.services.audit import HEADS
from backend_lambda.store.database import Database
from backend_lambda.store.logins import LOGINS, LoginsRefused
from backend_lambda.store.migrate import MigrationRefused, NewerDatabase, as_owner
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.services.test_audit_service import Room
from tests.backend_lambda.world import settings
from tests.stand_ins.postgres import Postgres, Urls

SIGNATURE = "X-Amz-Signature=0123canary"


@dataclass
class Context:
    """left_ms: as Lambda tells it."""

    left_ms: float = 300_000.0
    aws_request_id: str = "a-request"

    def get_remaining_time_in_millis(self) -> int:
        return int(self.left_ms)


class Ends(Context):
    """Its time runs out."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._ends_s = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(1000.0 * (self._ends_s - time.monotonic()))


def context(left_s: float = 300.0) -> LambdaContext:
    return cast("LambdaContext", Context(1000.0 * left_s))


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the functions log."""
    with pytest.MonkeyPatch.context() as patch:
        stream = io.StringIO()
        patch.setattr(maintenance.logger.registered_handler, "stream", stream)
        yield stream


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


# --- The migration -----------------------------------------------------------------------------------


@dataclass
class Place:
    """Where answers go. statuses: what it answers, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    @property
    def answer(self) -> dict[str, Any]:
        """The only one."""
        (body,) = self.bodies
        return body


@pytest.fixture
def place() -> Iterator[Place]:
    """As S3 stands behind a presigned address, on loopback."""
    made = Place()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            made.asked.append((self.path, self.headers["Content-Type"]))
            status = made.statuses.pop(0) if made.statuses else 200
            if status == 200:
                assert len(data) <= 4096
                made.bodies.append(json.loads(data))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/arn%3Aaws%3Astack/answer?{SIGNATURE}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def request(place: Place | str, kind: str = "Create", **changes: object) -> dict[str, Any]:
    """As CloudFormation makes it."""
    return {
        "RequestType": kind,
        "ResponseURL": place if isinstance(place, str) else place.url,
        "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/health/guid",
        "RequestId": "unique",
        "ResourceType": "Custom::Migration",
        "LogicalResourceId": "Migration",
        "ResourceProperties": {"ServiceToken": "arn", "Version": "7"},
        **changes,
    }


@pytest.fixture(scope="module")
def server(postgres: Postgres) -> Iterator[Postgres]:
    """Of this module alone, for logins belong to a whole server."""
    with Postgres() as made:
        yield made


@pytest.fixture
def empty(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Urls]:
    """A database without tables, in the function's environment."""
    made = server.empty("empty_for_maintenance")
    for name in ("HH_DATABASE_IAM", "HH_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HH_STAGE", "local")
    monkeypatch.setenv("HH_REGION", "eu-central-1")
    monkeypatch.setenv("HH_DATABASE_URL", made.owner)
    yield made
    server.drop("empty_for_maintenance")


def asked(urls: Urls, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(urls.superuser) as connection:
        return connection.execute(query.encode()).fetchall()


def untouched(urls: Urls) -> bool:
    return asked(urls, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_a_deployment_gets_tables_and_logins(empty: Urls, place: Place, written: io.StringIO) -> None:
    migrate_handler(request(place), context())
    assert place.answer == {
        "Status": "SUCCESS",
        "Reason": "done",
        "PhysicalResourceId": "health-helper-database",
        "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/health/guid",
        "RequestId": "unique",
        "LogicalResourceId": "Migration",
    }
    target = urlsplit(place.url)
    assert place.asked == [(f"{target.path}?{target.query}", "")]
    assert asked(empty, "SELECT count(*) FROM observation") == [(0,)]
    names = ", ".join(f"'{name}'" for name in LOGINS)
    assert asked(empty, f"SELECT count(*) FROM pg_roles WHERE rolname IN ({names})") == [(len(LOGINS),)]
    (line,) = lines(written)
    assert (line["level"], line["message"], line["request"]) == ("INFO", "migrated", "Create")
    assert line["applied"][0] == "0001_clinics_devices_observations.sql"
    migrate_handler(request(place, "Update", PhysicalResourceId="health-helper-database"), context())
    assert place.bodies[1]["Status"] == "SUCCESS"
    assert place.bodies[1]["PhysicalResourceId"] == place.bodies[0]["PhysicalResourceId"]
    assert lines(written)[1]["applied"] == []
    for secret in ("canary", urlsplit(empty.owner).password, "127.0.0.1", "postgresql"):
        assert str(secret) not in written.getvalue()


def test_a_resource_keeps_the_name_it_has(empty: Urls, place: Place) -> None:
    migrate_handler(request(place, "Update", PhysicalResourceId="as-it-was"), context())
    assert place.answer["PhysicalResourceId"] == "as-it-was"


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_a_standby_gets_everything_from_its_primary(
    empty: Urls, place: Place, written: io.StringIO, kind: str
) -> None:
    migrate_handler(request(place, kind, ResourceProperties={"Code": "7", "Writer": ""}), context())
    assert place.answer["Status"] == "SUCCESS"
    assert lines(written)[0]["is_standby"]
    assert untouched(empty)
    migrate_handler(request(place, "Update", ResourceProperties={"Code": "7", "Writer": "target"}), context())
    assert [one["Status"] for one in place.bodies] == ["SUCCESS"] * 2
    assert not untouched(empty)


def test_a_deletion_touches_nothing(empty: Urls, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate_handler(request(place), context())
    monkeypatch.delenv("HH_DATABASE_URL")
    migrate_handler(request(place, "Delete", PhysicalResourceId="health-helper-database"), context(5.0))
    assert [one["Status"] for one in place.bodies] == ["SUCCESS", "SUCCESS"]
    assert asked(empty, "SELECT count(*) FROM observation") == [(0,)]


@pytest.mark.parametrize("kind", ["delete", "Drop", "", None, ["Create"]])
def test_what_is_of_no_known_kind_fails(empty: Urls, place: Place, kind: Any) -> None:
    migrate_handler(request(place, kind), context())
    assert (place.answer["Status"], place.answer["Reason"]) == ("FAILED", "the request is of an unknown kind")
    assert untouched(empty)


NOWHERE = [
    "",
    "no address",
    "http://[",
    "https://example.org/",
    "https://amazonaws.com.example.org/",
    "https://xamazonaws.com/",
    "https://bucket.s3.amazonaws.com:8443/",
    "https://bucket.s3.amazonaws.com:x/",
    "https://example.org/?.amazonaws.com",
    "https://a:b@bucket.s3.amazonaws.com/",
    "http://bucket.s3.amazonaws.com/",
    "ftp://bucket.s3.amazonaws.com/",
    "http://192.0.2.1/",
    # anybody's bucket, and other services of AWS's
    "https://bucket.s3.amazonaws.com/",
    "https://x.execute-api.eu-west-1.amazonaws.com/",
    "https://s3.eu-west-1.amazonaws.com/cloudformation-custom-resource-response-euwest1/",
    # names like AWS's own
    "https://cloudformation-custom-resource-response-x.s3.amazonaws.com/",
    "https://cloudformation-custom-resource-response-eu-west-1.s3.amazonaws.com/",
    "https://cloudformation-custom-resource-response-.s3..amazonaws.com/",
    "https://x.cloudformation-custom-resource-response-euwest1.s3.amazonaws.com/",
    "https://cloudformation-custom-resource-response-euwest1.x.s3.amazonaws.com/",
    "https://cloudformation-custom-resource-response-euwest1x.s3.amazonaws.com/",
    "https://cloudformation-custom-resource-response-euwest1.s3xeu-west-1.amazonaws.com/",
    "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com.example.org/",
    "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com./",
    # another region's, and a mixture
    "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/",
    "https://cloudformation-custom-resource-response-useast1.s3.us-east-1.amazonaws.com/",
    "https://cloudformation-custom-resource-response-euwest1.s3.us-east-1.amazonaws.com/",
    "https://cloudformation-custom-resource-response-euwest1.s3-us-east-1.amazonaws.com/",
    # the right one in the wrong way
    "http://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com/",
    "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com:8443/",
    "https://a:b@cloudformation-custom-resource-response-euwest1.s3.amazonaws.com/",
]


@pytest.mark.parametrize("stage", ["local", "dev", "production"])
@pytest.mark.parametrize("url", NOWHERE)
def test_an_answer_goes_to_cloudformation_or_nowhere(
    monkeypatch: pytest.MonkeyPatch, written: io.StringIO, url: str, stage: str
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    for name in ("bring_up", "_put"):
        monkeypatch.setattr(maintenance, name, never)
    monkeypatch.setenv("HH_STAGE", stage)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(NotAnswered):
        migrate_handler(request(url), context())
    assert lines(written)[0]["message"] == "no request of CloudFormation's"
    assert "example" not in written.getvalue()


@pytest.mark.parametrize("stage", ["dev", "production", "", "LOCAL"])
def test_loopback_is_for_stand_ins(place: Place, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    monkeypatch.setenv("HH_STAGE", stage)
    for url in (place.url, place.url.replace("http:", "https:")):
        with pytest.raises(NotAnswered):
            migrate_handler(request(url, "Delete"), context())
    assert place.asked == []


@pytest.mark.parametrize(
    "region, url",
    [
        (
            "eu-west-1",
            "https://cloudformation-custom-resource-response-euwest1.s3-eu-west-1.amazonaws.com/a%3Ab?X-Amz-Date=1",
        ),
        (
            "us-east-1",
            "https://cloudformation-custom-resource-response-useast1.s3.us-east-1.amazonaws.com/a?b=c",
        ),
        ("us-east-1", "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com:443/a?b=c"),
    ],
)
def test_addresses_as_cloudformation_makes_them_are_taken(
    monkeypatch: pytest.MonkeyPatch, region: str, url: str
) -> None:
    sent: list[tuple[str, bytes]] = []

    def put(place: Any, body: bytes) -> int:
        sent.append((place.geturl(), body))
        return 200

    monkeypatch.setenv("HH_STAGE", "production")
    monkeypatch.setenv("AWS_REGION", region)
    monkeypatch.setattr(maintenance, "_put", put)
    migrate_handler(request(url, "Delete"), context())
    ((where, body),) = sent
    assert where == url
    assert json.loads(body)["Status"] == "SUCCESS"


@pytest.mark.parametrize("region", [None, "", ".", "eu-west-1.x", "EU-WEST-1", "euwest1"])
def test_where_the_region_is_not_known_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch, region: str | None
) -> None:
    monkeypatch.setenv("HH_STAGE", "production")
    monkeypatch.delenv("AWS_REGION", raising=False)
    if region is not None:
        monkeypatch.setenv("AWS_REGION", region)
    flat = (region or "").replace("-", "")
    for host in (f"{flat}.s3.amazonaws.com", f"{flat}.s3.{region}.amazonaws.com"):
        with pytest.raises(NotAnswered):
            migrate_handler(
                request(f"https://cloudformation-custom-resource-response-{host}/", "Delete"), context()
            )


def _certificate(folder: Path) -> Path:
    """Of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=1))
    builder = builder.not_valid_after(now + timedelta(days=1)).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return file


def test_a_place_that_cannot_show_whose_it_is_gets_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: io.StringIO
) -> None:
    monkeypatch.setenv("HH_STAGE", "local")
    secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secured.load_cert_chain(_certificate(tmp_path))
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(3):
                connection, _ = listener.accept()
                try:
                    with secured.wrap_socket(connection, server_side=True) as line:
                        heard.append(line.recv(4096))
                except OSError:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(NotAnswered, match="SSLCertVerificationError"):
            migrate_handler(
                request(f"https://127.0.0.1:{listener.getsockname()[1]}/?{SIGNATURE}", "Delete"), context()
            )
        thread.join(5)
    assert [one for one in heard if one] == []
    assert "canary" not in written.getvalue()


def test_an_answer_is_given_again_where_it_was_not_taken(empty: Urls, place: Place) -> None:
    place.statuses = [503, 500]
    migrate_handler(request(place), context())
    assert place.answer["Status"] == "SUCCESS"
    assert len(place.asked) == 3


@pytest.mark.parametrize("status", [301, 403, 503])
def test_without_an_answer_the_event_comes_again(
    place: Place, empty: Urls, written: io.StringIO, status: int
) -> None:
    place.statuses = [status] * 10
    with pytest.raises(NotAnswered, match=str(status)):
        migrate_handler(request(place, "Delete"), context())
    assert len(place.asked) == 3
    assert lines(written)[-1]["told"] == status


def test_a_failure_names_no_value(
    empty: Urls, place: Place, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = str(urlsplit(empty.owner).password)
    for url, said in (
        (
            empty.owner.replace(password, "wrong"),
            "the database refuses or does not answer (OperationalError)",
        ),
        ("postgresql://owner:pass%zz@host/", "the database refuses or does not answer (ProgrammingError)"),
        ("", "the environment is wrong: HH_DATABASE_URL"),
    ):
        place.bodies.clear()
        monkeypatch.setenv("HH_DATABASE_URL", url)
        migrate_handler(request(place), context())
        assert (place.answer["Status"], place.answer["Reason"]) == ("FAILED", said)
    monkeypatch.delenv("HH_REGION")
    monkeypatch.setenv("HH_DATABASE_IAM", "perhaps")
    place.bodies.clear()
    migrate_handler(request(place), context())
    wrong = "the environment is wrong: HH_DATABASE_IAM, HH_DATABASE_URL, HH_REGION"
    assert place.answer["Reason"] == wrong
    assert [line["level"] for line in lines(written)] == ["ERROR"] * 4
    for secret in ("canary", "wrong@", "pass", "host/", "perhaps", password):
        assert secret not in written.getvalue()
    assert untouched(empty)


@pytest.mark.parametrize(
    "error, said",
    [
        (MigrationRefused("0001_a.sql was edited after it was applied"), "0001_a.sql was edited after"),
        (LoginsRefused("api may make roles"), "api may make roles"),
        (unavailable(Code.STORE_UNAVAILABLE, "The sign-in has no credentials."), "503 store_unavailable"),
        (psycopg.errors.UniqueViolation("Key (name)=(Ada Canary)"), "answer (UniqueViolation 23505)"),
        (ValueError("Ada Canary"), "it failed (ValueError)"),
        (LoginsRefused("x" * 10_000), "x" * 400),
    ],
)
def test_each_failure_is_told(
    empty: Urls,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    written: io.StringIO,
    error: Exception,
    said: str,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(maintenance, "make_logins", fails)
    migrate_handler(request(place), context())
    assert place.answer["Status"] == "FAILED"
    assert said in place.answer["Reason"]
    assert "Canary" not in place.answer["Reason"] + written.getvalue()


def test_it_answers_before_its_time_ends(empty: Urls, place: Place) -> None:
    """Something holds the database, for ever as it seems."""
    began_s = time.monotonic()
    with as_owner(empty.owner):
        ends = Ends(maintenance.ANSWER_MAY_TAKE_S + 0.5)
        migrate_handler(request(place), cast("LambdaContext", ends))
    assert time.monotonic() - began_s < 5.0
    assert place.answer["Status"] == "FAILED"
    assert "QueryCanceled 57014" in place.answer["Reason"]
    assert untouched(empty)


def test_without_time_it_does_not_begin(empty: Urls, place: Place) -> None:
    migrate_handler(request(place), context(maintenance.ANSWER_MAY_TAKE_S))
    assert place.answer["Reason"] == "it failed (TimeoutError)"
    assert untouched(empty)


def test_a_rollback_to_an_older_version_is_no_failure(
    empty: Urls, place: Place, monkeypatch: pytest.MonkeyPatch, written: io.StringIO
) -> None:
    migrate_handler(request(place), context())

    def older(*_: object, **__: object) -> list[str]:
        raise NewerDatabase("0009_z.sql was applied and is not among the files: they are older")

    monkeypatch.setattr(maintenance, "migrate", older)
    migrate_handler(request(place, "Update"), context())
    assert [one["Status"] for one in place.bodies] == ["SUCCESS"] * 2
    assert [line["is_newer"] for line in lines(written)] == [False, True]


def test_it_signs_in_by_iam(empty: Urls, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HH_DATABASE_IAM", "true")
    monkeypatch.setenv("HH_DATABASE_URL", "postgresql://owner@proxy.example.org:5432/health")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    passwords: list[str] = []

    def signs_in(url: str, *, password: Callable[[], str], may_take_s: float) -> list[str]:
        assert url == "postgresql://owner@proxy.example.org:5432/health"
        assert 279.0 < may_take_s <= 280.0
        passwords.append(password())
        return []

    for name in ("migrate", "make_logins"):
        monkeypatch.setattr(maintenance, name, signs_in)
    migrate_handler(request(place), context())
    assert place.answer["Status"] == "SUCCESS"
    assert [one.partition("&")[0] for one in passwords] == ["proxy.example.org:5432/?Action=connect"] * 2
    assert "DBUser=owner&" in passwords[0]


def test_its_settings_are_its_own() -> None:
    read = maintenance.migration_settings
    given = {
        "HH_STAGE": "production",
        "HH_REGION": "eu-central-1",
        "HH_DATABASE_URL": "postgresql://owner@x/y",
    }
    made = read({**given, "HH_DATABASE_IAM": "true", "HH_SIGNING_KEY_ID": "k", "PATH": "/bin"})
    assert (made.stage, made.database_iam) == ("production", True)
    assert not read(given).database_iam
    with pytest.raises(ValidationError):
        read({**given, "HH_STAGE": "elsewhere"})


# --- The audit ---------------------------------------------------------------------------------------


@pytest.fixture
def room(
    own_urls: Urls,
    connected: Callable[[str], Database],
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Room:
    made = Room(own_urls, connected, clock)
    backend = app.Backend(settings(), made.fakes.ports(), made.auditor)
    monkeypatch.setattr(app, "backend", lambda: backend)
    return made


def measured(room: Room) -> dict[str, float]:
    assert all(unit == "Count" and clinic is None for _, _, unit, clinic in room.fakes.measures.added)
    return {name: value for name, value, _, _ in room.fakes.measures.added}


def test_heads_are_kept_and_counted(room: Room, written: io.StringIO) -> None:
    assert heads_handler({}, context()) == {"key": "heads/2026-11-27/12.json", "count": 1}
    assert list(room.fakes.audit.objects) == ["heads/2026-11-27/12.json"]
    assert measured(room) == {"audit_heads_kept": 1.0}
    (line,) = lines(written)
    assert (line["message"], line["key"], line["count"]) == ("heads kept", "heads/2026-11-27/12.json", 1)


def test_heads_that_were_not_kept_are_not_counted(room: Room, written: io.StringIO) -> None:
    room.fakes.audit.fault = unavailable(Code.OBJECTS_UNAVAILABLE, "canary")
    with pytest.raises(RuntimeError, match=r"^heads were not kept$") as told:
        heads_handler({}, context())
    assert told.value.__cause__ is None
    assert measured(room) == {}
    (line,) = lines(written)
    assert (line["level"], line["code"]) == ("ERROR", "objects_unavailable")
    assert "canary" not in written.getvalue()


@pytest.mark.parametrize("event", [{}, {"days": 2}, {"days": None, "time": "2026-11-28T03:00:00Z"}])
def test_a_whole_audit_is_measured_as_nothing(
    room: Room, written: io.StringIO, event: dict[str, Any]
) -> None:
    room.service.keep_heads()
    assert verify_handler(event, context()) == {"is_finished": True, "flaws": 0, "clinics": 1}
    assert measured(room) == {"audit_flaws": 0.0, "audit_verify_unfinished": 0.0}
    (line,) = lines(written)
    assert (line["level"], line["message"], line["flaws"]) == ("INFO", "the audit was verified", 0)


def test_each_flaw_is_told(room: Room, written: io.StringIO) -> None:
    key, _ = room.service.keep_heads()
    room.fakes.audit.delete(key)
    room.tamper("UPDATE audit SET actor_id = 'canary' WHERE seq = 4", "DELETE FROM audit WHERE seq IN (2, 3)")
    found = verify_handler({"days": 7}, context())
    assert found["is_finished"]
    told = [line for line in lines(written) if line["message"] == "the audit has a flaw"]
    assert measured(room) == {"audit_flaws": float(len(told)), "audit_verify_unfinished": 0.0}
    assert (told[0]["key"], told[0]["flaw"]) == (key, "hidden by a delete marker")
    assert [(one["clinic"], one["row"], one["flaw"], one["rows"]) for one in told[1:]] == [
        (str(room.clinic_id), 2, "missing", 2),
        (str(room.clinic_id), 4, "changed", 1),
    ]
    assert {one["level"] for one in told} == {"ERROR"}
    assert "canary" not in written.getvalue()


def test_of_many_flaws_the_first_are_told_and_all_are_counted(
    room: Room, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "MOST_TOLD", 2)
    for hour in range(5):
        room.fakes.audit.put(f"{HEADS}2026-11-27/{hour:02}.json", b"{}", "application/json")
    verify_handler({}, context())
    assert measured(room)["audit_flaws"] == 5.0
    assert [line["message"] for line in lines(written)].count("the audit has a flaw") == 2


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_it_ends_before_its_time_does_and_says_so(room: Room, written: io.StringIO, after: int) -> None:
    """Wherever it is then: among the kept heads, before a clinic, or within its rows."""
    room.service.keep_heads()

    class Runs(Context):
        def get_remaining_time_in_millis(self) -> int:
            self.left_ms -= 1000.0
            return int(self.left_ms)

    left_ms = 1000.0 * (maintenance.ENOUGH_S + after + 1)
    found = verify_handler({}, cast("LambdaContext", Runs(left_ms)))
    assert found == {"is_finished": after == 3, "flaws": 0, "clinics": int(after == 3)}
    if after == 3:
        assert measured(room) == {"audit_flaws": 0.0, "audit_verify_unfinished": 0.0}
    else:
        assert measured(room) == {"audit_verify_unfinished": 1.0}, (
            "nothing was found, and not all was looked at"
        )
        assert lines(written)[-1]["message"] == "the audit was not verified to its end"
    with room.auditor.clinic(room.clinic_id) as transaction:
        assert transaction.ask("SELECT 1") == [(1,)], "the connection is as it was"


def test_what_was_found_before_its_time_ended_is_measured(room: Room) -> None:
    room.tamper("UPDATE audit SET actor_id = 'x' WHERE seq = 4")
    room.service.keep_heads()
    heads = room.fakes.audit.objects.copy()
    room.fakes.audit.objects.clear()
    room.fakes.audit.put(f"{HEADS}2026-11-26/11.json", b"{}", "application/json")
    room.fakes.audit.objects.update(heads)

    class Runs(Context):
        def get_remaining_time_in_millis(self) -> int:
            self.left_ms -= 1000.0
            return int(self.left_ms)

    found = verify_handler({}, cast("LambdaContext", Runs(1000.0 * (maintenance.ENOUGH_S + 3))))
    assert found == {"is_finished": False, "flaws": 1, "clinics": 0}
    assert measured(room) == {"audit_flaws": 1.0, "audit_verify_unfinished": 1.0}


def test_a_verification_that_fails_is_a_failure(room: Room, written: io.StringIO) -> None:
    room.fakes.audit.fault = unavailable(Code.OBJECTS_UNAVAILABLE, "canary")
    with pytest.raises(RuntimeError, match=r"^the audit was not verified$") as told:
        verify_handler({}, context())
    assert told.value.__context__ is None
    assert measured(room) == {}, "and that it is missing raises the alarm"
    assert "canary" not in written.getvalue()


@pytest.mark.parametrize("days", [0, -1, "2", 2.0, True, [2]])
def test_days_are_a_number(room: Room, written: io.StringIO, days: object) -> None:
    with pytest.raises(ValueError, match="days"):
        verify_handler({"days": days}, context())
    assert measured(room) == {}


def test_a_function_that_cannot_start_says_so_without_its_environment(
    monkeypatch: pytest.MonkeyPatch, written: io.StringIO
) -> None:
    def backend() -> None:
        raise ValueError("postgresql://user:password@host")

    monkeypatch.setattr(app, "backend", backend)
    for handler in (heads_handler, verify_handler):
        with pytest.raises(RuntimeError, match=r"^start failed$") as told:
            handler({}, context())
        assert told.value.__cause__ is None
    assert "password" not in written.getvalue()
    assert "ValueError" in written.getvalue()
