"""Stands in for Amazon Polly (SynthesizeSpeech) in tests and the local cloud; never shipped. What it says is silence, as real MP3."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import deque
from typing import Any

from tests.stand_ins.aws.exchange import Refused
from tests.stand_ins.aws.service_models import Service

LONGEST_BILLED = 3000
LONGEST = 6000
_TAGS = {"speak", "break", "lang", "mark", "p", "phoneme", "prosody", "s", "say-as", "sub", "w", "emphasis"}
_NEURAL = {
    *(
        "Joanna",
        "Matthew",
        "Amy",
        "Arthur",
        "Olivia",
        "Kajal",
        "Niamh",
        "Aria",
        "Ayanda",
        "Lucia",
        "Sergio",
        "Mia",
    ),
    *(
        "Lupe",
        "Lea",
        "Remi",
        "Gabrielle",
        "Isabelle",
        "Vicki",
        "Daniel",
        "Hannah",
        "Camila",
        "Thiago",
        "Ines",
    ),
    *("Zhiyu", "Hala", "Zayd", "Laura", "Bianca", "Ola", "Elin", "Ida", "Suvi", "Sofie", "Takumi", "Seoyeon"),
}
FRAME = bytes([0xFF, 0xF3, 0x64, 0xC4]) + bytes(140)
"""24 ms of silence: MPEG-2 layer III, 24 kHz, one channel, 48 kbit/s, 144 bytes."""


class Polly:
    """requests: the last ones."""

    def __init__(self) -> None:
        self.requests: deque[dict[str, Any]] = deque(maxlen=1000)
        self.service = Service("polly", {"SynthesizeSpeech": self._speech})

    def _speech(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        text = request["Text"]
        if request.get("TextType", "text") == "ssml":
            text = _spoken(text)
        if len(text) > LONGEST_BILLED or len(request["Text"]) > LONGEST:
            raise Refused(400, "TextLengthExceededException", "Maximum text length has been exceeded")
        if request.get("Engine") == "neural" and request["VoiceId"] not in _NEURAL:
            raise Refused(
                400, "ValidationException", "This voice does not support the selected engine: neural"
            )
        if request["OutputFormat"] != "mp3" or request.get("SampleRate", "24000") not in {
            "8000",
            "16000",
            "22050",
            "24000",
        }:
            raise Refused(400, "InvalidSampleRateException", "The stand-in speaks MP3 only.")
        return {
            "AudioStream": FRAME * max(2, len(text)),
            "ContentType": "audio/mpeg",
            "RequestCharacters": len(text),
        }


def _spoken(ssml: str) -> str:
    """The text that is billed. Raises Refused where the SSML is not well-formed or has tags that there are not."""
    try:
        root = ET.fromstring(ssml)
    except (ET.ParseError, ValueError):
        raise Refused(400, "InvalidSsmlException", "Invalid SSML request") from None
    if root.tag != "speak" or any(part.tag not in _TAGS for part in root.iter()):
        raise Refused(400, "InvalidSsmlException", "Invalid SSML request")
    return "".join(root.itertext())
