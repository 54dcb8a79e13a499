"""Speech in the cloud, for clinics that allow it: a place to stream audio to, and a voice. Whose they are, the settings say.

The text to be spoken comes and goes in bodies, never in a URL.
"""

from __future__ import annotations

from datetime import timedelta

from backend_lambda.ports import Ports, Spoken
from backend_lambda.principals import Device
from backend_lambda.services.clinics import allowed
from backend_lambda.settings import Settings
from backend_lambda.store import audit
from backend_lambda.store.database import Database
from backend_lambda.wire import Feature, NewSynthesis, NewTranscription, Transcription


class Speech:
    """For one clinic's devices."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings

    def transcription(self, device: Device, wanted: NewTranscription, request_id: str) -> Transcription:
        """Where to stream to, and for how long that may be opened: bearer secrets, so they are neither logged nor kept."""
        self._check(device, Feature.TRANSCRIPTION)
        asked_at = self._ports.clock.utc()
        stream = self._ports.speech_to_text.transcription(wanted.language, wanted.sample_rate_hz)
        self._note(device, "transcription", request_id)
        return Transcription(
            url=stream.url,
            expires_at=asked_at + timedelta(seconds=stream.good_for_s),
            protocol=stream.protocol,
            headers=dict(stream.headers),
        )

    def synthesis(self, device: Device, wanted: NewSynthesis, request_id: str) -> Spoken:
        """The text as sound."""
        self._check(device, Feature.SYNTHESIS)
        spoken = self._ports.text_to_speech.synthesize(
            wanted.text, wanted.rate_percent, wanted.language, wanted.voice
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
