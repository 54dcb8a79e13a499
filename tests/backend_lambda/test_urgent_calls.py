"""The function that calls staff: one call for one case, no number in any log, and no case that stops the next one for good.

With AWS's clients against stand-ins, and with the template that says what the function is given.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda import urgent_calls as entry
from backend_lambda.app import NAMESPACE
from backend_lambda.aws import feeds
from backend_lambda.aws.calls import ConnectCalls, StaffNumbers
from backend_lambda.aws.clients import Clients
from backend_lambda.services.feeds import LOST, NOT_TOLD
from backend_lambda.urgent_calls import (
    CALLED,
    NO_NUMBER,
    NOT_MADE,
    TOO_LATE_S,
    CallSettings,
    Case,
    Outcome,
    UrgentCalls,
    build,
    case_of,
)
from tests.backend_lambda.fakes import FakeMeasures
from tests.backend_lambda.stacks import templates
from tests.backend_lambda.stacks.templates import Resource
from tests.stand_ins.aws.calls import FLOW, INSTANCE, NUMBER
from tests.stand_ins.aws.faults import Fault, Kind
from tests.stand_ins.aws.server import AwsStandIn

CLINIC, DEVICE = uuid4(), UUID("11111111-2222-4333-8444-5555559a0bcd")
STAFF = "+4915112345678"
NOW_S = 1_795_780_800.0
DROPPED_FOR_S = 300
"""The deduplication interval of FIFO queues."""
COUNTS = ("urgent_calls", "urgent_calls_no_number", "urgent_calls_not_made")
CONTEXT = SimpleNamespace(aws_request_id="a-request")


def message(
    identifier: str | None = None,
    *,
    clinic: UUID = CLINIC,
    device: UUID = DEVICE,
    sent_s: float = NOW_S,
    **changes: Any,
) -> dict[str, Any]:
    """As SQS hands it on."""
    return {
        "messageId": identifier or str(uuid4()),
        "receiptHandle": "handle",
        "eventSource": "aws:sqs",
        "body": json.dumps({"clinic_id": str(clinic), "device_id": str(device)}),
        "attributes": {"SentTimestamp": str(int(sent_s * 1000)), "ApproximateReceiveCount": "1"},
        **changes,
    }


@dataclass
class Stage:
    """The function with the adapters that are deployed, and what it said."""

    aws: AwsStandIn
    clients: Clients
    measures: FakeMeasures = field(default_factory=FakeMeasures)
    lines: list[tuple[Outcome, Mapping[str, object]]] = field(default_factory=list)
    now_s: float = NOW_S

    def __call__(self, *records: object) -> list[str]:
        """Messages that are to come again."""
        function = UrgentCalls(
            StaffNumbers(self.clients, "production"),
            ConnectCalls(self.clients, INSTANCE, FLOW, NUMBER),
            self.measures,
            lambda outcome, facts: self.lines.append((outcome, facts)),
            lambda: self.now_s,
        )
        answer = function({"Records": list(records)}, "a-request")
        json.dumps(answer)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def outcomes(self) -> list[Outcome]:
        return [outcome for outcome, _ in self.lines]

    def measured(self, name: str) -> float:
        return sum(value for one, value, *_ in self.measures.added if one == name)

    def counted(self) -> tuple[float, float, float]:
        """Called, without a number, not called for another reason."""
        called, no_number, not_made = (self.measured(one) for one in COUNTS)
        return called, no_number, not_made


@pytest.fixture(scope="module")
def one_aws() -> Iterator[AwsStandIn]:
    with AwsStandIn(workers=4) as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment().items():
            patch.setenv(name, value)
        patch.delenv("AWS_SESSION_TOKEN", raising=False)
        yield aws


@pytest.fixture
def stage(one_aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))
    one_aws.faults.clear()
    one_aws.connect.clear()
    one_aws.counts.clear()
    one_aws.parameters.values = {f"/health-helper/production/clinics/{CLINIC}/staff-number": STAFF}
    clients = Clients(one_aws.region, one_aws.url, {"ssm": 0.15, "connect": 0.15})
    yield Stage(one_aws, clients)
    clients.close()
    one_aws.faults.clear()
    assert one_aws.failures == []


def test_a_case_is_a_call_to_the_clinic_s_staff(stage: Stage) -> None:
    assert stage(message("m1")) == []
    [call] = stage.aws.connect.calls
    assert (call.to, call.attributes) == (STAFF, {"device": "9 A 0 B C D"})
    assert stage.lines == [
        (
            Outcome.CALLED,
            {"request_id": "a-request", "clinic": str(CLINIC), "case": "m1", "contact": call.contact},
        )
    ]
    assert stage.counted() == (1, 0, 0)


def test_a_message_that_comes_again_is_no_second_call(stage: Stage) -> None:
    for _ in range(3):
        assert stage(message("m1")) == []
    assert len(stage.aws.connect.calls) == 1
    stage(message("m2"))
    assert len(stage.aws.connect.calls) == 2


def test_without_a_number_nobody_is_called_and_nothing_comes_again(stage: Stage) -> None:
    assert stage(message(clinic=uuid4())) == []
    assert stage.outcomes() == [Outcome.NO_NUMBER]
    assert stage.aws.counts["connect"] == 0
    assert stage.counted() == (0, 1, 0), "its own count, or it would hide that another clinic's call failed"


def test_each_case_is_counted_once(stage: Stage) -> None:
    stage.aws.parameters.values[f"/health-helper/production/clinics/{DEVICE}/staff-number"] = "112"
    stage(message(), message(), message(clinic=uuid4()), message(clinic=DEVICE), {"odd": True})
    assert stage.counted() == (2, 1, 2)
    zeros = [name for name, value, *_ in stage.measures.added if value == 0.0]
    assert len(zeros) == 10, "a count that is 0 is sent too, so that an alarm comes to rest"


@pytest.mark.parametrize("number", ["112", "+112", "+49112", "01511234567", "", "call the front desk"])
def test_an_emergency_service_is_never_called(stage: Stage, number: str) -> None:
    stage.aws.parameters.values[f"/health-helper/production/clinics/{CLINIC}/staff-number"] = number
    assert stage(message()) == []
    assert stage.outcomes() == [Outcome.REFUSED]
    assert stage.aws.counts["connect"] == 0
    assert stage.measured("urgent_calls_not_made") == 1


def test_a_destination_that_is_not_allowed_does_not_come_again(stage: Stage) -> None:
    stage.aws.parameters.values[f"/health-helper/production/clinics/{CLINIC}/staff-number"] = "+88215112345"
    assert stage(message()) == []
    assert stage.outcomes() == [Outcome.REFUSED]


@pytest.mark.parametrize("service", ["ssm", "connect"])
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.DELAYED])
def test_trouble_that_passes_comes_again_and_what_does_not_pass_stops_nobody(
    stage: Stage, service: str, kind: Kind
) -> None:
    stage.aws.faults.set(service, Fault(kind, seconds=1.0))
    passes = kind is not Kind.DENIED
    assert stage(message("m1")) == (["m1"] if passes else [])
    assert stage.outcomes() == [Outcome.FAILED if passes else Outcome.REFUSED]
    assert stage.measured("urgent_calls_not_made") == 1
    stage.aws.faults.clear()
    assert stage(message("m1")) == []
    assert stage.outcomes()[1] is Outcome.CALLED
    assert len(stage.aws.connect.calls) == 1


def test_one_that_fails_takes_none_with_it(stage: Stage) -> None:
    stage.aws.faults.set("ssm", Fault(Kind.BROKEN), times=2)
    assert stage(message("m1"), {"odd": True}, message("m2")) == ["m1"]
    assert stage.outcomes() == [Outcome.FAILED, Outcome.UNKNOWN, Outcome.CALLED]


def test_a_bug_of_ours_comes_again_and_is_told_by_its_kind(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(calls: object, number: str, *more: object) -> str:
        raise KeyError(number)

    monkeypatch.setattr(ConnectCalls, "call", breaks)
    assert stage(message("m1")) == ["m1"]
    assert stage.lines[0][1]["why"] == "KeyError"
    assert STAFF not in repr(stage.lines)


def test_after_a_quarter_of_an_hour_nobody_is_called(stage: Stage) -> None:
    assert stage(message(sent_s=NOW_S - TOO_LATE_S + 1)) == []
    assert stage(message(sent_s=NOW_S - TOO_LATE_S - 1)) == []
    assert stage.outcomes() == [Outcome.CALLED, Outcome.TOO_LATE]
    assert len(stage.aws.connect.calls) == 1


@pytest.mark.parametrize(
    "odd",
    [
        None,
        7,
        {},
        message(eventSource="aws:sns"),
        message(body="no json"),
        message(body="[" * 100_000),
        message(body="[]"),
        message(body="null"),
        message(body=None),
        message(body=json.dumps({"clinic_id": "../../else", "device_id": str(DEVICE)})),
        message(body=json.dumps({"clinic_id": 3, "device_id": str(DEVICE)})),
        message(body=json.dumps({"clinic_id": str(CLINIC)})),
        message(attributes={}),
        message(attributes={"SentTimestamp": "soon"}),
        message("x" * 101),
        message("m 1"),
    ],
)
def test_what_is_no_case_calls_nobody_and_does_not_come_again(stage: Stage, odd: Any) -> None:
    assert stage(odd) == []
    assert stage.outcomes() == [Outcome.UNKNOWN]
    assert stage.aws.counts == {}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["eventSource", "body", "messageId", "attributes", "SentTimestamp", "x"]),
            inner | st.sampled_from(["aws:sqs", "m1", message()["body"], "1795780800000"]),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_no_message_breaks_the_reading(value: Any) -> None:
    found = case_of(value)
    assert found is None or isinstance(found, Case)


@pytest.mark.parametrize("event", [{}, {"Records": None}, {"Records": "x"}, {"Records": []}])
def test_an_event_without_messages_is_done(stage: Stage, event: dict[str, Any]) -> None:
    function = build(
        CallSettings(
            stage="production",
            region="eu-central-1",
            connect_instance_id=INSTANCE,
            connect_flow_id=FLOW,
            source_number=NUMBER,
        ),
        stage.clients,
    )
    assert function(event, "r") == {"batchItemFailures": []}


# --- The whole function


ENVIRONMENT = {
    "HH_STAGE": "production",
    "HH_REGION": "eu-central-1",
    "HH_CONNECT_INSTANCE_ID": INSTANCE,
    "HH_CONNECT_FLOW_ID": FLOW,
    "HH_SOURCE_NUMBER": NUMBER,
}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr(entry.logger.registered_handler, "stream", stream)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    entry._function.cache_clear()
    yield stream
    entry._function.cache_clear()


def test_neither_log_nor_measures_know_a_number_or_a_device(
    stage: Stage, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entry, "Clients", lambda region: stage.clients)
    now_s = datetime.now(UTC).timestamp()
    for service in (None, "ssm", "connect"):
        if service is not None:
            stage.aws.faults.set(service, Fault(Kind.BROKEN))
        entry.lambda_handler({"Records": [message("m1", sent_s=now_s)]}, CONTEXT)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["outcome"] for line in lines] == ["called", "failed", "failed"]
    assert [line["level"] for line in lines] == ["INFO", "ERROR", "ERROR"]
    assert {line["request_id"] for line in lines} == {"a-request"}
    measured = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["_aws"]["CloudWatchMetrics"][0]["Namespace"] for one in measured} == {NAMESPACE}
    assert all(one["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]] for one in measured)
    assert sum(sum(one.get("urgent_calls_not_made", [])) for one in measured) == 2
    told = log.getvalue() + json.dumps(measured)
    for secret in (STAFF, STAFF[1:], NUMBER, str(DEVICE), "9 A 0 B C D"):
        assert secret not in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HH_STAGE", "local"),
        ("HH_SOURCE_NUMBER", "030123456"),
        ("HH_CONNECT_INSTANCE_ID", ""),
        ("HH_CONNECT_FLOW_ID", "a/b"),
    ],
)
def test_a_wrong_environment_ends_the_start(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match="start failed"):
        entry.lambda_handler({"Records": [message()]}, CONTEXT)
    [line] = log.getvalue().splitlines()
    assert json.loads(line)["kind"] == "ValidationError"
    assert not value or value == "local" or value not in line


def test_it_starts_alone_and_without_a_connection() -> None:
    """Nothing of the database, of sign-in or of documents comes with it."""
    code = (
        "import sys\n"
        "def no(name, arguments):\n"
        "    if name in {'socket.connect', 'socket.getaddrinfo', 'subprocess.Popen'}: raise SystemExit(name)\n"
        "sys.addaudithook(no)\n"
        "from backend_lambda import urgent_calls\n"
        "urgent_calls._function()\n"
        "assert not {'psycopg', 'cryptography', 'jwt', 'pypdf', 'backend_lambda.app'} & set(sys.modules)\n"
    )
    environment = {**os.environ, **ENVIRONMENT}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


# --- The templates


_CORE = {
    "Stage": "production",
    "DataKeyArn": f"arn:aws:kms:eu-central-1:{templates.ACCOUNT}:key/00000000-0000-0000-0000-000000000000",
    "AlarmTopicArn": f"arn:aws:sns:eu-central-1:{templates.ACCOUNT}:alarms",
    "VpcId": "vpc-0123456789abcdef0",
    "IsolatedSubnetIds": "subnet-0123456789abcdef0",
}
CONFIGURATIONS = {
    "connect": templates.Configuration(
        "optional/connect",
        "production",
        {
            **_CORE,
            "ChatRoleName": "chat",
            "ChatSecurityGroupId": "sg-0123456789abcdef0",
            "InstanceArn": f"arn:aws:connect:eu-central-1:{templates.ACCOUNT}:instance/{INSTANCE}",
            "SourcePhoneNumber": NUMBER,
        },
    ),
    "vitals": templates.Configuration(
        "optional/vitals-stream",
        "production",
        {**_CORE, "ApiRoleName": "api", "ApiSecurityGroupId": "sg-0123456789abcdef0"},
    ),
}


def resources(name: str) -> Mapping[str, Resource]:
    """As CloudFormation makes them."""
    configuration = CONFIGURATIONS[name]
    assert templates.refused(configuration) == []
    return templates.resolved(configuration, templates.source(configuration)).resources


@pytest.fixture(scope="module")
def connect() -> Mapping[str, Resource]:
    return resources("connect")


def test_the_rule_takes_what_the_chat_function_tells_and_hands_on_what_this_one_reads(
    connect: Mapping[str, Resource], one_aws: AwsStandIn
) -> None:
    one_aws.event_bridge.clear()
    clients = Clients(one_aws.region, one_aws.url)
    assert feeds.EventBridgeCases(clients, SimpleNamespace(now_s=lambda: 0.0), "cases").tell(
        CLINIC, DEVICE, "emergency", datetime.now(UTC)
    )
    clients.close()
    [event] = one_aws.event_bridge.buses["cases"]
    rule = connect["CasesRule"].properties
    assert rule["EventPattern"] == {
        "source": [event.source],
        "detail-type": [event.detail_type],
        "detail": {"urgency": [event.detail["urgency"]]},
    }
    [target] = rule["Targets"]
    body = target["InputTransformer"]["InputTemplate"]
    for variable, path in target["InputTransformer"]["InputPathsMap"].items():
        body = body.replace(f"<{variable}>", event.detail[path.removeprefix("$.detail.")])
    found = case_of(message("m1", body=body))
    assert found == Case("m1", CLINIC, DEVICE, NOW_S)
    # what differs between two cases of a device would be two messages, and two calls
    assert set(json.loads(body)) == {"clinic_id", "device_id"}


def test_the_same_case_is_one_message_for_five_minutes(connect: Mapping[str, Resource]) -> None:
    queue = connect["Cases"].properties
    assert queue["FifoQueue"] is True and queue["ContentBasedDeduplication"] is True
    function = connect["UrgentCallFunction"].properties
    # Lambda takes no less, and a case must not come again while it is still handled
    assert queue["VisibilityTimeout"] > function["Timeout"]


def test_a_case_that_fails_holds_up_other_clinics_for_90_seconds_at_most(
    connect: Mapping[str, Resource],
) -> None:
    queue = connect["Cases"].properties
    held_up_s = queue["RedrivePolicy"]["maxReceiveCount"] * queue["VisibilityTimeout"]
    assert held_up_s <= 90
    assert held_up_s < TOO_LATE_S, "and they are still called about"
    assert connect["UrgentCallCases"].properties["BatchSize"] == 1, (
        "no case waits for another one of its batch"
    )
    [target] = connect["CasesRule"].properties["Targets"]
    assert "$" not in target["SqsParameters"]["MessageGroupId"], "a rule reads no path there"


def test_what_the_function_is_given_is_what_it_reads(connect: Mapping[str, Resource]) -> None:
    function = connect["UrgentCallFunction"].properties
    assert function["Handler"] == "backend_lambda.urgent_calls.lambda_handler"
    given = function["Environment"]["Variables"]
    assert set(given) == set(entry.VARIABLES.values())
    assert set(entry.VARIABLES) == set(CallSettings.model_fields)
    assert (given["HH_CONNECT_INSTANCE_ID"], given["HH_SOURCE_NUMBER"]) == (INSTANCE, NUMBER)
    flow = templates.source(CONFIGURATIONS["connect"])["Resources"]["UrgentCallFunction"]["Properties"]
    assert flow["Environment"]["Variables"]["HH_CONNECT_FLOW_ID"] == {
        "Fn::Select": [1, {"Fn::Split": ["/contact-flow/", {"Ref": "Flow"}]}]
    }


def test_the_flow_says_the_device_and_hangs_up(connect: Mapping[str, Resource]) -> None:
    message = templates.source(CONFIGURATIONS["connect"])["Parameters"]["Message"]
    for bad in ('"', "\\", "<", "{", "\n", ""):
        assert not re.fullmatch(message["AllowedPattern"], bad)
    flow = json.loads(connect["Flow"].properties["Content"])
    assert {
        action["Parameters"]["Text"] for action in flow["Actions"] if action["Type"] == "MessageParticipant"
    } == {message["Default"]}
    assert "$.Attributes.device" in message["Default"]
    actions = {action["Identifier"]: action for action in flow["Actions"]}
    walked, at = [], flow["StartAction"]
    while at is not None:
        walked.append(actions[at]["Type"])
        transitions = actions[at]["Transitions"]
        for error in transitions.get("Errors", []):
            assert error["NextAction"] in actions
        at = transitions.get("NextAction")
    assert walked == [
        "UpdateContactTextToSpeechVoice",
        *["MessageParticipant"] * 3,
        "DisconnectParticipant",
    ]
    assert len(walked) == len(actions)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("connect", NOT_TOLD),
        ("connect", NOT_MADE),
        ("connect", NO_NUMBER),
        ("vitals", LOST),
    ],
)
def test_an_alarm_is_on_each_count(name: str, metric: str) -> None:
    [alarm] = [
        one.properties for one in resources(name).values() if one.properties.get("MetricName") == metric
    ]
    assert alarm["Namespace"] == NAMESPACE == entry.NAMESPACE
    assert alarm["Dimensions"] == [{"Name": "service", "Value": "health-helper"}]
    assert (alarm["Threshold"], alarm["Statistic"]) == (0, "Sum")


def test_a_device_that_calls_all_day_is_noticed(connect: Mapping[str, Resource]) -> None:
    [alarm] = [one.properties for one in connect.values() if one.properties.get("MetricName") == CALLED]
    assert alarm["Namespace"] == entry.NAMESPACE
    assert alarm["Dimensions"] == [{"Name": "service", "Value": "health-helper"}]
    assert (alarm["Statistic"], alarm["ComparisonOperator"]) == ("Sum", "GreaterThanThreshold")
    one_device = alarm["Period"] * alarm["EvaluationPeriods"] / DROPPED_FOR_S
    assert 1 < alarm["Threshold"] < one_device, "else one device alone never gets there"


def test_the_stream_forgets_within_a_day() -> None:
    stream = resources("vitals")["Stream"].properties
    assert stream["RetentionPeriodHours"] == 24
    assert stream["StreamEncryption"]["EncryptionType"] == "KMS"
