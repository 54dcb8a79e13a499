"""Speech to text by Deepgram: the device streams to it, with a token that is good for a minute. Our key stays here.

Sources, read 2026-11-28: developers.deepgram.com/reference/auth/tokens/grant (the token: POST /v1/auth/grant, `ttl_seconds`, from a key of
role Member; it may use the voice APIs and manage nothing), /reference/listen-live (the stream's parameters; `Authorization: Bearer JWT`),
/docs/the-deepgram-model-improvement-partnership-program (`mip_opt_out`: nothing is kept to train with, at another price).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlencode, urlsplit

from backend_lambda.errors import Code, Refusal, unavailable
from backend_lambda.ports import SpeechStream
from backend_lambda.speech_providers.exchange import Answer, Exchange, checked_key, refusal

URL = "https://api.deepgram.com"
GOOD_FOR_S = 60
"""The device opens its stream at once; what is open lasts on. Deepgram gives 30 s where nothing is said and takes up to 3600."""
WITHIN_S = 5.0
MODEL = "nova-3"
_WHAT = "Deepgram"
_MOST_BYTES = 16_384
_TOKEN = re.compile(r"[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}")
_LONGEST_TOKEN = 4000

_HEARD: Mapping[str, frozenset[str]] = {
    "en": frozenset({"US", "AU", "GB", "IN", "NZ"}),
    "es": frozenset(),
    "fr": frozenset({"CA"}),
    "de": frozenset({"CH"}),
    "pt": frozenset({"BR", "PT"}),
    "zh": frozenset({"CN", "TW", "HK"}),
    "hi": frozenset(),
    "ar": frozenset(),
    "it": frozenset(),
    "ja": frozenset(),
    "ko": frozenset({"KR"}),
}
"""What nova-3 hears, with the variants that it knows apart (its changelog of 2025-08 to 2026-03; English as Cloudflare lists it; Arabic [K]).
Of any other variant, the language alone is asked for.
"""


class DeepgramHearing:
    """Implements `ports.SpeechToText`. key: of Deepgram, asked for each time. endpoint_url: of a stand-in, "" for Deepgram itself."""

    def __init__(self, key: Callable[[], str], endpoint_url: str = "") -> None:
        self._key, self._url = key, endpoint_url or URL
        self._exchange = Exchange(self._url, WITHIN_S)

    def transcription(self, language: str, sample_rate_hz: int) -> SpeechStream:
        """Raises Refusal: 422 for a language that is not heard, 429, 503; 500 where our key cannot be used."""
        query = {
            "model": MODEL,
            "language": _code(language),
            "encoding": "linear16",
            "sample_rate": str(sample_rate_hz),
            "channels": "1",
            "interim_results": "true",
            "smart_format": "true",
            "mip_opt_out": "true",
        }
        token, good_for_s = self._granted()
        parts = urlsplit(self._url)
        return SpeechStream(
            protocol="deepgram",
            url=f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/v1/listen?{urlencode(query)}",
            headers={"Authorization": f"Bearer {token}"},
            good_for_s=good_for_s,
        )

    def _granted(self) -> tuple[str, float]:
        key = checked_key(self._key, _WHAT)
        answer = self._exchange.post(
            "/v1/auth/grant", {"Authorization": f"Token {key}"}, {"ttl_seconds": GOOD_FOR_S}, _MOST_BYTES
        )
        if answer is None or answer.status != 200:
            raise refusal(answer, _WHAT)
        token, good_for_s = _read(answer)
        if not token or key in token:
            raise unavailable(Code.SPEECH_UNAVAILABLE, f"{_WHAT} gave no token.")
        return token, good_for_s


def _code(language: str) -> str:
    spoken, _, variant = language.partition("-")
    variants = _HEARD.get(spoken)
    if variants is None:
        raise Refusal(422, Code.INVALID, "This language is not understood here.")
    return language if variant in variants else spoken


def _read(answer: Answer) -> tuple[str, float]:
    """The token, "" if there is none; and how long it is good, by the shorter of what was asked for and what was given."""
    try:
        content = json.loads(answer.body) if answer.media_type == "application/json" else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return "", 0.0
    token, expires_in = content.get("access_token"), content.get("expires_in", GOOD_FOR_S)
    is_token = isinstance(token, str) and len(token) <= _LONGEST_TOKEN and _TOKEN.fullmatch(token)
    is_time = isinstance(expires_in, int | float) and not isinstance(expires_in, bool) and expires_in >= 1
    return (str(token), float(min(expires_in, GOOD_FOR_S))) if is_token and is_time else ("", 0.0)
