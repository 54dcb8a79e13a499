"""The owner's password is changed in four steps that may each come again, and never stands in a log or an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from backend_lambda.aws.clients import Clients
from backend_lambda.rotation import RotationFailed, rotate

SECRET, NEW, OLD = "arn:aws:secretsmanager:eu-central-1:1:secret:owner-abc", "n" * 32, "o" * 32
KNOWN = {"username": "owner", "dbInstanceIdentifier": "hh-database", "password": "old-canary"}
FRESH = {**KNOWN, "password": "fresh-canary"}


class Stand:
    """Both services as botocore's own models know them: what does not fit the model, or comes out of turn, fails."""

    def __init__(self, secrets: Stubber, rds: Stubber, clients: Clients) -> None:
        self.secrets, self.rds, self.clients = secrets, rds, clients

    def stages(self, **of_version: list[str]) -> None:
        self.secrets.add_response(
            "describe_secret",
            {
                "VersionIdsToStages": {
                    {"new": NEW, "old": OLD}[name]: found for name, found in of_version.items()
                }
            },
            {"SecretId": SECRET},
        )

    def value(self, value: dict[str, str], **which: str) -> None:
        self.secrets.add_response(
            "get_secret_value", {"SecretString": json.dumps(value)}, {"SecretId": SECRET, **which}
        )

    def step(self, name: str) -> None:
        rotate({"Step": name, "SecretId": SECRET, "ClientRequestToken": NEW}, self.clients)
        self.secrets.assert_no_pending_responses()
        self.rds.assert_no_pending_responses()


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    clients = Clients("eu-central-1")
    with ExitStack() as stack:
        stubs = [stack.enter_context(Stubber(clients(name))) for name in ("secretsmanager", "rds")]
        yield Stand(stubs[0], stubs[1], clients)
    clients.close()


PENDING: dict[str, Any] = {"VersionId": NEW, "VersionStage": "AWSPENDING"}


def test_a_new_password_is_made_once_and_keeps_what_else_the_secret_says(stand: Stand) -> None:
    stand.stages(new=["AWSPENDING"], old=["AWSCURRENT"])
    stand.value(KNOWN, VersionStage="AWSCURRENT")
    stand.secrets.add_client_error(
        "get_secret_value", "ResourceNotFoundException", expected_params=ANY_PENDING
    )
    stand.secrets.add_response(
        "get_random_password",
        {"RandomPassword": "fresh-canary"},
        {"PasswordLength": 48, "ExcludePunctuation": True},
    )
    stand.secrets.add_response(
        "put_secret_value",
        {},
        {
            "SecretId": SECRET,
            "ClientRequestToken": NEW,
            "SecretString": json.dumps(FRESH),
            "VersionStages": ["AWSPENDING"],
        },
    )
    stand.step("createSecret")
    # again: it is there already
    stand.stages(new=["AWSPENDING"], old=["AWSCURRENT"])
    stand.value(KNOWN, VersionStage="AWSCURRENT")
    stand.value(FRESH, **PENDING)
    stand.step("createSecret")
    # and again once it is current
    stand.stages(new=["AWSCURRENT"])
    stand.step("createSecret")


ANY_PENDING = {"SecretId": SECRET, **PENDING}


def test_the_database_gets_it_and_is_waited_for(stand: Stand) -> None:
    stand.value(FRESH, **PENDING)
    stand.rds.add_response(
        "modify_db_instance",
        {},
        {
            "DBInstanceIdentifier": "hh-database",
            "MasterUserPassword": "fresh-canary",
            "ApplyImmediately": True,
        },
    )
    stand.step("setSecret")
    for found, is_done in (
        ({"DBInstanceStatus": "available", "PendingModifiedValues": {"MasterUserPassword": "****"}}, False),
        ({"DBInstanceStatus": "resetting-master-credentials"}, False),
        ({"DBInstanceStatus": "available", "PendingModifiedValues": {}}, True),
    ):
        stand.value(FRESH, **PENDING)
        stand.rds.add_response(
            "describe_db_instances", {"DBInstances": [found]}, {"DBInstanceIdentifier": "hh-database"}
        )
        if is_done:
            stand.step("testSecret")
        else:
            with pytest.raises(RotationFailed, match=r"^Refusal$"):
                stand.step("testSecret")


def test_the_new_version_becomes_the_current_one_once(stand: Stand) -> None:
    stand.stages(new=["AWSPENDING"], old=["AWSCURRENT"])
    stand.secrets.add_response(
        "update_secret_version_stage",
        {},
        {
            "SecretId": SECRET,
            "VersionStage": "AWSCURRENT",
            "MoveToVersionId": NEW,
            "RemoveFromVersionId": OLD,
        },
    )
    stand.step("finishSecret")
    stand.stages(new=["AWSCURRENT"], old=["AWSPREVIOUS"])
    stand.step("finishSecret")


@pytest.mark.parametrize("step", ["", "dropSecret", "None"])
def test_an_unknown_step_is_refused(stand: Stand, step: str) -> None:
    with pytest.raises(RotationFailed, match="no such step"):
        stand.step(step)


def test_what_nobody_asked_for_is_not_begun(stand: Stand) -> None:
    stand.stages(old=["AWSCURRENT"])
    with pytest.raises(RotationFailed, match=r"^ValueError$"):
        stand.step("createSecret")


def test_no_password_in_logs_or_errors(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    stand.value(FRESH, **PENDING)
    stand.rds.add_client_error(
        "modify_db_instance",
        "InvalidParameterValue",
        "MasterUserPassword fresh-canary is not good",
        400,
        expected_params=ANY_MODIFY,
    )
    with pytest.raises(RotationFailed) as caught:
        stand.step("setSecret")
    [record] = caplog.records
    assert (record.getMessage(), record.__dict__["step"]) == ("step failed", "setSecret")
    assert "canary" not in repr(record.__dict__) + repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


ANY_MODIFY = {"DBInstanceIdentifier": ANY, "MasterUserPassword": ANY, "ApplyImmediately": True}
