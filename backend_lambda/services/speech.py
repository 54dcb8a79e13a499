"""Speech in the cloud, for clinics that allow it: a place to stream audio to, and a voice. Whose they are, the settings say.

The text to be spoken comes and goes in bodies, never in a URL. What is asked of a provider is counted before it is asked, so that many
at once do not overspend. Of streams is counted that they may be opened, not how long they last: that goes on without us.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

from backend_lambda.errors import Refusal
from backend_lambda.ports import Ports, Spoken
from backend_lambda.principals import Device
from backend_lambda.services.clinics import allowed
from backend_lambda.services.limits import budget_spent, too_often
from backend_lambda.settings import Settings
from backend_lambda.store import audit, usage
from backend_lambda.store.database import Database, Transaction
from backend_lambda.wire import Feature, NewSynthesis, NewTranscription, Transcription

_MAY_BE_BILLED = 503
"""A status from this on: the provider did not answer as it should, and may have spoken all the same. It stays counted."""


class Speech:
    """For one clinic's devices."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings

    def transcription(self, device: Device, wanted: NewTranscription, request_id: str) -> Transcription:
        """Where to stream to, and for how long that may be opened: bearer secrets, so they are neither logged nor kept.

        Raises Refusal 403, 422, 429, 503.
        """
        held = self._hold(device, Feature.TRANSCRIPTION, streams=1)
        asked_at = self._ports.clock.utc()
        try:
            stream = self._ports.speech_to_text.transcription(wanted.language, wanted.sample_rate_hz)
        except Refusal:
            self._give_back(device, held)  # nobody can stream to anything
            raise
        with self._database.clinic(device.clinic_id) as transaction:
            self._note(transaction, device, "transcription", request_id)
        return Transcription(
            url=stream.url,
            expires_at=asked_at + timedelta(seconds=stream.good_for_s),
            protocol=stream.protocol,
            headers=dict(stream.headers),
        )

    def synthesis(self, device: Device, wanted: NewSynthesis, request_id: str) -> Spoken:
        """The text as sound. Raises Refusal 403, 413, 422, 429, 503."""
        held = self._hold(device, Feature.SYNTHESIS, characters=len(wanted.text))
        try:
            spoken = self._ports.text_to_speech.synthesize(
                wanted.text, wanted.rate_percent, wanted.language, wanted.voice
            )
        except Refusal as refusal:
            if refusal.status < _MAY_BE_BILLED:
                self._give_back(device, held)
            raise
        self._ports.measures.add(
            "synthesis_characters", float(spoken.characters), "Count", str(device.clinic_id)
        )
        more = spoken.characters - held.characters
        with self._database.clinic(device.clinic_id) as transaction:
            if spoken.characters > 0 and more != 0:  # 0: the provider has not said what it bills
                usage.correct_speech(transaction, day=held.day, characters=more)
            self._note(transaction, device, "synthesis", request_id)
        return spoken

    def _hold(self, device: Device, feature: Feature, *, characters: int = 0, streams: int = 0) -> _Held:
        """Counts what is wanted before it is asked for, one wish of a clinic after the other.

        Raises Refusal 403, 503, and 429 where this device asks too often or the month's budget does not hold so much.
        """
        now, settings = self._ports.clock.utc(), self._settings
        with self._database.clinic(device.clinic_id) as transaction:
            allowed(transaction, feature)
            refused = too_often(transaction, device, "speech", now, settings.speech_per_minute)
            if refused is None:
                usage.add_speech(transaction, day=now.date())  # holds the day's row
                used = usage.speech_this_month(transaction, now)
                left = settings.speech_budget_characters - used.characters
                streams_left = settings.transcription_budget_streams - used.streams
                # only of what is wanted: who has heard enough may still speak
                if (characters and characters > left) or (streams and streams > streams_left):
                    refused = budget_spent(now)
                else:
                    usage.add_speech(transaction, day=now.date(), characters=characters, streams=streams)
        if refused is not None:
            raise refused  # committed: it is counted
        return _Held(now.date(), characters, streams)

    def _give_back(self, device: Device, held: _Held) -> None:
        """What was held for nothing. Without a database it stays counted."""
        with suppress(Refusal), self._database.clinic(device.clinic_id) as transaction:
            usage.correct_speech(
                transaction, day=held.day, characters=-held.characters, streams=-held.streams
            )

    def _note(self, transaction: Transaction, device: Device, action: str, request_id: str) -> None:
        audit.append(
            transaction,
            audit.Entry("device", str(device.id), action, "speech", str(device.id), "ok", request_id),
            self._ports.clock.utc(),
        )


@dataclass(frozen=True, slots=True)
class _Held:
    """Counted on that day."""

    day: date
    characters: int
    streams: int
