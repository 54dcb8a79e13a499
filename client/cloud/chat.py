"""A question to the assistant, and its answer as server-sent events (WHATWG HTML, "Server-sent events"), in pieces as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Self

from client.cloud.forms import (
    Fields,
    Unfit,
    count,
    identifier,
    language,
    many,
    matching,
    maybe,
    moment_text,
    one_of,
    parsed,
    text,
    web_url,
    word,
)
from client.cloud.wire import RETRY_AFTER_S, AnswerUnreadable, Request, Value

QUESTION_BYTES = 600_000
"""What the server takes; 20 turns of 4,000 characters are less, whatever they are."""
EVENT_BYTES = 256_000
STREAM_BYTES = 4_000_000
"""The server ends an answer at 8,000 characters, of which each can be an event of its own (60 bytes)."""
_UPLOAD = "upload:"


class Urgency(StrEnum):
    """How soon somebody should be seen. One that this version does not know has to count as the highest."""

    NONE = "none"
    URGENT = "urgent"
    EMERGENCY = "emergency"


class Role(StrEnum):
    """Who said it."""

    PERSON = "person"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Triage:
    """The verdict of this device itself. category: a code, or None."""

    level: Urgency
    category: str | None

    def to_json(self) -> dict[str, object]:
        """Raises Unfit."""
        return {"level": one_of(Urgency)(self.level), "category": maybe(word)(self.category)}


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """text: 1 to 4,000 characters."""

    role: Role
    text: str = field(repr=False)

    def to_json(self) -> dict[str, object]:
        """Raises Unfit."""
        return {"role": one_of(Role)(self.role), "text": text(4000, least=1)(self.text)}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A vital sign of this patient that the answer may speak of."""

    name: str
    taken_at: datetime
    value: Value

    def to_json(self) -> dict[str, object]:
        """Raises Unfit."""
        return {
            "name": word(self.name),
            "taken_at": moment_text(self.taken_at),
            "value": self.value.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Chat(Request):
    """turns: 1 to 20, the last is the person's. evidence: 24 at most. documents: uploads of this patient, 5 at most.

    age_band: "18-29", "30-44" … or "90+"; None: not known.
    """

    most_bytes: ClassVar[int] = QUESTION_BYTES

    conversation_id: str
    patient_id: str
    language: str
    turns: tuple[ChatTurn, ...]
    triage: Triage
    evidence: tuple[Evidence, ...]
    documents: tuple[str, ...]
    age_band: str | None

    def to_json(self) -> dict[str, object]:
        turns = many(ChatTurn.to_json, most=20, least=1)(self.turns)
        if self.turns[-1].role != Role.PERSON:
            raise Unfit("a question: the last turn is the person's")
        return {
            "conversation_id": identifier(self.conversation_id),
            "patient_id": identifier(self.patient_id),
            "language": language(self.language),
            "turns": turns,
            "triage": self.triage.to_json(),
            "evidence": many(Evidence.to_json, most=24)(self.evidence),
            "documents": many(identifier, most=5)(self.documents),
            "age_band": maybe(matching("an age band", r"[0-9]{2,3}(-[0-9]{2,3}|\+)"))(self.age_band),
        }


# --- The answer --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChatStart:
    """model_id: "" where no model was asked. urgency: of Urgency, here and below."""

    request_id: str
    model_id: str
    urgency: str

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(
            request_id=its.get("request_id", text(200)),
            model_id=its.get("model_id", text(300)),
            urgency=its.get("urgency", word),
        )


@dataclass(frozen=True, slots=True)
class ChatCitation:
    """id: as the text cites it, [id]. uri: https, "upload:" and an identifier, or "": anything else is not believed and left out."""

    id: str
    title: str = field(repr=False)
    uri: str = field(repr=False)
    quote: str = field(repr=False)

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(
            id=its.get("id", word),
            title=its.get("title", text(1000)),
            uri=_believed(its.get("uri", text(8192))),
            quote=its.get("quote", text(8000)),
        )


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """The next of the text."""

    text: str = field(repr=False)

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(text=its.get("text", text(EVENT_BYTES)))


@dataclass(frozen=True, slots=True)
class ChatUrgency:
    """Higher than what was known before."""

    urgency: str

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(urgency=its.get("urgency", word))


@dataclass(frozen=True, slots=True)
class ChatDone:
    """The answer is whole; or "cut", where reason says so."""

    reason: str
    input_tokens: int
    output_tokens: int
    urgency: str

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(
            reason=its.get("reason", text(200)),
            input_tokens=its.get("input_tokens", count()),
            output_tokens=its.get("output_tokens", count()),
            urgency=its.get("urgency", word),
        )


@dataclass(frozen=True, slots=True)
class ChatError:
    """The answer broke off; what came before is no whole answer. code: of wire.Code, or another ("withheld")."""

    code: str
    retry_after_s: float | None

    @classmethod
    def of(cls, its: Fields) -> Self:
        """Raises Unfit."""
        return cls(
            code=its.get("code", word),
            retry_after_s=its.get_or("retry_after_s", maybe(RETRY_AFTER_S), None),
        )


ChatEvent = ChatStart | ChatCitation | ChatDelta | ChatUrgency | ChatDone | ChatError

_EVENTS: Mapping[str, Callable[[Fields], ChatEvent]] = {
    "start": ChatStart.of,
    "citation": ChatCitation.of,
    "delta": ChatDelta.of,
    "urgency": ChatUrgency.of,
    "done": ChatDone.of,
    "error": ChatError.of,
}


def events(pieces: Iterable[bytes]) -> Iterator[ChatEvent]:
    """The events of an answer as its bytes come, cut anywhere: a start first, a done or an error last.

    Those of a newer version are left out. Raises AnswerUnreadable, also where the stream ends without an end, and what `pieces` raises.
    """
    try:
        yield from _events(pieces)
    except Unfit as unfit:
        place = f"events.{unfit.place}" if unfit.place else "events"
    else:
        return
    raise AnswerUnreadable(place)


def _events(pieces: Iterable[bytes]) -> Iterator[ChatEvent]:
    blocks = _Blocks()
    started = False
    for piece in pieces:
        for name, data in blocks.take(piece):
            if name not in _EVENTS:
                continue
            event = _event(name, data)
            if isinstance(event, ChatStart) is started:
                raise Unfit("one start, first", name)
            started = True
            yield event
            if isinstance(event, (ChatDone, ChatError)):
                return
    raise Unfit("a stream with an end")


def _event(name: str, data: bytes) -> ChatEvent:
    try:
        its = Fields(parsed(data, EVENT_BYTES))
        its.get("event", matching("the event's own name", name))
        return _EVENTS[name](its)
    except Unfit as unfit:
        raise Unfit(unfit.what, f"{name}.{unfit.place}" if unfit.place else name) from None


def _believed(uri: str) -> str:
    try:
        return _UPLOAD + identifier(uri.removeprefix(_UPLOAD)) if uri.startswith(_UPLOAD) else web_url(uri)
    except Unfit:
        return ""


class _Blocks:
    """Takes a stream apart: lines end with CR, LF or both, a blank one ends a block, one that begins with a colon says nothing."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._first = True
        self._after_cr = False
        self._bytes = 0
        self._name = ""
        self._data: list[bytes] = []
        self._data_bytes = 0

    def take(self, piece: bytes) -> Iterator[tuple[str, bytes]]:
        """(name, data) of each block that this piece completes. Raises Unfit where the stream goes beyond the limits."""
        self._bytes += len(piece)
        if self._bytes > STREAM_BYTES:
            raise Unfit(f"a stream of at most {STREAM_BYTES} bytes")
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or piece.endswith(b"\r")
        begun, *lines = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._grow(begun)
        for next_line in lines:
            whole = bytes(self._line)
            self._line.clear()
            yield from self._take_line(whole)
            self._grow(next_line)

    def _grow(self, part: bytes) -> None:
        self._line += part
        if len(self._line) + self._data_bytes > EVENT_BYTES:
            raise Unfit(f"an event of at most {EVENT_BYTES} bytes")

    def _take_line(self, line: bytes) -> Iterator[tuple[str, bytes]]:
        if self._first:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self._first = False
        if not line:
            if self._data:
                yield self._name, b"\n".join(self._data)
            self._name, self._data, self._data_bytes = "", [], 0
            return
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"event":
            self._name = value.decode("utf-8", "replace")
        elif key == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
