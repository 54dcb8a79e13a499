"""A visit with a conversation, for test_assistant_story.py: a person who speaks into the sound server's microphone, a clinic on the loopback address
whose traffic is noted, what is written by this process, and what of somebody's words can still be reached in its memory.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import types
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QDialog, QLabel, QWidget

from backend_lambda.streaming.runtime import Prelude
from client import app
from client.assistant.triage.word_net import WordNet
from client.clock import SystemClock
from client.devices.ports import Spoken
from client.devices.speakers import Loudspeaker
from client.devices.voices import SystemVoice
from client.parts import Kept
from client.pipeline.talk_state import Mode, Phase, TalkState
from client.policy import Policy
from client.store.consents import Subject
from client.ui.pages.chat import ChatPage
from client.ui.pages.chat_dialogs import TalkConsentDialog
from client.ui.pages.enrol import EnrolDialog
from tests.client.pipeline.test_talk_live import Person
from tests.conftest import SHARED_DATA
from tests.scenarios.canaries import Canary, text_canary
from tests.stand_ins.api_gateway import Streaming
from tests.stand_ins.hearing_server import HearingServer
from tests.stand_ins.local_cloud import LocalCloud
from tests.ui.conftest import Room
from tests.ui.looking import button_named, click, in_dialog, wait_for
from tests.ui.test_sharing import saved
from tests.ui.test_sync import asked
from tests.ui.test_unsaved import opened
from tests.ui.test_window import with_person

OURS = ("talk", "listen", "speak", "ask", "prepare", "understand", "recognition", "listen-close")
"""Names of the threads of a conversation."""
SPEECH = ("/v1/chat", "/v1/speech/transcription", "/v1/speech/synthesis")
_AUDIBLE = 0.02


# --- Sound


class Ear:
    """At the sound server's monitor: when anything was heard, by a recorder of its own. It hears the person and our own voice.

    Times are those of the sound itself, since it began: a process that is busy reads it late, and that is no silence.
    """

    _RATE_HZ, _PIECE = 16_000, 160

    def __init__(self) -> None:
        program = shutil.which("parec")
        assert program is not None
        command = [program, "--device=loop.monitor", "--raw", "--format=float32le", "--channels=1"]
        self._recorder = subprocess.Popen(
            [*command, f"--rate={self._RATE_HZ}", "--latency-msec=5"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.heard_s: list[float] = []
        self.read_s: list[float] = []
        """Of each of `heard_s`: when it was read, by the clock of this process."""
        self._thread = threading.Thread(target=self._listen, daemon=True, name="ear")
        self._thread.start()

    def first_gap(self, longer_than_s: float) -> tuple[float, float] | None:
        """When the sound ended before the first silence of that length, and when it began again; None: not yet."""
        times = list(self.heard_s)
        return next(((a, b) for a, b in pairwise(times) if b - a > longer_than_s), None)

    def close(self) -> None:
        self._recorder.kill()
        self._thread.join()
        self._recorder.communicate()

    def _listen(self) -> None:
        assert self._recorder.stdout is not None
        pieces = 0
        while piece := self._recorder.stdout.read(4 * self._PIECE):
            pieces += 1
            if float(np.abs(np.frombuffer(piece, "<f4")).max(initial=0.0)) > _AUDIBLE:
                self.read_s.append(time.monotonic())
                self.heard_s.append(pieces * self._PIECE / self._RATE_HZ)

    def read_at(self, heard_s: float) -> float:
        """When that was read."""
        return self.read_s[self.heard_s.index(heard_s)]


class Stages:
    """When a turn reaches each of its stages for the first time, by the clock of this process; looked at every few milliseconds."""

    def __init__(self, visit: Visit) -> None:
        self.reached_s: dict[str, float] = {}
        self._visit, self._turns = visit, len(visit.talk.state.turns)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True, name="stages")
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.003):
            state, now_s = self._visit.talk.state, time.monotonic()
            turns = state.turns[self._turns :]
            for name, here in (
                ("the utterance has ended", state.phase is Phase.UNDERSTANDING or bool(turns)),
                ("it is text, and judged", bool(turns)),
                ("the answer's first sentence", len(turns) > 1 and bool(turns[1].text)),
                ("our voice has it", state.speaking is not None),
            ):
                if here:
                    self.reached_s.setdefault(name, now_s)


@dataclass
class Voices:
    """Sentences of the person, made before, twice as loud as our own voice and without silence around them."""

    voice: SystemVoice = field(default_factory=SystemVoice)
    made: dict[str, Spoken] = field(default_factory=dict)

    def __call__(self, text: str) -> Spoken:
        if text not in self.made:
            spoken = self.voice.synthesize(text, "en", 110)
            loud = np.clip(spoken.samples * 2.0, -1.0, 1.0)
            at = np.flatnonzero(np.abs(loud) > _AUDIBLE)
            self.made[text] = Spoken(loud[at[0] : at[-1] + 1], spoken.rate_hz)
        return self.made[text]


def real_utterances() -> list[Spoken]:
    """Stretches of 1.5 to 3 s of a recording of people (../shared/data/speech, if it is here) with silence around them and none within."""
    file = SHARED_DATA / "speech" / "silero-test-16k.wav"
    if not file.is_file():
        return []
    samples, rate_hz = soundfile.read(file, dtype="float32")
    piece, pause_pieces = rate_hz // 50, 10
    loud = [
        float(np.abs(samples[at : at + piece]).max()) > 0.03 for at in range(0, len(samples) - piece, piece)
    ]
    found: list[Spoken] = []
    begins = ends = None
    for at, here in enumerate([*loud, *([False] * (pause_pieces + 1))]):
        if here:
            begins, ends = at if begins is None else begins, at + 1
        elif begins is not None and ends is not None and at - ends > pause_pieces:
            said = samples[begins * piece : ends * piece]
            if begins > pause_pieces and 1.5 <= len(said) / rate_hz <= 3.0:
                found.append(Spoken(np.clip(said / np.abs(said).max(), -1.0, 1.0), rate_hz))
            begins = ends = None
    return found


class Box(Loudspeaker):
    """Notes when something is heard for the first time after `mark`, and when it was told to be silent.

    In the room our voice is weaker than it is played: at the microphone it is at -18 dB of the person's.
    """

    _IN_THE_ROOM = 0.25

    def __init__(self) -> None:
        super().__init__()
        self.first_s: float | None = None
        self.stops_s: list[float] = []

    def mark(self) -> None:
        self.first_s = None
        self.stops_s.clear()

    def stop(self) -> None:
        super().stop()
        self.stops_s.append(time.monotonic())

    def _speak(self, block: NDArray[np.float32], frames: int, times: object, flags: object) -> None:
        super()._speak(block, frames, times, flags)
        if self.first_s is None and float(np.abs(block).max()) > _AUDIBLE / 4:
            self.first_s = time.monotonic()
        block *= self._IN_THE_ROOM


# --- What leaves, what is written


class Tap:
    """Every request that any HTTP server of this process gets: to the API, and from it to the stand-ins for AWS."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        """The server's class and the path."""

    def paths(self, *wanted: str) -> list[str]:
        """Those of a conversation, unless others are named."""
        return [path for _, path in self.requests if path in (wanted or SPEECH)]

    @contextmanager
    def open(self) -> Iterator[None]:
        parse, tap = BaseHTTPRequestHandler.parse_request, self

        def parsed(handler: BaseHTTPRequestHandler) -> bool:
            fine = parse(handler)
            if fine:
                tap.requests.append((type(handler).__module__, urlsplit(handler.path).path))
            return fine

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BaseHTTPRequestHandler, "parse_request", parsed)
            yield


