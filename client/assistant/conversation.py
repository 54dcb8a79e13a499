"""One conversation, as a pure state: what was said, how urgent it is, what may be asked outside, and what of an answer may be shown.

Triage comes before everything; a level only rises, until the conversation is forgotten. Nothing of it is ever written anywhere.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from client.assistant import answers, phrases
from client.assistant.answers import Answer
from client.assistant.evidence import (
    MOST_DOCUMENTS,
    MOST_FACTS,
    Citation,
    DocumentRef,
    Evidence,
    Fact,
    Library,
    Passage,
)
from client.assistant.grounding import Checker, Fault, Sentence
from client.assistant.masking import NOBODY, Known, masked
from client.assistant.sentences import CITING, Splitter, cleaned
from client.assistant.triage import Level, Place, Readings, Triage, Verdict

MOST_TURNS = 20
MOST_TURN_CHARACTERS = 4_000
JUDGED_TOGETHER = 3
"""Turns of the person that are judged as one text too: a sign can be told in pieces ("it hurts" "in my chest")."""
MOST_HEARD_CHARACTERS = 20_000
"""Of one turn so many are kept; all of it is judged as far as triage reads."""
MOST_PASSAGES = 3
MOST_CITED_PASSAGES = 12
_WHOLE = {"end_turn", "stop", "stop_sequence", "ended", ""}
_NO_EVIDENCE, _NO_READINGS = Evidence(), Readings()


class Role(StrEnum):
    """Whose a turn is. SAFETY: what triage says."""

    PERSON = "person"
    ASSISTANT = "assistant"
    SAFETY = "safety"


@dataclass(frozen=True, slots=True)
class Turn:
    """source: "device" or "cloud". complete False: still growing, or broken off (text "": there is nothing to show). sentences: as they are read aloud, without citations."""

    role: Role
    text: str = field(repr=False)
    citations: tuple[Citation, ...] = ()
    source: str = "device"
    complete: bool = True
    sentences: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Emergency:
    """What is shown and spoken before anything else. level: URGENT or EMERGENCY. number: to be called, None where no place is known."""

    level: Level
    category: str | None
    text: str
    call_staff: str
    number: str | None


@dataclass(frozen=True, slots=True)
class Heard:
    """verdict: of these words (and those just before). stop: everything else ends. advice: to be shown, and the conversation goes on."""

    verdict: Verdict
    stop: Emergency | None
    advice: Emergency | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One turn as it leaves: masked, 1 to 4,000 characters. role: PERSON or ASSISTANT."""

    role: Role
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Question:
    """The least that an answer needs; maps onto client.cloud.chat.Chat. facts and documents are in the order of their identifiers."""

    conversation_id: str
    language: str
    turns: tuple[Asked, ...]
    level: Level
    category: str | None
    facts: tuple[Fact, ...]
    documents: tuple[DocumentRef, ...]
    age_band: str | None


@dataclass(frozen=True, slots=True)
class Released:
    """A sentence that may be shown and spoken. citations: those of it that were not cited before."""

    sentence: Sentence
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Raised:
    """The model holds it to be more urgent than was known. Of level EMERGENCY: its answer has ended."""

    safety: Emergency


