"""The S3 stand-in itself: it must refuse what S3 refuses. `.ci/check_s3_stand_in.py` runs the same checks against LocalStack."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stand_ins.aws import s3_checks, sigv4
from tests.stand_ins.aws.s3 import EICAR, Created
from tests.stand_ins.aws.s3_checks import BUCKET, DATA, Ground, expect, new_key, put_url, refused, send
from tests.stand_ins.aws.server import AwsStandIn


@pytest.fixture(scope="module")
def one_ground(one_aws: AwsStandIn) -> Iterator[Ground]:
    ground = Ground(one_aws.url, one_aws.key.access_key, one_aws.key.secret)
    ground.prepare()
    yield ground
    ground.close()


@pytest.fixture
def ground(one_ground: Ground, aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Waiting moves the stand-in's clock on instead."""
    late_s = 0.0
    right = aws.clock

    def wait(seconds: float) -> None:
        nonlocal late_s
        late_s += seconds

    monkeypatch.setattr(aws, "clock", lambda: right() + late_s)
    monkeypatch.setattr(one_ground, "wait", wait)
    return one_ground


def test_there_are_21_checks_of_signatures() -> None:
    assert len(set(s3_checks.SIGNATURES)) == 21


@pytest.mark.parametrize("check", s3_checks.SIGNATURES, ids=lambda check: check.__name__)
def test_signatures(check: s3_checks.Check, ground: Ground) -> None:
    check(ground)


@pytest.mark.parametrize("check", s3_checks.STORING, ids=lambda check: check.__name__)
def test_storing(check: s3_checks.Check, ground: Ground) -> None:
    check(ground)


def test_a_check_that_finds_nothing_refused_fails(ground: Ground) -> None:
    with pytest.raises(AssertionError, match="nothing refused"), refused("AccessDenied"):
        ground.s3.put_object(Bucket=BUCKET, Key=new_key(), Body=b"")


@pytest.mark.parametrize("seconds", [-901, 901])
def test_a_header_signed_at_another_time_is_refused(ground: Ground, aws: AwsStandIn, seconds: int) -> None:
    right = aws.clock
    aws.clock = lambda: right() + seconds
    try:
        with refused("RequestTimeTooSkewed"):
            ground.s3.put_object(Bucket=BUCKET, Key=new_key(), Body=DATA)
    finally:
        aws.clock = right


def test_a_url_of_the_future_is_refused(ground: Ground, aws: AwsStandIn) -> None:
    url, headers = put_url(ground.s3, new_key())
    right = aws.clock
    aws.clock = lambda: right() - 901
    try:
        expect(send("PUT", url, headers, DATA), 403)
    finally:
        aws.clock = right
    expect(send("PUT", url, headers, DATA), 200)


@pytest.mark.parametrize("seconds", [0, 604_801])
def test_a_url_for_never_or_for_too_long_is_refused(ground: Ground, seconds: int) -> None:
    url, headers = put_url(ground.s3, new_key(), seconds=seconds)
    expect(send("PUT", url, headers, DATA), 400)


def test_a_header_that_is_not_signed_is_refused(ground: Ground) -> None:
    url, headers = put_url(ground.s3, new_key())
    more = {**headers, "x-amz-storage-class": "GLACIER"}
    assert b"not signed" in expect(send("PUT", url, more, DATA), 403).body


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("%2Feu-central-1%2F", "%2Fus-east-1%2F", 400),
        ("%2Fs3%2F", "%2Fsqs%2F", 400),
        ("aws4_request", "aws5_request", 400),
        ("AKID", "BKID", 403),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=none", 400),
        ("X-Amz-SignedHeaders=", "X-Amz-SignedHeaders=a;", 403),
        ("X-Amz-SignedHeaders=content-length%3B", "X-Amz-SignedHeaders=", 403),
        ("X-Amz-Signature=", "X-Amz-Signature=0", 403),
        ("X-Amz-Expires=60", "X-Amz-Expires=61", 403),
        ("X-Amz-Date=2", "X-Amz-Date=1", 400),
    ],
)
def test_a_changed_url_is_refused(ground: Ground, old: str, new: str, status: int) -> None:
    url, headers = put_url(ground.s3, new_key())
    assert old in url
    expect(send("PUT", url.replace(old, new), headers, DATA), status)


def test_a_temporary_key_needs_its_token(ground: Ground, aws: AwsStandIn) -> None:
    temporary = sigv4.Credentials("ASIATEMPORARY0000000", "its secret", "its token")
    aws.credentials[temporary.access_key] = temporary
    without = Ground(aws.url, temporary.access_key, temporary.secret)
    try:
        with refused("InvalidToken"):
            without.s3.put_object(Bucket=BUCKET, Key=new_key(), Body=DATA)
        url, headers = put_url(without.s3, new_key())
        expect(send("PUT", url, headers, DATA), 400)
        aws.credentials[temporary.access_key] = sigv4.Credentials(temporary.access_key, temporary.secret)
        expect(send("PUT", url, headers, DATA), 200)
    finally:
        without.close()
        del aws.credentials[temporary.access_key]


