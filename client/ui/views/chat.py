"""What the page of the assistant shows of a conversation: every word, who said it, what can be opened and pressed. A pure function of TalkState.

What people, models and documents wrote is shown as plain text, without signs that nobody sees or that turn its direction.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from client.assistant.conversation import Emergency, Role, Turn
from client.assistant.evidence import Citation
from client.assistant.sentences import CITING
from client.assistant.triage import Level
from client.language import marked, said
from client.pipeline.talk_state import Highlight, Mode, Phase, TalkState
from client.ui.views.history import LEFT_TO_RIGHT

MOST_TYPED = 4_000
"""Characters of one question: as many as are asked outside."""
_JOINERS = "\u200c\u200d"
"""Invisible, and parts of words in Persian and Hindi."""
_MOST_MARKS = 4
_LONGEST_WORD, _PIECE = 40, 20
_BREAK = "\u200b"
_TITLE_LETTERS = 36
_COUNTED_S = 120

MODES: Mapping[Mode, str] = {
    Mode.TYPED: marked("Type"),
    Mode.PUSH_TO_TALK: marked("Press a button and talk"),
    Mode.HANDS_FREE: marked("Just talk"),
}


@dataclass(frozen=True, slots=True)
class CitationView:
    """One source of an answer. words: on its button; spoken: its whole name. kind: "fact", "document" or "passage"; target: a vital's name, a
    document's identifier, an article's, or "". title, text: what a passage is, shown as it is.
    """

    words: str = field(repr=False)
    spoken: str = field(repr=False)
    kind: str
    target: str
    title: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TurnView:
    """at: its place in TalkState.turns, for commands. kind: "person", "assistant" or "safety". note: what is to be said of it, or "".

    marked: the sentence that is read aloud, as the places where it begins and ends in `text`. rated: None where nobody has.
    """

    at: int
    kind: str
    who: str
    text: str = field(repr=False)
    note: str = ""
    right_to_left: bool = False
    citations: tuple[CitationView, ...] = ()
    marked: tuple[int, int] | None = None
    growing: bool = False
    reading: bool = False
    may_read: bool = False
    may_rate: bool = False
    rated: bool | None = None


@dataclass(frozen=True, slots=True)
class BannerView:
    """What stands over everything. number: a line with the number to call. staff: on the button that calls them. told: what became of it; or ""."""

    heading: str
    text: str
    number: str
    staff: str
    told: str
    emergency: bool

    @property
    def spoken(self) -> str:
        """All of it, for a screen reader."""
        return "\n".join(part for part in (self.heading, self.number, self.text, self.told) if part)


@dataclass(frozen=True, slots=True)
class ChatView:
    """alone: the banner is all that is shown. reminder: of what was read already and still holds; or "". partial: of what is being said now. status: what goes on. in_use: what hears, answers and speaks, and why.

    trouble: of the microphone; fault: of the last answer; retry: on the button that asks again, "" for none; may_retry: it may be pressed by now. mute: on its button; muted: whether it is off.
    """

    banner: BannerView | None
    alone: bool
    reminder: str
    turns: tuple[TurnView, ...]
    partial: str
    partial_right_to_left: bool
    status: str
    in_use: str
    trouble: str
    fault: str
    retry: str
    may_retry: bool
    asks_consent: bool
    mode: Mode
    may_type: bool
    may_listen: bool
    may_talk: bool
    talks: bool
    may_mute: bool
    muted: bool
    mute: str
    hears: bool
    may_stop: bool
    may_forget: bool
    staff_told: str


class Cleaned:
    """`shown`, of the texts that stood in this view or the one before: they are asked for twenty times a second."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}
        self._before: dict[str, str] = {}

    def begin(self) -> None:
        """Another view: what was not in the last one is forgotten."""
        self._before, self._now = self._now, {}

    def __call__(self, text: str) -> str:
        found = self._now.get(text)
        if found is None:
            found = self._before.get(text)
            self._now[text] = found = shown(text) if found is None else found
        return found


def view(state: TalkState, cleaned: Cleaned | None = None, read: Emergency | None = None) -> ChatView:
    """All of it. cleaned: of the views before. read: what somebody has said that they had read; it is a banner again when it comes again."""
    cleaned = Cleaned() if cleaned is None else cleaned
    cleaned.begin()
    safety = state.phase is Phase.SAFETY
    told = _told(state)
    stands = None if state.safety is None else _banner(state.safety, told)
    unread = safety or state.safety != read
    banner = stands if unread else None
    turns = tuple(
        one
        for one in (_turn(at, turn, state, cleaned) for at, turn in enumerate(state.turns))
        if one.text or one.growing
    )
    open_ = state.mode is not Mode.TYPED and not state.muted and bool(state.microphone)
    partial = shown(state.partial)
    return ChatView(
        banner=banner,
        alone=banner is not None and (banner.emergency or safety),
        reminder="" if stands is None or unread else _sentences(stands.heading, stands.number),
        turns=turns,
        partial=partial,
        partial_right_to_left=right_to_left(partial),
        status=_status(state),
        in_use=_in_use(state),
        trouble=state.trouble,
        fault=" ".join(one for one in (state.staff_trouble, state.fault) if one),
        retry=_retry(state.retry_in_s) if state.may_retry and not safety else "",
        may_retry=state.may_retry and not safety and not state.retry_in_s,
        asks_consent=state.asks_consent,
        mode=state.mode,
        may_type=not safety,
        may_listen=not safety,
        may_talk=state.mode is Mode.PUSH_TO_TALK and open_ and not safety,
        talks=state.mode is Mode.PUSH_TO_TALK,
        may_mute=state.mode is not Mode.TYPED,
        muted=state.muted,
        mute=said("Switch the microphone on") if state.muted else said("Switch the microphone off"),
        hears=open_,
        may_stop=state.speaking is not None
        or state.phase in (Phase.UNDERSTANDING, Phase.ANSWERING, Phase.SPEAKING),
        may_forget=bool(turns or partial or state.level is not Level.NONE),
        staff_told="" if state.staff_trouble else told,
    )