@dataclass(frozen=True, slots=True)
class Replaced:
    """The answer was ended; the device's own follows, as a turn of its own. why: a fault's code, "failed" or "silent"."""

    why: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes. complete False: it was cut or stopped."""

    complete: bool


Event = Released | Raised | Replaced | Ended


class Conversation:
    """Of one person, in one language. place: whose emergency numbers hold. readings: what was measured at this visit, for triage.

    Raises EnvironmentFault from `heard` where triage cannot read its data: then there is no conversation.
    """

    def __init__(
        self,
        triage: Triage,
        language: str,
        *,
        library: Library | None = None,
        evidence: Evidence = _NO_EVIDENCE,
        readings: Readings = _NO_READINGS,
        place: Place | None = None,
        known: Known = NOBODY,
        age_band: str | None = None,
    ) -> None:
        self._triage, self._library, self._place, self._known = triage, library, place, known
        self.language, self.age_band = language, age_band
        self._evidence, self._readings = evidence.numbered(), readings
        self._begin()

    def _begin(self) -> None:
        self.id = str(uuid.uuid4())
        self._turns: list[Turn] = []
        self._passages: tuple[Passage, ...] = ()
        self._level = Level.NONE
        self._category: str | None = None
        self._feedback: dict[int, bool] = {}
        self._answering: ModelAnswer | None = None

    @property
    def level(self) -> Level:
        """The highest so far."""
        return self._level

    @property
    def category(self) -> str | None:
        """What gave the level; None where the model did, or nothing has."""
        return self._category

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All of it, in order."""
        return tuple(self._turns)

    @property
    def feedbacks(self) -> Mapping[int, bool]:
        """By the number of the turn."""
        return dict(self._feedback)

    @property
    def evidence(self) -> Evidence:
        """For the last question, with the passages that fit it."""
        return replace(self._evidence, passages=self._passages)

    def know(self, evidence: Evidence, readings: Readings, known: Known | None = None) -> None:
        """After a new scan, or when the person shares a document or takes it back. Passages are looked up here, not given. known: besides what
        was known before, for that may stand in what was said.
        """
        self._evidence, self._readings = replace(evidence, passages=()).numbered(), readings
        if known is not None:
            self._known = Known(
                tuple(dict.fromkeys((*self._known.names, *known.names))),
                tuple(dict.fromkeys((*self._known.numbers, *known.numbers))),
            )

    # --- What the person says

    def judged(self, text: str) -> Verdict:
        """These words alone, before it is known whether they are all of the turn; nothing of them is kept."""
        return self._triage.judge_with_vitals(text, self.language, self._readings)

    def heard(self, text: str) -> Heard:
        """Judged before anything else: the words alone, together with those before, and with what was measured. An answer under way ends."""
        verdict = self._triage.judge_with_vitals(text, self.language, self._readings)
        before = [turn.text for turn in self._turns if turn.role is Role.PERSON][-JUDGED_TOGETHER + 1 :]
        if before and verdict.level is not Level.EMERGENCY:
            together = self._triage.judge_with_vitals(
                "\n".join([*before, text]), self.language, self._readings
            )
            if together.level > max(verdict.level, self._level, key=lambda one: one.rank):
                verdict = together
        if self._answering is not None:
            self._answering.stop()
        self._answering = None
        self._add(Turn(Role.PERSON, text[:MOST_HEARD_CHARACTERS]))
        risen = self._rise(verdict.level, verdict.category)
        self._passages = self._fitting(text)
        if verdict.level is Level.NONE:
            return Heard(verdict, None)
        safety = self._safety(verdict.level, verdict.category)
        if verdict.level is Level.EMERGENCY or risen:
            self._add(self._spoken_turn(Role.SAFETY, safety.text))
        return Heard(
            verdict,
            safety if verdict.level is Level.EMERGENCY else None,
            None if verdict.level is Level.EMERGENCY else safety,
        )

    def _fitting(self, text: str) -> tuple[Passage, ...]:
        found = (
            self._library.search(text, self.language, MOST_PASSAGES)
            if self._library is not None and text.strip()
            else ()
        )
        return tuple(replace(one, id=f"k{at}") for at, one in enumerate(found, 1))

    def _rise(self, level: Level, category: str | None) -> bool:
        if level <= self._level:
            return False
        self._level, self._category = level, category
        return True

    def _safety(self, level: Level, category: str | None) -> Emergency:
        text = self._triage.say(Verdict(level, category, self.language), self.language, self._place)
        number = None if self._place is None else self._place.number
        return Emergency(level, category, text, self._triage.call_staff(self.language), number)

    @property
    def safety(self) -> Emergency | None:
        """What still holds: for the banner. None at level NONE."""
        return None if self._level is Level.NONE else self._safety(self._level, self._category)

    # --- What is asked outside

    def question(self) -> Question:
        """To be asked with what the person said last. Raises ValueError where nobody has said anything."""
        said = [(turn.role, self._leaving(turn.text)) for turn in self._turns if turn.role is not Role.SAFETY]
        turns = [Asked(role, text) for role, text in said if text]
        while turns and turns[-1].role is not Role.PERSON:
            turns.pop()
        turns = turns[-MOST_TURNS:]
        while turns and turns[0].role is not Role.PERSON:
            turns.pop(0)
        if not turns:
            raise ValueError("nothing was asked")
        evidence = self._evidence
        asked = (self.id, self.language, tuple(turns), self._level, self._category)
        return Question(*asked, evidence.facts, evidence.documents, self.age_band)

    def _leaving(self, text: str) -> str:
        text = masked(text, self._known).strip()
        if len(text) <= MOST_TURN_CHARACTERS:
            return text
        half = MOST_TURN_CHARACTERS // 2 - 3
        return f"{text[:half]} … {text[-half:]}"

    # --- Answers

    def answer_locally(self) -> Answer:
        """To what the person said last, as a turn; what triage says stands before it."""
        found = self._local("")
        self._add(self._local_turn(found))
        return found

    def _local(self, notice: str) -> Answer:
        asked = next((turn.text for turn in reversed(self._turns) if turn.role is Role.PERSON), "")
        safety = self.safety
        found = answers.answer(
            asked, self.language, self.evidence, None, safety="" if safety is None else safety.text
        )
        return replace(found, text=f"{notice}\n{found.text}") if notice else found

    def _local_turn(self, found: Answer) -> Turn:
        return replace(self._spoken_turn(Role.ASSISTANT, found.text), citations=found.citations)

    def _spoken_turn(self, role: Role, text: str) -> Turn:
        return Turn(role, text, sentences=spoken(text, self.language))

    def listen_to_model(self) -> ModelAnswer:
        """Of one answer from the cloud; the one before it, if it still grows, is over."""
        if self._answering is not None:
            self._answering.stop()
        self._add(Turn(Role.ASSISTANT, "", source="cloud", complete=False))
        at, turns = len(self._turns) - 1, self._turns

        def write(turn: Turn) -> None:
            turns[at] = turn  # of this conversation, also where it has been forgotten meanwhile

        evidence = self.evidence
        citable = {fact.id: answers.cited_fact(fact, self.language) for fact in evidence.facts}
        citable |= {one.id: answers.cited_document(one) for one in evidence.documents}
        called = () if self._place is None else (self._place.number, self._place.crisis or "")
        checker = Checker(evidence, self.language, level=self._level, allowed=called, cited_passages=False)
        self._answering = ModelAnswer(checker, citable, write, self._raised, self._replacing)
        return self._answering

    def _raised(self, level: Level) -> Emergency | None:
        if not self._rise(level, None):
            return None
        safety = self._safety(level, None)
        self._add(self._spoken_turn(Role.SAFETY, safety.text))
        return safety

    def _replacing(self, why: str) -> Answer:
        """Our own answer in place of one that failed; also as a turn."""
        template = "failed" if why in {"failed", "silent"} else "replaced"
        found = self._local(phrases.of(self.language).templates[template])
        self._add(self._local_turn(found))
        return found

    def feedback(self, turn: int, good: bool) -> None:  # noqa: FBT001 (good or not is all there is)
        """Kept with the conversation, and forgotten with it. A turn that there is not is ignored."""
        if 0 <= turn < len(self._turns) and self._turns[turn].role is Role.ASSISTANT:
            self._feedback[turn] = good

    def forget(self) -> None:
        """All of it, the level too; under the new identifier a new conversation begins. An answer under way ends unseen."""
        answering = self._answering
        self._begin()
        if answering is not None:
            answering.detach()

    def _add(self, turn: Turn) -> None:
        self._turns.append(turn)


