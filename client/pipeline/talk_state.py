"""What the page of the assistant shows and asks for. The page pulls a `TalkState`; commands return at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from client.assistant.conversation import Emergency, Turn
from client.assistant.triage import Level
from client.devices.ports import Level as Loudness


class Mode(StrEnum):
    """How somebody speaks to it."""

    TYPED = "typed"
    PUSH_TO_TALK = "push_to_talk"
    HANDS_FREE = "hands_free"


class Phase(StrEnum):
    """What goes on now. SAFETY: an emergency was noticed; nothing else goes on until somebody has seen it."""

    IDLE = "idle"
    LISTENING = "listening"
    HEARING = "hearing"
    UNDERSTANDING = "understanding"
    ANSWERING = "answering"
    SPEAKING = "speaking"
    SAFETY = "safety"


@dataclass(frozen=True, slots=True)
class Highlight:
    """Which sentence is being read aloud. turn, sentence: places in TalkState.turns and Turn.sentences."""

    turn: int
    sentence: int


@dataclass(frozen=True, slots=True)
class TalkState:
    """revision: another one, something is different. partial: what is understood so far of what is being said.

    safety: the standing banner. microphone: its name, "" while it is closed; trouble: what is wrong with it and what to do, "" where nothing is.
    loudness: at it. recogniser, answerer, voice: what is in use, for people ("the clinic's", "on this device"), "" for none; why: in a sentence,
    why not the better one. fault: why the last answer is not whole. may_retry: the last question can be asked again without typing,
    in retry_in_s seconds: the clinic has asked for so long; 0: now.
    asks_consent: nothing leaves until somebody has said yes or no to it. staff_called: the button was pressed; staff_trouble: why nobody
    could be told, "" where they can see it. rates: which turn was good.
    """

    revision: int = 0
    language: str = "en"
    phase: Phase = Phase.IDLE
    mode: Mode = Mode.TYPED
    turns: tuple[Turn, ...] = ()
    partial: str = field(default="", repr=False)
    level: Level = Level.NONE
    safety: Emergency | None = None
    muted: bool = True
    microphone: str = ""
    trouble: str = ""
    loudness: Loudness | None = None
    speaking: Highlight | None = None
    recogniser: str = ""
    answerer: str = ""
    voice: str = ""
    why: str = ""
    fault: str = ""
    may_retry: bool = False
    retry_in_s: int = 0
    asks_consent: bool = False
    staff_called: bool = False
    staff_trouble: str = ""
    rates: Mapping[int, bool] = field(default_factory=dict)


class Talking(Protocol):
    """A conversation under way. Every command returns at once and is safe at any time; what comes of it is in the next state."""

    @property
    def state(self) -> TalkState:
        """As it is now; does not wait."""

    def say(self, text: str) -> None:
        """Typed by the person. What is being answered or read aloud stops."""

    def listen(self, mode: Mode) -> None:
        """PUSH_TO_TALK or HANDS_FREE open the microphone, TYPED closes it."""

    def talk(self, down: bool) -> None:  # noqa: FBT001 (a button is down or not)
        """The button of PUSH_TO_TALK."""

    def mute(self, on: bool) -> None:  # noqa: FBT001 (on or off)
        """Hard: the device is closed, not only ignored."""

    def stop(self) -> None:
        """The answer under way and the voice end; what was said stays."""

    def read_aloud(self, turn: int) -> None:
        """One turn, from its beginning."""

    def speak_answers(self, on: bool) -> None:  # noqa: FBT001 (on or off)
        """Whether answers are read aloud by themselves. Safety is, in any case."""

    def retry(self) -> None:
        """The last question again."""

    def consent(self, given: bool) -> None:  # noqa: FBT001 (the decision itself)
        """Whether what is said and asked may go to the clinic's cloud."""

    def decided(self, given: bool) -> None:  # noqa: FBT001 (the decision itself)
        """The same, decided and kept elsewhere. What is taken back holds at once, also for what is on its way."""

    def renew(self, visit: Sequence[str]) -> None:
        """There may be more to be known of whoever talks, or less. visit: observations of a guest that were made at this visit."""

    def rate(self, turn: int, good: bool) -> None:  # noqa: FBT001 (the verdict itself)
        """Whether an answer helped."""

    def call_staff(self) -> None:
        """Somebody is wanted here: a task for staff and, where the clinic has that, its own alarm."""

    def seen(self) -> None:
        """The safety text was read; the conversation may go on. Its level stays."""

    def forget(self) -> None:
        """All of this conversation, everywhere."""

    def close(self) -> None:
        """Ends its threads; waits for them a little."""
