"""A room with a microphone, a loudspeaker, a voice, a recogniser and a clinic for the tests of a conversation; time is turned by hand.

A block of sound is a constant whose height is how likely it is speech, so nothing here depends on the net.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from client.assistant.conversation import Conversation
from client.assistant.evidence import Library
from client.assistant.triage import Readings, Verdict
from client.cloud import faults, wire
from client.cloud.chat import (
    Chat,
    ChatCitation,
    ChatDelta,
    ChatDone,
    ChatEvent,
    ChatStart,
    ChatUrgency,
)
from client.devices.ports import Level, Recogniser, SoundBlock, Spoken, Transcript
from client.errors import EnvironmentFault, SourceStalled
from client.evaluation import hostile_models
from client.pipeline.asking import Line
from client.pipeline.evidence import Gathered
from client.pipeline.talk import Clinic, Means, Talk
from client.pipeline.talk_state import TalkState
from edge_models.types import Float32Array
from tests.client.assistant.conversing import EVIDENCE, Shelf
from tests.client.assistant.triaging import PLACE, SmallTriage
from tests.client.pipeline.fakes import HandClock

PATIENCE_S = 10.0
BLOCK, BLOCK_S = 512, 0.032
HEIGHT = 0.5
VOICE_HZ = 1_000


def eventually(holds: Callable[[], object], what: Callable[[], object] = lambda: "") -> None:
    """Waits until it does. what: is asked where it does not."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s, f"it did not come about: {what()}"
        time.sleep(0.001)


def fault(title: str = "It is broken") -> EnvironmentFault:
    """Of the world."""
    return EnvironmentFault(title=title, remedy="Mend it.", retry=True)


def stalled() -> SourceStalled:
    """What a microphone raises that sends nothing."""
    return SourceStalled(title="Mic sends nothing", remedy="Plug it out and in again.", retry=True)


class CodedOdds:
    """How likely speech is stands in the block itself."""

    def __init__(self) -> None:
        self.resets = 0

    def probability(self, block: Float32Array) -> float:
        return float(np.clip(np.median(block) / HEIGHT, 0.0, 1.0))

    def reset(self) -> None:
        self.resets += 1


class Room:
    """Makes microphones, all of one room. microphones: those that were made."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.refuses: Exception | None = None
        self.level = Level(-40.0, only_zeros=False)
        self.microphones: list[RoomMicrophone] = []
        self.settled: Callable[[], bool] = lambda: True
        """Whether what was heard is dealt with."""

    def microphone(self) -> RoomMicrophone:
        made = RoomMicrophone(self)
        self.microphones.append(made)
        return made

    @property
    def open(self) -> bool:
        """Whether any of them is."""
        return any(one.is_open for one in self.microphones)

    def now(self) -> RoomMicrophone:
        eventually(lambda: self.open, lambda: "no microphone was opened")
        return next(one for one in reversed(self.microphones) if one.is_open)

    def hear(self, odds: float, blocks: int) -> None:
        """So many blocks of 32 ms; the clock goes along. Returns when all are taken."""
        microphone = self.now()
        for _ in range(blocks):
            self.clock.at_s += BLOCK_S
            microphone.give(SoundBlock(np.full(BLOCK, odds * HEIGHT, np.float32), self.clock.at_s))
            eventually(lambda: (microphone.idle and self.settled()) or not microphone.is_open)

    def speech(self, seconds: float = 0.6) -> None:
        """Somebody speaks, and then is silent until that is known for sure."""
        self.hear(0.95, round(seconds / BLOCK_S))
        self.hear(0.0, 17)


class RoomMicrophone:
    """See client.devices.ports.SoundSource."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._given: queue.SimpleQueue[SoundBlock | Exception | None] = queue.SimpleQueue()
        self.is_open = False
        self._count = self._taken = self._dealt_with = 0
        self.opened_by = ""
        self.hangs = False
        self._closed = threading.Event()

    def open(self) -> str:
        if self._room.refuses is not None:
            raise self._room.refuses
        self.opened_by = threading.current_thread().name
        self.is_open = True
        return "Desk microphone"

    def give(self, what: SoundBlock | Exception | None) -> None:
        self._count += 1
        self._given.put(what)

    @property
    def idle(self) -> bool:
        """Whether whoever reads has dealt with all of it, and wants more."""
        return self._dealt_with == self._count

    def read(self) -> SoundBlock | None:
        self._dealt_with = self._taken
        if self.hangs:
            self._closed.wait(20.0)
        while not self._closed.is_set():
            try:
                found = self._given.get(timeout=0.005)
            except queue.Empty:
                continue
            self._taken += 1
            if isinstance(found, Exception):
                raise found
            return found
        return None

    def level(self) -> Level | None:
        return self._room.level

    def close(self) -> None:
        self.is_open = False
        self._closed.set()


