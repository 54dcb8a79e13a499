"""What an S3 must do for us to rely on it, as checks against any endpoint. For tests only; never shipped.

The tests run them against the stand-in, `.ci/check_s3_stand_in.py` against an independent implementation too: the stand-in was
written by those who wrote the checks, so that alone it would prove little.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
from botocore.config import Config

BUCKET = "checked-documents"
LOCKED_BUCKET = "checked-audit"
DATA = b"%PDF-1.7 a report"
PDF = "application/pdf"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def send(method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
    """Exactly these headers (and Host); a length is added where the body has one and none is given."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.putrequest(
            method, f"{parts.path}?{parts.query}" if parts.query else parts.path, skip_accept_encoding=True
        )
        sent = dict(headers or {})
        if body and "content-length" not in {name.lower() for name in sent}:
            sent["Content-Length"] = str(len(body))
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body or None)
        response = connection.getresponse()
        return Reply(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
    finally:
        connection.close()


class Ground:
    """Where the checks are made. Its buckets are made with it."""

    def __init__(self, endpoint: str, access_key: str, secret: str, region: str = "eu-central-1") -> None:
        self.endpoint, self.access_key, self.secret, self.region = endpoint, access_key, secret, region

    def client(self, secret: str | None = None) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret or self.secret,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                proxies={},
            ),
        )

    def wait(self, seconds: float) -> None:
        """Until so much later, by the server's clock."""
        time.sleep(seconds)

    @cached_property
    def s3(self) -> Any:
        return self.client()

    @cached_property
    def forger(self) -> Any:
        """Knows the key's name, not its secret."""
        return self.client("not the secret")

    def prepare(self) -> None:
        where = {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        self.s3.create_bucket(Bucket=BUCKET, **where)
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        self.s3.create_bucket(Bucket=LOCKED_BUCKET, ObjectLockEnabledForBucket=True, **where)

    def close(self) -> None:
        for client in (self.__dict__.get("s3"), self.__dict__.get("forger")):
            if client is not None:
                client.close()


def new_key() -> str:
    return f"c/{uuid.uuid4()}/a report (1).pdf"


def sha256_of(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def put_url(client: Any, key: str, seconds: int = 60, data: bytes = DATA) -> tuple[str, dict[str, str]]:
    """As the adapter makes it, and the headers that belong to it."""
    parameters = {
        "Bucket": BUCKET,
        "Key": key,
        "ContentLength": len(data),
        "ContentType": PDF,
        "ChecksumSHA256": sha256_of(data),
        "IfNoneMatch": "*",
    }
    url = client.generate_presigned_url("put_object", Params=parameters, ExpiresIn=seconds)
    headers = {
        "Content-Length": str(len(data)),
        "Content-Type": PDF,
        "If-None-Match": "*",
        "x-amz-checksum-sha256": sha256_of(data),
    }
    return url, headers


def expect(reply: Reply, *statuses: int) -> Reply:
    assert reply.status in statuses, f"{reply.status} instead of {statuses}: {reply.body[:300]!r}"
    return reply


@contextmanager
def refused(*codes: str) -> Iterator[None]:
    """The SDK's call inside must fail with one of these codes."""
    code = ""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
    assert code in codes, f"{code or 'nothing refused'} instead of {codes}"


# --- The 21: presigned URLs and POST policies


def put_as_signed(ground: Ground) -> None:
    key = new_key()
    url, headers = put_url(ground.s3, key)
    expect(send("PUT", url, headers, DATA), 200)
    assert ground.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == DATA


def put_of_another_type(ground: Ground) -> None:
    url, headers = put_url(ground.s3, new_key())
    expect(send("PUT", url, {**headers, "Content-Type": "text/html"}, DATA), 403)


def put_with_a_wrong_secret(ground: Ground) -> None:
    url, headers = put_url(ground.forger, new_key())
    expect(send("PUT", url, headers, DATA), 403)


def put_to_another_key(ground: Ground) -> None:
    url, headers = put_url(ground.s3, new_key())
    expect(send("PUT", url.replace("report", "raport"), headers, DATA), 403)


def put_too_late(ground: Ground) -> None:
    url, headers = put_url(ground.s3, new_key(), seconds=1)
    ground.wait(2.1)
    expect(send("PUT", url, headers, DATA), 403)


def put_unsigned(ground: Ground) -> None:
    url, headers = put_url(ground.s3, new_key())
    expect(send("PUT", url.partition("?")[0], headers, DATA), 403)


def put_of_other_bytes(ground: Ground) -> None:
    url, headers = put_url(ground.s3, new_key())
    expect(send("PUT", url, headers, DATA[:-1] + b"!"), 400)


def put_of_another_length(ground: Ground) -> None:
    url, headers = put_url(ground.s3, new_key())
    longer = DATA + b" and more"
    expect(send("PUT", url, {**headers, "Content-Length": str(len(longer))}, longer), 403)


def put_twice(ground: Ground) -> None:
    url, headers = put_url(ground.s3, new_key())
    expect(send("PUT", url, headers, DATA), 200)
    expect(send("PUT", url, headers, DATA), 412)


def put_without_its_checksum(ground: Ground) -> None:
    url, headers = put_url(ground.s3, new_key())
    del headers["x-amz-checksum-sha256"]
    expect(send("PUT", url, headers, DATA), 403)


def put_without_its_condition(ground: Ground) -> None:
    url, headers = put_url(ground.s3, new_key())
    del headers["If-None-Match"]
    expect(send("PUT", url, headers, DATA), 403)


def _stored(ground: Ground) -> tuple[str, str]:
    key = new_key()
    return key, ground.s3.put_object(Bucket=BUCKET, Key=key, Body=DATA)["VersionId"]


def _get_url(client: Any, key: str, version: str, seconds: int = 60) -> str:
    parameters = {"Bucket": BUCKET, "Key": key, "VersionId": version}
    parameters["ResponseContentDisposition"] = "attachment; filename*=UTF-8''a%20b.pdf"
    return str(client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds))


def get_as_signed(ground: Ground) -> None:
    reply = expect(send("GET", _get_url(ground.s3, *_stored(ground))), 200)
    assert reply.body == DATA
    assert reply.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.pdf"


def get_of_another_version(ground: Ground) -> None:
    key, version = _stored(ground)
    other = ground.s3.put_object(Bucket=BUCKET, Key=key, Body=b"newer")["VersionId"]
    expect(send("GET", _get_url(ground.s3, key, version).replace(version, other)), 403)


def get_too_late(ground: Ground) -> None:
    url = _get_url(ground.s3, *_stored(ground), seconds=1)
    ground.wait(2.1)
    expect(send("GET", url), 403)


def delete_by_a_url_to_get(ground: Ground) -> None:
    expect(send("DELETE", _get_url(ground.s3, *_stored(ground))), 403)


def _form(
    client: Any, data: bytes = DATA, seconds: int = 60, changed: Mapping[str, str] | None = None
) -> tuple[str, dict[str, str], bytes]:
    """URL, headers and body of a form that a policy allows. changed: fields that are not as it wants them."""
    made = client.generate_presigned_post(
        BUCKET,
        new_key(),
        Fields={"Content-Type": PDF},
        Conditions=[{"Content-Type": PDF}, ["content-length-range", 1, 100]],
        ExpiresIn=seconds,
    )
    fields = {**made["fields"], **(changed or {})}
    boundary = uuid.uuid4().hex
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    )
    body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'.encode()
    body += data + f"\r\n--{boundary}--\r\n".encode()
    return made["url"], {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body


def post_as_allowed(ground: Ground) -> None:
    url, headers, body = _form(ground.s3)
    reply = expect(send("POST", url, headers, body), 204)
    key = body.partition(b'name="key"\r\n\r\n')[2].partition(b"\r\n")[0].decode()
    found = ground.s3.get_object(Bucket=BUCKET, Key=key)
    assert (found["Body"].read(), found["ETag"], found["ContentType"]) == (DATA, reply.headers["etag"], PDF)


def post_too_large(ground: Ground) -> None:
    expect(send("POST", *_form(ground.s3, bytes(101))), 400)


def post_to_another_key(ground: Ground) -> None:
    expect(send("POST", *_form(ground.s3, changed={"key": new_key()})), 403)


def post_of_another_type(ground: Ground) -> None:
    expect(send("POST", *_form(ground.s3, changed={"Content-Type": "text/html"})), 403)


def post_with_a_wrong_secret(ground: Ground) -> None:
    expect(send("POST", *_form(ground.forger)), 403)


def post_too_late(ground: Ground) -> None:
    form = _form(ground.s3, seconds=1)
    ground.wait(2.1)
    expect(send("POST", *form), 403)


# --- What the store must do besides


def post_of_a_field_nobody_allowed(ground: Ground) -> None:
    expect(send("POST", *_form(ground.s3, changed={"x-amz-meta-more": "x"})), 403)


def sdk_with_a_wrong_secret(ground: Ground) -> None:
    with refused("SignatureDoesNotMatch"):
        ground.forger.put_object(Bucket=BUCKET, Key=new_key(), Body=DATA)


def write_twice_by_the_sdk(ground: Ground) -> None:
    key, _ = _stored(ground)
    with refused("PreconditionFailed"):
        ground.s3.put_object(Bucket=BUCKET, Key=key, Body=DATA, IfNoneMatch="*")


def wrong_checksum_by_the_sdk(ground: Ground) -> None:
    with refused("BadDigest", "InvalidRequest"):
        ground.s3.put_object(Bucket=BUCKET, Key=new_key(), Body=DATA, ChecksumSHA256=sha256_of(b"other"))


def checksum_is_told(ground: Ground) -> None:
    key = new_key()
    ground.s3.put_object(Bucket=BUCKET, Key=key, Body=DATA, ContentType=PDF, ChecksumSHA256=sha256_of(DATA))
    told = ground.s3.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
    assert (told["ChecksumSHA256"], told["ContentLength"], told["ContentType"]) == (
        sha256_of(DATA),
        len(DATA),
        PDF,
    )
    assert "ChecksumSHA256" not in ground.s3.head_object(Bucket=BUCKET, Key=key)


def versions_are_kept(ground: Ground) -> None:
    key, old = _stored(ground)
    new = ground.s3.put_object(Bucket=BUCKET, Key=key, Body=b"newer")["VersionId"]
    assert old != new
    assert ground.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"newer"
    assert ground.s3.get_object(Bucket=BUCKET, Key=key, VersionId=old)["Body"].read() == DATA


def a_deletion_marks(ground: Ground) -> None:
    key, old = _stored(ground)
    marker = ground.s3.delete_object(Bucket=BUCKET, Key=key)
    assert marker["DeleteMarker"] is True
    with refused("NoSuchKey"):
        ground.s3.get_object(Bucket=BUCKET, Key=key)
    with refused("404"):
        ground.s3.head_object(Bucket=BUCKET, Key=key)
    with refused("MethodNotAllowed"):
        ground.s3.get_object(Bucket=BUCKET, Key=key, VersionId=marker["VersionId"])
    assert ground.s3.get_object(Bucket=BUCKET, Key=key, VersionId=old)["Body"].read() == DATA
    ground.s3.delete_object(Bucket=BUCKET, Key=key, VersionId=marker["VersionId"])
    assert ground.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == DATA


def a_version_can_be_deleted(ground: Ground) -> None:
    key, old = _stored(ground)
    new = ground.s3.put_object(Bucket=BUCKET, Key=key, Body=b"newer")["VersionId"]
    ground.s3.delete_object(Bucket=BUCKET, Key=key, VersionId=new)
    assert ground.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == DATA
    with refused("NoSuchVersion"):
        ground.s3.get_object(Bucket=BUCKET, Key=key, VersionId=new)
    ground.s3.delete_object(Bucket=BUCKET, Key=key, VersionId=old)
    with refused("NoSuchKey"):
        ground.s3.get_object(Bucket=BUCKET, Key=key)


def listing_comes_in_pages(ground: Ground) -> None:
    prefix = f"p/{uuid.uuid4()}/"
    keys = [f"{prefix}{name}" for name in "abc"]
    for key in keys:
        ground.s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")
        ground.s3.put_object(Bucket=BUCKET, Key=key, Body=b"2")
    ground.s3.delete_object(Bucket=BUCKET, Key=keys[0])
    pager = ground.s3.get_paginator("list_object_versions")
    pages = list(pager.paginate(Bucket=BUCKET, Prefix=prefix, PaginationConfig={"PageSize": 2}))
    every = [one for page in pages for one in page.get("Versions", ())]
    markers = [(one["Key"], one["IsLatest"]) for page in pages for one in page.get("DeleteMarkers", ())]
    assert len(pages) == 4
    assert [one["Key"] for one in every] == [key for key in keys for _ in "12"]
    assert len({one["VersionId"] for one in every}) == 6
    assert markers == [(keys[0], True)]
    assert [one["IsLatest"] for one in every] == [False, False, True, False, True, False]
    told = ground.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix, MaxKeys=1)
    more = ground.s3.list_objects_v2(
        Bucket=BUCKET, Prefix=prefix, ContinuationToken=told["NextContinuationToken"]
    )
    assert [one["Key"] for one in told["Contents"] + more["Contents"]] == keys[1:]


