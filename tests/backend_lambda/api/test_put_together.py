"""The functions as Lambda starts them: by their environment, with AWS's own clients, against stand-ins on loopback."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backend_lambda import app, handler
from backend_lambda.__main__ import main
from backend_lambda.app import EmfMeasures, SystemClock
from backend_lambda.settings import read, settings
from tests.backend_lambda.callers import API, DeviceKey
from tests.stand_ins.api_gateway_event import context, event
from tests.stand_ins.aws.server import AwsStandIn
from tests.stand_ins.postgres import Urls

CLOCK = SystemClock()


@pytest.fixture
def aws(urls: Urls, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsStandIn]:
    with AwsStandIn(workers=4) as aws, ExitStack() as stack:
        aws.s3.add_bucket("documents")
        aws.s3.add_bucket("audit", can_lock=True)
        aws.kms.add_key("alias/tokens")
        environment = {
            **aws.environment(),
            "HH_STAGE": "local",
            "HH_REGION": aws.region,
            "HH_PUBLIC_URL": API,
            "HH_DATABASE_URL": urls.api,
            "HH_SIGNING_KEY_ID": "alias/tokens",
            "HH_OIDC_ISSUERS": aws.oidc.issuer,
            "HH_OIDC_AUDIENCE": "health-helper",
            "HH_DOCUMENTS_BUCKET": "documents",
            "HH_AUDIT_BUCKET": "audit",
            "HH_MODEL_IDS": "model-a",
            "HH_AWS_ENDPOINT_URL": aws.url,
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        app.backend.cache_clear()
        stack.callback(app.backend.cache_clear)
        stack.callback(settings.cache_clear)
        stack.callback(lambda: app.backend().close())
        yield aws


def ask(
    method: str, path: str, headers: dict[str, str], body: object = None
) -> tuple[int, dict[str, object]]:
    answered = handler.lambda_handler(event(method, path, headers=headers, body=body), context())
    return answered["statusCode"], json.loads(answered["body"] or "{}")


def test_from_a_clinic_to_a_file_with_all_adapters(
    aws: AwsStandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("GET", "/v1/health", {})[1]["ready"] is True
    clinic_id = uuid.uuid4()
    operator = {"Authorization": f"Bearer {aws.oidc.token('olga', 'operator')}"}
    assert ask("POST", "/v1/clinics", operator, {"id": str(clinic_id), "name": "Clinic"})[0] == 200
    admin = {"Authorization": f"Bearer {aws.oidc.token('adam', 'clinic_admin', clinic_id)}"}
    code = ask("POST", f"/v1/clinics/{clinic_id}/enrolment-codes", admin, {})[1]["code"]
    key, now = DeviceKey(), CLOCK.utc()
    enrolled = ask(
        "POST",
        "/v1/devices/enrol",
        key.headers("POST", f"{API}/v1/devices/enrol", now),
        {"code": code, "public_key": key.jwk, "software_version": "1"},
    )[1]
    token = ask(
        "POST",
        "/v1/token",
        key.headers("POST", f"{API}/v1/token", now),
        {"refresh_token": enrolled["refresh_token"]},
    )[1]["access_token"]
    data = b'{"wave": []}'
    upload = {
        "id": str(uuid.uuid4()),
        "patient_id": str(uuid.uuid4()),
        "purpose": "scan_record",
        "media_type": "application/json",
        "length_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    path = "/v1/uploads"
    status, begun = ask("POST", path, key.headers("POST", API + path, now, str(token)), upload)
    assert status == 200
    assert put(str(begun["url"]), begun["headers"], data) == 200
    path = f"/v1/uploads/{upload['id']}/complete"
    assert ask("POST", path, key.headers("POST", API + path, now, str(token)))[1]["state"] == "processing"
    measured = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert {"requests", "request_duration"} <= set().union(*measured)
    assert str(clinic_id) in {one.get("clinic") for one in measured}
    for one in measured:
        assert one["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "HealthHelper"
        assert one["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0] in (
            ["service"],
            ["service", "clinic"],
            ["clinic", "service"],
        )


def put(url: str, headers: object, data: bytes) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    assert isinstance(headers, dict)
    connection.request("PUT", f"{parts.path}?{parts.query}", data, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_articles_go_into_the_knowledge_base_by_command(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.s3.add_bucket("articles")
    aws.knowledge.add_source("DS00000001", "articles", "knowledge/")
    with monkeypatch.context() as patch:
        for name in [one for one in os.environ if one.startswith("HH_")]:  # of these it needs two alone
            if name not in {"HH_STAGE", "HH_REGION", "HH_AWS_ENDPOINT_URL"}:
                patch.delenv(name)
        patch.setenv("HH_KNOWLEDGE_BASE_ID", aws.knowledge.id)
        arguments = ["ingest", str(tmp_path), "--bucket", "articles", "--data-source", "DS00000001"]
        assert main(arguments) == 2
        assert "LANGUAGE/ID.md" in capsys.readouterr().err
        (tmp_path / "en").mkdir()
        (tmp_path / "en" / "pulse.md").write_text(
            "title: Pulse\nreviewed: no\nsource: https://example.org\n\nA pulse.\n", encoding="utf-8"
        )
        assert main(arguments) == 0
        assert capsys.readouterr().out.startswith("1 articles as version ")
        assert len(aws.knowledge.passages) == 1
        region = os.environ["HH_REGION"]
        for name in ("HH_KNOWLEDGE_BASE_ID", "HH_REGION"):
            patch.delenv(name)
        assert main(arguments) == 2
        assert main([*arguments, "--region", region, "--knowledge-base", aws.knowledge.id]) == 0


def test_importing_the_handler_starts_nothing(tmp_path: Path) -> None:
    """Nothing with connections, threads or settings at import: a snapshot would keep them."""
    code = (
        "import sys, threading\n"
        "def no(name, arguments):\n"
        "    if name in {'socket.connect', 'socket.getaddrinfo', 'subprocess.Popen'}: raise SystemExit(name)\n"
        "sys.addaudithook(no)\n"
        "import backend_lambda.handler\n"
        "assert threading.active_count() == 1\n"
        "assert not {'boto3', 'botocore.session', 'botocore.client', 'pypdf'} & set(sys.modules)\n"
        "from backend_lambda import app\n"
        "assert app.backend.cache_info().currsize == 0\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HH_")}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_snapshot_is_put_together_without_a_connection(aws: AwsStandIn) -> None:
    code = (
        "import sys\n"
        "def no(name, arguments):\n"
        "    if name in {'socket.connect', 'socket.getaddrinfo'}: raise SystemExit(name)\n"
        "sys.addaudithook(no)\n"
        "import backend_lambda.handler\n"
        "from backend_lambda import app\n"
        "assert app.backend.cache_info().currsize == 1\n"
        "app.backend().api\n"
    )
    environment = {**os.environ, "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_measures_go_out_by_clinic_and_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    measures = EmfMeasures()
    for number in range(200):
        measures.add("requests", 1.0, "Count", f"clinic-{number % 2}")
    measures.add("server_errors", 1.0, "Count")
    measures.flush()
    measures.flush()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    counted: dict[str | None, int] = {}
    for line in lines:
        for name in ("requests", "server_errors"):
            values = line.get(name, [])
            counted[line.get("clinic")] = counted.get(line.get("clinic"), 0) + len(values)
            assert len(values) <= 100
    assert counted == {"clinic-0": 100, "clinic-1": 100, None: 1}


@pytest.mark.parametrize(("copy", "region"), [("", None), ("documents-copy@eu-west-1", "eu-west-1")])
def test_the_copy_of_the_documents_is_in_its_own_region(copy: str, region: str | None) -> None:
    found = app.ports_of(
        read(
            {
                "HH_STAGE": "production",
                "HH_REGION": "eu-central-1",
                "HH_PUBLIC_URL": "https://api.example.org",
                "HH_DATABASE_URL": "postgresql://api@db/health",
                "HH_SIGNING_KEY_ID": "key",
                "HH_OIDC_ISSUERS": "https://issuer.example.org",
                "HH_OIDC_AUDIENCE": "health-helper",
                "HH_DOCUMENTS_BUCKET": "documents",
                "HH_AUDIT_BUCKET": "audit",
                "HH_MODEL_IDS": "model-a",
                "HH_DOCUMENTS_COPY": copy,
            }
        )
    ).documents_copy
    assert (None if found is None else vars(found)["_clients"].region) == region
