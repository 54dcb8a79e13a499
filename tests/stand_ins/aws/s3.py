"""Stands in for S3 in tests and the local cloud; never shipped. Path style only.

Can: buckets, versions, delete markers, conditional writes (If-None-Match: *), SHA-256 and CRC-32 checksums, copies, tags, listings in
pages, deleting many, Object Lock in compliance mode, POST policies, presigned URLs. Every request must be signed and is checked.
Cannot, and refuses: multipart uploads, signed chunks, ranges, ACLs, policies, delimiters. Encryption headers are taken and told back.
"""

from __future__ import annotations

import base64
import binascii
import email.utils
import hashlib
import json
import os
import re
import secrets
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote_plus
from xml.sax.saxutils import escape

from tests.stand_ins.aws import sigv4
from tests.stand_ins.aws.exchange import Answer, Refused, Request, decoded

_XML = ("Content-Type", "application/xml")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_TAG = re.compile(r"[\w\s.:/=+\-@]{0,256}")
_KEPT_HEADERS = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
)
_OVERRIDES = {f"response-{name}": name for name in ("content-type", "cache-control", "content-disposition")}
_NOT_SPOKEN = {
    "uploads",
    "uploadId",
    "partNumber",
    "acl",
    "policy",
    "torrent",
    "select",
    "restore",
    "attributes",
}
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
"""The harmless file that virus scanners agree to find; put together here so that no scanner finds this file."""


@dataclass(slots=True)
class Version:
    """One version of an object, or a delete marker (content None)."""

    id: str
    content: bytes | Path | None
    size: int
    md5: bytes
    sha256: bytes | None
    headers: dict[str, str]
    made_s: float
    tags: dict[str, str] = field(default_factory=dict)
    locked_until_s: float | None = None
    how: str = ""
    """As `Created.how`."""

    @property
    def etag(self) -> str:
        return f'"{self.md5.hex()}"'

    def read(self) -> bytes:
        assert self.content is not None
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(slots=True)
class Bucket:
    """versions: of each key, the newest last. Not versioned: one version, called "null"."""

    name: str
    versioned: bool
    can_lock: bool
    versions: dict[str, list[Version]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Created:
    """An object was made. how: "Put", "Post" or "Copy"."""

    bucket: str
    key: str
    version_id: str
    size: int
    etag: str
    how: str
    at: datetime

    def notification(self, region: str) -> dict[str, object]:
        """What S3 sends to a function."""
        return {
            "Records": [
                {
                    "eventVersion": "2.1",
                    "eventSource": "aws:s3",
                    "awsRegion": region,
                    "eventTime": self.at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                    "eventName": f"ObjectCreated:{self.how}",
                    "s3": {
                        "s3SchemaVersion": "1.0",
                        "bucket": {"name": self.bucket, "arn": f"arn:aws:s3:::{self.bucket}"},
                        "object": {
                            "key": quote_plus(self.key, safe="/"),
                            "size": self.size,
                            "eTag": self.etag.strip('"'),
                            "versionId": self.version_id,
                        },
                    },
                }
            ]
        }


class Kept:
    """What of the buckets lies on the disk: a file for each content, and a log, written to before anybody is answered.

    Outlives a process that is killed at any moment, not a machine that loses its power.
    """

    def __init__(self, folder: Path) -> None:
        self._contents = folder / "contents"
        self._contents.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log"

    def buckets(self) -> dict[str, Bucket]:
        """As they were. A last line that was cut was never answered."""
        found: dict[str, Bucket] = {}
        lines = self._log.read_bytes().split(b"\n") if self._log.exists() else [b""]
        for line in lines[:-1]:
            did, name, versioned, can_lock, key, id_, *rest = json.loads(line)
            bucket = found.setdefault(name, Bucket(name, versioned, can_lock))
            versions = bucket.versions.setdefault(key, [])
            if did == "tag":
                next(one for one in versions if one.id == id_).tags = rest[0]
                continue
            versions[:] = [one for one in versions if one.id != id_]
            if did == "add":
                is_there, size, md5, sha256, headers, made_s, tags, locked_until_s, how = rest
                versions.append(
                    Version(
                        id_,
                        self._contents / id_ if is_there else None,
                        size,
                        bytes.fromhex(md5),
                        None if sha256 is None else bytes.fromhex(sha256),
                        headers,
                        made_s,
                        tags,
                        locked_until_s,
                        how,
                    )
                )
            if not versions:
                del bucket.versions[key]
        if lines[-1]:
            self._log.write_bytes(b"\n".join([*lines[:-1], b""]))
        return found

    def add(self, bucket: Bucket, key: str, version: Version) -> None:
        """Its content lies in a file from here on."""
        if version.content is not None:
            file = self._contents / version.id
            if isinstance(version.content, Path):
                version.content.replace(file)
            else:
                part = file.with_suffix(".part")
                part.write_bytes(version.content)
                part.replace(file)
            version.content = file
        sha256 = None if version.sha256 is None else version.sha256.hex()
        self._write(
            "add",
            bucket,
            key,
            version,
            version.content is not None,
            version.size,
            version.md5.hex(),
            sha256,
            version.headers,
            version.made_s,
            version.tags,
            version.locked_until_s,
            version.how,
        )

    def remove(self, bucket: Bucket, key: str, version: Version) -> None:
        """Before its content is."""
        self._write("remove", bucket, key, version)

    def tag(self, bucket: Bucket, key: str, version: Version) -> None:
        """As its tags are now."""
        self._write("tag", bucket, key, version, version.tags)

    def _write(self, did: str, bucket: Bucket, key: str, version: Version, *rest: object) -> None:
        line = json.dumps([did, bucket.name, bucket.versioned, bucket.can_lock, key, version.id, *rest])
        file = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode() + b"\n")
        finally:
            os.close(file)