class Streams:
    """Answers under way in the cloud, so that it is not closed in the midst of one. watched: what its gateway serves."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._under_way: set[object] = set()
        self.watched = {route: self._watching(one) for route, one in cloud.gateway._streaming.items()}

    def wait(self) -> None:
        deadline_s = time.monotonic() + 20.0
        while self._under_way:
            assert time.monotonic() < deadline_s, "an answer never ends"
            time.sleep(0.01)

    def _watching(self, handler: Streaming) -> Streaming:
        def pieces(event: dict[str, Any], context: Any) -> Generator[Prelude | bytes, None, None]:
            mine = object()
            self._under_way.add(mine)
            try:
                with closing(handler(event, context)) as answer:
                    yield from answer
            finally:
                self._under_way.discard(mine)

        return pieces


@dataclass(frozen=True, slots=True)
class Written:
    path: str
    thread: str


_written: list[Written] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or _written is None:
        return
    path, mode, flags = arguments
    writes = isinstance(mode, str) and any(sign in mode for sign in "wax+")
    if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        writes = True
    if writes and not isinstance(path, int) and os.fsdecode(path) != os.devnull:
        _written.append(Written(os.fsdecode(path), threading.current_thread().name))


sys.addaudithook(_watch)  # there is no way to take one off again


@contextmanager
def noting_files() -> Iterator[list[Written]]:
    """What Python code of any thread of this process opens to write into it, in this block."""
    global _written  # noqa: PLW0603 (the hook of a process)
    found: list[Written] = []
    _written = found
    try:
        yield found
    finally:
        _written = None


# --- What is left in memory


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in {"client", "edge_models"}


def _inside(thing: object) -> Iterable[object]:
    """What it holds. A weak proxy holds nothing, and once its object is gone nothing may be asked of it, not even its class."""
    return (one for one in _referents(thing) if type(one) not in weakref.ProxyTypes)


def _referents(thing: object) -> Iterable[object]:
    """What can be reached from it in one step. Of classes and modules of others nothing, and of functions not their modules."""
    match thing:
        case types.ModuleType():
            return vars(thing).values() if _is_ours(thing.__name__) else ()
        case type():
            return vars(thing).values() if _is_ours(thing.__module__) else ()
        case types.FunctionType():
            return [*(thing.__closure__ or ()), thing.__defaults__, thing.__kwdefaults__, thing.__dict__]
        case types.CodeType() | types.FrameType():
            return ()
        case _:
            return gc.get_referents(thing)


def still_there(words: Sequence[str], roots: Iterable[object], *, not_in: Iterable[object]) -> list[str]:
    """Where any of these words stands in text or bytes that can be reached from the roots, all modules of ours and the local variables of the
    conversation's threads; as the kinds of things on the way. not_in: what is not gone into, such as what the test itself holds.
    """
    begins = [*roots, *(module for name, module in list(sys.modules.items()) if _is_ours(name))]
    names = {one.ident: one.name for one in threading.enumerate()}
    for ident, top in sys._current_frames().items():
        if names.get(ident) in OURS:
            frame: types.FrameType | None = top
            while frame is not None:
                begins.append(dict(frame.f_locals))
                frame = frame.f_back
    wanted = [word.lower() for word in words]
    raw = [word.encode() for word in wanted]
    seen = {id(one) for one in not_in}
    kept: list[object] = begins  # so that no identifier is used again meanwhile
    came_from: dict[int, tuple[int, str]] = {}
    queue: deque[object] = deque(begins)
    found: list[str] = []
    while queue:
        thing = queue.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, str):
            hit = any(word in thing.lower() for word in wanted)
        elif isinstance(thing, bytes | bytearray):
            hit = any(word in bytes(thing).lower() for word in raw)
        else:
            hit = False
            for one in _inside(thing):
                if id(one) not in seen:
                    came_from.setdefault(id(one), (id(thing), type(thing).__qualname__))
                    kept.append(one)
                    queue.append(one)
        if hit:
            way, at = [type(thing).__qualname__], id(thing)
            while at in came_from:
                at, kind = came_from[at]
                way.append(kind)
            found.append(" < ".join(way))
    return found


def sound_left(root: object) -> float:
    """Seconds of sound that is no silence (arrays of 32-bit floats with one axis, taken as 16 kHz) reachable from it. A block that the net or the
    canceller works on has another form and is not counted: no more than 36 ms.
    """
    seen: set[int] = set()
    queue: deque[object] = deque([root])
    kept, total = [root], 0
    while queue:
        thing = queue.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            if thing.dtype == np.float32 and thing.ndim == 1:
                total += int(np.count_nonzero(np.abs(thing) > 1e-4))
            continue
        if isinstance(thing, str | bytes | int | float | QWidget | WordNet):
            continue  # the weights of triage are numbers of the same kind, and no sound
        for one in _inside(thing):
            if id(one) not in seen:
                kept.append(one)
                queue.append(one)
    return total / 16_000


def words_in(window: QWidget) -> str:
    """All text of all its widgets, shown or not."""
    found: list[str] = []
    for widget in (window, *window.findChildren(QWidget)):
        found += [widget.accessibleName(), widget.accessibleDescription(), widget.toolTip()]
        for name in ("text", "toPlainText", "placeholderText"):
            get = getattr(widget, name, None)
            if callable(get):
                found.append(str(get()))
    return "\n".join(found)


# --- The visit


@dataclass
class Visit:
    """A window whose device is enrolled with a clinic, with a person whose scan is kept, on the assistant's page."""

    room: Room
    cloud: LocalCloud
    hearing: HearingServer
    tap: Tap
    voices: Voices
    person: Person
    box: Box
    canaries: tuple[Canary, ...]
    window: Any = None
    running: Any = None

    @property
    def page(self) -> ChatPage:
        found = self.window.chat
        assert isinstance(found, ChatPage)
        return found

    @property
    def talk(self) -> Any:
        assert self.page._talk is not None
        return self.page._talk

    @property
    def state(self) -> TalkState:
        found: TalkState = self.talk.state
        return found

    def until(self, holds: Callable[[TalkState], object], what: str, at_most_s: float = 20.0) -> TalkState:
        """The page's own state, so what is waited for is shown."""
        try:
            wait_for(lambda: holds(self.page._state), what, at_most_s)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.page._state}, {self.page._state.turns}") from None
        return self.page._state

    def say(self, text: str, understood: str) -> None:
        """Aloud; the clinic's recogniser takes it for these words."""
        self.hearing.words = understood.split()
        self.person.say(self.voices(text))

    def arrive(self) -> None:
        """Enrol, add somebody, keep a scan that is sent nowhere, and go to the assistant."""
        gc.collect()  # and not while somebody speaks
        self.running, self.window = opened(self.room)
        clinic_id = self.cloud.add_clinic()
        code = self.cloud.enrolment_code(clinic_id)

        def type_it(dialog: QDialog) -> None:
            assert isinstance(dialog, EnrolDialog)
            dialog.code.setText(code)
            dialog.address.setText(self.cloud.url)
            click(dialog.ok)

        self.window.go_to_settings()
        check = in_dialog(type_it)
        self.window._enrolling.enrol()
        check()
        wait_for(lambda: "enrolled with the clinic" in self.window.notice.words, "the enrolment")
        with_person(self.running, self.window, "Ada Lovelace")
        saved(self.window, "Keep here only")
        click(self.window.to_chat)
        self.until(lambda state: state.revision > 0 and state.asks_consent, "the question for consent")

    def decide(self, answer: str) -> None:
        """Of the dialog that says what is sent."""

        def choose(dialog: QDialog) -> None:
            assert isinstance(dialog, TalkConsentDialog)
            click(button_named(dialog, answer))

        check = in_dialog(choose)
        click(button_named(self.page.consent, "Decide…"))
        check()
        self.until(lambda state: not state.asks_consent, "the decision")

    def just_talk(self, mode: Mode = Mode.HANDS_FREE) -> None:
        box: QComboBox = self.page.mode
        at = box.findData(mode)
        box.setCurrentIndex(at)
        box.activated.emit(at)

    def ask_by_hand(self, text: str) -> None:
        QTest.keyClicks(self.page.composer, text)
        click(self.page.send)

    def tasks(self) -> int:
        return int(asked(self.window, lambda kept: kept.tasks.count()))

    def agreed(self) -> bool | None:
        """As it is kept in the store."""

        def look(kept: Kept) -> bool | None:
            found = kept.consents.newest(self.window._whose.person, Subject.ASSISTANT)
            return None if found is None else found.given

        found: bool | None = asked(self.window, look)
        return found

    def asked_models(self) -> int:
        return len(self.cloud.aws.bedrock.requests)