def _retry(in_s: int) -> str:
    if not in_s:
        return said("Ask again")
    if in_s <= _COUNTED_S:
        return said("Ask again in {seconds} s", seconds=in_s)
    return said("Ask again in {minutes} min", minutes=math.ceil(in_s / 60.0))


def _told(state: TalkState) -> str:
    """What became of a call for staff."""
    if not state.staff_called:
        return ""
    return state.staff_trouble or said(
        "Staff can see on this device that you asked for help. If nobody comes soon, ask somebody near you."
    )


def _banner(safety: Emergency, told: str) -> BannerView:
    emergency = safety.level is Level.EMERGENCY
    if safety.number is None:
        number = said("Call your local emergency number") if emergency else ""
    elif emergency:
        number = said("Call {number}", number=f"{LEFT_TO_RIGHT}{safety.number}{LEFT_TO_RIGHT}")
    else:
        number = said(
            "If it gets worse, call {number}", number=f"{LEFT_TO_RIGHT}{safety.number}{LEFT_TO_RIGHT}"
        )
    return BannerView(
        heading=said("This may be an emergency") if emergency else said("This should be looked at soon"),
        text=shown(safety.text),
        number=number,
        staff=shown(safety.call_staff) or said("Call staff"),
        told=told,
        emergency=emergency,
    )


def _status(state: TalkState) -> str:
    by_phase = {
        Phase.HEARING: said("I hear you …"),
        Phase.UNDERSTANDING: said("One moment …"),
        Phase.ANSWERING: said("Answering …"),
        Phase.SPEAKING: said("Reading aloud. Stop it with the button, or by speaking.")
        if state.mode is Mode.HANDS_FREE and not state.muted
        else said("Reading aloud."),
        Phase.SAFETY: said("Read the message first."),
    }
    if state.phase in by_phase:
        return by_phase[state.phase]
    if state.mode is Mode.TYPED:
        return ""
    if state.muted:
        return said("The microphone is off.")
    if not state.microphone:
        return "" if state.trouble else said("The microphone is being opened …")
    if state.mode is Mode.PUSH_TO_TALK:
        return (
            said("Speak now.")
            if state.phase is Phase.LISTENING
            else said("Hold the button while you talk, or press it before and after.")
        )
    return said("Listening. Say something whenever you like.")


def _in_use(state: TalkState) -> str:
    parts = [
        said("Heard by: {name}.", name=state.recogniser) if state.recogniser else "",
        said("Answered by: {name}.", name=state.answerer) if state.answerer else "",
        said("Read aloud by: {name}.", name=state.voice) if state.voice else "",
        said("Microphone: {name}.", name=shown(state.microphone)) if state.microphone else "",
        state.why,
    ]
    return " ".join(part for part in parts if part)


# --- One turn


def _turn(at: int, turn: Turn, state: TalkState, cleaned: Cleaned) -> TurnView:
    text = cleaned(turn.text)
    last = at == len(state.turns) - 1
    answer = turn.role is Role.ASSISTANT
    growing = answer and last and not turn.complete and state.phase in (Phase.ANSWERING, Phase.SPEAKING)
    marked_at = _marked(text, turn.sentences, state.speaking, at)
    reading = state.speaking is not None and state.speaking.turn == at
    done = not growing and bool(text) and turn.role is not Role.PERSON
    return TurnView(
        at=at,
        kind=str(turn.role),
        who=_who(turn),
        text=text or ("…" if growing else ""),
        note=said("Broken off here.") if answer and not turn.complete and not growing else "",
        right_to_left=right_to_left(text),
        citations=tuple(_citation(one, cleaned) for one in turn.citations),
        marked=marked_at,
        growing=growing,
        reading=reading,
        may_read=done and bool(state.voice) and state.phase is not Phase.SAFETY,
        may_rate=done and answer,
        rated=state.rates.get(at),
    )


def _who(turn: Turn) -> str:
    if turn.role is Role.PERSON:
        return said("You")
    if turn.role is Role.SAFETY:
        return said("Important")
    return (
        said("Assistant, on this device") if turn.source == "device" else said("Assistant, from the clinic")
    )