class S3:
    """The buckets, and what HTTP asks of them.

    listeners: called with each object that is made, before its answer goes out; they must not wait for anything.
    malware_scan: tags every object as GuardDuty does, by whether it holds the EICAR test file.
    """

    def __init__(self, folder: Path, now_s: Callable[[], float], kept: Kept | None = None) -> None:
        """kept: what is made here outlives this process, however that ends, and what earlier ones made is here again."""
        self._folder = folder
        self._now_s = now_s
        self._lock = threading.RLock()
        self._kept = kept
        self.buckets: dict[str, Bucket] = {} if kept is None else kept.buckets()
        self.listeners: list[Callable[[Created], None]] = []
        self.malware_scan = False

    def add_bucket(self, name: str, *, versioned: bool = True, can_lock: bool = False) -> Bucket:
        assert _NAME.fullmatch(name), name
        with self._lock:
            return self.buckets.setdefault(name, Bucket(name, versioned or can_lock, can_lock))

    def created(self, bucket: str) -> Iterator[Created]:
        """An event for each version that is there, as when it was made; for whoever was killed before working on it."""
        with self._lock:
            found = [
                (key, version)
                for key, versions in self.buckets[bucket].versions.items()
                for version in versions
                if version.how
            ]
        for key, version in found:
            yield _created(bucket, key, version)

    def newest(self, bucket: str, key: str) -> Version | None:
        """For tests. None: there is none, or it is deleted."""
        with self._lock:
            versions = self.buckets[bucket].versions.get(key)
            return versions[-1] if versions and versions[-1].content is not None else None

    def tag(self, bucket: str, key: str, **tags: str) -> None:
        """Of the newest version."""
        newest = self.newest(bucket, key)
        assert newest is not None
        newest.tags.update(tags)

    # --- HTTP

    def refusal(self, request: Request, refused: Refused) -> Answer:
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{refused.code}</Code>'
            f"<Message>{escape(refused.message)}</Message><RequestId>0</RequestId></Error>"
        )
        return Answer(refused.status, [_XML, *refused.headers], body.encode())

    def answer(self, request: Request, claim: sigv4.Claim | None, verifier: sigv4.Verifier) -> Answer:
        bucket_name, _, key = decoded(request.path).removeprefix("/").partition("/")
        queried = {name for name, _ in request.query}
        if claim is None:
            if request.method == "POST" and request.headers.get("content-type", "").startswith(
                "multipart/form-data"
            ):
                return self._form(request, bucket_name, verifier)
            raise Refused(403, "AccessDenied", "Access Denied")
        verifier.check(request, claim)
        self._check_payload(request)
        if queried & _NOT_SPOKEN:
            raise Refused(501, "NotImplemented", "The stand-in cannot do this.")
        if not bucket_name:
            raise Refused(501, "NotImplemented", "The stand-in lists no buckets.")
        if len(key.encode("utf-8", "surrogateescape")) > 1024:
            raise Refused(400, "KeyTooLongError", "Your key is too long")
        try:
            key.encode()
        except UnicodeEncodeError:
            raise Refused(400, "InvalidURI", "Couldn't parse the specified URI.") from None
        return (
            self._of_object(request, bucket_name, key)
            if key
            else self._of_bucket(request, bucket_name, queried)
        )

    def _check_payload(self, request: Request) -> None:
        stated = request.headers.get("x-amz-content-sha256")
        presigned = request.asked("X-Amz-Signature") is not None
        if stated is None:
            if not presigned:
                raise Refused(
                    400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"
                )
        elif stated.startswith("STREAMING-"):
            raise Refused(501, "NotImplemented", "The stand-in takes no signed chunks.")
        elif stated != sigv4.UNSIGNED and stated != request.body.sha256.hex():
            raise Refused(
                400,
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        for name, actual in (
            ("content-md5", request.body.md5),
            ("x-amz-checksum-sha256", request.body.sha256),
            ("x-amz-checksum-crc32", request.body.crc32.to_bytes(4, "big")),
        ):
            if name not in request.headers:
                continue
            given = _from_base64(request.headers[name], len(actual))
            if given is None:
                code = "InvalidDigest" if name == "content-md5" else "InvalidRequest"
                raise Refused(400, code, f"Value for {name} header is invalid.")
            if given != actual:
                raise Refused(
                    400,
                    "BadDigest",
                    f"The {name.rpartition('-')[2].upper()} you specified did not match what we received.",
                )

    def _bucket(self, name: str) -> Bucket:
        bucket = self.buckets.get(name)
        if bucket is None:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
        return bucket

    # --- Buckets

    def _of_bucket(self, request: Request, name: str, queried: set[str]) -> Answer:
        with self._lock:
            match request.method:
                case "PUT" if not queried:
                    return self._make(request, name)
                case "PUT" if queried == {"versioning"}:
                    status = _xml(request).findtext("{*}Status")
                    if status != "Enabled":
                        raise Refused(501, "NotImplemented", "The stand-in only turns versions on.")
                    self._bucket(name).versioned = True
                    return Answer(200)
                case "HEAD" if not queried:
                    self._bucket(name)
                    return Answer(200)
                case "GET" if "versions" in queried:
                    return self._list_versions(request, self._bucket(name))
                case "GET" if request.asked("list-type") == "2":
                    return self._list(request, self._bucket(name))
                case "GET" if queried == {"versioning"}:
                    status = "<Status>Enabled</Status>" if self._bucket(name).versioned else ""
                    return _written("VersioningConfiguration", status)
                case "POST" if queried == {"delete"}:
                    return self._delete_many(request, self._bucket(name))
        raise Refused(501, "NotImplemented", "The stand-in cannot do this to a bucket.")

    def _make(self, request: Request, name: str) -> Answer:
        if not _NAME.fullmatch(name):
            raise Refused(400, "InvalidBucketName", "The specified bucket is not valid.")
        if name in self.buckets:
            raise Refused(409, "BucketAlreadyOwnedByYou", "You have it already.")
        can_lock = request.headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true"
        self.add_bucket(name, versioned=False, can_lock=can_lock)
        return Answer(200, [("Location", f"/{name}")])

    def _list_versions(self, request: Request, bucket: Bucket) -> Answer:
        prefix, most, coded = _listing(request)
        after_key, after_version = request.asked("key-marker") or "", request.asked("version-id-marker")
        every = [
            (key, version, version is bucket.versions[key][-1])
            for key in _keys(bucket, prefix)
            if key >= after_key
            for version in reversed(bucket.versions[key])
        ]
        if after_version:
            places = [
                at for at, (key, v, _) in enumerate(every) if key == after_key and v.id == after_version
            ]
            if places:
                every = every[places[0] + 1 :]
            else:  # it was deleted meanwhile
                every = [one for one in every if one[0] > after_key]
        elif after_key:
            every = [one for one in every if one[0] > after_key]
        page, rest = every[:most], every[most:]
        parts = [
            f"<Name>{bucket.name}</Name><Prefix>{coded(prefix)}</Prefix><KeyMarker>{coded(after_key)}</KeyMarker>",
            f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(bool(rest)).lower()}</IsTruncated>",
            "<EncodingType>url</EncodingType>" if request.asked("encoding-type") else "",
        ]
        if rest and page:
            parts.append(
                f"<NextKeyMarker>{coded(page[-1][0])}</NextKeyMarker>"
                f"<NextVersionIdMarker>{page[-1][1].id}</NextVersionIdMarker>"
            )
        for key, version, is_newest in page:
            tag = "DeleteMarker" if version.content is None else "Version"
            facts = (
                ""
                if version.content is None
                else f"<ETag>{escape(version.etag)}</ETag><Size>{version.size}</Size>"
            )
            parts.append(
                f"<{tag}><Key>{coded(key)}</Key><VersionId>{version.id}</VersionId>"
                f"<IsLatest>{str(is_newest).lower()}</IsLatest><LastModified>{_iso(version.made_s)}</LastModified>"
                f"{facts}</{tag}>"
            )
        return _written("ListVersionsResult", "".join(parts))

    def _list(self, request: Request, bucket: Bucket) -> Answer:
        prefix, most, coded = _listing(request)
        token = request.asked("continuation-token")
        after = request.asked("start-after") or ""
        if token is not None:
            raw = _from_base64(token, None)
            if raw is None:
                raise Refused(400, "InvalidArgument", "The continuation token provided is incorrect")
            after = raw.decode("utf-8", "replace")
        every = [
            (key, newest)
            for key in _keys(bucket, prefix)
            if key > after and (newest := bucket.versions[key][-1]).content is not None
        ]
        page, rest = every[:most], every[most:]
        more = ""
        if rest and page:
            following = base64.b64encode(page[-1][0].encode()).decode()
            more = f"<NextContinuationToken>{following}</NextContinuationToken>"
        parts = [
            f"<Name>{bucket.name}</Name><Prefix>{coded(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>",
            f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{more}",
            "<EncodingType>url</EncodingType>" if request.asked("encoding-type") else "",
        ]
        parts += [
            f"<Contents><Key>{coded(key)}</Key><LastModified>{_iso(newest.made_s)}</LastModified>"
            f"<ETag>{escape(newest.etag)}</ETag><Size>{newest.size}</Size></Contents>"
            for key, newest in page
        ]
        return _written("ListBucketResult", "".join(parts))

    def _delete_many(self, request: Request, bucket: Bucket) -> Answer:
        if not any(name == "content-md5" or name.startswith("x-amz-checksum-") for name in request.headers):
            raise Refused(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
        wanted = _xml(request)
        objects = wanted.findall("{*}Object")
        if not objects or len(objects) > 1000:
            raise Refused(400, "MalformedXML", "One to 1000 objects.")
        quiet = wanted.findtext("{*}Quiet") == "true"
        parts = []
        for one in objects:
            key, version_id = one.findtext("{*}Key") or "", one.findtext("{*}VersionId")
            try:
                self._delete(bucket, key, version_id)
            except Refused as refused:
                parts.append(
                    f"<Error><Key>{escape(key)}</Key><VersionId>{escape(version_id or '')}</VersionId>"
                    f"<Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>"
                )
            else:
                if not quiet:
                    parts.append(f"<Deleted><Key>{escape(key)}</Key></Deleted>")
        return _written("DeleteResult", "".join(parts))

    # --- Objects

    def _of_object(self, request: Request, bucket_name: str, key: str) -> Answer:
        with self._lock:
            bucket = self._bucket(bucket_name)
            version_id = request.asked("versionId")
            if request.asked("tagging") is not None:
                return self._tagging(request, bucket, key, version_id)
            if request.asked("retention") is not None and request.method == "GET":
                return self._retention(self._found(bucket, key, version_id))
            match request.method:
                case "PUT" if "x-amz-copy-source" in request.headers:
                    return self._copy(request, bucket, key)
                case "PUT":
                    return self._put(request, bucket, key)
                case "GET" | "HEAD":
                    return self._get(request, bucket, key, version_id)
                case "DELETE":
                    gone = self._delete(bucket, key, version_id)
                    headers = [] if gone is None else [("x-amz-version-id", gone.id)]
                    if gone is not None and gone.content is None:
                        headers.append(("x-amz-delete-marker", "true"))
                    return Answer(204, headers)
        raise Refused(501, "NotImplemented", "The stand-in cannot do this to an object.")

    def _found(self, bucket: Bucket, key: str, version_id: str | None) -> Version:
        versions = bucket.versions.get(key, [])
        if version_id is None:
            if not versions:
                raise Refused(404, "NoSuchKey", "The specified key does not exist.")
            if versions[-1].content is None:
                marked = [("x-amz-delete-marker", "true"), ("x-amz-version-id", versions[-1].id)]
                raise Refused(404, "NoSuchKey", "The specified key does not exist.", marked)
            return versions[-1]
        if not re.fullmatch(r"null|[A-Za-z0-9_.-]{32}", version_id):
            raise Refused(400, "InvalidArgument", "Invalid version id specified")
        found = next((version for version in versions if version.id == version_id), None)
        if found is None:
            raise Refused(404, "NoSuchVersion", "The specified version does not exist.")
        if found.content is None:
            raise Refused(
                405, "MethodNotAllowed", "This is a delete marker.", [("x-amz-delete-marker", "true")]
            )
        return found

    def _get(self, request: Request, bucket: Bucket, key: str, version_id: str | None) -> Answer:
        if "range" in request.headers:
            raise Refused(501, "NotImplemented", "The stand-in knows no ranges.")
        found = self._found(bucket, key, version_id)
        assert found.content is not None
        headers = dict(found.headers)
        for parameter, name in _OVERRIDES.items():
            if (value := request.asked(parameter)) is not None:
                headers[name] = (
                    value.encode("latin-1", "replace").decode("latin-1").translate({10: " ", 13: " "})
                )
        headers["ETag"] = found.etag
        headers["Last-Modified"] = email.utils.formatdate(found.made_s, usegmt=True)
        headers["Accept-Ranges"] = "bytes"
        if bucket.versioned:
            headers["x-amz-version-id"] = found.id
        if found.sha256 is not None and request.headers.get("x-amz-checksum-mode") == "ENABLED":
            headers["x-amz-checksum-sha256"] = base64.b64encode(found.sha256).decode()
            headers["x-amz-checksum-type"] = "FULL_OBJECT"
        if found.locked_until_s is not None:
            headers["x-amz-object-lock-mode"] = "COMPLIANCE"
            headers["x-amz-object-lock-retain-until-date"] = _iso(found.locked_until_s)
        if found.tags:
            headers["x-amz-tagging-count"] = str(len(found.tags))
        content = found.content
        if isinstance(content, Path) and request.method == "GET":
            content = content.read_bytes()  # it may be deleted before it is sent
        return Answer(200, list(headers.items()), content)

    def _put(self, request: Request, bucket: Bucket, key: str) -> Answer:
        if "content-length" not in request.headers:
            raise Refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        self._check_conditions(request, bucket, key)
        locked_until_s = self._lock_wanted(request, bucket)
        body = request.body
        version = self._add(
            bucket,
            key,
            content=body.keep(),
            size=body.size,
            md5=body.md5,
            sha256=body.sha256 if "x-amz-checksum-sha256" in request.headers else None,
            headers=_kept(request.headers),
            tags=_tags_of_header(request.headers.get("x-amz-tagging", "")),
            locked_until_s=locked_until_s,
            how="Put",
        )
        headers = [("ETag", version.etag)]
        if bucket.versioned:
            headers.append(("x-amz-version-id", version.id))
        if version.sha256 is not None:
            headers.append(("x-amz-checksum-sha256", base64.b64encode(version.sha256).decode()))
        headers += [item for item in version.headers.items() if item[0].startswith("x-amz-server-side")]
        return Answer(200, headers)

    def _check_conditions(self, request: Request, bucket: Bucket, key: str) -> None:
        condition = request.headers.get("if-none-match")
        if condition is not None and condition != "*":
            raise Refused(
                501, "NotImplemented", "A header you provided implies functionality not implemented"
            )
        if "if-match" in request.headers:
            raise Refused(501, "NotImplemented", "The stand-in knows no If-Match.")
        versions = bucket.versions.get(key)
        if condition == "*" and versions and versions[-1].content is not None:
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions did not hold")

    def _lock_wanted(self, request: Request, bucket: Bucket) -> float | None:
        mode = request.headers.get("x-amz-object-lock-mode")
        until = request.headers.get("x-amz-object-lock-retain-until-date")
        if mode is None and until is None:
            return None
        if not bucket.can_lock:
            raise Refused(400, "InvalidRequest", "Bucket is missing Object Lock Configuration")
        if mode != "COMPLIANCE" or until is None:
            raise Refused(400, "InvalidArgument", "The stand-in locks in compliance mode, until a date.")
        if not any(name == "content-md5" or name.startswith("x-amz-checksum-") for name in request.headers):
            raise Refused(
                400,
                "InvalidRequest",
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
            )
        try:
            at = datetime.fromisoformat(until)
        except ValueError:
            raise Refused(400, "InvalidArgument", "The retain until date is no date") from None
        if at.tzinfo is None or at.timestamp() <= self._now_s():
            raise Refused(400, "InvalidArgument", "The retain until date must be in the future!")
        return at.timestamp()

    def _add(
        self,
        bucket: Bucket,
        key: str,
        *,
        content: bytes | Path | None,
        size: int = 0,
        md5: bytes = b"",
        sha256: bytes | None = None,
        headers: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        locked_until_s: float | None = None,
        how: str = "",
    ) -> Version:
        version = Version(
            secrets.token_urlsafe(24) if bucket.versioned else "null",
            content,
            size,
            md5,
            sha256,
            headers or {},
            self._now_s(),
            tags or {},
            locked_until_s,
            how,
        )
        if how and self.malware_scan:
            found = EICAR in version.read()
            version.tags["GuardDutyMalwareScanStatus"] = "THREATS_FOUND" if found else "NO_THREATS_FOUND"
        with self._lock:
            versions = bucket.versions.setdefault(key, [])
            for old in [old for old in versions if old.id == version.id]:
                versions.remove(old)
                _drop(old)
            if self._kept is not None:
                self._kept.add(bucket, key, version)
            versions.append(version)
        if how:
            made = _created(bucket.name, key, version)
            for listener in self.listeners:
                listener(made)
        return version

    def _copy(self, request: Request, bucket: Bucket, key: str) -> Answer:
        source, _, query = request.headers["x-amz-copy-source"].partition("?")
        source_bucket, _, source_key = decoded(source).removeprefix("/").partition("/")
        version_id = decoded(query.removeprefix("versionId=")) or None
        found = self._found(self._bucket(source_bucket), source_key, version_id)
        if request.headers.get("x-amz-metadata-directive", "COPY") != "COPY":
            raise Refused(501, "NotImplemented", "The stand-in copies headers as they are.")
        self._check_conditions(request, bucket, key)
        data = found.read()
        if isinstance(found.content, Path):
            copy = self._folder / secrets.token_hex(12)
            copy.write_bytes(data)
            content: bytes | Path = copy
        else:
            content = data
        wants_sha256 = request.headers.get("x-amz-checksum-algorithm") == "SHA256"
        version = self._add(
            bucket,
            key,
            content=content,
            size=found.size,
            md5=found.md5,
            sha256=hashlib.sha256(data).digest() if wants_sha256 or found.sha256 is not None else None,
            headers=dict(found.headers),
            tags=dict(found.tags),
            locked_until_s=self._lock_wanted(request, bucket),
            how="Copy",
        )
        headers = [_XML]
        if bucket.versioned:
            headers.append(("x-amz-version-id", version.id))
        checksum = (
            ""
            if version.sha256 is None
            else f"<ChecksumSHA256>{base64.b64encode(version.sha256).decode()}</ChecksumSHA256>"
        )
        written = _written(
            "CopyObjectResult",
            f"<ETag>{escape(version.etag)}</ETag><LastModified>{_iso(version.made_s)}</LastModified>{checksum}",
        )
        return Answer(200, headers, written.body)

    def _delete(self, bucket: Bucket, key: str, version_id: str | None) -> Version | None:
        """Returns the version that is gone, or the marker that was set."""
        versions = bucket.versions.get(key, [])
        if version_id is None:
            if bucket.versioned:
                return self._add(bucket, key, content=None)
            version_id = "null"
        found = next((version for version in versions if version.id == version_id), None)
        if found is None:
            return None
        if found.locked_until_s is not None and self._now_s() < found.locked_until_s:
            raise Refused(403, "AccessDenied", "Access Denied because object protected by object lock.")
        if self._kept is not None:
            self._kept.remove(bucket, key, found)
        versions.remove(found)
        if not versions:
            del bucket.versions[key]
        _drop(found)
        return found

    def _tagging(self, request: Request, bucket: Bucket, key: str, version_id: str | None) -> Answer:
        found = self._found(bucket, key, version_id)
        headers = [_XML, ("x-amz-version-id", found.id)] if bucket.versioned else [_XML]
        match request.method:
            case "GET":
                tags = "".join(
                    f"<Tag><Key>{escape(name)}</Key><Value>{escape(value)}</Value></Tag>"
                    for name, value in found.tags.items()
                )
                return Answer(200, headers, _written("Tagging", f"<TagSet>{tags}</TagSet>").body)
            case "PUT":
                given = {
                    tag.findtext("{*}Key") or "": tag.findtext("{*}Value") or ""
                    for tag in _xml(request).findall("{*}TagSet/{*}Tag")
                }
                if len(given) > 10:
                    raise Refused(400, "BadRequest", "Object tags cannot be greater than 10")
                if "" in given or not all(map(_TAG.fullmatch, [*given, *given.values()])):
                    raise Refused(400, "InvalidTag", "The TagKey or TagValue you have provided is invalid")
                found.tags = given
                if self._kept is not None:
                    self._kept.tag(bucket, key, found)
                return Answer(200, headers[1:])
        raise Refused(501, "NotImplemented", "The stand-in cannot do this to tags.")

    def _retention(self, found: Version) -> Answer:
        if found.locked_until_s is None:
            raise Refused(404, "NoSuchObjectLockConfiguration", "It is not locked.")
        until = f"<RetainUntilDate>{_iso(found.locked_until_s)}</RetainUntilDate>"
        return _written("Retention", f"<Mode>COMPLIANCE</Mode>{until}")

    # --- Forms (POST policies)

    def _form(self, request: Request, bucket_name: str, verifier: sigv4.Verifier) -> Answer:
        fields, file = _parts(request)
        if not all(fields.get(name) for name in ("policy", "x-amz-credential", "x-amz-signature")):
            raise Refused(403, "AccessDenied", "Access Denied")
        verifier.check_policy(fields)
        conditions = _conditions(fields["policy"], self._now_s())
        _obey(conditions, {**fields, "bucket": bucket_name}, len(file))
        key = fields.get("key", "")
        if not key:
            raise Refused(400, "InvalidArgument", "Bucket POST must contain a field named 'key'.")
        with self._lock:
            bucket = self._bucket(bucket_name)
            version = self._add(
                bucket,
                key,
                content=file,
                size=len(file),
                md5=hashlib.md5(file).digest(),
                headers=_kept(fields),
                how="Post",
            )
        headers = [("ETag", version.etag)]
        if bucket.versioned:
            headers.append(("x-amz-version-id", version.id))
        return Answer(204, headers)


def _parts(request: Request) -> tuple[dict[str, str], bytes]:
    """The fields of a form, names in small letters, and its file, after which nothing counts."""
    malformed = Refused(400, "MalformedPOSTRequest", "The body of your POST request is not well-formed.")
    found = re.search(r'boundary="?([^";,]{1,70})"?', request.headers.get("content-type", ""))
    if found is None:
        raise malformed
    fields: dict[str, str] = {}
    pieces = (b"\r\n" + request.body.read()).split(b"\r\n--" + found[1].encode("utf-8", "surrogateescape"))
    for piece in pieces[1:]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if not blank or name is None:
            raise malformed
        key = name[1].decode("utf-8", "surrogateescape").lower()
        if key == "file":
            return fields, content
        fields[key] = content.decode("utf-8", "surrogateescape")
    raise Refused(400, "InvalidArgument", "POST requires exactly one file upload per request.")


def _conditions(policy: str, now_s: float) -> list[object]:
    raw = _from_base64(policy, None)
    try:
        read = json.loads(raw or b"")
        until = datetime.fromisoformat(read["expiration"])
        conditions = read["conditions"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused(400, "InvalidPolicyDocument", "Invalid Policy: Invalid JSON.") from None
    if until.tzinfo is None or not isinstance(conditions, list):
        raise Refused(400, "InvalidPolicyDocument", "Invalid Policy.")
    if now_s > until.timestamp():
        raise Refused(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    return conditions


def _obey(conditions: list[object], fields: Mapping[str, str], size: int) -> None:
    """Each condition must hold, and each field must be named by one."""
    failed = Refused(403, "AccessDenied", "Invalid according to Policy: Policy Condition failed")
    named = {"x-amz-signature", "policy", "file", "bucket"}
    for condition in conditions:
        match condition:
            case ["content-length-range", int(least), int(most)]:
                if size > most:
                    raise Refused(
                        400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"
                    )
                if size < least:
                    raise Refused(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum")
                continue
            case ["eq" | "starts-with" as how, str(name), str(wanted)] if name.startswith("$"):
                name = name[1:].lower()
            case dict() if len(condition) == 1:
                how, (name, wanted) = "eq", next(iter(condition.items()))
                name, wanted = str(name).lower(), str(wanted)
            case _:
                raise Refused(400, "InvalidPolicyDocument", "Invalid Policy: Invalid condition.")
        value = fields.get(name, "")
        if not (value == wanted if how == "eq" else value.startswith(wanted)):
            raise failed
        named.add(name)
    if {name for name in fields if not name.startswith("x-ignore-")} - named:
        raise Refused(403, "AccessDenied", "Invalid according to Policy: Extra input fields")


# --- Small things


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    kept |= {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
    return {"content-type": "binary/octet-stream", **kept}


def _tags_of_header(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split("&") if part)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}


def _keys(bucket: Bucket, prefix: str) -> Iterator[str]:
    return (key for key in sorted(bucket.versions, key=str.encode) if key.startswith(prefix))


def _listing(request: Request) -> tuple[str, int, Callable[[str], str]]:
    """Prefix, the most of a page, and how keys are written."""
    if request.asked("delimiter"):
        raise Refused(501, "NotImplemented", "The stand-in knows no delimiters.")
    most = request.asked("max-keys") or "1000"
    if not (most.isascii() and most.isdecimal() and len(most) < 10):
        raise Refused(400, "InvalidArgument", "Provided max-keys not an integer or within integer range")
    is_coded = request.asked("encoding-type") == "url"
    return request.asked("prefix") or "", min(int(most), 1000), quote if is_coded else escape


def _xml(request: Request) -> ET.Element:
    try:
        return ET.fromstring(request.body.read())
    except (ET.ParseError, ValueError, LookupError):
        raise Refused(400, "MalformedXML", "The XML you provided was not well-formed") from None


def _written(root: str, content: str) -> Answer:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{content}</{root}>'
    )
    return Answer(200, [_XML], body.encode())


def _from_base64(text: str, size: int | None) -> bytes | None:
    """None: it is no base64, or not of so many bytes."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if size is None or len(raw) == size else None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _created(bucket: str, key: str, version: Version) -> Created:
    made = datetime.fromtimestamp(version.made_s, UTC)
    return Created(bucket, key, version.id, version.size, version.etag, version.how, made)


def _drop(version: Version) -> None:
    if isinstance(version.content, Path):
        version.content.unlink(missing_ok=True)