def listing_tells_odd_names(ground: Ground) -> None:
    prefix = f"o/{uuid.uuid4()}/"
    keys = {f"{prefix}{name}" for name in ("a b", "ä", "z&<", "50%+1", "../up", "a//b")}
    for key in keys:
        ground.s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")
    assert {one["Key"] for one in ground.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]} == keys
    page = ground.s3.list_object_versions(Bucket=BUCKET, Prefix=prefix)
    assert {one["Key"] for one in page["Versions"]} == keys


def a_version_is_copied(ground: Ground) -> None:
    key, old = _stored(ground)
    ground.s3.put_object(Bucket=BUCKET, Key=key, Body=b"newer")
    to_key = new_key()
    source = {"Bucket": BUCKET, "Key": key, "VersionId": old}
    copied = ground.s3.copy_object(Bucket=BUCKET, Key=to_key, CopySource=source, ChecksumAlgorithm="SHA256")
    found = ground.s3.get_object(Bucket=BUCKET, Key=to_key, ChecksumMode="ENABLED")
    assert (found["Body"].read(), found["VersionId"]) == (DATA, copied["VersionId"])
    assert found["ChecksumSHA256"] == sha256_of(DATA)


def many_are_deleted(ground: Ground) -> None:
    prefix = f"m/{uuid.uuid4()}/"
    for number in range(3):
        ground.s3.put_object(Bucket=BUCKET, Key=f"{prefix}{number} &<", Body=b"1")
    ground.s3.delete_object(Bucket=BUCKET, Key=f"{prefix}0 &<")
    page = ground.s3.list_object_versions(Bucket=BUCKET, Prefix=prefix)
    every = [
        {"Key": one["Key"], "VersionId": one["VersionId"]}
        for one in [*page["Versions"], *page["DeleteMarkers"]]
    ]
    assert len(every) == 4
    answer = ground.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": every, "Quiet": True})
    assert not answer.get("Errors")
    left = ground.s3.list_object_versions(Bucket=BUCKET, Prefix=prefix)
    assert not left.get("Versions") and not left.get("DeleteMarkers")