def spoken(text: str, language: str) -> tuple[str, ...]:
    """The sentences of a text of ours as they are read aloud, without citations."""
    own = phrases.of(language)
    splitter = Splitter(own.abbreviations, own.month_names)
    found = (
        re.sub(r"\s+([.,;:!?])", r"\1", " ".join(CITING.sub(" ", one).split()))
        for one in [*splitter.push(text), *splitter.finish()]
    )
    return tuple(one for one in found if one)


class ModelAnswer:
    """Takes one answer of a model as it comes, and says what of it may be shown. Whatever comes after its end is ignored, but for a level."""

    def __init__(
        self,
        checker: Checker,
        citable: Mapping[str, Citation],
        write: Callable[[Turn], None],
        rise: Callable[[Level], Emergency | None],
        replacement: Callable[[str], Answer],
    ) -> None:
        self._checker, self._citable = checker, dict(citable)
        self._write, self._rise, self._replacement = write, rise, replacement
        self._text = ""
        self._sentences: list[str] = []
        self._cited: dict[str, Citation] = {}
        self._detached = False
        self.over = False
        """Nothing more is wanted: the stream can be closed."""

    @property
    def fault(self) -> Fault | None:
        """What ended it, if something did."""
        return self._checker.fault

    def push(self, delta: str) -> list[Event]:
        """The next of the text."""
        return [] if self.over else self._released(self._checker.push(delta))

    def cite(self, name: str, title: str = "", quote: str = "", article: str = "") -> list[Event]:
        """The server says what it supplied under a name: articles (k1 …) become citable by this, with the numbers of their quote.

        Measurements and documents are known here, and nothing that is said of them counts. article: of ours, where it is known.
        """
        known = (
            name in self._citable or len(self._citable) > MOST_FACTS + MOST_DOCUMENTS + MOST_CITED_PASSAGES
        )
        if (
            not (self.over or known)
            and re.fullmatch(r"k[0-9]{1,2}", name)
            and (title.strip() or quote.strip())
        ):
            title, quote = cleaned(title)[:200], cleaned(quote)[:300]
            self._citable[name] = Citation(name, title, quote, f"article:{article}" if article else "")
            self._checker.allow(name, quote)
        return []

    def raise_to(self, level: str) -> list[Event]:
        """A word for how urgent it is; one that is not known is the highest. Never lowers anything. Counts after the end, too."""
        if self._detached:
            return []
        risen = Level(level) if level in set(Level) else Level.EMERGENCY
        self._checker.raise_to(risen)
        safety = self._rise(risen)
        if safety is None:
            return []
        if safety.level is not Level.EMERGENCY or self.over:
            return [Raised(safety)]
        self._end(complete=False)
        return [Raised(safety), Ended(complete=False)]

    def done(self, reason: str = "") -> list[Event]:
        """The stream has ended as it should. Of one that was cut short (another reason) the last piece of a sentence is not shown."""
        if self.over:
            return []
        whole = reason in _WHOLE
        events = self._released(self._checker.finish() if whole else [])
        if self._checker.fault is not None:
            return events
        if not self._sentences:
            return [*events, *self._replaced("silent")]
        self._end(complete=whole)
        return [*events, Ended(complete=whole)]

    def failed(self) -> list[Event]:
        """The stream broke off, or there was none; what was shown stays, ours follows."""
        return [] if self.over else self._replaced("failed")

    def stop(self) -> list[Event]:
        """The person has enough, or speaks. What was shown stays."""
        if self.over:
            return []
        self._end(complete=False)
        return [Ended(complete=False)]

    def detach(self) -> None:
        """Of a conversation that has been forgotten: nothing of it counts any more."""
        self._detached = self.over = True

    def _released(self, sentences: Sequence[Sentence]) -> list[Event]:
        events: list[Event] = []
        for one in sentences:
            new = tuple(
                self._citable[name] for name in dict.fromkeys(one.citations) if name not in self._cited
            )
            self._cited |= {citation.id: citation for citation in new}
            self._text += one.joint + one.text
            self._sentences.append(one.spoken)
            events.append(Released(one, new))
        if events:
            self._record(complete=False)
        if self._checker.fault is not None:
            events += self._replaced(str(self._checker.fault))
        return events

    def _replaced(self, why: str) -> list[Event]:
        self._end(complete=False)
        return [Replaced(why, self._replacement(why))]

    def _end(self, *, complete: bool) -> None:
        self.over = True
        self._record(complete=complete)

    def _record(self, *, complete: bool) -> None:
        citations = tuple(self._cited.values())
        self._write(Turn(Role.ASSISTANT, self._text, citations, "cloud", complete, tuple(self._sentences)))
