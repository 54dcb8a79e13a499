"""The AWS stand-in itself: connections, switches, service models, frames, and rubbish of every kind."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import boto3
import botocore.exceptions
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer
from botocore.parsers import BaseCBORParser
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.stand_ins.aws import cbor, event_stream, sigv4
from tests.stand_ins.aws.bedrock import THROTTLED, Says
from tests.stand_ins.aws.exchange import Answer, Body, Refused, Request
from tests.stand_ins.aws.s3_checks import Ground, Reply, new_key, put_url, send
from tests.stand_ins.aws.server import AwsStandIn

NO_RESET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)


@pytest.fixture(scope="module")
def one_boto(one_aws: AwsStandIn) -> Iterator[dict[str, Any]]:
    made: dict[str, Any] = {}
    yield made
    for client in made.values():
        client.close()


@pytest.fixture
def boto(aws: AwsStandIn, one_boto: dict[str, Any]) -> Any:
    """`boto("polly")`: boto3's own client, which sends whatever it is given, once."""

    def client(service: str) -> Any:
        if service not in one_boto:
            config = Config(parameter_validation=False, retries={"total_max_attempts": 1}, proxies={})
            one_boto[service] = boto3.session.Session().client(service, endpoint_url=aws.url, config=config)
        return one_boto[service]

    return client


def script(aws: AwsStandIn, method: str, path: str, content: object = None, **headers: str) -> Reply:
    body = b"" if content is None else json.dumps(content).encode()
    return send(method, f"{aws.url}/_stand_in/{path}", headers, body)


# --- Bedrock, whole (not all of it is used by the adapter)

ASKED = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "hi"}]}]}


def test_converse_answers_at_once(boto: Any, aws: AwsStandIn) -> None:
    aws.bedrock.then(
        Says(("a", "b"), tool=("urgency", '{"level": "urgent"}'), input_tokens=3, output_tokens=4)
    )
    answer = boto("bedrock-runtime").converse(**ASKED)
    assert answer["output"]["message"]["content"][0] == {"text": "ab"}
    assert answer["output"]["message"]["content"][1]["toolUse"]["input"] == {"level": "urgent"}
    assert (answer["stopReason"], answer["usage"]["totalTokens"]) == ("tool_use", 7)


def test_a_tool_is_used_in_pieces(boto: Any, aws: AwsStandIn) -> None:
    arguments = json.dumps({"level": "emergency", "why": "x" * 100})
    aws.bedrock.then(Says(("text",), tool=("urgency", arguments)))
    events = list(boto("bedrock-runtime").converse_stream(**ASKED)["stream"])
    starts = [e["contentBlockStart"]["start"]["toolUse"]["name"] for e in events if "contentBlockStart" in e]
    deltas = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
    assert starts == ["urgency"]
    assert "".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta) == arguments
    assert len(deltas) > 5
    assert [next(iter(event)) for event in events[-2:]] == ["messageStop", "metadata"]


