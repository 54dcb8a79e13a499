"""The clinic's cloud as a conversation uses it: a question whose answer comes in pieces, and a voice.

One thread for each question reads its answer; what comes goes into a queue of whoever has asked. Nothing here decides whether anything
may leave this device: client.pipeline.talk does, before it calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from client.assistant.conversation import Question
from client.assistant.conversation import Role as Whose
from client.cloud import wire
from client.cloud.chat import Chat, ChatEvent, ChatTurn, Evidence, Role, Triage, Urgency
from client.cloud.faults import Closed
from client.devices.ports import Spoken


class ClinicPort(Protocol):
    """What is asked of the cloud: `client.cloud.service.Cloud`. Each method raises CloudFault or VaultFault; for one thread at a time."""

    def ask(self, question: Chat) -> Generator[ChatEvent, None, None]:
        """The answer as it comes; closing it cuts it off."""

    def transcription(self, wanted: wire.NewTranscription) -> wire.Transcription:
        """A place to stream speech to."""

    def synthesize(self, wanted: wire.NewSynthesis) -> bytes:
        """A text as sound, MP3."""


@dataclass(frozen=True, slots=True)
class Line:
    """A connection for a conversation. close: ends what is under way, from any thread; nothing can be asked afterwards."""

    clinic: ClinicPort
    close: Callable[[], None]


def to_chat(question: Question, patient_id: str) -> Chat:
    """As it is sent, facts and documents in their order. Raises Unfit for what cannot be (our bug)."""
    roles = {Whose.PERSON: Role.PERSON, Whose.ASSISTANT: Role.ASSISTANT}
    evidence = tuple(
        Evidence(
            one.name,
            one.taken_at,
            wire.Value(
                one.value,
                one.low,
                one.high,
                one.unit,
                one.confidence,
                one.reasons,
                one.window_s,
                one.algorithm,
            ),
        )
        for one in question.facts
    )
    return Chat(
        conversation_id=question.conversation_id,
        patient_id=patient_id,
        language=question.language,
        turns=tuple(ChatTurn(roles[one.role], one.text) for one in question.turns),
        triage=Triage(Urgency(question.level.value), question.category),
        evidence=evidence,
        documents=tuple(one.upload for one in question.documents),
        age_band=question.age_band,
    )


@dataclass(frozen=True, slots=True)
class Came:
    """What an answer brings. asked: to which question. what: an event; None: the stream is over; an error that ended it."""

    asked: int
    what: ChatEvent | Exception | None


class Asker:
    """For one thread, which hears of everything through `tell`; that is called in the threads of the questions."""

    def __init__(self, connect: Callable[[], Line], tell: Callable[[Came], None]) -> None:
        """connect: opens nothing yet; may wait for the key store, so it is called in the question's thread."""
        self._connect, self._tell = connect, tell
        self._lock = threading.Lock()
        self._spare: Line | None = None
        """Of the last question, if its answer has ended by itself."""
        self._cancelled = threading.Event()
        self._line: Line | None = None
        self._thread: threading.Thread | None = None
        self._number = 0

    def ask(self, make: Callable[[], Chat]) -> int:
        """Asks in a thread of its own, instead of what was asked before; the number of the question."""
        self.cancel()
        self._number += 1
        self._cancelled = cancelled = threading.Event()
        number, chat = self._number, make()
        self._thread = threading.Thread(
            target=self._run, args=(number, chat, cancelled), name="ask", daemon=True
        )
        self._thread.start()
        return number

    def cancel(self) -> None:
        """Nothing more of it comes, and nobody works on for nothing."""
        self._cancelled.set()
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def close(self, timeout_s: float) -> None:
        """Ends everything; waits a little."""
        self.cancel()
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self, number: int, chat: Chat, cancelled: threading.Event) -> None:
        def tell(what: ChatEvent | Exception | None) -> None:
            if not cancelled.is_set():
                self._tell(Came(number, what))

        line: Line | None = None
        try:
            line = self._taken(cancelled)
            if line is None:
                return
            stream = line.clinic.ask(chat)
            try:
                for event in stream:
                    tell(event)
                    if cancelled.is_set():
                        break
            finally:
                stream.close()
            self._give_back(line, cancelled)
            tell(None)
        except Exception as error:  # noqa: BLE001 (whoever asked is told; a bug of ours must not leave them waiting)
            self._drop(line)
            tell(error)

    def _taken(self, cancelled: threading.Event) -> Line | None:
        with self._lock:
            line, self._spare = self._spare, None
        line = self._connect() if line is None else line
        with self._lock:
            if not cancelled.is_set():
                self._line = line
                return line
        line.close()
        return None

    def _give_back(self, line: Line, cancelled: threading.Event) -> None:
        with self._lock:
            if not cancelled.is_set() and self._line is line:
                self._line, self._spare = None, line

    def _drop(self, line: Line | None) -> None:
        """A connection that something went wrong with is not used again. By now another may be in use, of a newer question."""
        with self._lock:
            if line is None or self._line is not line:
                return
            self._line = None
        line.close()


class ClinicVoice:
    """See client.devices.ports.Voice: the clinic's, over the network."""

    def __init__(
        self,
        synthesize: Callable[[wire.NewSynthesis], bytes],
        decoded: Callable[[bytes], Spoken],
        name: str,
    ) -> None:
        self._synthesize, self._decoded, self._name = synthesize, decoded, name

    @property
    def name(self) -> str:
        return self._name

    def speaks(self, language: str) -> bool:
        """Every language; where it does not, it says so when it is asked."""
        return bool(language)

    def synthesize(self, text: str, language: str, rate_percent: int) -> Spoken:
        """Raises CloudFault, VaultFault or EnvironmentFault."""
        return self._decoded(self._synthesize(wire.NewSynthesis(text[:1500], language, None, rate_percent)))


class OwnLine:
    """One connection for short requests of one thread (places for speech, sentences as sound), made when it is first needed."""

    def __init__(self, connect: Callable[[], Line]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._line: Line | None = None
        self._closed = False

    def transcription(self, wanted: wire.NewTranscription) -> wire.Transcription:
        """Raises as Cloud.transcription does."""
        with self._turn:
            return self._clinic().transcription(wanted)

    def synthesize(self, wanted: wire.NewSynthesis) -> bytes:
        """Raises as Cloud.synthesize does."""
        with self._turn:
            return self._clinic().synthesize(wanted)

    def close(self) -> None:
        """From any thread; what is under way ends."""
        with self._lock:
            self._closed = True
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def _clinic(self) -> ClinicPort:
        with self._lock:
            if self._line is not None:
                return self._line.clinic
        line = self._connect()
        with self._lock:
            if self._closed:
                line.close()
                raise Closed
            self._line = line
            return line.clinic
