"""The clinic's cloud as one conversation may use it: who is asked before, as whom is asked, and which connections there are."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import cast

from client.clock import Clock
from client.cloud.hearing import CloudRecogniser
from client.devices.ports import Recogniser, Spoken, Voice
from client.language import said
from client.pipeline.asking import ClinicVoice, Line, OwnLine
from client.pipeline.sharing import assistant_agreed
from client.pipeline.talk import Clinic
from client.policy import Policy
from client.store.consents import ASSISTANT_VERSION, Consents, Subject


def clinic_of(
    connect: Callable[[], Line],
    consents: Consents,
    person: str | None,
    policy: Policy,
    language: str,
    clock: Clock,
    decoded: Callable[[bytes], Spoken],
) -> Clinic | str:
    """decoded: of a sentence that came as MP3. person: None for a guest, who is asked in each conversation. A sentence where the policy has none of it."""
    if not policy.assistant:
        return said("Answered on this device, as whoever manages this computer has set it.")
    places, sounds = OwnLine(connect), OwnLine(connect)  # a place to speak to must not wait for a voice

    def agreed() -> bool | None:
        if person is None:
            return None
        return assistant_agreed(consents.newest(person, Subject.ASSISTANT), policy)

    def decide(given: bool) -> None:  # noqa: FBT001 (the decision itself)
        consents.record(person, Subject.ASSISTANT, ASSISTANT_VERSION, given, language, clock.utc())

    def shares_documents() -> bool:
        newest = None if person is None else consents.newest(person, Subject.CLOUD)
        return newest is not None and newest.given

    def patient_id(conversation_id: str) -> str:
        """A guest is another one in each conversation, and nobody's number leads back to it."""
        return person or str(uuid.uuid5(uuid.UUID(conversation_id), "guest"))

    def close() -> None:
        places.close()
        sounds.close()

    voice: Voice | None = None
    if policy.cloud_voice:
        voice = ClinicVoice(sounds.synthesize, decoded, said("the clinic's voice"))
    made = CloudRecogniser(places.transcription, policy, said("the clinic's"), lambda _language: True)
    recogniser = cast(
        "Recogniser", made
    )  # its transcript is a class of its own, with the same fields: cloud knows no devices
    return Clinic(
        patient_id=patient_id,
        connect=connect,
        agreed=agreed,
        decide=decide,
        recogniser=recogniser,
        voice=voice,
        close=close,
        of_guest=person is None,
        shares_documents=shares_documents,
    )