def test_the_guardrail_can_be_asked(boto: Any, aws: AwsStandIn) -> None:
    aws.bedrock.blocked.add("secret")
    found = [
        boto("bedrock-runtime").apply_guardrail(
            guardrailIdentifier="stand-in-guardrail",
            guardrailVersion="1",
            source="INPUT",
            content=[{"text": {"text": text}}],
        )["action"]
        for text in ("a Secret", "nothing")
    ]
    assert found == ["GUARDRAIL_INTERVENED", "NONE"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"messages": []}, "greater than 0"),
        ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "must start with a user"),
        ({"messages": ASKED["messages"] * 2}, "alternate"),  # type: ignore[operator]
        ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "blank"),
        ({"performanceConfig": {"latency": "warp"}}, "is none of"),
        ({"modelId": "m" * 2049}, "is more than 2048"),
        ({"system": [{"text": 5}]}, "Invalid type"),
        ({"inferenceConfig": {"maxTokens": "many"}}, "Invalid type"),
        (
            {"toolConfig": {"tools": [{"toolSpec": {"inputSchema": {"json": {}}}}]}},
            "Missing required parameter",
        ),
        (
            {
                "toolConfig": {
                    "tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "string"}}}}]
                }
            },
            "must be one of: object",
        ),
        ({"guardrailConfig": {"guardrailIdentifier": "other", "guardrailVersion": "1"}}, "does not exist"),
    ],
)
def test_what_bedrock_would_refuse_is_refused(boto: Any, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        boto("bedrock-runtime").converse(**{**ASKED, **changed})
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert message in caught.value.response["Error"]["Message"]


def test_answers_can_depend_on_what_is_asked(boto: Any, aws: AwsStandIn) -> None:
    aws.bedrock.answers = lambda request: THROTTLED if request["modelId"] == "busy" else None
    boto("bedrock-runtime").converse(**ASKED)
    with pytest.raises(botocore.exceptions.ClientError, match="ThrottlingException"):
        boto("bedrock-runtime").converse(**{**ASKED, "modelId": "busy"})


# --- Signatures of the other services


@pytest.mark.parametrize(
    ("service", "call", "name"),
    [
        ("kms", lambda c: c.get_public_key(KeyId="k"), "InvalidSignatureException"),
        ("bedrock-runtime", lambda c: c.converse(**ASKED), "InvalidSignatureException"),
        ("polly", lambda c: c.synthesize_speech(Text="x"), "InvalidSignatureException"),
        ("textract", lambda c: c.detect_document_text(Document={}), "InvalidSignatureException"),
    ],
)
def test_a_forged_request_is_refused(aws: AwsStandIn, service: str, call: Any, name: str) -> None:
    client = boto3.session.Session().client(
        service,
        endpoint_url=aws.url,
        aws_access_key_id=aws.key.access_key,
        aws_secret_access_key="wrong",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(client)
    client.close()
    assert caught.value.response["Error"]["Code"] == name


def test_a_service_or_an_operation_that_is_not_there(boto: Any) -> None:
    for service, call in (("sqs", "list_queues"), ("kms", "list_keys"), ("polly", "describe_voices")):
        with pytest.raises(botocore.exceptions.ClientError):
            getattr(boto(service), call)()


@given(
    path=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    query=st.dictionaries(
        st.text("aZ0-_.~ /+%&=;ü", min_size=1, max_size=6), st.text(max_size=10), max_size=4
    ),
    headers=st.dictionaries(
        st.from_regex(r"x-[a-z]{1,8}", fullmatch=True),
        st.text(" ab,;", max_size=10).map(str.strip),
        max_size=3,
    ),
    body=st.binary(max_size=50),
    service=st.sampled_from(["transcribe", "kms"]),
    is_query=st.booleans(),
)
@example(path="", query={}, headers={}, body=b"", service="kms", is_query=False)
@example(
    path="/a//b/",
    query={"a": "", "b": "1 2"},
    headers={"x-a": "a   b"},
    body=b"x",
    service="kms",
    is_query=True,
)
def test_signatures_by_botocore_are_right_and_change_with_each_part(
    tmp_path_factory: pytest.TempPathFactory,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    service: str,
    *,
    is_query: bool,
) -> None:
    """The stand-in's own steps against botocore's."""
    url = f"https://host.example:8443/{quote(path, safe='/-_.~')}"
    if query:
        url += f"?{urlencode(query, quote_via=quote, safe='-_.~')}"
    made = AWSRequest("POST", url, headers=headers, data=None if is_query else body)
    if is_query:
        SigV4QueryAuth(Credentials("AKID", "secret"), service, "eu-west-1", 60).add_auth(made)
        body = b""
    else:
        SigV4Auth(Credentials("AKID", "secret"), service, "eu-west-1").add_auth(made)
    target = made.url.removeprefix("https://host.example:8443")
    given_headers = {
        "host": "host.example:8443",
        **{name.lower(): value for name, value in made.headers.items()},
    }
    taken = Body(tmp_path_factory.getbasetemp())
    taken.take(iter([body]))
    request = Request("POST", target, given_headers, taken)
    claim = sigv4.claimed(request)
    assert claim is not None
    now_s = sigv4._seconds(claim.stamp)
    assert now_s is not None
    verifier = sigv4.Verifier({"AKID": sigv4.Credentials("AKID", "secret")}, "eu-west-1", lambda: now_s)
    verifier.check(request, claim)
    others = [
        Request("GET", target, given_headers, taken),
        Request("POST", f"/x{target}", given_headers, taken),
        Request("POST", target, {**given_headers, "host": "other"}, taken),
        Request("POST", f"{target}&z=1" if "?" in target else f"{target}?z=1", given_headers, taken),
    ]
    for other in others:
        with pytest.raises(Refused, match="SignatureDoesNotMatch"):
            verifier.check(other, claim)


# --- Rubbish

WORDS = st.sampled_from(
    [
        *(
            "AWS4-HMAC-SHA256",
            "Credential=",
            "AKIDSTANDINSTANDIN00",
            "/20261127/eu-central-1/s3/aws4_request",
            ", ",
        ),
        *(
            "SignedHeaders=",
            "host",
            ";",
            "Signature=",
            "0" * 64,
            "20261127T120000Z",
            "/",
            "=",
            ",",
            "%",
            "%2",
            "%ff",
        ),
        *(
            "eu-central-1",
            "kms",
            "bedrock",
            "\xff",
            "é",
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "&",
            "?",
            "X-Amz-Expires=",
        ),
        *(
            "X-Amz-Credential=",
            "X-Amz-Date=",
            "X-Amz-SignedHeaders=",
            "X-Amz-Signature=",
            "versionId=",
            "tagging",
            "delete",
        ),
    ]
)
LINES = st.lists(
    WORDS | st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=8), max_size=14
).map("".join)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *(
                "authorization",
                "x-amz-date",
                "x-amz-content-sha256",
                "x-amz-security-token",
                "content-type",
                "host",
            ),
            *(
                "x-amz-checksum-sha256",
                "content-md5",
                "if-none-match",
                "x-amz-copy-source",
                "x-amz-target",
                "range",
            ),
            *(
                "x-amz-object-lock-mode",
                "x-amz-object-lock-retain-until-date",
                "x-amz-tagging",
                "smithy-protocol",
            ),
        ]
    ),
    LINES | st.just("rpc-v2-cbor") | st.just("multipart/form-data; boundary=b"),
    max_size=6,
)
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="policy"\r\n\r\ne30=\r\n'
    b'--b\r\nContent-Disposition: form-data; name="x-amz-credential"\r\n\r\na/20261127/eu-central-1/s3/aws4_request\r\n'
    b'--b\r\nContent-Disposition: form-data; name="x-amz-signature"\r\n\r\nx\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\ndata\r\n--b--'
)


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    target=LINES.map(lambda line: f"/{line}"),
    headers=HEADERS,
    body=st.binary(max_size=100) | st.just(FORM) | st.integers(0, len(FORM)).map(lambda at: FORM[:at]),
)
@NO_RESET
def test_no_signature_breaks_the_parser(
    aws: AwsStandIn, tmp_path: Path, method: str, target: str, headers: dict[str, str], body: bytes
) -> None:
    taken = Body(tmp_path)
    taken.take(iter([body]))
    answer = aws.answer(Request(method, target, headers, taken), "127.0.0.1")
    assert isinstance(answer, Answer)
    assert 400 <= answer.status < 500
    assert aws.failures == []


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    key=LINES,
    query=LINES,
    headers=HEADERS,
    body=st.binary(max_size=100)
    | LINES.map(lambda line: f"<Delete><Object><Key>{line}</Key></Object></Delete>".encode()),
)
@NO_RESET
def test_who_may_sign_breaks_nothing_either(
    aws: AwsStandIn, tmp_path: Path, method: str, key: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    """The same, but let in: what comes after the signature meets it too."""
    taken = Body(tmp_path)
    taken.take(iter([body]))
    request = Request(
        method, f"/health-helper-audit/{key}?{query}", {"content-length": "1", **headers}, taken
    )
    claim = sigv4.Claim("a", "20261127", "r", "s3", "20261127T000000Z", ("host",), "", None)

    class LetsIn(sigv4.Verifier):
        def check(self, request: Request, claim: sigv4.Claim) -> None:
            pass

    status, code = 200, ""
    try:
        status = aws.s3.answer(request, claim, LetsIn({}, "", aws.now_s)).status
    except Refused as refused:
        status, code = refused.status, refused.code
    taken.discard()
    assert status < 500 or code == "NotImplemented"


@given(
    raw=st.one_of(
        st.binary(max_size=300),
        LINES.map(lambda line: f"GET /{line} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1")),
    )
)
@settings(NO_RESET, max_examples=60)
@example(raw=b"GET / HTTP/9.9\r\n\r\n")
@example(raw=b"PUT /a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc")
@example(raw=b"PUT /a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
def test_no_bytes_break_a_connection(aws: AwsStandIn, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", aws.port), timeout=10) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except ConnectionResetError:
            pass
    assert not answer.startswith(b"HTTP/1.1 5")
    assert aws.failures == []
    assert script(aws, "GET", "mail").status == 200


# --- Frames and CBOR

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda t: len(t.encode()) < 256
)


@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=200), max_size=8
            ),
            st.binary(max_size=500),
        ),
        max_size=5,
    ),
    st.integers(1, 64),
)
def test_botocore_reads_the_frames_back(messages: Sequence[tuple[dict[str, str], bytes]], size: int) -> None:
    raw = b"".join(event_stream.frame(headers, payload) for headers, payload in messages)
    buffer = EventStreamBuffer()
    found = []
    for at in range(0, len(raw), size):
        buffer.add_data(raw[at : at + size])
        found += [(message.headers, message.payload) for message in buffer]
    assert found == list(messages)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_frame_that_was_changed_is_seen(payload: bytes, data: st.DataObject) -> None:
    raw = bytearray(event_stream.event("contentBlockDelta", {"x": base64.b64encode(payload).decode()}))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    buffer = EventStreamBuffer()
    buffer.add_data(bytes(raw))
    try:
        found = list(buffer)
    except Exception:  # noqa: BLE001 (botocore has a class for each)
        return
    assert found == []  # the length says that more is to come


