"""The object store: presigned URLs that sign everything, versions, moving and erasing, and locks."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from backend_lambda.aws.clients import Clients
from backend_lambda.aws.objects import S3Objects
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import ObjectFacts, PresignedRequest, UploadFacts
from tests.backend_lambda.aws.conftest import AUDIT, DOCUMENTS
from tests.stand_ins.aws.faults import Fault, Kind
from tests.stand_ins.aws.s3 import Created, Version
from tests.stand_ins.aws.s3_checks import Reply, new_key, send
from tests.stand_ins.aws.server import AwsStandIn

DATA = b"%PDF-1.7 a report"
FACTS = UploadFacts("application/pdf", len(DATA), hashlib.sha256(DATA).digest())


def put(
    request: PresignedRequest, data: bytes = DATA, changed: Mapping[str, str | None] | None = None
) -> Reply:
    """changed: other headers; None leaves one out."""
    others = changed or {}
    headers = {name: value for name, value in request.headers.items() if name.lower() not in others}
    headers |= {name: value for name, value in others.items() if value is not None}
    return send("PUT", request.url, headers, data)


def test_a_file_arrives_as_it_was_announced(documents: S3Objects) -> None:
    key = new_key()
    request = documents.presign_put(key, FACTS, 120)
    reply = put(request)
    assert reply.status == 200
    assert documents.head(key) == ObjectFacts(
        len(DATA), "application/pdf", FACTS.sha256, reply.headers["x-amz-version-id"]
    )


def test_a_url_is_good_for_as_long_as_it_says(documents: S3Objects) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    request = documents.presign_put(new_key(), FACTS, 120)
    assert before <= request.expires_at - timedelta(seconds=120) <= datetime.now(UTC)
    query = parse_qs(urlsplit(request.url).query)
    assert query["X-Amz-Expires"] == ["120"]
    assert query["X-Amz-SignedHeaders"] == [
        "content-length;content-type;host;if-none-match;x-amz-checksum-sha256"
    ]
    assert {name.lower() for name in request.headers} == {
        *("content-length", "content-type", "if-none-match", "x-amz-checksum-sha256")
    }


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"content-type": "text/html"}, 403),
        ({"content-type": None}, 403),
        ({"if-none-match": None}, 403),
        ({"if-none-match": '"etag"'}, 403),
        ({"x-amz-checksum-sha256": None}, 403),
        ({"x-amz-checksum-sha256": "x" * 43 + "="}, 403),
        ({"x-amz-acl": "public-read"}, 403),
        ({"x-amz-object-lock-mode": "COMPLIANCE"}, 403),
    ],
    ids=str,
)
def test_what_is_announced_cannot_be_changed(
    documents: S3Objects, changed: dict[str, str | None], status: int
) -> None:
    key = new_key()
    assert put(documents.presign_put(key, FACTS, 120), changed=changed).status == status
    assert documents.head(key) is None


def test_an_encoding_that_nobody_announced_is_told(documents: S3Objects) -> None:
    """A URL cannot forbid it; the store keeps it, and browsers would unpack the file."""
    key = new_key()
    reply = put(documents.presign_put(key, FACTS, 120), changed={"content-encoding": "gzip"})
    assert reply.status == 200
    facts = documents.head(key)
    assert facts is not None
    assert facts.content_encoding == "gzip"
    served = send("GET", documents.presign_get(key, facts.version_id, "a.pdf", 60))
    assert served.headers["content-encoding"] == "gzip"
    plain = new_key()
    documents.write(plain, DATA, "application/pdf")
    written = documents.head(plain)
    assert written is not None
    assert written.content_encoding == ""


def test_other_bytes_of_the_same_length_are_refused(documents: S3Objects) -> None:
    key = new_key()
    assert put(documents.presign_put(key, FACTS, 120), DATA[::-1]).status == 400
    assert documents.head(key) is None


def test_a_url_cannot_be_used_again(documents: S3Objects) -> None:
    request = documents.presign_put(new_key(), FACTS, 120)
    assert [put(request).status for _ in range(3)] == [200, 412, 412]


def test_a_url_that_would_not_sign_all_is_never_handed_out() -> None:
    """As another botocore might make it."""
    url = "https://b.s3.amazonaws.com/k?X-Amz-Date=20261127T000000Z&X-Amz-SignedHeaders=content-type%3Bhost"
    loose = cast("Clients", lambda service: SimpleNamespace(generate_presigned_url=lambda *_, **__: url))
    with pytest.raises(Refusal) as caught:
        S3Objects(loose, DOCUMENTS).presign_put("k", FACTS, 120)
    assert caught.value.status == 500
    assert "content-length, if-none-match, x-amz-checksum-sha256" in caught.value.title


def test_in_aws_a_url_leads_to_the_bucket_in_its_region(aws: AwsStandIn) -> None:
    clients = Clients("eu-central-1")
    url = S3Objects(clients, DOCUMENTS).presign_get("c/1/2", "v", "a.pdf", 60)
    clients.close()
    assert url.startswith(f"https://{DOCUMENTS}.s3.eu-central-1.amazonaws.com/c/1/2?")
    assert "X-Amz-Signature=" in url


@pytest.mark.parametrize(
    "name", ["report.pdf", 'Bericht "März" 50%.pdf', "../../etc/passwd", "a\r\nb: c", "报告.pdf"]
)
def test_a_download_has_its_name(documents: S3Objects, name: str) -> None:
    key = new_key()
    version = documents.write(key, DATA, "application/pdf")
    documents.write(key, b"newer", "application/pdf")
    reply = send("GET", documents.presign_get(key, version, name, 60))
    assert (reply.status, reply.body) == (200, DATA)
    disposition = reply.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="')
    assert unquote(disposition.partition("filename*=UTF-8''")[2]) == name
    assert reply.headers["cache-control"] == "private, no-store"
    assert set(reply.headers) >= {"content-type", "etag"}
    assert "b" not in reply.headers  # no header of theirs


def test_a_download_is_of_this_version_alone(documents: S3Objects) -> None:
    key = new_key()
    old, new = (documents.write(key, data, "text/plain") for data in (b"old", b"new"))
    url = documents.presign_get(key, old, "a.txt", 60)
    assert send("GET", url.replace(old, new)).status == 403


def test_what_is_not_there(documents: S3Objects) -> None:
    assert documents.head(new_key()) is None
    key = new_key()
    version = documents.write(key, DATA, "text/plain")
    for missing in ((new_key(), version), (key, "x" * 32)):
        with pytest.raises(Refusal) as caught:
            documents.read(*missing, 100)
        assert (caught.value.status, caught.value.code) == (404, Code.NOT_FOUND)


def test_what_is_deleted_is_not_there(documents: S3Objects, aws: AwsStandIn, clients: Clients) -> None:
    key = new_key()
    documents.write(key, DATA, "text/plain")
    marker = clients("s3").delete_object(Bucket=DOCUMENTS, Key=key)["VersionId"]
    assert documents.head(key) is None
    with pytest.raises(Refusal) as caught:
        documents.read(key, marker, 100)
    assert caught.value.status == 404


def test_what_is_written_is_read(documents: S3Objects) -> None:
    key = new_key()
    old, new = (documents.write(key, data, "text/plain; charset=utf-8") for data in (b"old", b"newer"))
    assert documents.read(key, old, 3) == b"old"
    assert documents.read(key, new, 5) == b"newer"
    facts = documents.head(key)
    assert facts == ObjectFacts(5, "text/plain; charset=utf-8", hashlib.sha256(b"newer").digest(), new)
    assert documents.read(key, documents.write(key, b"", "text/plain"), 0) == b""


def test_bytes_that_rotted_are_not_handed_out(documents: S3Objects, aws: AwsStandIn) -> None:
    key = new_key()
    version = documents.write(key, DATA, "application/pdf")
    stored = aws.s3.newest(DOCUMENTS, key)
    assert stored is not None
    stored.content = DATA[:-1] + b"!"
    with pytest.raises(Refusal) as caught:
        documents.read(key, version, 100)
    assert (caught.value.status, caught.value.code) == (503, Code.OBJECTS_UNAVAILABLE)
    assert "ChecksumError" in caught.value.title


def test_more_than_is_wanted_is_not_read(documents: S3Objects) -> None:
    key = new_key()
    version = documents.write(key, bytes(100_001), "text/plain")
    with pytest.raises(Refusal) as caught:
        documents.read(key, version, 100_000)
    assert (caught.value.status, caught.value.code) == (413, Code.TOO_LARGE)
    assert len(documents.read(key, version, 100_001)) == 100_001


def test_a_move_leaves_nothing_behind(documents: S3Objects, aws: AwsStandIn, clients: Clients) -> None:
    key, to_key = new_key(), new_key()
    moved = documents.write(key, DATA, "application/pdf")
    documents.write(key, b"newer", "application/pdf")
    clients("s3").delete_object(Bucket=DOCUMENTS, Key=key)
    neighbour = documents.write(f"{key}.txt", b"stays", "text/plain")
    version = documents.move(key, moved, to_key)
    assert documents.read(to_key, version, 100) == DATA
    assert documents.head(to_key) == ObjectFacts(len(DATA), "application/pdf", FACTS.sha256, version)
    assert key not in aws.s3.buckets[DOCUMENTS].versions
    assert documents.read(f"{key}.txt", neighbour, 100) == b"stays"


def test_a_move_of_what_is_not_there(documents: S3Objects) -> None:
    with pytest.raises(Refusal) as caught:
        documents.move(new_key(), "x" * 32, new_key())
    assert caught.value.status == 404


@pytest.mark.usefixtures("no_pauses")
def test_a_move_that_broke_off_can_be_done_again(documents: S3Objects, aws: AwsStandIn) -> None:
    key, to_key = new_key(), new_key()
    version = documents.write(key, DATA, "application/pdf")
    documents.write(key, b"newer", "application/pdf")

    def then_fails(made: Created) -> None:
        if made.how == "Copy":
            aws.faults.set("s3", Fault(Kind.UNAVAILABLE))

    aws.s3.listeners.append(then_fails)
    with pytest.raises(Refusal) as caught:
        documents.move(key, version, to_key)
    aws.s3.listeners.clear()
    assert caught.value.code is Code.OBJECTS_UNAVAILABLE
    aws.faults.clear()
    new = documents.move(key, version, to_key)
    assert documents.read(to_key, new, 100) == DATA
    assert key not in aws.s3.buckets[DOCUMENTS].versions


def test_a_move_that_broke_off_while_it_took_away_can_be_done_again(
    documents: S3Objects, aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, to_key = new_key(), new_key()
    version = documents.write(key, DATA, "application/pdf")
    documents.write(key, b"newer", "application/pdf")
    right, calls = S3Objects._delete_page, itertools.count()

    def fails_the_second_time(self: S3Objects, versions: list[dict[str, str]]) -> None:
        if next(calls) == 1:
            raise Refusal(503, Code.OBJECTS_UNAVAILABLE, "as the test wants it")
        right(self, versions)

    monkeypatch.setattr(S3Objects, "_delete_page", fails_the_second_time)
    with pytest.raises(Refusal):
        documents.move(key, version, to_key)
    assert documents.read(to_key, documents.move(key, version, to_key), 100) == DATA
    assert key not in aws.s3.buckets[DOCUMENTS].versions


def test_what_is_moved_has_its_hash_although_it_came_without(documents: S3Objects, clients: Clients) -> None:
    key, to_key = new_key(), new_key()
    version = clients("s3").put_object(Bucket=DOCUMENTS, Key=key, Body=DATA)["VersionId"]
    before = documents.head(key)
    assert before is not None and before.sha256 is None
    documents.move(key, version, to_key)
    after = documents.head(to_key)
    assert after is not None and after.sha256 == FACTS.sha256


def test_erasing_takes_every_version_of_a_patient_and_of_nobody_else(
    documents: S3Objects, aws: AwsStandIn, clients: Clients
) -> None:
    patient, other = "c/clinic/patient-1/", "c/clinic/patient-10/"
    for key in (f"{patient}a", f"{patient}b c", f"{other}a"):
        for data in (b"1", b"2"):
            documents.write(key, data, "text/plain")
    clients("s3").delete_object(Bucket=DOCUMENTS, Key=f"{patient}a")
    assert documents.erase(patient) == 5
    left = [key for key in aws.s3.buckets[DOCUMENTS].versions if key.startswith("c/clinic/")]
    assert left == [f"{other}a"]
    assert documents.erase(patient) == 0


def test_erasing_takes_more_than_a_page(documents: S3Objects, aws: AwsStandIn) -> None:
    bucket = aws.s3.buckets[DOCUMENTS]
    for number in range(2_345):
        version = Version(f"{number:032}", b"x", 1, b"", None, {}, aws.now_s())
        bucket.versions.setdefault(f"many/{number // 3}", []).append(version)
    assert documents.erase("many/") == 2_345
    assert not [key for key in bucket.versions if key.startswith("many/")]


def test_the_whole_bucket_is_never_erased(documents: S3Objects) -> None:
    with pytest.raises(ValueError, match="no prefix"):
        documents.erase("")


def test_what_is_locked_stays(aws: AwsStandIn, clients: Clients) -> None:
    audit = S3Objects(clients, AUDIT)
    until = datetime.now(UTC) + timedelta(days=2557)
    audit.write_locked("heads/2026-11-27/12.json", b"{}", until)
    with pytest.raises(Refusal) as caught:
        audit.erase("heads/")
    assert caught.value.code is Code.OBJECTS_UNAVAILABLE
    facts = audit.head("heads/2026-11-27/12.json")
    assert facts is not None and facts.media_type == "application/json"
    stored = aws.s3.newest(AUDIT, "heads/2026-11-27/12.json")
    assert stored is not None and stored.locked_until_s == pytest.approx(until.timestamp(), abs=1)


def test_every_version_is_listed_also_what_a_marker_hides(
    aws: AwsStandIn, clients: Clients, documents: S3Objects
) -> None:
    audit = S3Objects(clients, AUDIT)
    key = "listed/2026-11-27/12.json"
    for data in (b"first", b"second"):
        audit.write_locked(key, data, datetime.now(UTC) + timedelta(days=1))
    clients("s3").delete_object(Bucket=AUDIT, Key=key)
    found = audit.versions("listed/")
    assert sorted((one.key, one.is_marker) for one in found) == [(key, False), (key, False), (key, True)]
    kept = [audit.read(key, one.version_id, 10) for one in found if not one.is_marker]
    assert sorted(kept) == [b"first", b"second"]
    assert all(abs((one.written_at - datetime.now(UTC)).total_seconds()) < 60 for one in found)
    bucket = aws.s3.buckets[DOCUMENTS]
    for number in range(1_001):
        bucket.versions[f"page/{number}"] = [Version(f"{number:032}", b"x", 1, b"", None, {}, aws.now_s())]
    assert len({one.key for one in documents.versions("page/")}) == 1_001


def test_a_bucket_without_versions_is_a_mistake(aws: AwsStandIn, clients: Clients) -> None:
    aws.s3.add_bucket("no-versions", versioned=False)
    with pytest.raises(Refusal) as caught:
        S3Objects(clients, "no-versions").write("a", b"", "text/plain")
    assert (caught.value.status, caught.value.code) == (500, Code.INTERNAL)


def test_a_bucket_that_is_not_there(aws: AwsStandIn, clients: Clients) -> None:
    with pytest.raises(Refusal) as caught:
        S3Objects(clients, "no-bucket").write("a", b"", "text/plain")
    assert caught.value.code is Code.OBJECTS_UNAVAILABLE


@pytest.mark.usefixtures("no_pauses")
def test_two_refusals_are_overcome(documents: S3Objects, aws: AwsStandIn) -> None:
    aws.faults.set("s3", Fault(Kind.UNAVAILABLE), times=2)
    key = new_key()
    documents.write(key, DATA, "text/plain")
    assert aws.counts["s3"] == 3
    stored: Any = aws.s3.buckets[DOCUMENTS].versions[key]
    assert len(stored) == 1
