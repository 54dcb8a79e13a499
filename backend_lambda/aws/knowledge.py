"""Our articles in an Amazon Bedrock knowledge base: searching them, and putting them in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.aws.objects import S3Objects
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Passage

_WHAT = "The knowledge base"
_OTHERWISE = "en"
"""The language in which every article is there."""
_MOST = 100
_LONGEST_QUESTION = 1000
"""Characters; what is longer finds nothing better."""


class BedrockKnowledge:
    """Implements `ports.KnowledgeBase`.

    Articles carry `id`, `language`, `title` and `uri` as their metadata, as the ingestion of `services.knowledge` writes them.
    """

    def __init__(self, clients: Clients, knowledge_base_id: str) -> None:
        self._clients, self._id = clients, knowledge_base_id

    def retrieve(self, text: str, language: str, limit: int) -> Sequence[Passage]:
        """In English where there is nothing in the language. Nothing at all where no knowledge base is set."""
        question = re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()[:_LONGEST_QUESTION]
        if not self._id or not re.search(r"\w", question):
            return ()
        base = language.partition("-")[0].lower()
        found = self._found(question, base, limit)
        return found if found or base == _OTHERWISE else self._found(question, _OTHERWISE, limit)

    def _found(self, question: str, language: str, limit: int) -> Sequence[Passage]:
        search = {
            "numberOfResults": max(1, min(limit, _MOST)),
            "filter": {"equals": {"key": "language", "value": language}},
        }
        try:
            answer = asked(
                lambda: self._clients("bedrock-agent-runtime").retrieve(
                    knowledgeBaseId=self._id,
                    retrievalQuery={"text": question},
                    retrievalConfiguration={"vectorSearchConfiguration": search},
                ),
                needs="retrievalResults",
            )
        except Fault as fault:
            refused = refusal(fault, Code.MODEL_UNAVAILABLE, _WHAT)
        else:
            passages = [_passage(result) for result in answer["retrievalResults"]]
            return sorted((one for one in passages if one.text), key=lambda one: -one.score)
        raise refused


def _passage(result: Any) -> Passage:
    facts = result.get("metadata", {})
    text = str(result.get("content", {}).get("text", "")).strip()
    place = str(result.get("location", {}).get("s3Location", {}).get("uri", ""))
    article = re.sub(r"[^a-z0-9]+", "_", str(facts.get("id") or place.rpartition("/")[2]).lower()).strip("_")
    return Passage(
        # of the text too, for an article has many passages; the service's own number of a passage changes when it is read anew
        id=f"{article or 'article'}_{hashlib.sha256(text.encode()).hexdigest()[:8]}",
        title=str(facts.get("title", "")),
        uri=str(facts.get("uri", "")),
        text=text,
        score=float(result.get("score", 0.0)),
    )


class BedrockIngestion:
    """Implements `services.knowledge.KnowledgeStore`: a bucket, and the data source that reads it."""

    def __init__(
        self, clients: Clients, articles: S3Objects, knowledge_base_id: str, data_source_id: str
    ) -> None:
        self._clients, self._articles = clients, articles
        self._where = {"knowledgeBaseId": knowledge_base_id, "dataSourceId": data_source_id}

    def put(self, key: str, data: bytes, media_type: str) -> None:
        self._articles.write(key, data, media_type)

    def keep_only(self, prefix: str, folder: str) -> None:
        for other in sorted(self._articles.folders(prefix) - {folder}):
            self._articles.erase(f"{prefix}{other}/")

    def ingest(self, description: str) -> str:
        """Raises Refusal 409 while another job runs."""
        wanted = {**self._where, "description": description[:200]}
        job = self._ask(lambda: self._clients("bedrock-agent").start_ingestion_job(**wanted))
        return str(job["ingestionJobId"])

    def state(self, job: str) -> tuple[bool, int]:
        """Whether it has ended, and how many documents it could not take in. Raises Refusal 500 where all of it failed."""
        wanted = {**self._where, "ingestionJobId": job}
        found = self._ask(lambda: self._clients("bedrock-agent").get_ingestion_job(**wanted))
        if found["status"] in {"FAILED", "STOPPED"}:
            raise Refusal(500, Code.INTERNAL, "The knowledge base could not take the articles in.")
        failed = found.get("statistics", {}).get("numberOfDocumentsFailed", 0)
        return found["status"] == "COMPLETE", int(failed)

    def _ask(self, call: Any) -> Any:
        try:
            return asked(call, needs="ingestionJob")["ingestionJob"]
        except Fault as fault:
            refused = (
                Refusal(409, Code.CONFLICT, "Another ingestion runs.", retry_after_s=60.0)
                if fault.code == "ConflictException"
                else refusal(fault, Code.MODEL_UNAVAILABLE, _WHAT)
            )
        raise refused