def a_lock_holds(ground: Ground) -> None:
    key = new_key()
    until = datetime.now(UTC) + timedelta(days=1)
    version = ground.s3.put_object(
        Bucket=LOCKED_BUCKET,
        Key=key,
        Body=DATA,
        ChecksumSHA256=sha256_of(DATA),
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=until,
    )["VersionId"]
    with refused("AccessDenied"):
        ground.s3.delete_object(Bucket=LOCKED_BUCKET, Key=key, VersionId=version)
    one = {"Objects": [{"Key": key, "VersionId": version}]}
    answer = ground.s3.delete_objects(Bucket=LOCKED_BUCKET, Delete=one)
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    told = ground.s3.head_object(Bucket=LOCKED_BUCKET, Key=key)
    assert told["ObjectLockMode"] == "COMPLIANCE"
    assert abs(told["ObjectLockRetainUntilDate"] - until) < timedelta(seconds=1)


def no_lock_without_leave(ground: Ground) -> None:
    with refused("InvalidRequest"):
        ground.s3.put_object(
            Bucket=BUCKET,
            Key=new_key(),
            Body=DATA,
            ChecksumSHA256=sha256_of(DATA),
            ObjectLockMode="COMPLIANCE",
            ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=1),
        )


def tags_are_kept(ground: Ground) -> None:
    key, version = _stored(ground)
    tags = {"TagSet": [{"Key": "a", "Value": "b c@d:e/f"}]}
    ground.s3.put_object_tagging(Bucket=BUCKET, Key=key, VersionId=version, Tagging=tags)
    assert ground.s3.get_object_tagging(Bucket=BUCKET, Key=key, VersionId=version)["TagSet"] == tags["TagSet"]
    with refused("InvalidTag"):
        bad = {"TagSet": [{"Key": "a", "Value": "b & c"}]}
        ground.s3.put_object_tagging(Bucket=BUCKET, Key=key, VersionId=version, Tagging=bad)


