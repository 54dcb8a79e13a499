"""Stands in for Amazon Textract (DetectDocumentText) and Comprehend Medical (DetectEntitiesV2) in tests and the local cloud; never
shipped. Neither recognises anything: Textract says the lines that a test gave, Comprehend Medical finds the words of a short list.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from tests.stand_ins.aws.exchange import Refused
from tests.stand_ins.aws.service_models import Service

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"%PDF-", b"II*\x00", b"MM\x00*")
LARGEST = 10_000_000


class Textract:
    """lines: what is read, by the SHA-256 of the picture; `otherwise` for all others."""

    def __init__(self) -> None:
        self.lines: dict[bytes, list[str]] = {}
        self.otherwise = ["Read by", "the stand-in"]
        self.service = Service("textract", {"DetectDocumentText": self._read})

    def _read(self, request: dict[str, Any]) -> dict[str, Any]:
        data = request["Document"].get("Bytes", b"")
        if len(data) > LARGEST:
            raise Refused(400, "DocumentTooLargeException", "The document can't be processed: too large.")
        if not data.startswith(_MAGIC):
            raise Refused(
                400, "UnsupportedDocumentException", "The format of the input document isn't supported."
            )
        lines = self.lines.get(hashlib.sha256(data).digest(), self.otherwise)
        blocks: list[dict[str, Any]] = [{"BlockType": "PAGE", "Id": "page"}]
        for number, line in enumerate(lines):
            blocks.append({"BlockType": "LINE", "Id": f"line-{number}", "Text": line, "Confidence": 99.0})
            blocks += [
                {"BlockType": "WORD", "Id": f"word-{number}-{at}", "Text": word, "Confidence": 99.0}
                for at, word in enumerate(line.split())
            ]
        return {
            "DocumentMetadata": {"Pages": 1},
            "Blocks": blocks,
            "DetectDocumentTextModelVersion": "1.0",
        }


class ComprehendMedical:
    """words: their categories."""

    def __init__(self) -> None:
        self.words = {
            "aspirin": "MEDICATION",
            "metoprolol": "MEDICATION",
            "hypertension": "MEDICAL_CONDITION",
            "atrial fibrillation": "MEDICAL_CONDITION",
            "heart": "ANATOMY",
        }
        self.service = Service("comprehendmedical", {"DetectEntitiesV2": self._find})

    def _find(self, request: dict[str, Any]) -> dict[str, Any]:
        text = request["Text"]
        if len(text.encode()) > 20_000:
            raise Refused(400, "TextSizeLimitExceededException", "Input text size exceeds limit.")
        found = [
            {
                "Id": number,
                "BeginOffset": match.start(),
                "EndOffset": match.end(),
                "Score": 0.75,
                "Text": match[0],
                "Category": category,
                "Type": "GENERIC_NAME" if category == "MEDICATION" else "DX_NAME",
            }
            for number, (word, category) in enumerate(self.words.items())
            for match in re.finditer(rf"\b{re.escape(word)}\b", text, re.IGNORECASE)
        ]
        return {"Entities": found, "UnmappedAttributes": [], "ModelVersion": "2.5.0"}