def _citation(one: Citation, cleaned: Cleaned) -> CitationView:
    name, title = cleaned(one.id), cleaned(one.title)
    kind, _, target = one.uri.partition(":")
    found = {"fact": "fact", "upload": "document"}.get(kind, "passage")
    target = target if kind in {"fact", "upload", "article"} else ""
    short = title if len(title) <= _TITLE_LETTERS else f"{title[: _TITLE_LETTERS - 1].rstrip()}…"
    spoken = {
        "fact": said("Source {id}, a measurement: {title}", id=name, title=title),
        "document": said("Source {id}, a document: {title}", id=name, title=title),
        "passage": said("Source {id}: {title}", id=name, title=title),
    }[found]
    return CitationView(
        f"[{name}] {short}".replace("\n", " "),
        spoken,
        found,
        target,
        title,
        cleaned(one.quote),
    )


def _marked(
    text: str, sentences: Sequence[str], speaking: Highlight | None, at: int
) -> tuple[int, int] | None:
    if speaking is None or speaking.turn != at or not 0 <= speaking.sentence < len(sentences):
        return None
    return spans(text, sentences)[speaking.sentence]


def spans(text: str, sentences: Sequence[str]) -> tuple[tuple[int, int] | None, ...]:
    """Where each sentence, as it is spoken, begins and ends in the text, which has citations too. None: it is not there."""
    cited = {at for found in CITING.finditer(text) for at in range(*found.span())}
    places = [at for at, sign in enumerate(text) if at not in cited and _counts(sign)]
    whole = "".join(text[at] for at in places)
    found: list[tuple[int, int] | None] = []
    begin = 0
    for one in sentences:
        wanted = "".join(sign for sign in shown(one) if _counts(sign))
        at = whole.find(wanted, begin) if wanted else -1
        if at < 0:
            found.append(None)
            continue
        begin = at + len(wanted)
        found.append((places[at], places[begin - 1] + 1))
    return tuple(found)


def _counts(sign: str) -> bool:
    return not sign.isspace() and sign != _BREAK


def announced(before: Sequence[TurnView], now: Sequence[TurnView], *, speaks: bool) -> str:
    """What a screen reader is told: answers that are whole since then. speaks: they are read aloud already. Safety is the banner's."""
    known = {one.at for one in before if not one.growing}
    if speaks:
        return ""
    return "\n".join(
        f"{one.who}: {one.text}"
        for one in now
        if one.kind == "assistant" and not one.growing and one.at not in known
    )


# --- Text that others wrote


def shown(text: str) -> str:
    """As it may stand on the screen: no controls, no signs that turn the direction, no towers of marks, no word without a place to break."""
    made: list[str] = []
    marks = 0
    for sign in text.replace("\r\n", "\n"):
        category = unicodedata.category(sign)
        plain = sign
        if sign in "\n\r\x0b\x0c\x85" or category in {"Zl", "Zp"}:
            plain = "\n"
        elif sign == "\t":
            plain = " "
        elif category[0] == "C" and sign not in _JOINERS:
            continue
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks <= _MOST_MARKS:
            made.append(plain)
    cleaned = re.sub(r"\n{3,}", "\n\n", "".join(made)).strip()
    return "".join(_breakable(word) for word in re.split(r"(\s+)", cleaned))


def _breakable(word: str) -> str:
    if len(word) <= _LONGEST_WORD or word.isspace():
        return word
    made: list[str] = []
    run = 0
    for sign in word:
        if run >= _PIECE and not unicodedata.combining(sign) and sign not in _JOINERS:
            made.append(_BREAK)
            run = 0
        made.append(sign)
        run += 1
    return "".join(made)


def right_to_left(text: str) -> bool:
    """By the first letter that has a direction, as in the Unicode Bidirectional Algorithm, rule P2."""
    for sign in text:
        found = unicodedata.bidirectional(sign)
        if found in {"L", "R", "AL"}:
            return found != "L"
    return False


def typed(text: str) -> tuple[str, str]:
    """What is asked, and what is wrong with it ("": nothing; two empty ones: there is nothing to ask)."""
    asked = text.strip()
    if len(asked) > MOST_TYPED:
        return "", said(
            "This has {count} letters; at most {most} can be asked at once.",
            count=len(asked),
            most=MOST_TYPED,
        )
    return asked, ""


# --- What is asked of the person


def forget_words() -> tuple[str, str, str]:
    """Title, question, and what does it."""
    return (
        said("Forget this conversation"),
        said(
            "Forget all that was said here? It can't be brought back. What staff were told stays with them."
        ),
        said("Forget it"),
    )


def unread_words(number: str) -> str:
    """For whoever comes after somebody who was told to get help and did not say that they had read it. number: BannerView.number."""
    told = said(
        "Somebody here was told that they may need help at once, and did not say that they had read it."
    )
    return f"{told} {_sentences(said('If somebody near you is unwell, help them'), number)}"


def _sentences(*parts: str) -> str:
    return " ".join(f"{part}." for part in parts if part)