CONTENT = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=300)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(CONTENT)
def test_cbor_is_read_back_by_us_and_by_botocore(content: object) -> None:
    raw = cbor.encoded(content)
    assert cbor.decoded(raw) == content
    assert cbor.decoded(cbor.encoded({"a": content, "none": None})) == {"a": content, "none": None}
    assert BaseCBORParser(None).parse_data_item(io.BufferedReader(io.BytesIO(raw))) == content


@given(st.binary(max_size=60))
def test_what_is_no_cbor_is_told(raw: bytes) -> None:
    with contextlib.suppress(cbor.BadCbor):
        cbor.decoded(raw)


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (b"\x9f\x01\x82\x02\x03\x9f\x04\x05\xff\xff", [1, [2, 3], [4, 5]]),
        (b"\x7f\x65strea\x64ming\xff", "streaming"),
        (b"\xbf\x61a\x01\xff", {"a": 1}),
        (b"\xc1\x1a\x51\x4b\x67\xb0", 1363896240),
        (b"\xf9\x3e\x00", 1.5),
        (b"\x5f\x42\x01\x02\x43\x03\x04\x05\xff", b"\x01\x02\x03\x04\x05"),
    ],
)
def test_cbor_of_the_rfc(raw: bytes, content: object) -> None:
    assert cbor.decoded(raw) == content