def test_a_body_that_is_not_the_one_that_was_signed_is_refused(ground: Ground) -> None:
    def tamper(request: object, **_: object) -> None:
        request.body = b"other bytes of other length"[: len(DATA)]  # type: ignore[attr-defined]

    client = ground.client()
    client.meta.events.register("before-send.s3.PutObject", tamper)
    try:
        with refused("XAmzContentSHA256Mismatch"):
            client.put_object(Bucket=BUCKET, Key=new_key(), Body=DATA)
    finally:
        client.close()


def test_a_large_object_lies_in_a_file_until_it_is_gone(ground: Ground, aws: AwsStandIn) -> None:
    data = bytes(range(256)) * 12_000
    key = new_key()
    version = ground.s3.put_object(Bucket=BUCKET, Key=key, Body=data)["VersionId"]
    stored = aws.s3.newest(BUCKET, key)
    assert stored is not None and isinstance(stored.content, Path)
    assert ground.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == data
    assert ground.s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == len(data)
    copied = ground.s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": key})
    ground.s3.delete_object(Bucket=BUCKET, Key=key, VersionId=version)
    assert not stored.content.exists()
    assert ground.s3.get_object(Bucket=BUCKET, Key="copy")["Body"].read() == data
    ground.s3.delete_object(Bucket=BUCKET, Key="copy", VersionId=copied["VersionId"])


def test_of_many_who_write_where_nothing_is_one_succeeds(ground: Ground) -> None:
    url, headers = put_url(ground.s3, new_key())
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(send("PUT", url, headers, DATA).status))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(found) == [200] + [412] * 11


def test_a_lock_ends_on_its_day(ground: Ground, aws: AwsStandIn) -> None:
    s3_checks.a_lock_holds(ground)
    bucket = aws.s3.buckets[s3_checks.LOCKED_BUCKET]
    key = max(bucket.versions, key=lambda one: bucket.versions[one][-1].made_s)
    version = bucket.versions[key][-1]
    assert version.locked_until_s is not None
    version.locked_until_s = aws.now_s() - 1
    ground.s3.delete_object(Bucket=bucket.name, Key=key, VersionId=version.id)
    assert key not in bucket.versions


def test_without_versions_a_bucket_has_one_of_each(ground: Ground, aws: AwsStandIn) -> None:
    aws.s3.add_bucket("plain", versioned=False)
    for data in (b"1", b"2"):
        assert "VersionId" not in ground.s3.put_object(Bucket="plain", Key="a", Body=data)
    assert ground.s3.get_object(Bucket="plain", Key="a")["Body"].read() == b"2"
    ground.s3.delete_object(Bucket="plain", Key="a")
    assert not aws.s3.buckets["plain"].versions


def test_encryption_is_told_back(ground: Ground) -> None:
    key = new_key()
    wanted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/ours"}
    answers = (
        ground.s3.put_object(Bucket=BUCKET, Key=key, Body=DATA, **wanted),
        ground.s3.head_object(Bucket=BUCKET, Key=key),
    )
    assert [{name: answer[name] for name in wanted} for answer in answers] == [wanted, wanted]


def test_who_listens_is_told_of_each_object(ground: Ground, aws: AwsStandIn) -> None:
    told: list[Created] = []
    aws.s3.listeners.append(told.append)
    try:
        ground.s3.put_object(Bucket=BUCKET, Key="a b/ä+1", Body=DATA)
        ground.s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "a b/ä+1"})
        s3_checks.post_as_allowed(ground)
        ground.s3.delete_object(Bucket=BUCKET, Key="copy")
    finally:
        aws.s3.listeners.clear()
    assert [one.how for one in told] == ["Put", "Copy", "Post"]
    record = told[0].notification("eu-central-1")["Records"][0]  # type: ignore[index]
    assert record["s3"]["object"]["key"] == "a+b/%C3%A4%2B1"
    assert record["s3"]["object"]["size"] == len(DATA)
    assert record["eventName"] == "ObjectCreated:Put"


def test_the_scan_for_malware_tags(ground: Ground, aws: AwsStandIn) -> None:
    aws.s3.malware_scan = True
    try:
        found = {}
        for key, data in (("good", DATA), ("bad", b"x" + EICAR + b"y")):
            ground.s3.put_object(Bucket=BUCKET, Key=key, Body=data)
            found[key] = ground.s3.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"]
    finally:
        aws.s3.malware_scan = False
    tag = "GuardDutyMalwareScanStatus"
    assert found["good"] == [{"Key": tag, "Value": "NO_THREATS_FOUND"}]
    assert found["bad"] == [{"Key": tag, "Value": "THREATS_FOUND"}]


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("PUT", {"Content-Length": "x"}, b"", 400),
        ("PUT", {"Content-Length": "-1"}, b"", 400),
        ("PUT", {"Content-Length": "999999999999"}, b"", 400),
        ("PUT", {"Transfer-Encoding": "chunked"}, b"0\r\n\r\n", 411),
        ("PATCH", {}, b"", 403),
        ("BREW", {}, b"", 400),
    ],
)
def test_what_is_no_request_is_refused(
    aws: AwsStandIn, method: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    connection_headers = {"Content-Length": "0"} if not headers and body else headers
    expect(send(method, f"{aws.url}/a/b", connection_headers, body), status)
