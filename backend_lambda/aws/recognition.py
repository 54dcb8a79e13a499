"""Text out of pictures by Amazon Textract, and medical things out of text by Amazon Comprehend Medical."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Entity

_READABLE = {"image/png", "image/jpeg", "application/pdf"}
LARGEST_PICTURE = 10_000_000
"""Bytes that Textract takes in a request; a PDF may have one page there."""
PART_BYTES = 20_000
"""What Comprehend Medical takes at once, as UTF-8."""


class Textract:
    """Implements `ports.TextRecognition`."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def text(self, data: bytes, media_type: str) -> str:
        """Line by line. Raises Refusal: 415 for what it cannot read, 413 for what is too large."""
        if media_type not in _READABLE:
            raise _unreadable()
        if len(data) > LARGEST_PICTURE:
            raise _too_large()
        try:
            answer = asked(
                lambda: self._clients("textract").detect_document_text(Document={"Bytes": data}),
                needs="Blocks",
            )
        except Fault as fault:
            refused = (
                _unreadable()
                if fault.code in {"UnsupportedDocumentException", "BadDocumentException"}
                else _too_large()
                if fault.code == "DocumentTooLargeException"
                else refusal(fault, Code.MODEL_UNAVAILABLE, "Text recognition")
            )
        else:
            blocks = answer["Blocks"]
            return "\n".join(
                str(block.get("Text", "")) for block in blocks if block.get("BlockType") == "LINE"
            )
        raise refused


def _unreadable() -> Refusal:
    return Refusal(415, Code.MEDIA_TYPE, "There is no text to be read in a file of this kind.")


def _too_large() -> Refusal:
    return Refusal(413, Code.TOO_LARGE, "The picture is too large to be read.")


class ComprehendMedical:
    """Implements `ports.MedicalEntities`. English only."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def entities(self, text: str) -> Sequence[Entity]:
        """In the order of the text. A long text is asked for in parts, cut at white space."""
        return [entity for start, part in parts(text) if part.strip() for entity in self._of(part, start)]

    def _of(self, part: str, start: int) -> list[Entity]:
        try:
            answer = asked(
                lambda: self._clients("comprehendmedical").detect_entities_v2(Text=part), needs="Entities"
            )
        except Fault as fault:
            refused = refusal(fault, Code.MODEL_UNAVAILABLE, "The search for medical entities")
        else:
            return sorted((_entity(found, start) for found in answer["Entities"]), key=lambda one: one.start)
        raise refused


def parts(text: str, part_bytes: int = PART_BYTES) -> Iterator[tuple[int, str]]:
    """Cuts a text into parts of at most so many bytes of UTF-8 (at least 4): where each begins, and the part itself."""
    start = 0
    while start < len(text):
        end = start + len(text[start : start + part_bytes].encode()[:part_bytes].decode("utf-8", "ignore"))
        if end < len(text):
            gap = max(text.rfind(white, start + 1, end) for white in " \n\t")
            end = gap + 1 if gap > 0 else end
        yield start, text[start:end]
        start = end


def _entity(found: Any, start: int) -> Entity:
    return Entity(
        text=str(found.get("Text", "")),
        category=str(found.get("Category", "")),
        start=start + int(found.get("BeginOffset", 0)),
        end=start + int(found.get("EndOffset", 0)),
        score=float(found.get("Score", 0.0)),
    )