@contextmanager
def visiting(
    room: Room,
    cloud: LocalCloud,
    patch: pytest.MonkeyPatch,
    chance: random.Random,
    *,
    policy: Policy | None = None,
) -> Iterator[Visit]:
    """Everything but the window's first minute: see Visit.arrive. A sound server must be there already."""
    cloud.aws.bedrock.clear()
    with ExitStack() as stack:
        hearing = stack.enter_context(HearingServer())
        place = urlsplit(hearing.url).netloc
        patch.setattr("backend_lambda.aws.speech.AwsSpeech._host", lambda _self: ("http", place))
        box = Box()
        patch.setattr("client.devices.speakers.Loudspeaker", lambda: box)
        its_policy = policy or Policy(country="PT")
        streams = Streams(cloud)
        patch.setattr(cloud.gateway, "_streaming", streams.watched)
        room.parts = replace(room.parts, talk=partial(app._talk, SystemClock(), lambda: its_policy))
        tap = Tap()
        stack.enter_context(tap.open())
        voices = Voices()
        rate_hz = voices("Yes.").rate_hz
        person = Person(rate_hz)
        stack.callback(person.leave)
        canaries = tuple(text_canary(name, chance, plain=True) for name in ("asked", "answered"))
        visit = Visit(room, cloud, hearing, tap, voices, person, box, canaries)
        try:
            yield visit
        finally:
            if visit.window is not None:
                visit.page.end()
            streams.wait()


def labels(page: QWidget) -> str:
    """What is to be read on it."""
    return "\n".join(one.text() for one in page.findChildren(QLabel) if one.isVisible())


def files_under(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def lacking() -> str:
    """What a voice turn needs and this machine has not."""
    return "" if shutil.which("espeak-ng") else "there is no espeak-ng (Debian's package)"


def seconds(values: Sequence[float]) -> dict[str, float]:
    """Of a few measurements."""
    return {
        "median_s": round(float(np.median(values)), 3),
        "least_s": round(min(values), 3),
        "most_s": round(max(values), 3),
    }
