"""Text to speech by Cartesia.

Sources, read 2026-11-28: docs.cartesia.ai/api-reference/tts/bytes (the request), /use-the-api/api-errors (errors are JSON from version
2026-03-01 on), /build-with-cartesia/tts-models (languages, the voice that they recommend); the types of their own SDK
(github.com/cartesia-ai/cartesia-python: speed is 0.6 to 1.5; rates of MP3); /enterprise/zero-data-retention (text and sound are kept unless
an enterprise plan turns that on: the operator's to do, no request can).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from uuid import UUID

from backend_lambda.errors import Code, Refusal, unavailable
from backend_lambda.ports import Spoken
from backend_lambda.speech_providers.exchange import Answer, Exchange, checked_key, refusal

URL = "https://api.cartesia.ai"
VERSION = "2026-03-01"
MODEL = "sonic-3"
VOICE = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
""""Katie", which Cartesia recommends for conversations; American, and speaks the other languages with that accent [K]."""
WITHIN_S = 10.0
SLOWEST, FASTEST = 0.6, 1.5
_WHAT = "Cartesia"
_MOST_BYTES = 4_000_000
"""What a function may answer with, as base64. 1,500 characters at the slowest are about 170 s, 1.4 MB."""
_SPOKEN = frozenset({"en", "es", "fr", "de", "pt", "zh", "hi", "ar", "it", "ja", "ko"})
"""The part of sonic-3's languages that the app speaks."""
_SOUND = (b"ID3", b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2")
"""How MP3 begins: a tag, or a frame of layer III."""


class CartesiaVoice:
    """Implements `ports.TextToSpeech`. key: of Cartesia, asked for each time. endpoint_url: of a stand-in, "" for Cartesia itself."""

    def __init__(self, key: Callable[[], str], endpoint_url: str = "") -> None:
        self._key = key
        self._exchange = Exchange(endpoint_url or URL, WITHIN_S)

    def synthesize(self, text: str, rate_percent: int, language: str, voice: str | None) -> Spoken:
        """voice: an id (UUID) of Cartesia's. A rate outside of 60 to 150 % becomes the nearest of these.

        Raises Refusal: 422 for a language or voice that there is not or nothing to be said, 413, 429, 503; 500 where our key cannot be used.
        """
        spoken = language.partition("-")[0]
        if spoken not in _SPOKEN:
            raise Refusal(422, Code.INVALID, "This language is not spoken here.")
        said = plain(text)
        if not said.strip():
            raise Refusal(422, Code.INVALID, "There is nothing to be spoken.")
        wanted = {
            "model_id": MODEL,
            "transcript": said,
            "voice": {"mode": "id", "id": VOICE if voice is None else _voice_id(voice)},
            "language": spoken,
            "output_format": {"container": "mp3", "sample_rate": 24_000, "bit_rate": 64_000},
            "generation_config": {"speed": min(max(rate_percent / 100, SLOWEST), FASTEST)},
        }
        headers = {
            "Authorization": f"Bearer {checked_key(self._key, _WHAT)}",
            "Cartesia-Version": VERSION,
            "Accept": "audio/mpeg",
        }
        answer = self._exchange.post("/tts/bytes", headers, wanted, _MOST_BYTES)
        if answer is None or answer.status != 200:
            raise _refusal(answer, voice)
        if answer.media_type not in {"audio/mpeg", "audio/mp3"} or not answer.body.startswith(_SOUND):
            raise unavailable(Code.SPEECH_UNAVAILABLE, "Speech came without sound.")
        return Spoken(answer.body, "audio/mpeg", len(said))


def plain(text: str) -> str:
    """Without control characters; and what would be a tag of Cartesia's own (`<break time="9s"/>`) is none. "<" before a figure stays as it is."""
    kept = (letter for letter in text if letter in "\t\n" or unicodedata.category(letter) not in {"Cc", "Cs"})
    return re.sub(r"<(?=[A-Za-z/!?])", "< ", "".join(kept))


def _voice_id(voice: str) -> str:
    try:
        return str(UUID(voice))
    except ValueError:
        pass
    raise _no_voice()


def _no_voice() -> Refusal:
    return Refusal(422, Code.INVALID, "There is no such voice for this language.")


def _refusal(answer: Answer | None, voice: str | None) -> Refusal:
    if answer is not None and answer.status == 413:
        return Refusal(413, Code.TOO_LARGE, "The text is too long to be spoken at once.")
    # the rest of such a request is ours, and the same for every text
    if answer is not None and voice is not None and answer.status in {400, 404, 422}:
        return _no_voice()
    return refusal(answer, _WHAT)
