"""A conversation whose every state the test writes, and that notes what it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from client.assistant.conversation import Emergency, Role, Turn
from client.assistant.evidence import Citation
from client.assistant.triage import Level
from client.devices.ports import Manner
from client.parts import Kept, nothing_kept
from client.pipeline.talk_state import Mode, Phase, TalkState
from tests.ui.conftest import Room

HEART_RATE = Citation("v1", "Heart rate", "Heart rate 72 (70–74) per minute", "fact:heart_rate")
RESTING = Citation(
    "k1", "Your heart at rest", "At rest most hearts beat 60 to 100 times a minute.", "article:rest"
)
LETTER = Citation("d1", "Letter of the clinic", "", "upload:00000000-0000-4000-8000-000000000001")
ASKED = Turn(Role.PERSON, "What was my heart rate?")
ANSWER = Turn(
    Role.ASSISTANT,
    "Your heart rate was 72 (70–74) per minute [v1]. At rest most hearts beat 60 to 100 times a minute [k1]. Your letter says more [d1].",
    (HEART_RATE, RESTING, LETTER),
    "cloud",
    True,
    (
        "Your heart rate was 72 (70–74) per minute.",
        "At rest most hearts beat 60 to 100 times a minute.",
        "Your letter says more.",
    ),
)
CHEST = Emergency(
    Level.EMERGENCY,
    "chest_pain",
    "Pain or pressure in the chest can be a sign of a heart problem that needs help at once. Call 112 now, or tell a member of staff. "
    "Sit down, rest, and do not drive yourself.",
    "Call a member of staff",
    "112",
)
SOON = Emergency(
    Level.URGENT,
    "heart",
    "This should be looked at by a doctor today. Tell a member of staff.",
    "Call a member of staff",
    "112",
)


@dataclass
class FakeTalk:
    """Implements client.pipeline.talk_state.Talking. calls: what the page wanted, in order. Follows only what a state must follow at once."""

    language: str = "en"
    state: TalkState = field(default_factory=TalkState)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    closed: bool = False

    def show(self, **changes: Any) -> None:
        """Another state."""
        self.state = replace(self.state, revision=self.state.revision + 1, **changes)

    def say(self, text: str) -> None:
        self.calls.append(("say", text))
        self.show(turns=(*self.state.turns, Turn(Role.PERSON, text)))

    def listen(self, mode: Mode) -> None:
        self.calls.append(("listen", mode))
        typed = mode is Mode.TYPED
        phase = Phase.LISTENING if mode is Mode.HANDS_FREE else Phase.IDLE
        self.show(mode=mode, muted=typed, phase=phase, microphone="" if typed else "Desk microphone")

    def talk(self, down: bool) -> None:
        self.calls.append(("talk", down))

    def mute(self, on: bool) -> None:
        self.calls.append(("mute", on))
        self.show(muted=on)

    def stop(self) -> None:
        self.calls.append(("stop",))
        self.show(phase=Phase.IDLE, speaking=None)

    def read_aloud(self, turn: int) -> None:
        self.calls.append(("read_aloud", turn))

    def speak_answers(self, on: bool) -> None:
        self.calls.append(("speak_answers", on))

    def retry(self) -> None:
        self.calls.append(("retry",))
        self.show(fault="", may_retry=False)

    def consent(self, given: bool) -> None:
        self.calls.append(("consent", given))
        self.show(asks_consent=False)

    def decided(self, given: bool) -> None:
        self.calls.append(("decided", given))

    def renew(self, visit: Sequence[str]) -> None:
        self.calls.append(("renew", tuple(visit)))

    def rate(self, turn: int, good: bool) -> None:
        self.calls.append(("rate", turn, good))
        self.show(rates={**self.state.rates, turn: good})

    def call_staff(self) -> None:
        self.calls.append(("call_staff",))
        self.show(staff_called=True)

    def seen(self) -> None:
        self.calls.append(("seen",))
        self.show(phase=Phase.IDLE)  # the level holds, and what is said of it

    def forget(self) -> None:
        self.calls.append(("forget",))
        self.state = TalkState(revision=self.state.revision + 1, language=self.language, mode=self.state.mode)

    def close(self) -> None:
        self.calls.append(("close",))
        self.closed = True


@dataclass
class Talks:
    """Every conversation that was begun. fault: raised instead of beginning one. begun: the newest, of whom, with what of this visit, through
    which microphone. kept: what it was given to ask for the store; manner: how it is to be read aloud.
    """

    made: list[FakeTalk] = field(default_factory=list)
    fault: Callable[[], Exception] | None = None
    begun: tuple[str | None, tuple[str, ...], str] = (None, (), "")
    kept: Callable[[], Kept | None] = nothing_kept
    manner: Callable[[], Manner] = Manner

    def make(
        self,
        language: str,
        kept: Callable[[], Kept | None] = nothing_kept,
        person: str | None = None,
        visit: Sequence[str] = (),
        microphone: str = "",
        manner: Callable[[], Manner] = Manner,
    ) -> FakeTalk:
        if self.fault is not None:
            raise self.fault()
        self.manner = manner
        self.kept, self.begun = kept, (person, tuple(visit), microphone)
        self.made.append(FakeTalk(language, TalkState(language=language)))
        return self.made[-1]

    @property
    def now(self) -> FakeTalk:
        """The newest."""
        return self.made[-1]


def with_talks(room: Room) -> Talks:
    """The room with an assistant, before its window is started."""
    talks = Talks()
    room.parts = replace(room.parts, talk=talks.make)
    return talks