class Box:
    """See client.devices.ports.SoundSink: a loudspeaker that takes as long as the hand-turned clock says."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._ends_s = clock.now_s()
        self.opened = self.stops = self.closed = self.moves = 0
        self.given: list[float] = []
        self.refuses: Exception | None = None
        self.breaks: Exception | None = None

    def open(self) -> str:
        if self.refuses is not None:
            raise self.refuses
        self.opened += 1
        return "Box"

    def play(self, samples: Float32Array, rate_hz: int) -> None:
        if self.breaks is not None:
            raise self.breaks
        self._ends_s = max(self._ends_s, self._clock.now_s()) + len(samples) / rate_hz
        self.given.append(len(samples) / rate_hz)

    def played(self, n: int) -> Float32Array:
        return np.zeros(n, np.float32)

    @property
    def waiting_s(self) -> float:
        return max(0.0, self._ends_s - self._clock.now_s())

    def stop(self) -> None:
        self.stops += 1
        self._ends_s = self._clock.now_s()

    def close(self) -> None:
        self.closed += 1


class FakeVoice:
    """A second for each sentence."""

    def __init__(self, name: str = "this device's voice") -> None:
        self.name = name
        self.said: list[str] = []
        self.rates: list[int] = []
        self.fails: Exception | None = None
        self.gate: threading.Event | None = None

    def speaks(self, language: str) -> bool:
        return bool(language)

    def synthesize(self, text: str, language: str, rate_percent: int) -> Spoken:
        if self.gate is not None:
            assert self.gate.wait(PATIENCE_S)
        if self.fails is not None:
            raise self.fails
        self.said.append(text)
        self.rates.append(rate_percent)
        return Spoken(np.full(VOICE_HZ, 0.1, np.float32), VOICE_HZ)


class FakeRecogniser:
    """Understands what stands in `texts`, one utterance after the other."""

    def __init__(self, name: str = "on this device") -> None:
        self.name = name
        self.is_ready = True
        self.texts: list[str | Exception] = []
        self.utterances: list[FakeRecognition] = []
        self.partly = ""
        self.gate: threading.Event | None = None

    def ready(self, language: str) -> bool:
        return self.is_ready

    def begin(self, language: str) -> FakeRecognition:
        self.utterances.append(FakeRecognition(self))
        return self.utterances[-1]


class FakeRecognition:
    def __init__(self, by: FakeRecogniser) -> None:
        self._by = by
        self.samples = 0
        self.cancelled = threading.Event()

    def push(self, samples: Float32Array) -> None:
        self.samples += len(samples)

    def partial(self) -> str:
        return self._by.partly

    def finish(self) -> Transcript:
        gate = self._by.gate
        while gate is not None and not gate.wait(0.01) and not self.cancelled.is_set():
            pass
        found = self._by.texts.pop(0) if self._by.texts else ""
        if isinstance(found, Exception):
            raise found
        return Transcript(found, "en", None)

    def cancel(self) -> None:
        self.cancelled.set()


@dataclass
class Hang:
    """In an answer: nothing comes until the connection is closed."""


START, DONE = ChatStart("r", "m", "none"), ChatDone("end_turn", 1, 1, "none")
Answer = Callable[[], Iterable[ChatEvent | Exception | Hang]]


def saying(text: str, *more: ChatEvent | Exception | Hang, size: int = 9) -> Answer:
    """An answer in pieces; `more` comes instead of its end."""
    deltas = [ChatDelta(text[at : at + size]) for at in range(0, len(text), size)]
    return lambda: [START, *deltas, *(more or (DONE,))]


def hostile(name: str, language: str) -> Answer:
    """A model that means harm, as the server would stream it."""

    def stream() -> Iterator[ChatEvent | Exception]:
        yield START
        for event in itertools.islice(hostile_models.MODELS[name](language), 5_000):
            match event:
                case hostile_models.Delta(text):
                    yield ChatDelta(text)
                case hostile_models.Urgency(word):
                    yield ChatUrgency(word)
                case hostile_models.Cite(cited, title, quote):
                    yield ChatCitation(cited, title, "", quote)
                case hostile_models.Done(reason):
                    yield ChatDone(reason, 1, 1, "none")
                    return
                case hostile_models.Broken():
                    yield faults.ConnectionBroken()

    return stream


class FakeClinic:
    """Writes down whatever is asked of it, into the story of all."""

    def __init__(self, story: list[str]) -> None:
        self.story = story
        self.asked: list[Chat] = []
        self.answers: list[Answer] = []
        self.connections = self.closed = 0
        self.finished = 0
        self._cut = threading.Event()

    def connect(self) -> Line:
        self.connections += 1
        cut = threading.Event()

        def close() -> None:
            self.closed += 1
            cut.set()

        return Line(_Connected(self, cut), close)

    def _stream(self, chat: Chat, cut: threading.Event) -> Generator[ChatEvent, None, None]:
        self.story.append("asked the clinic")
        self.asked.append(chat)
        answer = self.answers.pop(0) if self.answers else saying("Ask a nurse about that.")
        for one in answer():
            if isinstance(one, Hang):
                assert cut.wait(20.0)
            if cut.is_set():
                raise faults.Closed
            if isinstance(one, Exception):
                raise one
            if not isinstance(one, Hang):
                yield one
        self.finished += 1


@dataclass
class _Connected:
    of: FakeClinic
    cut: threading.Event

    def ask(self, question: Chat) -> Generator[ChatEvent, None, None]:
        return self.of._stream(question, self.cut)

    def transcription(self, wanted: wire.NewTranscription) -> wire.Transcription:
        raise AssertionError("nobody wants a place for speech here")

    def synthesize(self, wanted: wire.NewSynthesis) -> bytes:
        raise AssertionError("nobody wants a voice here")


class ToldTriage(SmallTriage):
    """Writes down that it was asked. breaks: what it raises instead."""

    def __init__(self, story: list[str]) -> None:
        super().__init__()
        self._story = story
        self.breaks: Exception | None = None

    def judge_with_vitals(self, text: str, language: str, readings: Readings) -> Verdict:
        if self.breaks is not None:
            raise self.breaks
        self._story.append("judged")
        return super().judge_with_vitals(text, language, readings)


@dataclass
class Stage:
    """A conversation and everything around it. guest: is asked anew each time."""

    clock: HandClock = field(default_factory=HandClock)
    language: str = "en"
    agreed: bool | None = True
    guest: bool = False
    has_clinic: bool = True
    library: Library = field(default_factory=Shelf)
    story: list[str] = field(default_factory=list)
    converse_fails: Exception | None = None
    staff: Callable[[], bool] = lambda: True
    wants_clinic_recogniser: bool = False
    has_recogniser: bool = True
    gather: Callable[[Sequence[str]], Gathered | None] | None = None
    clinic_voice: FakeVoice | None = None
    shares_documents: bool = True

    def __post_init__(self) -> None:
        self.room, self.box, self.voice = Room(self.clock), Box(self.clock), FakeVoice()
        self.recogniser, self.clinic = FakeRecogniser(), FakeClinic(self.story)
        self.clinic_recogniser = FakeRecogniser("the clinic's")
        self.triage = ToldTriage(self.story)
        self.decisions: list[bool] = []
        self.decide_fails: Exception | None = None
        self.odds = CodedOdds()
        self.line_closed = 0
        self.talk: Talk | None = None

    def begin(self) -> Talk:
        own: Recogniser | None = self.recogniser if self.has_recogniser else None
        means = Means(
            converse=self._converse,
            microphone=self.room.microphone,
            odds=lambda: self.odds,
            loudspeaker=lambda: self.box,
            recogniser=own,
            voices=[self.voice],
            clinic=self._clinic,
            call_staff=self._staff,
            gather=self.gather,
            visit=("before",),
        )
        self.talk = Talk(means, self.language, self.clock)
        self.room.settled = self.talk._jobs.empty
        eventually(lambda: self.state.revision > 0 or self.converse_fails)
        return self.talk

    def _converse(self) -> Conversation:
        if self.converse_fails is not None:
            raise self.converse_fails
        return Conversation(self.triage, self.language, library=self.library, evidence=EVIDENCE, place=PLACE)

    def _clinic(self) -> Clinic | str:
        if not self.has_clinic:
            return "Answered on this device: it belongs to no clinic."
        return Clinic(
            patient_id=lambda _conversation: "0b9f0c7e-4a55-4d0a-8a53-6a3f0c3c2c11",
            connect=self.clinic.connect,
            agreed=self._agreed,
            decide=self._decide,
            recogniser=self.clinic_recogniser if self.wants_clinic_recogniser else None,
            close=self._close_line,
            of_guest=self.guest,
            shares_documents=lambda: self.shares_documents,
            voice=self.clinic_voice,
        )

    def _agreed(self) -> bool | None:
        return None if self.guest else self.agreed

    def _decide(self, given: bool) -> None:
        if self.decide_fails is not None:
            raise self.decide_fails
        self.decisions.append(given)
        self.agreed = given

    def _staff(self) -> bool:
        return self.staff()

    def _close_line(self) -> None:
        self.line_closed += 1

    @property
    def state(self) -> TalkState:
        assert self.talk is not None
        return self.talk.state

    def until(self, holds: Callable[[TalkState], object]) -> TalkState:
        """Waits for a state; it."""
        found: list[TalkState] = []

        def look() -> bool:
            found.append(self.state)
            return bool(holds(found[-1]))

        eventually(look, lambda: (self.state, self.texts()))
        return found[-1]

    def turn(self, seconds: float) -> None:
        """The clock."""
        self.clock.at_s += seconds

    def texts(self) -> list[str]:
        """Of all turns."""
        return [one.text for one in self.state.turns]

    def heard_aloud(self, *sentences: str) -> None:
        """Turns the clock until all was spoken; these are in it, in order."""

        def spoken() -> bool:
            self.clock.at_s += 0.2
            places = [
                next((at for at, one in enumerate(self.voice.said) if text in one), -1) for text in sentences
            ]
            return -1 not in places and places == sorted(places)

        eventually(spoken, lambda: self.voice.said)


def threads() -> set[threading.Thread]:
    """Of a conversation, that are there now."""
    ours = ("talk", "listen", "speak", "ask", "understand", "prepare", "gather")
    return {one for one in threading.enumerate() if one.name.startswith(ours)}


def reachable(canary: str) -> Sequence[Any]:
    """What still holds the words, of all that Python's collector knows."""
    import gc

    gc.collect()
    found: list[Any] = []
    for one in gc.get_objects():
        if one is found or not isinstance(one, (dict, list, tuple, set)):
            continue
        members = one.values() if isinstance(one, dict) else one
        try:
            found += [type(one) for member in list(members) if isinstance(member, str) and canary in member]
        except RuntimeError:
            continue
    return found