# --- Connections and switches


def test_many_are_served_at_once_by_few(one_aws: AwsStandIn) -> None:
    """More connections that stay open than there are workers: an idle one makes room."""
    with AwsStandIn(workers=3) as small:
        small.s3.add_bucket("checked-documents")
        ground = Ground(small.url, small.key.access_key, small.key.secret)
        idle = [socket.create_connection(("127.0.0.1", small.port)) for _ in range(6)]
        began_s = time.monotonic()
        found: list[int] = []

        def write() -> None:
            url, headers = put_url(ground.s3, new_key())
            found.append(send("PUT", url, headers, b"%PDF-1.7 a report").status)

        ground.s3  # noqa: B018 (made before the threads)
        threads = [threading.Thread(target=write) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert found == [200] * 12
        assert time.monotonic() - began_s < 10
        for connection in idle:
            connection.close()
        ground.close()
        folder = small._folder
        assert folder.is_dir()
    assert not folder.exists()


def test_it_ends_although_somebody_waits(one_aws: AwsStandIn) -> None:
    with AwsStandIn(workers=2) as own:
        own.bedrock.then(Says(first_s=600.0))
        client = boto3.session.Session().client(
            "bedrock-runtime", endpoint_url=own.url, config=Config(retries={"total_max_attempts": 1})
        )
        failed: list[Exception] = []

        def ask() -> None:
            try:
                list(client.converse_stream(**ASKED)["stream"])
            except Exception as error:  # noqa: BLE001 (any will do)
                failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        deadline_s = time.monotonic() + 10
        while not own.bedrock.requests and time.monotonic() < deadline_s:
            time.sleep(0.01)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 3
    thread.join(10)
    client.close()
    assert failed


def test_faults_are_set_over_http(boto: Any, aws: AwsStandIn) -> None:
    aws.secrets.values["a"] = "b"

    def ask() -> object:
        return boto("secretsmanager").get_secret_value(SecretId="a")["SecretString"]

    assert (
        script(aws, "POST", "faults", {"service": "secretsmanager", "kind": "unavailable", "times": 2}).status
        == 200
    )
    for _ in range(2):
        with pytest.raises(botocore.exceptions.ClientError, match="ServiceUnavailable"):
            ask()
    assert ask() == "b"
    script(aws, "POST", "faults", {"service": "secretsmanager", "kind": "broken"})
    with pytest.raises(botocore.exceptions.ClientError):
        ask()
    assert script(aws, "DELETE", "faults").status == 200
    assert ask() == "b"
    script(
        aws, "POST", "faults", {"service": "secretsmanager", "kind": "delayed", "seconds": 0.3, "times": 1}
    )
    began_s = time.monotonic()
    assert ask() == "b"
    assert time.monotonic() - began_s >= 0.3


def test_the_model_is_scripted_over_http(boto: Any, aws: AwsStandIn) -> None:
    def said(model: str = "m") -> str:
        try:
            answer = boto("bedrock-runtime").converse(**{**ASKED, "modelId": model})
        except botocore.exceptions.ClientError as error:
            return str(error.response["Error"]["Code"])
        return str(answer["output"]["message"]["content"][0]["text"])

    assert script(aws, "POST", "bedrock", {"behaviour": "throttled", "times": 1}).status == 200
    assert script(aws, "POST", "bedrock", {"behaviour": "retired", "model": "old"}).status == 200
    assert script(aws, "POST", "bedrock", {"pieces": ["well"]}).status == 200
    assert [said(), said(), said("old")] == ["ThrottlingException", "well", "ValidationException"]
    script(aws, "DELETE", "bedrock")
    assert said("old").startswith("URGENCY: none")


def test_mail_and_tokens_are_read_over_http(boto: Any, aws: AwsStandIn) -> None:
    body = {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}}
    boto("sesv2").send_email(
        FromEmailAddress="a@example.org", Destination={"ToAddresses": ["b@example.org"]}, Content=body
    )
    messages = json.loads(script(aws, "GET", "mail").body)["messages"]
    assert messages[-1] == {"sender": "a@example.org", "to": ["b@example.org"], "subject": "s", "text": "t"}
    token = json.loads(
        script(aws, "POST", "oidc/token", {"subject": "x", "role": "auditor", "clinic_id": "c"}).body
    )
    assert token["token"].count(".") == 2


