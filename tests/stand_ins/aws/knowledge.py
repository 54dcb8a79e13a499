"""Stands in for a Bedrock knowledge base (Retrieve, ingestion jobs) in tests and the local cloud; never shipped.

It reads documents out of the S3 stand-in as a data source does, cuts them into passages, and finds by words in common: no vectors.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.stand_ins.aws.exchange import Refused
from tests.stand_ins.aws.s3 import S3
from tests.stand_ins.aws.service_models import Service

PASSAGE_CHARACTERS = 1200


@dataclass(frozen=True, slots=True)
class Stored:
    """A passage of a document. facts: the document's metadata attributes."""

    uri: str
    text: str
    facts: Mapping[str, Any]


@dataclass(slots=True)
class Source:
    """A data source: the documents of a bucket below a prefix."""

    bucket: str
    prefix: str


class Knowledge:
    """One knowledge base with its data sources. Passages may be put in directly, too.

    requests: of Retrieve, the last ones.
    """

    def __init__(self, s3: S3, now_s: Callable[[], float]) -> None:
        self._s3, self._now_s = s3, now_s
        self._lock = threading.Lock()
        self.id = "KB00000001"
        self.sources: dict[str, Source] = {}
        self.passages: list[Stored] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.requests: deque[dict[str, Any]] = deque(maxlen=1000)
        self.services = (
            Service("bedrock-agent-runtime", {"Retrieve": self._retrieve}),
            Service("bedrock-agent", {"StartIngestionJob": self._start, "GetIngestionJob": self._job}),
        )

    def add_source(self, identifier: str, bucket: str, prefix: str = "") -> None:
        assert re.fullmatch(r"[0-9A-Z]{10}", identifier), identifier
        self.sources[identifier] = Source(bucket, prefix)

    def _known(self, request: Mapping[str, Any]) -> None:
        if request["knowledgeBaseId"] != self.id:
            raise Refused(404, "ResourceNotFoundException", "Knowledge base does not exist.")

    def _retrieve(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        self._known(request)
        search = request.get("retrievalConfiguration", {}).get("vectorSearchConfiguration", {})
        limit = search.get("numberOfResults", 5)
        if not 1 <= limit <= 100:
            raise Refused(400, "ValidationException", "numberOfResults must be between 1 and 100")
        words = _words(request["retrievalQuery"].get("text", ""))
        if not words:
            raise Refused(400, "ValidationException", "The query is empty.")
        with self._lock:
            found = [
                (len(words & _words(passage.text)) / len(words), passage)
                for passage in self.passages
                if _matches(search.get("filter"), passage.facts)
            ]
        found.sort(key=lambda pair: -pair[0])
        return {
            "retrievalResults": [
                {
                    "content": {"type": "TEXT", "text": passage.text},
                    "location": {"type": "S3", "s3Location": {"uri": passage.uri}},
                    "score": score,
                    "metadata": {
                        "x-amz-bedrock-kb-source-uri": passage.uri,
                        "x-amz-bedrock-kb-chunk-id": secrets.token_hex(8),
                        **passage.facts,
                    },
                }
                for score, passage in found[:limit]
                if score > 0
            ]
        }

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        self._known(request)
        source = self.sources.get(request["dataSourceId"])
        if source is None:
            raise Refused(404, "ResourceNotFoundException", "Data source does not exist.")
        if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,256}", request.get("clientToken", "a")):
            raise Refused(400, "ValidationException", "The client token is no token.")
        if len(request.get("description", "a")) > 200:
            raise Refused(400, "ValidationException", "The description is too long.")
        now = datetime.fromtimestamp(self._now_s(), UTC)
        job: dict[str, Any] = {
            "knowledgeBaseId": self.id,
            "dataSourceId": request["dataSourceId"],
            "ingestionJobId": secrets.token_hex(5).upper(),
            "status": "STARTING",
            "startedAt": now,
            "updatedAt": now,
        }
        if "description" in request:
            job["description"] = request["description"]
        started = {"ingestionJob": dict(job)}
        self._ingest(source, job)
        self.jobs[job["ingestionJobId"]] = job
        return started

    def _ingest(self, source: Source, job: dict[str, Any]) -> None:
        """At once; whoever asks after the job finds it done."""
        bucket = self._s3.buckets[source.bucket]
        passages: list[Stored] = []
        failures: list[str] = []
        scanned = 0
        for key in sorted(key for key in bucket.versions if key.startswith(source.prefix)):
            version = self._s3.newest(source.bucket, key)
            if version is None or key.endswith(".metadata.json"):
                continue
            scanned += 1
            uri = f"s3://{source.bucket}/{key}"
            beside = self._s3.newest(source.bucket, f"{key}.metadata.json")
            try:
                text = version.read().decode()
                facts = json.loads(beside.read())["metadataAttributes"] if beside else {}
            except (ValueError, KeyError, TypeError):
                failures.append(f"[{uri}] could not be read")
                continue
            passages += [Stored(uri, passage, facts) for passage in _cut(text)]
        with self._lock:
            self.passages = [
                passage for passage in self.passages if not passage.uri.startswith(f"s3://{source.bucket}/")
            ] + passages
        job["status"] = "COMPLETE"
        job["statistics"] = {
            "numberOfDocumentsScanned": scanned,
            "numberOfNewDocumentsIndexed": scanned - len(failures),
            "numberOfDocumentsFailed": len(failures),
        }
        if failures:
            job["failureReasons"] = failures

    def _job(self, request: dict[str, Any]) -> dict[str, Any]:
        self._known(request)
        job = self.jobs.get(request["ingestionJobId"])
        if job is None or job["dataSourceId"] != request["dataSourceId"]:
            raise Refused(404, "ResourceNotFoundException", "Ingestion job does not exist.")
        return {"ingestionJob": job}


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) > 2} or set(
        re.findall(r"\w", text)
    )


def _matches(wanted: Mapping[str, Any] | None, facts: Mapping[str, Any]) -> bool:
    if wanted is None:
        return True
    if set(wanted) != {"equals"}:
        raise Refused(400, "ValidationException", "The stand-in filters by equals alone.")
    return bool(facts.get(wanted["equals"]["key"]) == wanted["equals"]["value"])


def _cut(text: str) -> list[str]:
    passages = [""]
    for paragraph in text.split("\n\n"):
        if passages[-1] and len(passages[-1]) + len(paragraph) > PASSAGE_CHARACTERS:
            passages.append("")
        passages[-1] += f"\n\n{paragraph}" if passages[-1] else paragraph
    return [passage for passage in passages if passage.strip()]
