"""Speech by Amazon Transcribe (a presigned WebSocket URL) and Amazon Polly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.sax.saxutils import escape

import botocore.auth
import botocore.awsrequest

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.errors import Code, Refusal, unavailable
from backend_lambda.ports import SpeechStream, Spoken

LONGEST_URL_S = 300
"""Transcribe takes no longer one."""

_TRANSCRIBED: Mapping[str, str] = {
    "en": "en-US",
    "es": "es-US",
    "fr": "fr-FR",
    "de": "de-DE",
    "pt": "pt-BR",
    "zh": "zh-CN",
    "hi": "hi-IN",
    "ar": "ar-SA",
    "it": "it-IT",
    "ja": "ja-JP",
    "ko": "ko-KR",
}
"""The variant where only a language is named."""
_VARIANTS = {
    *_TRANSCRIBED.values(),
    *(
        "en-GB",
        "en-AU",
        "en-IN",
        "en-IE",
        "en-NZ",
        "en-ZA",
        "es-ES",
        "fr-CA",
        "de-CH",
        "pt-PT",
        "zh-TW",
        "zh-HK",
        "ar-AE",
    ),
}

_VOICES: Mapping[str, tuple[str, str]] = {
    "en": ("en-US", "Joanna"),
    "en-GB": ("en-GB", "Amy"),
    "en-AU": ("en-AU", "Olivia"),
    "en-IN": ("en-IN", "Kajal"),
    "en-IE": ("en-IE", "Niamh"),
    "en-NZ": ("en-NZ", "Aria"),
    "en-ZA": ("en-ZA", "Ayanda"),
    "es": ("es-US", "Lupe"),
    "es-ES": ("es-ES", "Lucia"),
    "es-MX": ("es-MX", "Mia"),
    "fr": ("fr-FR", "Lea"),
    "fr-CA": ("fr-CA", "Gabrielle"),
    "fr-BE": ("fr-BE", "Isabelle"),
    "de": ("de-DE", "Vicki"),
    "de-AT": ("de-AT", "Hannah"),
    "pt": ("pt-BR", "Camila"),
    "pt-PT": ("pt-PT", "Ines"),
    "zh": ("cmn-CN", "Zhiyu"),
    "hi": ("hi-IN", "Kajal"),
    "ar": ("ar-AE", "Hala"),
}
"""Polly's code of a language, and a neural voice that speaks it."""


def ssml(text: str, rate_percent: int) -> str:
    """Well-formed, whatever the text holds: what XML cannot carry is dropped, the rest escaped."""
    allowed = "".join(
        letter
        for letter in text
        if letter in "\t\n"
        or " " <= letter <= "\ud7ff"
        or "\ue000" <= letter <= "\ufffd"
        or letter >= "\U00010000"
    )
    return f'<speak><prosody rate="{rate_percent}%">{escape(allowed)}</prosody></speak>'


class AwsSpeech:
    """Implements `ports.SpeechToText` and `ports.TextToSpeech`.

    vocabulary: of Transcribe, with {language} where the language goes; "": none. seconds: a URL is good for so long, 1 to 300.
    """

    def __init__(self, clients: Clients, vocabulary: str = "", seconds: int = LONGEST_URL_S) -> None:
        if not 1 <= seconds <= LONGEST_URL_S:
            raise ValueError("a URL is good for 1 to 300 s")
        self._clients, self._vocabulary, self._seconds = clients, vocabulary, seconds

    def transcription(self, language: str, sample_rate_hz: int) -> SpeechStream:
        """Raises Refusal 422 for a language that Transcribe does not stream."""
        code = language if language in _VARIANTS else _TRANSCRIBED.get(language.partition("-")[0])
        if code is None:
            raise _no_language()
        query = {"language-code": code, "media-encoding": "pcm", "sample-rate": str(sample_rate_hz)}
        if self._vocabulary:
            query["vocabulary-name"] = self._vocabulary.replace("{language}", language)
        scheme, host = self._host()
        url = f"{scheme}://{host}/stream-transcription-websocket?{urlencode(query)}"
        signed = str(self._signed(botocore.awsrequest.AWSRequest("GET", url)).url)
        return SpeechStream(
            protocol="transcribe",
            url=f"{'wss' if scheme == 'https' else 'ws'}{signed.removeprefix(scheme)}",
            headers={},
            good_for_s=self._seconds,
        )

    def _host(self) -> tuple[str, str]:
        if self._clients.endpoint_url:
            parts = urlsplit(self._clients.endpoint_url)
            return parts.scheme, parts.netloc
        suffix = "amazonaws.com.cn" if self._clients.region.startswith("cn-") else "amazonaws.com"
        return "https", f"transcribestreaming.{self._clients.region}.{suffix}:8443"

    def _signed(self, request: Any) -> Any:
        try:
            credentials = asked(self._clients.credentials)
        except Fault as fault:
            refused = refusal(fault, Code.SPEECH_UNAVAILABLE, "Speech")
        else:
            if credentials is not None:
                signer = botocore.auth.SigV4QueryAuth(
                    credentials, "transcribe", self._clients.region, self._seconds
                )
                signer.add_auth(request)
                return request
            refused = unavailable(Code.SPEECH_UNAVAILABLE, "Speech has no credentials.")
        raise refused

    def synthesize(self, text: str, rate_percent: int, language: str, voice: str | None) -> Spoken:
        """Raises Refusal: 422 for a language or voice that there is not, 413 for a text that is too long."""
        code, usual = _VOICES.get(language) or _VOICES.get(language.partition("-")[0]) or ("", "")
        if not code:
            raise _no_language()
        wanted = {
            "Text": ssml(text, rate_percent),
            "TextType": "ssml",
            "VoiceId": voice or usual,
            "LanguageCode": code,
            "Engine": "neural",
            "OutputFormat": "mp3",
            "SampleRate": "24000",
        }
        try:
            audio, answer = asked(lambda: self._spoken(wanted))
        except Fault as fault:
            refused = _refusal(fault, voice)
        else:
            media_type = str(answer.get("ContentType", ""))
            if audio and media_type.startswith("audio/"):
                return Spoken(audio, media_type, int(answer.get("RequestCharacters", 0)))
            refused = unavailable(Code.SPEECH_UNAVAILABLE, "Speech came without sound.")
        raise refused

    def _spoken(self, wanted: Mapping[str, str]) -> tuple[bytes, Any]:
        answer = self._clients("polly").synthesize_speech(**wanted)
        stream = answer["AudioStream"]
        try:
            return stream.read(), answer
        finally:
            stream.close()


def _no_language() -> Refusal:
    return Refusal(422, Code.INVALID, "This language is not spoken here.")


def _refusal(fault: Fault, voice: str | None) -> Refusal:
    if fault.code == "TextLengthExceededException":
        return Refusal(413, Code.TOO_LARGE, "The text is too long to be spoken at once.")
    if fault.code == "InvalidSsmlException":
        return Refusal(500, Code.INTERNAL, "The text to be spoken was ill-formed.")
    if voice is not None and fault.code in {
        "ValidationException",
        "EngineNotSupportedException",
        "LanguageNotSupportedException",
    }:
        return Refusal(422, Code.INVALID, "There is no such voice for this language.")
    return refusal(fault, Code.SPEECH_UNAVAILABLE, "Speech")