@pytest.mark.parametrize("host", ["example.com", "evil.example:80", "", "10.0.0.1"])
def test_a_page_with_a_name_of_its_own_cannot_script_it(aws: AwsStandIn, host: str) -> None:
    raw = f"DELETE /_stand_in/faults HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", aws.port), timeout=10) as connection:
        connection.sendall(raw)
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")


def test_another_machine_cannot_script_it(aws: AwsStandIn, tmp_path: Path) -> None:
    request = Request("DELETE", "/_stand_in/faults", {"host": "localhost"}, Body(tmp_path))
    for peer, status in (("192.168.1.7", 403), ("127.0.0.1", 200), ("::1", 200), ("x", 403)):
        answer = aws.answer(request, peer)
        assert isinstance(answer, Answer) and answer.status == status


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "faults", {"service": "s3", "kind": "nothing"}, 400),
        ("POST", "faults", {"kind": "broken"}, 400),
        ("POST", "faults", [], 400),
        ("POST", "bedrock", {"behaviour": "nothing"}, 400),
        ("POST", "bedrock", {"pieces": ["a"], "other": 1}, 400),
        ("GET", "nothing", None, 404),
        ("GET", "oidc/nothing", None, 404),
    ],
)
def test_switches_that_are_not_there(
    aws: AwsStandIn, method: str, path: str, content: object, status: int
) -> None:
    assert script(aws, method, path, content).status == status