def what_is_missing_has_a_name(ground: Ground) -> None:
    with refused("NoSuchKey"):
        ground.s3.get_object(Bucket=BUCKET, Key=new_key())
    with refused("NoSuchBucket"):
        ground.s3.get_object(Bucket="no-such-bucket-here", Key="a")
    with refused("NoSuchKey"):
        ground.s3.get_object_tagging(Bucket=BUCKET, Key=new_key())
    ground.s3.delete_object(Bucket=BUCKET, Key=new_key())  # no error


Check = Callable[[Ground], None]
SIGNATURES: tuple[Check, ...] = (
    put_as_signed,
    put_of_another_type,
    put_with_a_wrong_secret,
    put_to_another_key,
    put_too_late,
    put_unsigned,
    put_of_other_bytes,
    put_of_another_length,
    put_twice,
    put_without_its_checksum,
    put_without_its_condition,
    get_as_signed,
    get_of_another_version,
    get_too_late,
    delete_by_a_url_to_get,
    post_as_allowed,
    post_too_large,
    post_to_another_key,
    post_of_another_type,
    post_with_a_wrong_secret,
    post_too_late,
)
STORING: tuple[Check, ...] = (
    post_of_a_field_nobody_allowed,
    sdk_with_a_wrong_secret,
    write_twice_by_the_sdk,
    wrong_checksum_by_the_sdk,
    checksum_is_told,
    versions_are_kept,
    a_deletion_marks,
    a_version_can_be_deleted,
    listing_comes_in_pages,
    listing_tells_odd_names,
    a_version_is_copied,
    many_are_deleted,
    a_lock_holds,
    no_lock_without_leave,
    tags_are_kept,
    what_is_missing_has_a_name,
)
