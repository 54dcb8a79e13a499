"""A bucket in Amazon S3: versioned, and encrypted by its own default key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import ObjectFacts, ObjectVersion, PresignedRequest, UploadFacts

_WHAT = "The object store"
_MISSING = {"404", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed"}
"""The last one: the version is a delete marker."""
_PAGE = 1000


class S3Objects:
    """Implements `ports.ObjectStore`."""

    def __init__(self, clients: Clients, bucket: str) -> None:
        self._clients, self._bucket = clients, bucket

    def presign_put(self, key: str, facts: UploadFacts, seconds: int) -> PresignedRequest:
        """The length, type and hash that the client stated are the only ones that S3 will take, and only where nothing is yet."""
        sha256 = base64.b64encode(facts.sha256).decode()
        parameters = {
            "Key": key,
            "ContentLength": facts.length_bytes,
            "ContentType": facts.media_type,
            "ChecksumSHA256": sha256,
            "IfNoneMatch": "*",
        }
        headers = {
            "Content-Length": str(facts.length_bytes),
            "Content-Type": facts.media_type,
            "If-None-Match": "*",
            "x-amz-checksum-sha256": sha256,
        }
        url = self._presigned("put_object", parameters, seconds)
        query = parse_qs(urlsplit(url).query)
        signed = set(query.get("X-Amz-SignedHeaders", [""])[0].split(";"))
        if missing := {name.lower() for name in headers} - signed:
            # another botocore than the one that is pinned; such a URL would let anything be written
            raise Refusal(500, Code.INTERNAL, f"An upload's URL does not sign {', '.join(sorted(missing))}.")
        made_at = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return PresignedRequest(url, headers, made_at + timedelta(seconds=seconds))

    def presign_get(self, key: str, version_id: str, file_name: str, seconds: int) -> str:
        plain = re.sub(r"[^A-Za-z0-9._ -]", "_", file_name)
        exact = quote(file_name, safe="")
        parameters = {
            "Key": key,
            "VersionId": version_id,
            "ResponseContentDisposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}",
            "ResponseCacheControl": "private, no-store",
        }
        return self._presigned("get_object", parameters, seconds)

    def head(self, key: str) -> ObjectFacts | None:
        try:
            answer = asked(lambda: self._s3().head_object(**self._at(key), ChecksumMode="ENABLED"))
        except Fault as fault:
            if fault.code in _MISSING:
                return None
            refused = refusal(fault, Code.OBJECTS_UNAVAILABLE, _WHAT)
        else:
            return ObjectFacts(
                length_bytes=int(answer["ContentLength"]),
                media_type=str(answer.get("ContentType", "")),
                sha256=_sha256(answer.get("ChecksumSHA256")),
                version_id=_version(answer),
                content_encoding=str(answer.get("ContentEncoding") or ""),
            )
        raise refused

    def read(self, key: str, version_id: str, at_most_bytes: int) -> bytes:
        """Raises Refusal 404 where this version is not there. What S3 knows the hash of is checked against it."""
        data = self._ask(lambda s3: self._read(s3, key, version_id, at_most_bytes))
        if data is None:
            raise Refusal(413, Code.TOO_LARGE, "The object is larger than what is read of it.")
        return bytes(data)

    def _read(self, s3: Any, key: str, version_id: str, at_most_bytes: int) -> bytes | None:
        """None: it is larger."""
        answer = s3.get_object(**self._at(key), VersionId=version_id, ChecksumMode="ENABLED")
        body = answer["Body"]
        try:
            if answer.get("VersionId") != version_id:
                raise ValueError("another object")
            return None if int(answer["ContentLength"]) > at_most_bytes else body.read()
        finally:
            body.close()

    def write(self, key: str, data: bytes, media_type: str) -> str:
        return _version(self._ask(lambda s3: s3.put_object(**self._written(key, data, media_type))))

    def move(self, key: str, version_id: str, to_key: str) -> str:
        """Raises Refusal 404 where this version is not there. May be done again where it broke off: the version goes last."""
        source = {"Bucket": self._bucket, "Key": key, "VersionId": version_id}
        copied = self._ask(
            # without its tags: only GuardDuty may write those
            lambda s3: s3.copy_object(
                **self._at(to_key), CopySource=source, ChecksumAlgorithm="SHA256", TaggingDirective="REPLACE"
            )
        )
        itself = {"Key": key, "VersionId": version_id}
        self._delete([found for found in self._versions(key) if found["Key"] == key and found != itself])
        self._delete([itself])
        return _version(copied)

    def erase(self, prefix: str) -> int:
        """Raises ValueError for an empty prefix, which would be the whole bucket."""
        if not prefix:
            raise ValueError("no prefix")
        erased = 0
        while versions := _listed(
            self._page(prefix, {})
        ):  # from the start each time: what came meanwhile goes too
            self._delete(versions)
            erased += len(versions)
        return erased

    def folders(self, prefix: str) -> set[str]:
        """What stands between the prefix and the next "/" in the keys that begin so."""
        keys = [found["Key"].removeprefix(prefix) for found in self._versions(prefix)]
        return {key.partition("/")[0] for key in keys if "/" in key}

    def versions(self, prefix: str) -> list[ObjectVersion]:
        return [
            ObjectVersion(found["Key"], found["VersionId"], found["LastModified"], is_marker=is_marker)
            for page in self._pages(prefix)
            for is_marker, name in ((False, "Versions"), (True, "DeleteMarkers"))
            for found in page.get(name, ())
        ]

    def write_locked(self, key: str, data: bytes, until: datetime) -> None:
        locked = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        self._ask(lambda s3: s3.put_object(**self._written(key, data, "application/json"), **locked))

    def _s3(self) -> Any:
        return self._clients("s3")

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": key}

    def _written(self, key: str, data: bytes, media_type: str) -> dict[str, Any]:
        sha256 = base64.b64encode(hashlib.sha256(data).digest()).decode()
        return {**self._at(key), "Body": data, "ContentType": media_type, "ChecksumSHA256": sha256}

    def _presigned(self, operation: str, parameters: dict[str, Any], seconds: int) -> str:
        wanted = {"Bucket": self._bucket, **parameters}
        return str(
            self._ask(lambda s3: s3.generate_presigned_url(operation, Params=wanted, ExpiresIn=seconds))
        )

    def _page(self, prefix: str, markers: dict[str, str]) -> Any:
        wanted = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": _PAGE, **markers}
        return self._ask(lambda s3: s3.list_object_versions(**wanted))

    def _versions(self, prefix: str) -> list[dict[str, str]]:
        return [found for page in self._pages(prefix) for found in _listed(page)]

    def _pages(self, prefix: str) -> Iterator[Any]:
        markers: dict[str, str] = {}
        while True:
            page = self._page(prefix, markers)
            yield page
            if not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    def _delete(self, versions: list[dict[str, str]]) -> None:
        for at in range(0, len(versions), _PAGE):
            self._delete_page(versions[at : at + _PAGE])

    def _delete_page(self, versions: list[dict[str, str]]) -> None:
        wanted = {"Objects": versions, "Quiet": True}
        answer = self._ask(lambda s3: s3.delete_objects(Bucket=self._bucket, Delete=wanted))
        if answer.get("Errors"):
            raise refusal(Fault("not deleted"), Code.OBJECTS_UNAVAILABLE, _WHAT)

    def _ask(self, call: Callable[[Any], Any]) -> Any:
        """Raises Refusal: 404 where something is missing."""
        try:
            return asked(lambda: call(self._s3()))
        except Fault as fault:
            refused = (
                Refusal(404, Code.NOT_FOUND, "There is no such object.")
                if fault.code in _MISSING
                else refusal(fault, Code.OBJECTS_UNAVAILABLE, _WHAT)
            )
        raise refused


def _version(answer: Any) -> str:
    version = answer.get("VersionId")
    if not version:
        raise Refusal(500, Code.INTERNAL, "The bucket keeps no versions.")
    return str(version)


def _sha256(stated: str | None) -> bytes | None:
    """None: the store did not compute it, or only over the parts of an upload ("…-2")."""
    try:
        raw = base64.b64decode(stated or "", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == 32 else None


def _listed(page: Any) -> list[dict[str, str]]:
    """Versions and delete markers, as a deletion names them."""
    every = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
    return [{"Key": found["Key"], "VersionId": found["VersionId"]} for found in every]
