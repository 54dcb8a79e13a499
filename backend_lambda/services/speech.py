"""Speech in the cloud, for clinics that allow it: a URL to stream audio to, and a voice.

The text to be spoken comes and goes in bodies, never in a URL.
"""

from __future__ import annotations

from datetime import timedelta
from xml.sax.saxutils import escape

from backend_lambda.ports import Ports, Spoken
from backend_lambda.principals import Device
from backend_lambda.services.clinics import allowed
from backend_lambda.settings import Settings
from backend_lambda.store import audit
from backend_lambda.store.database import Database
from backend_lambda.wire import Feature, NewSynthesis, NewTranscription, Transcription

URL_SECONDS = 300


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


class Speech:
    """For one clinic's devices."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings

    def transcription(self, device: Device, wanted: NewTranscription, request_id: str) -> Transcription:
        """A URL of Transcribe for 300 s at most: a bearer secret, so it is neither logged nor kept."""
        self._check(device, Feature.TRANSCRIPTION)
        expires_at = self._ports.clock.utc() + timedelta(seconds=URL_SECONDS)
        url = self._ports.speech.transcription_url(
            wanted.language,
            wanted.sample_rate_hz,
            self._settings.vocabulary.replace("{language}", wanted.language),
            URL_SECONDS,
        )
        self._note(device, "transcription", request_id)
        return Transcription(url=url, expires_at=expires_at)

    def synthesis(self, device: Device, wanted: NewSynthesis, request_id: str) -> Spoken:
        """The text as sound."""
        self._check(device, Feature.SYNTHESIS)
        spoken = self._ports.speech.synthesize(
            ssml(wanted.text, wanted.rate_percent), wanted.language, wanted.voice
        )
        self._ports.measures.add(
            "synthesis_characters", float(spoken.characters), "Count", str(device.clinic_id)
        )
        self._note(device, "synthesis", request_id)
        return spoken

    def _check(self, device: Device, feature: Feature) -> None:
        with self._database.clinic(device.clinic_id) as transaction:
            allowed(transaction, feature)

    def _note(self, device: Device, action: str, request_id: str) -> None:
        with self._database.clinic(device.clinic_id) as transaction:
            audit.append(
                transaction,
                audit.Entry("device", str(device.id), action, "speech", str(device.id), "ok", request_id),
                self._ports.clock.utc(),
            )
