"""One question to the assistant: budget, retrieval, documents, the model with its fallbacks, and what of its answer passes.

The device's verdict is the least urgency there is. In an emergency no model is asked at all: what to do then is said by the device.
That there is one is told to those who can help, where such are set (`services.feeds`); the answer does not wait for that. No limit and
no budget holds for an emergency that the device has seen. What only the model would have seen is not seen in a question that is refused.
No connection to the database is held while the model talks.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Ended, ModelRequest, Passage, Ports, TextPiece
from backend_lambda.principals import Device
from backend_lambda.services.clinics import allowed, budget
from backend_lambda.services.feeds import CallForHelp
from backend_lambda.services.limits import budget_spent, too_often
from backend_lambda.services.prompt import Cited, Document, Judged, Leak, Prompt, Reader, Said, build, higher
from backend_lambda.settings import Settings
from backend_lambda.store import audit, uploads, usage
from backend_lambda.store.clinics import ClinicRow
from backend_lambda.store.database import Database, Transaction
from backend_lambda.store.uploads import UploadRow
from backend_lambda.wire import (
    Chat as Question,
)
from backend_lambda.wire import (
    ChatCitation,
    ChatDelta,
    ChatDone,
    ChatError,
    ChatStart,
    ChatUrgency,
    Feature,
    UploadState,
    Urgency,
)

MAX_TOKENS = 800
MAX_CHARACTERS = 8_000
"""Of an answer; a model that does not end is ended here."""
PASSAGES = 5
TEXT_BYTES = 1_000_000
_BYTES_PER_TOKEN = 3
"""Of UTF-8, where nobody has counted: more tokens than English has, about as many as Arabic, Chinese and Hindi."""
_NOT_BILLED = {str(code) for code in (Code.MODEL_THROTTLED, Code.MODEL_RETIRED)}
_NEXT_MODEL = {Code.MODEL_RETIRED, Code.MODEL_THROTTLED, Code.MODEL_UNAVAILABLE, Code.TIMED_OUT}
Event = ChatStart | ChatDelta | ChatCitation | ChatUrgency | ChatDone | ChatError


class Chat:
    """Answers for one clinic's devices."""

    def __init__(self, database: Database, ports: Ports, settings: Settings) -> None:
        self._database, self._ports, self._settings = database, ports, settings

    def stream(self, device: Device, question: Question, request_id: str) -> Generator[Event, None, None]:
        """The first event is a start. Raises Refusal before it; after it, trouble is an error event and the end."""
        help_wanted = CallForHelp(self._ports, device)
        try:
            if question.triage.level is Urgency.EMERGENCY:
                help_wanted.call()  # whatever the store or the budget says
            with closing(self._events(device, question, request_id)) as events:
                for event in events:
                    if isinstance(event, ChatUrgency) and event.urgency is Urgency.EMERGENCY:
                        help_wanted.call()
                    yield event
        finally:  # also when the client is gone
            help_wanted.settle()

    def _events(self, device: Device, question: Question, request_id: str) -> Generator[Event, None, None]:
        began_s = self._ports.clock.now_s()
        self._begin(device, question)
        if question.triage.level is Urgency.EMERGENCY:
            self._note(device, question, request_id, "emergency")
            yield ChatStart(request_id=request_id, model_id="", urgency=Urgency.EMERGENCY)
            yield ChatDone(reason="emergency", input_tokens=0, output_tokens=0, urgency=Urgency.EMERGENCY)
            return
        prompt = build(
            question,
            self._passages(question),
            self._documents(device, question, request_id),
            fence=f"data{secrets.token_hex(8)}",
        )
        held = _Tokens(prompt.size_bytes() // _BYTES_PER_TOKEN, MAX_TOKENS)
        day = self._hold(device, question, request_id, held)
        answer = _Answer(prompt, question.triage.level)
        try:
            yield from self._answered(device, question, request_id, prompt, answer, began_s)
        finally:  # also when the client is gone: what was generated is paid for
            used = answer.tokens(held)
            self._note(device, question, request_id, answer.result, day=day, more=used.less(held))

    def _answered(
        self,
        device: Device,
        question: Question,
        request_id: str,
        prompt: Prompt,
        answer: _Answer,
        began_s: float,
    ) -> Iterator[Event]:
        started = False
        try:
            for model_id, event in self._asked(prompt):
                if not started:
                    started = True
                    self._ports.measures.add(
                        "ai_time_to_first_token",
                        1000.0 * (self._ports.clock.now_s() - began_s),
                        "Milliseconds",
                        str(device.clinic_id),
                    )
                    yield ChatStart(request_id=request_id, model_id=model_id, urgency=question.triage.level)
                yield from answer.take(event)
                if answer.over:
                    break
            yield from answer.finish()
        except Refusal as refusal:
            answer.result = str(refusal.code)
            if not started:
                raise
            yield ChatError(code=str(refusal.code), retry_after_s=refusal.retry_after_s)
        except Leak:
            answer.result = "withheld"
            yield ChatError(code="withheld")

    def _asked(self, prompt: Prompt) -> Iterator[tuple[str, TextPiece | Ended]]:
        """What the first model that answers says. Once it has said something it is not changed any more."""
        guardrail = (
            (self._settings.guardrail_id, self._settings.guardrail_version)
            if self._settings.guardrail_id
            else None
        )
        worst: Refusal | None = None
        for model_id in self._settings.model_ids:
            said = False
            request = ModelRequest(model_id, prompt.system, prompt.turns, MAX_TOKENS, guardrail)
            try:
                for event in self._ports.model.stream(request):
                    said = True
                    yield model_id, event
            except Refusal as refusal:
                if said or refusal.code not in _NEXT_MODEL:
                    raise
                self._ports.measures.add(f"model_fallback_{refusal.code}", 1.0, "Count")
                # throttling passes, a retired model does not: say what may be tried again
                if worst is None or refusal.code is Code.MODEL_THROTTLED:
                    worst = refusal
            else:
                return
        if worst is not None:
            raise worst

    def _begin(self, device: Device, question: Question) -> None:
        """Raises Refusal 403, 503, and 429 where it is no emergency, before anything is looked up for the question."""
        with self._database.clinic(device.clinic_id) as transaction:
            clinic = allowed(transaction, Feature.CHAT)
            if question.triage.level is Urgency.EMERGENCY:
                return  # it costs nothing
            refused = too_often(
                transaction, device, "chat", self._ports.clock.utc(), self._settings.questions_per_minute
            )
            if refused is None:
                refused = self._spent(transaction, clinic)
        if refused is not None:
            raise refused  # committed: it is counted

    def _spent(self, transaction: Transaction, clinic: ClinicRow) -> Refusal | None:
        now = self._ports.clock.utc()
        is_left = usage.used_this_month(transaction, now) < budget(clinic, self._settings)
        return None if is_left else budget_spent(now)

    def _hold(self, device: Device, question: Question, request_id: str, held: _Tokens) -> date:
        """Counts what an answer may cost before it is asked for, one question of a clinic after the other: many at once cannot
        overspend by more than the last of them. The audit knows of the question before a model does. Returns the day it is counted on.
        """
        now = self._ports.clock.utc()
        with self._database.clinic(device.clinic_id) as transaction:
            clinic = allowed(transaction, Feature.CHAT)
            usage.add(transaction, day=now.date(), input_tokens=0, output_tokens=0)  # holds the day's row
            if (refused := self._spent(transaction, clinic)) is not None:
                raise refused
            usage.add(transaction, day=now.date(), input_tokens=held.inputs, output_tokens=held.outputs)
            entry = _entry(device, "patient", question.patient_id, "asked", request_id)
            audit.append(transaction, entry, now)
        return now.date()

    def _passages(self, question: Question) -> Sequence[Passage]:
        """Without its knowledge base the assistant says less, but it answers."""
        try:
            return self._ports.knowledge.retrieve(question.turns[-1].text, question.language, PASSAGES)
        except Refusal:
            self._ports.measures.add("knowledge_unavailable", 1.0, "Count")
            return ()

    def _documents(self, device: Device, question: Question, request_id: str) -> Sequence[Document]:
        """The texts of this patient's uploads, each noted as read. Raises 404 for one that is not theirs, 409 for one not ready."""
        if not question.documents:
            return ()
        now = self._ports.clock.utc()
        refused: Refusal | None = None
        found: list[UploadRow] = []
        with self._database.clinic(device.clinic_id) as transaction:
            for wanted in question.documents:
                row = uploads.get(transaction, wanted)
                if row is None or row.patient_id != question.patient_id:
                    refused = Refusal(404, Code.NOT_FOUND, "There is no such upload of this patient.")
                elif row.state is not UploadState.READY:
                    refused = Refusal(409, Code.CONFLICT, "An upload is not ready to be read.")
                else:
                    found.append(row)
                result = "ok" if refused is None else str(refused.code)
                audit.append(transaction, _entry(device, "upload", wanted, result, request_id), now)
                if refused is not None:
                    break
        if refused is not None:
            raise refused
        return [Document(str(row.id), self._text(row.text_key)) for row in found if row.text_key is not None]

    def _text(self, key: str) -> str:
        facts = self._ports.documents.head(key)
        if facts is None:
            raise Refusal(404, Code.NOT_FOUND, "The text of an upload is gone.")
        return self._ports.documents.read(key, facts.version_id, TEXT_BYTES).decode("utf-8", "replace")

    def _note(
        self,
        device: Device,
        question: Question,
        request_id: str,
        result: str,
        *,
        day: date | None = None,
        more: _Tokens | None = None,
    ) -> None:
        """How it ended. The answer is on its way already: without a database this is counted, and an alarm is on the count;
        what was held stays counted then.
        """
        now = self._ports.clock.utc()
        try:
            with self._database.clinic(device.clinic_id) as transaction:
                if day is not None and more is not None:
                    usage.correct(transaction, day=day, input_tokens=more.inputs, output_tokens=more.outputs)
                entry = _entry(device, "conversation", question.conversation_id, result, request_id)
                audit.append(transaction, entry, now)
        except Refusal:
            self._ports.measures.add("chat_end_not_noted", 1.0, "Count", str(device.clinic_id))


@dataclass(frozen=True, slots=True)
class _Tokens:
    inputs: int
    outputs: int

    def less(self, other: _Tokens) -> _Tokens:
        return _Tokens(self.inputs - other.inputs, self.outputs - other.outputs)


def _entry(device: Device, kind: str, name: UUID, result: str, request_id: str) -> audit.Entry:
    return audit.Entry(
        actor_kind="device",
        actor_id=str(device.id),
        action="chat" if kind != "upload" else "upload.read",
        object_kind=kind,
        object_id=str(name),
        result=result,
        request_id=request_id,
    )


class _Answer:
    """One answer as it grows. result: for the audit, a word. over: nothing more is wanted of the model."""

    def __init__(self, prompt: Prompt, least: Urgency) -> None:
        self._prompt, self.urgency = prompt, least
        self._reader = Reader(prompt)
        self._ended: Ended | None = None
        self._characters = self._bytes = 0
        self.result = "left"
        self.over = False

    def take(self, event: TextPiece | Ended) -> Iterator[Event]:
        if isinstance(event, Ended):
            self._ended = event
            return
        self._characters += len(event.text)
        self._bytes += len(event.text.encode())
        if self._characters > MAX_CHARACTERS:
            self.over = True
            return
        yield from self._passed(self._reader.push(event.text))

    def finish(self) -> Iterator[Event]:
        """The rest, and the end."""
        yield from self._passed(self._reader.end())
        if self._ended is None and not self.over:
            self.result = str(Code.MODEL_UNAVAILABLE)
            yield ChatError(code=self.result)
            return
        reason = "cut" if self._ended is None else self._ended.reason
        self.result = reason if len(reason) < 64 else "ended"
        used = self.tokens(_Tokens(self._prompt.size_bytes() // _BYTES_PER_TOKEN, 0))
        yield ChatDone(
            reason=reason, input_tokens=used.inputs, output_tokens=used.outputs, urgency=self.urgency
        )

    def tokens(self, held: _Tokens) -> _Tokens:
        """As the model counted. Where it did not come to that: all that it was given, and what it said; nothing where it refused."""
        if self._ended is not None:
            return _Tokens(self._ended.input_tokens, self._ended.output_tokens)
        if self.result in _NOT_BILLED and not self._bytes:
            return _Tokens(0, 0)
        return _Tokens(held.inputs, self._bytes // _BYTES_PER_TOKEN)

    def _passed(self, pieces: Iterator[Said | Cited | Judged]) -> Iterator[Event]:
        for piece in pieces:
            match piece:
                case Said(text):
                    yield ChatDelta(text=text)
                case Cited(name):
                    title, uri, quote = self._prompt.citable[name]
                    yield ChatCitation(id=name, title=title, uri=uri, quote=quote)
                case Judged(urgency):
                    raised = higher(self.urgency, urgency)
                    if raised is not self.urgency:
                        self.urgency = raised
                        yield ChatUrgency(urgency=raised)
