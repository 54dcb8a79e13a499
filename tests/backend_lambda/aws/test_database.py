"""Signing in to RDS by IAM: the token is what botocore itself makes for the same login, host and moment."""

from __future__ import annotations

import re

import botocore.auth
import botocore.session
import pytest
from botocore.credentials import Credentials
from botocore.signers import RequestSigner

from backend_lambda.app import Backend
from backend_lambda.aws.clients import Clients
from backend_lambda.aws.database import IamPassword
from backend_lambda.errors import Refusal
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import Fakes
from tests.backend_lambda.world import settings

URL = "postgresql://api%40clinic@db.example.org:6432/health"


def test_it_is_as_botocore_signs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    made = IamPassword(Clients("eu-central-1"), URL)()
    session = botocore.session.Session()
    signer = RequestSigner(
        session.get_service_model("rds").service_id,
        "eu-central-1",
        "rds-db",
        "v4",
        Credentials("AKIDEXAMPLE", "secret", "session"),
        session.get_component("event_emitter"),
    )
    theirs = signer.generate_presigned_url(
        {
            "url_path": "/",
            "query_string": "",
            "headers": {},
            "body": {"Action": "connect", "DBUser": "api@clinic"},
            "url": "https://db.example.org:6432/",
            "method": "GET",
            "context": {},
        },
        "connect",
        region_name="eu-central-1",
        expires_in=900,
        signing_name="rds-db",
    )
    wanted = theirs.removeprefix("https://")
    assert made.startswith("db.example.org:6432/?Action=connect&DBUser=api%40clinic&X-Amz-Algorithm=")
    if _date(made) == _date(wanted):  # else the second changed in between
        assert sorted(made.partition("?")[2].split("&")) == sorted(wanted.partition("?")[2].split("&"))
    assert "X-Amz-Expires=900" in made and "secret" not in made


def _date(token: str) -> str:
    found = re.search(r"X-Amz-Date=(\w+)", token)
    assert found
    return found[1]


def test_without_credentials_it_is_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = Clients("eu-central-1")
    monkeypatch.setattr(clients, "credentials", lambda: None)
    with pytest.raises(Refusal) as refused:
        IamPassword(clients, URL)()
    assert refused.value.status == 503


def test_the_settings_say_so(clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    ports = Fakes(clock).ports()
    made = Backend(settings(database_iam=True, database_url=URL), ports).database
    assert made._password is not None and made._password().startswith("db.example.org:6432/?")
    assert Backend(settings(), ports).database._password is None
