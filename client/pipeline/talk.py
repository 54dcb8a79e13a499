"""A conversation under way: who speaks, what is asked of whom, what is said aloud. See client.pipeline.talk_state for what a page sees.

    [listen] utterances ──▶ [understand] text ──▶ [talk] triage, then question ──▶ [ask] the clinic's answer, in pieces
                                                     │  ◀──────────────────────────────────────────────┘
                                                     └──▶ [speak] sentence by sentence

One thread, "talk", owns the conversation; all others only tell it things. Triage comes before anything else, on this device: without it
there is no answer at all. An emergency ends what goes on and is spoken in any case. What stands against the clinic's answer leads to
this device's own. Nothing is written, and no word of anybody gets into a log.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue

from client import log
from client.assistant.conversation import (
    Conversation,
    Ended,
    Event,
    ModelAnswer,
    Raised,
    Released,
    Replaced,
    Role,
    spoken,
)
from client.assistant.triage import CATEGORIES, Level
from client.clock import Clock
from client.cloud import faults
from client.cloud.backoff import LONGEST_RETRY_AFTER_S
from client.cloud.chat import ChatCitation, ChatDelta, ChatDone, ChatError, ChatStart, ChatUrgency
from client.devices.ports import Recogniser, Recognition, SoundSink, SoundSource, Voice
from client.errors import HealthHelperError
from client.language import said
from client.pipeline import turn_taking
from client.pipeline.asking import Asker, Came, Line, to_chat
from client.pipeline.evidence import Gathered
from client.pipeline.listening import (
    BargedIn,
    Listener,
    NothingHeard,
    Overheard,
    SpeechOdds,
    show,
)
from client.pipeline.slots import Latest
from client.pipeline.speaking import Sentence, Speaker
from client.pipeline.talk_state import Highlight, Mode, Phase, TalkState
from edge_models.speech import Began, Continued
from edge_models.speech import Ended as SpeechEnded
from edge_models.types import Float32Array

FIRST_WITHIN_S = 8.0
"""The first event of an answer; else this device answers itself."""
NEXT_WITHIN_S = 15.0
"""Any later one."""
LATE_WITHIN_S = 30.0
"""So long an answer that nobody is shown any more is still heard, for how urgent it holds things to be."""
LOOKS_AGAIN_S = 60.0
"""After so long it is looked again what is kept of the person: documents come to be read, and people decide otherwise elsewhere."""
_LOOKS_S = 1.0
"""So often it is looked whether what is being said may still leave: in another program somebody may have taken that back."""
_RESTS_S = 30.0
"""So long a cloud that failed is not asked again by itself."""
_COUNTED_S = 120
"""A wait is told in seconds up to so many."""
_OVER_VOICE_S = 2.0
_BUSY_S, _IDLE_S = 0.03, 0.25
_CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Clinic:
    """The clinic's cloud for one conversation. Nothing here is called before the person has agreed, but agreed and decide.

    patient_id: as whom, by the conversation's identifier: a guest is another one in each. connect: opens nothing yet. agreed: whether the person has, or
    None where they have to be asked; decide: keeps what they say; both raise StoreFault. close: ends what recogniser and voice have open.
    of_guest: nothing of them is kept, so agreed says None again once they have agreed. shares_documents: whether those that the cloud has read
    may be named to it; raises StoreFault.
    """

    patient_id: Callable[[str], str]
    connect: Callable[[], Line]
    agreed: Callable[[], bool | None]
    decide: Callable[[bool], None]
    recogniser: Recogniser | None = None
    voice: Voice | None = None
    close: Callable[[], None] = lambda: None
    of_guest: bool = False
    shares_documents: Callable[[], bool] = lambda: True

    def holds(self) -> bool:
        """Whether what was agreed to does so still. Raises StoreFault."""
        agreed = self.agreed()
        return self.of_guest if agreed is None else agreed


@dataclass(frozen=True, slots=True)
class Means:
    """What a conversation is held with. All but voices and recogniser is asked in its threads.

    converse: begins one, with triage and evidence; raises HealthHelperError. prepare: what may be done meanwhile, piece by piece, so that
    later texts cost no more than the first. recogniser, voices: of this device. clinic: what there is, or in a sentence why there is none; raises
    StoreFault. call_staff: whether somebody can see that somebody is wanted; raises StoreFault.

    gather: what is kept of the person and of this visit, None where that cannot be known now; raises StoreFault. No gather: what the
    conversation was begun with holds. visit: see client.pipeline.talk_state.Talking.renew.
    """

    converse: Callable[[], Conversation]
    microphone: Callable[[], SoundSource]
    odds: Callable[[], SpeechOdds]
    loudspeaker: Callable[[], SoundSink]
    recogniser: Recogniser | None
    voices: Sequence[Voice]
    clinic: Callable[[], Clinic | str]
    call_staff: Callable[[], bool]
    prepare: Iterable[Callable[[], object]] = ()
    gather: Callable[[Sequence[str]], Gathered | None] | None = None
    visit: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Utterance:
    """Being said, or being understood. over_voice: our own voice may be in it."""

    number: int
    recognition: Recognition | None
    over_voice: bool
    outside: bool


class Talk:
    """See client.pipeline.talk_state.Talking. rate_percent: how fast is spoken; asked for each sentence."""

    def __init__(
        self, means: Means, language: str, clock: Clock, *, rate_percent: Callable[[], int] = lambda: 100
    ) -> None:
        self._means, self._language, self._clock = means, language, clock
        self._slot = Latest(TalkState(language=language))
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._closing = threading.Event()
        self._conversation: Conversation | None = None
        self._visit = tuple(means.visit)
        self._gathered: Gathered | None = None
        self._why_unknown = said("Answered on this device: the store is locked.")
        self._gathering: threading.Thread | None = None
        self._gatherings, self._gathered_s = 0, 0.0
        self._clinic: Clinic | None = None
        self._why_no_clinic = ""
        self._agreed: bool | None = None
        self._unkept_no = False
        """Somebody has taken their consent back, and the store may not have kept that."""
        self._shows = True
        self._clinic_rests_until_s = float("-inf")
        self._clinic_wants_rest_until_s = float("-inf")
        """It has said so itself: not even somebody who presses a button asks it sooner."""
        self._wait_told = ""
        self._mode, self._muted = Mode.TYPED, True
        self._speaks: bool | None = None
        # What the person says
        self._utterances = 0
        self._being_said: _Utterance | None = None
        self._looks_s = 0.0
        self._understanding: dict[int, Recognition] = {}
        self._threads: list[threading.Thread] = []
        self._parts: list[tuple[int, str]] = []
        self._due_s = 0.0
        self._last: str | None = None
        self._judged = False
        # What is answered
        self._model: ModelAnswer | None = None
        self._late: ModelAnswer | None = None
        """Ended by the checker: nothing of it is shown any more, but it may still raise the level."""
        self._late_asked, self._late_until_s = 0, 0.0
        self._asked = self._answering_turn = self._released = 0
        self._answer_due_s = 0.0
        self._answerer = ""
        self._fault = ""
        self._may_retry = False
        self._safety_open = self._waits_for_seen = False
        self._staff_called, self._staff_trouble = False, ""
        self._asker: Asker | None = None
        self._speaker = Speaker(
            means.loudspeaker, self._voices_now, language, clock, rate_percent=rate_percent
        )
        self._listener = Listener(
            means.microphone,
            means.odds,
            self._speaker,
            clock,
            lambda one: self._post(partial(self._overheard, one)),
        )
        self._preparing = threading.Thread(target=self._prepare, name="prepare", daemon=True)
        self._thread = threading.Thread(target=self._run, name="talk", daemon=True)
        self._thread.start()

    # --- From any thread

    @property
    def state(self) -> TalkState:
        return self._slot.get()

    def say(self, text: str) -> None:
        if text.strip():
            self._speaker.interrupt()
            self._post(partial(self._typed, text))

    def listen(self, mode: Mode) -> None:
        if mode is Mode.TYPED:
            self._listener.rest()
        self._post(partial(self._listen, mode))

    def talk(self, down: bool) -> None:  # noqa: FBT001 (a button is down or not)
        if down:
            self._speaker.interrupt()
            self._post(self._pressed)
        self._listener.hold(down=down)

    def mute(self, on: bool) -> None:  # noqa: FBT001 (on or off)
        if on:
            self._listener.rest()
        self._post(partial(self._mute, on))

    def stop(self) -> None:
        self._speaker.stop()
        self._post(self._stop)

    def read_aloud(self, turn: int) -> None:
        self._post(partial(self._read_again, turn))

    def speak_answers(self, on: bool) -> None:  # noqa: FBT001 (on or off)
        self._post(partial(self._speak_answers, on))

    def retry(self) -> None:
        self._post(self._retry)

    def consent(self, given: bool) -> None:  # noqa: FBT001 (the decision itself)
        self._post(partial(self._consent, given))

    def decided(self, given: bool) -> None:  # noqa: FBT001 (the decision itself)
        self._post(partial(self._decided, given))

    def renew(self, visit: Sequence[str]) -> None:
        self._post(partial(self._renew, tuple(visit)))

    def rate(self, turn: int, good: bool) -> None:  # noqa: FBT001 (the verdict itself)
        self._post(partial(self._rate, turn, good))

    def call_staff(self) -> None:
        self._post(self._call_staff)

    def seen(self) -> None:
        self._post(self._seen)

    def forget(self) -> None:
        self._speaker.forget()
        self._listener.forget()
        self._post(self._forget)

    def close(self) -> None:
        """Again, it waits no more."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._post(lambda: None)
        self._listener.end(_CLOSE_S / 2.0)
        self._speaker.end(_CLOSE_S / 4.0)
        if threading.current_thread() is not self._thread:
            self._thread.join(_CLOSE_S / 4.0)

    # --- The thread

    def _post(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def _run(self) -> None:
        try:
            self._safely(self._begin)
            self._preparing.start()
            while not self._closing.is_set():
                self._try_to_publish()
                try:
                    job = self._jobs.get(timeout=_BUSY_S if self._is_busy() else _IDLE_S)
                except Empty:
                    pass
                else:
                    self._safely(job)
                    del job  # it may hold what somebody said
                self._safely(self._tick)
        finally:
            self._end()

    def _safely(self, job: Callable[[], None]) -> None:
        """A bug of ours is shown as those of any other thread, and the conversation goes on; the answer under way does not."""
        try:
            job()
        except HealthHelperError as fault:
            self._end_answer()
            self._fault, self._may_retry = f"{fault.title}. {fault.remedy}", self._last is not None
        except Exception as bug:  # noqa: BLE001 (see above)
            show(bug)
            self._end_answer()
            self._fault = said("This failed, by a bug of Health Helper's own. Try again.")
            self._may_retry = self._last is not None

    def _prepare(self) -> None:
        for one in self._means.prepare:
            if self._closing.is_set():
                return
            with contextlib.suppress(HealthHelperError):  # told when it is needed
                one()

    def _begin(self) -> None:
        self._find_clinic()
        self._conversation = self._means.converse()
        self._gathered_s = self._clock.now_s()
        self._gathered = self._gather(self._visit)
        self._follow()
        log.event("talk_began")

    # --- What is known of the person

    def _gather(self, visit: Sequence[str]) -> Gathered | None:
        """None where that cannot be known now: triage and articles answer all the same, and nobody else, for whose name is to be masked?"""
        try:
            return None if self._means.gather is None else self._means.gather(visit)
        except HealthHelperError as fault:
            self._why_unknown = f"{fault.title}. {fault.remedy}"
            log.event("evidence_unreadable")
        except Exception as bug:  # noqa: BLE001 (likewise; it is shown as those of any other thread)
            self._why_unknown = said("This failed, by a bug of Health Helper's own.")
            show(bug)
        return None

    def _renew(self, visit: tuple[str, ...]) -> None:
        """In a thread of its own: the store may have something else to do, and an emergency does not wait for it."""
        self._visit, self._gathered_s = visit, self._clock.now_s()
        self._gatherings += 1
        if self._means.gather is not None:
            self._gathering = self._start("gather", partial(self._gather_anew, self._gatherings, visit))

    def _gather_anew(self, number: int, visit: tuple[str, ...]) -> None:
        found = self._gather(visit)
        if found is not None:
            self._post(partial(self._know, number, found))

    def _know(self, number: int, found: Gathered) -> None:
        if number == self._gatherings:  # else there is a newer one, or it comes
            self._gathered = found
            self._follow()

    def _follow(self) -> None:
        """What was measured is of this visit for a while only."""
        found = self._gathered
        if found is not None and self._conversation is not None:
            self._conversation.know(found.evidence, found.readings(self._clock.utc()), found.known)

    def _start(self, name: str, job: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=job, name=name, daemon=True)
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]
        thread.start()
        return thread

    def _find_clinic(self) -> None:
        try:
            found = self._means.clinic()
            agreed = None if isinstance(found, str) else found.agreed()
        except HealthHelperError as fault:  # of the store: this device answers all the same
            found, agreed = f"{fault.title}. {fault.remedy}", None
        if isinstance(found, str):
            self._clinic, self._why_no_clinic, self._agreed = None, found, None
            return
        self._clinic, self._why_no_clinic, self._agreed = found, "", agreed
        self._asker = Asker(found.connect, lambda came: self._post(partial(self._came, came)))

    def _end(self) -> None:
        self._end_answer()
        self._drop_speech()
        if self._asker is not None:
            self._asker.close(_CLOSE_S / 4.0)
        if self._clinic is not None:
            self._clinic.close()
        for thread in self._threads:
            thread.join(_CLOSE_S / 4.0)
        while not self._jobs.empty():  # they may hold what somebody said
            self._jobs.get()
        if self._conversation is not None:
            self._conversation.forget()
        self._last = None
        self._slot.set(TalkState(revision=self._slot.get().revision + 1, language=self._language))

    def _is_busy(self) -> bool:
        return (
            self._model is not None
            or bool(self._parts or self._understanding)
            or bool(self._listener.microphone.name)
            or self._speaker.speaking
        )

    # --- What is said

    def _typed(self, text: str) -> None:
        whole = " ".join([*(part for _, part in sorted(self._parts)), text])
        self._ask(whole)

    def _pressed(self) -> None:
        if not self._safety_open:
            self._end_answer()

    def _listen(self, mode: Mode) -> None:
        self._mode, self._muted = mode, mode is Mode.TYPED
        self._open_ears()

    def _mute(self, on: bool) -> None:  # noqa: FBT001 (on or off)
        self._muted = on
        self._open_ears()

    def _open_ears(self) -> None:
        """As mode and mute have it; and where nothing could be understood the microphone stays closed."""
        wanted = self._wants_to_hear() and self._recogniser() is not None
        if not wanted:
            self._listener.rest()
            self._break_off()  # its end would not be told where a driver hangs
        else:
            self._listener.listen(hands_free=self._mode is Mode.HANDS_FREE)

    def _wants_to_hear(self) -> bool:
        return self._mode is not Mode.TYPED and not self._muted

    def _recogniser(self) -> tuple[Recogniser, bool] | None:
        """The best that may be used now, and whether what is said leaves this device for it."""
        if self._may_ask() and self._clinic is not None and self._clinic.recogniser is not None:
            outside = self._clinic.recogniser
            if outside.ready(self._language):
                return outside, True
        return self._own_recogniser()

    def _own_recogniser(self) -> tuple[Recogniser, bool] | None:
        own = self._means.recogniser
        return (own, False) if own is not None and own.ready(self._language) else None

    def _overheard(self, one: Overheard) -> None:
        match one.what:
            case BargedIn():
                self._speaker.interrupt()  # a sentence may have come meanwhile
                self._end_answer()
            case Began() if not self._wants_to_hear():
                pass  # from before it was closed
            case Began(samples=samples):
                self._begin_utterance(samples, over_voice=one.over_voice)
            case Continued(samples=samples):
                if self._being_said is not None and self._being_said.recognition is not None:
                    self._being_said.recognition.push(samples)
            case SpeechEnded() as ended:
                self._end_utterance(ended)
            case NothingHeard():
                self._fault = said("Nothing was heard. Hold the button down while you speak.")

    def _begin_utterance(self, samples: Float32Array, *, over_voice: bool) -> None:
        self._break_off()
        self._speaker.interrupt()  # it may have begun meanwhile
        self._utterances += 1
        found = self._recogniser()
        if found is not None and found[1] and not self._still_agreed():
            found = self._own_recogniser()
        self._looks_s = self._clock.now_s() + _LOOKS_S
        recognition = None if found is None else found[0].begin(self._language)
        if recognition is not None:
            recognition.push(samples)
        outside = found is not None and found[1]
        self._being_said = _Utterance(self._utterances, recognition, over_voice, outside)

    def _break_off(self) -> None:
        """What is being said."""
        one, self._being_said = self._being_said, None
        if one is not None and one.recognition is not None:
            one.recognition.cancel()

    def _end_utterance(self, ended: SpeechEnded) -> None:
        one, self._being_said = self._being_said, None
        if one is None or one.recognition is None:
            return
        if ended.short:
            one.recognition.cancel()
            return
        self._understanding[one.number] = one.recognition
        self._start("understand", partial(self._understand, one, ended))

    def _understand(self, one: _Utterance, ended: SpeechEnded) -> None:
        """In a thread of its own: the rest of an utterance takes a while. What the clinic fails in this device tries."""
        text, fault = "", ""
        assert one.recognition is not None
        try:
            text = one.recognition.finish().text
        except Exception as error:  # noqa: BLE001 (told by the conversation's thread)
            if not isinstance(error, HealthHelperError):
                show(error)
            fault = said("What was said could not be understood. Say it again, or type it.")
            own = self._means.recogniser
            if (
                one.outside
                and one.number in self._understanding
                and own is not None
                and own.ready(self._language)
            ):
                with contextlib.suppress(HealthHelperError):
                    again = own.begin(self._language)
                    again.push(ended.samples)
                    text, fault = again.finish().text, ""
            if one.outside:
                self._post(partial(self._clinic_failed, error))
        self._post(partial(self._understood, one, ended.t_s, text, fault))

    def _understood(self, one: _Utterance, ended_s: float, text: str, fault: str) -> None:
        if self._understanding.pop(one.number, None) is None:  # nobody wants it any more
            return
        if fault:
            self._fault = fault
        if not text.strip():
            return
        together = " ".join([*(part for _, part in sorted(self._parts)), text])
        known = Level.NONE if self._conversation is None else self._conversation.level
        try:
            self._follow()
            level = Level.NONE if self._conversation is None else self._conversation.judged(together).level
        except Exception:  # noqa: BLE001 (`_ask` judges again, tells the person what stands against it, and gives no answer)
            self._ask(together)
            return
        ours = self._speaker.said_lately(self._clock.now_s())
        if level <= known and one.over_voice and turn_taking.is_our_own(text, ours):
            log.event("own_voice_dropped")
            return
        if level <= known and level is not Level.EMERGENCY and turn_taking.is_stop(text, self._language):
            self._speaker.stop()
            self._stop()
            return
        self._parts.append((one.number, text))
        now_s = self._clock.now_s()
        if level is Level.EMERGENCY or self._mode is not Mode.HANDS_FREE:
            self._due_s = now_s
        else:
            self._due_s = ended_s + turn_taking.patience_s(
                together, self._language, after_our_question=self._asked_last()
            )
        if level is Level.EMERGENCY:
            self._end_turn()

    def _asked_last(self) -> bool:
        """Whether the last that we said was a question."""
        turns = () if self._conversation is None else self._conversation.turns
        return bool(turns) and turns[-1].role is not Role.PERSON and turn_taking.is_question(turns[-1].text)

    def _end_turn(self) -> None:
        text = " ".join(part for _, part in sorted(self._parts))
        self._parts.clear()
        if not turn_taking.is_only_room(text, self._language):
            self._ask(text)

    def _drop_speech(self) -> None:
        """What is being said, and what is not understood yet."""
        self._break_off()
        for recognition in self._understanding.values():
            recognition.cancel()
        self._understanding.clear()
        self._parts.clear()

    # --- The answer

    def _ask(self, text: str) -> None:
        """A whole turn of the person: judged first, whatever it is."""
        self._end_answer()
        self._parts.clear()
        self._speaker.interrupt()
        self._fault, self._may_retry = "", False
        self._last, self._judged = text, False
        try:
            if self._conversation is None:
                self._begin()
            assert self._conversation is not None
            self._follow()
            heard = self._conversation.heard(text)
        except HealthHelperError as fault:
            self._not_judged(f"{fault.title}. {fault.remedy}")
            return
        except Exception as bug:  # noqa: BLE001 (without triage there is no answer, whatever stands against it)
            show(bug)
            self._not_judged(said("This failed, by a bug of Health Helper's own."))
            return
        self._judged = True
        if heard.verdict.level is not Level.NONE:
            category = heard.verdict.category
            log.event(
                "red_flag",
                category=CATEGORIES.index(category) if category in CATEGORIES else None,
                level=heard.verdict.level.rank,
            )
        if heard.stop is not None:
            self._emergency()
        elif self._safety_open:
            self._waits_for_seen = True
        else:
            if self._conversation.turns[-1].role is Role.SAFETY:
                self._read(len(self._conversation.turns) - 1, firm=True)
            self._answer()

    def _not_judged(self, why: str) -> None:
        log.event("triage_failed")
        self._fault = said(
            "What you said could not be checked for an emergency, so it is not answered. If you feel very ill, call the emergency number "
            "or a member of staff now. {why}",
            why=why,
        )
        self._may_retry = True

    def _emergency(self) -> None:
        """The last turn is what triage says. Everything else ends."""
        assert self._conversation is not None
        self._end_answer()
        self._drop_late()
        self._speaker.stop()
        self._safety_open, self._waits_for_seen = True, False
        self._may_retry = False
        at = max(at for at, one in enumerate(self._conversation.turns) if one.role is Role.SAFETY)
        self._read(at, firm=True)

    def _answer(self) -> None:
        if self._why_here() or not self._still_agreed():
            self._answer_here()
            return
        try:
            self._ask_clinic()
        except Exception as bug:  # noqa: BLE001 (ours; whoever has asked gets an answer all the same)
            show(bug)
            self._fail_answer()

    def _answer_here(self) -> None:
        assert self._conversation is not None
        self._conversation.answer_locally()
        self._answerer = said("on this device")
        if self._is_read_aloud():
            self._read(len(self._conversation.turns) - 1)

    def _ask_clinic(self) -> None:
        assert self._conversation is not None
        assert self._clinic is not None
        assert self._asker is not None
        try:
            question = self._conversation.question()
        except ValueError:  # nothing that could be sent is left of it
            self._answer_here()
            return
        if question.documents and not self._shares_documents():
            question = replace(question, documents=())
        patient_id = self._clinic.patient_id(question.conversation_id)
        self._wait_told = ""
        self._late = None  # whoever asks hears nothing more of what was asked before
        self._model = self._conversation.listen_to_model()
        self._answering_turn, self._released = len(self._conversation.turns) - 1, 0
        self._answerer = said("the clinic's")
        self._asked = self._asker.ask(lambda: to_chat(question, patient_id))
        self._answer_due_s = self._clock.now_s() + FIRST_WITHIN_S

    def _came(self, came: Came) -> None:
        model = self._model
        if model is None or came.asked != self._asked:
            self._came_late(came)
            return
        self._answer_due_s = self._clock.now_s() + NEXT_WITHIN_S
        match came.what:
            case ChatStart(urgency=urgency) | ChatUrgency(urgency=urgency):
                self._take(model.raise_to(urgency))
            case ChatCitation(id=name, title=title, quote=quote):
                self._take(model.cite(name, title, quote))
            case ChatDelta(text=text):
                self._take(model.push(text))
            case ChatDone(reason=reason, urgency=urgency):
                self._take(model.raise_to(urgency))
                self._take(model.done(reason))
                self._model = None  # its connection is used again
            case ChatError():
                self._heed(came.what)
                self._fail_answer()
            case None | Exception() as error:
                if error is not None and not isinstance(error, HealthHelperError):
                    show(error)
                self._clinic_failed(error)
                self._fail_answer()
        if model.over and self._model is model:
            self._hear_out(model)

    def _hear_out(self, model: ModelAnswer) -> None:
        """The checker has ended it. What the model holds to be urgent counts all the same, and may only come now."""
        self._model, self._late = None, model
        self._late_asked, self._late_until_s = self._asked, self._clock.now_s() + LATE_WITHIN_S
        self._asked = 0

    def _came_late(self, came: Came) -> None:
        late = self._late
        if late is None or came.asked != self._late_asked:
            return
        match came.what:
            case ChatStart(urgency=urgency) | ChatUrgency(urgency=urgency):
                self._take(late.raise_to(urgency))
            case ChatDone(urgency=urgency):
                self._late = None  # its connection is used again
                self._take(late.raise_to(urgency))
            case ChatError() | None | Exception() as end:
                self._heed(end)
                if isinstance(end, Exception) and not isinstance(end, HealthHelperError):
                    show(end)
                self._drop_late()

    def _drop_late(self) -> None:
        late, self._late = self._late, None
        if late is not None and self._asker is not None:
            self._asker.cancel()

    def _take(self, events: Sequence[Event]) -> None:
        assert self._conversation is not None
        for event in events:
            match event:
                case Released(sentence=sentence):
                    if self._is_read_aloud():
                        at = Highlight(self._answering_turn, self._released)
                        self._speaker.say([Sentence(sentence.spoken, at)])
                    self._released += 1
                case Raised(safety=safety):
                    log.event("red_flag_by_model", level=safety.level.rank)
                    if safety.level is Level.EMERGENCY:
                        self._emergency()
                    else:
                        self._read(len(self._conversation.turns) - 1, firm=True)
                case Replaced(why=why):
                    self._fault = _why_replaced(why)
                    self._may_retry = True
                    self._answerer = said("on this device")
                    if self._is_read_aloud():
                        self._read(len(self._conversation.turns) - 1)
                case Ended(complete=complete):
                    if not complete and not self._safety_open:
                        self._fault, self._may_retry = said("The answer is not whole."), True

    def _fail_answer(self) -> None:
        """Ours follows."""
        model = self._model
        if model is not None:
            self._take(model.failed())
        self._end_answer()

    def _end_answer(self) -> None:
        """The one of the clinic that is under way, if there is one; what was shown stays."""
        model, self._model = self._model, None
        self._asked = 0
        if model is not None:
            if not model.over:
                self._take_end(model)
            if self._asker is not None:
                self._asker.cancel()

    def _take_end(self, model: ModelAnswer) -> None:
        model.stop()
        if not self._safety_open:
            self._fault, self._may_retry = said("The answer was stopped."), True

    def _clinic_failed(self, error: Exception | None = None) -> None:
        self._clinic_rests_until_s = self._clock.now_s() + _RESTS_S
        self._heed(error)
        log.event("clinic_failed")

    def _heed(self, end: ChatError | Exception | None) -> None:
        """How long the clinic wants to be left alone, where it says so."""
        if isinstance(end, (ChatError, faults.CloudFault)) and end.retry_after_s is not None:
            self._clinic_wants_rest(end.retry_after_s)

    def _clinic_wants_rest(self, rests_s: float) -> None:
        until_s = self._clock.now_s() + min(rests_s, LONGEST_RETRY_AFTER_S)
        self._clinic_wants_rest_until_s = max(self._clinic_wants_rest_until_s, until_s)
        self._wait_told = _wait_words(self._retry_in_s())

    def _told_fault(self) -> str:
        """With when it can be asked again. The words stand still while the time runs, for whoever has them read aloud."""
        if not (self._may_retry and self._judged and self._wait_told):
            return self._fault
        told = self._wait_told if self._retry_in_s() else said("It can be asked again now.")
        return f"{self._fault} {told}"

    def _retry_in_s(self) -> int:
        """Until the clinic's cloud may be asked again; 0: now, or it is not asked in any case."""
        if self._clinic is None or not self._agreed:
            return 0
        return math.ceil(max(0.0, self._clinic_wants_rest_until_s - self._clock.now_s()))

    def _may_ask(self) -> bool:
        return not self._why_here()

    def _why_here(self) -> str:
        """Why the clinic's cloud is not asked; "" where it is."""
        if self._clinic is None:
            return self._why_no_clinic
        if self._agreed is None:
            return said("Answered on this device: nobody has agreed to ask the clinic's cloud yet.")
        if not self._agreed:
            return said("Answered on this device, as you wish.")
        if self._means.gather is not None and self._gathered is None:
            return self._why_unknown
        if self._retry_in_s():
            return said("Answered on this device: the clinic's cloud has too much to do just now.")
        if self._clock.now_s() < self._clinic_rests_until_s:
            return said("Answered on this device: the clinic's cloud did not answer just now.")
        return ""

    # --- Aloud

    def _voices(self, firm: bool) -> Sequence[Voice]:  # noqa: FBT001 (as Speaker asks)
        """In the thread that speaks. What has to be heard waits for no network."""
        clinic = self._clinic
        if firm or clinic is None or clinic.voice is None or not self._may_ask():
            return self._means.voices
        return [clinic.voice, *self._means.voices]

    def _voices_now(self, firm: bool) -> Sequence[Voice]:  # noqa: FBT001 (as Speaker asks)
        """For a sentence, in the thread that speaks: a text goes to the clinic's voice only while that is agreed to, see `_still_agreed`."""
        voices, clinic = self._voices(firm), self._clinic
        if clinic is None or clinic.voice is None or clinic.voice not in voices:
            return voices
        try:
            if clinic.holds():
                return voices
        except HealthHelperError:
            return self._means.voices
        self._post(self._look_whether_agreed)
        return self._means.voices

    def _look_whether_agreed(self) -> None:
        self._still_agreed()

    def _first_voice(self) -> str:
        voices = self._voices(False)
        return next((one.name for one in voices if one.speaks(self._language)), "")

    def _is_read_aloud(self) -> bool:
        if self._safety_open or self._being_said is not None:
            return False
        return self._mode is not Mode.TYPED if self._speaks is None else self._speaks

    def _read(self, at: int, *, firm: bool = False) -> None:
        assert self._conversation is not None
        turn = self._conversation.turns[at]
        sentences = turn.sentences or spoken(turn.text, self._language)
        self._speaker.say(
            [Sentence(text, Highlight(at, place), firm) for place, text in enumerate(sentences)]
        )

    def _read_again(self, turn: int) -> None:
        if self._conversation is not None and 0 <= turn < len(self._conversation.turns):
            self._speaker.stop()
            self._read(turn, firm=self._safety_open)

    def _speak_answers(self, on: bool) -> None:  # noqa: FBT001 (on or off)
        self._speaks = on
        if not on:
            self._speaker.interrupt()

    # --- Other commands

    def _stop(self) -> None:
        """What was said and not answered yet needs no answer; but what of it should be looked at is told."""
        together = " ".join(part for _, part in sorted(self._parts))
        if together and self._conversation is not None:
            if self._conversation.judged(together).level > self._conversation.level:
                self._end_turn()
                return
        self._parts.clear()
        self._end_answer()

    def _retry(self) -> None:
        if self._last is None or self._safety_open:
            return
        if not self._judged:
            self._ask(self._last)
            return
        if self._retry_in_s():
            return
        self._end_answer()
        self._speaker.interrupt()
        self._fault, self._may_retry = "", False
        self._clinic_rests_until_s = float("-inf")
        self._answer()

    def _consent(self, given: bool) -> None:  # noqa: FBT001 (the decision itself)
        """What is not wanted is not sent from now on, also where the decision cannot be kept; what is wanted only once it is."""
        if self._clinic is None:
            return
        if not given:
            self._withhold()
            self._unkept_no = True
        self._clinic.decide(given)
        self._agreed, self._unkept_no = given, False
        self._open_ears()

    def _decided(self, given: bool) -> None:  # noqa: FBT001 (the decision itself)
        if self._clinic is None:
            return
        if not given:
            self._withhold()
        self._agreed, self._unkept_no = given, not given  # it is told before it is kept
        self._open_ears()

    def _withhold(self) -> None:
        """Nothing more leaves."""
        self._agreed = False
        self._fail_answer()
        self._drop_late()
        self._take_speech_back()

    def _still_agreed(self) -> bool:
        """Before something leaves: nobody has taken it back meanwhile, in another program or window, nor is it gone with the person. Of a guest
        there is nothing to be read.
        """
        assert self._clinic is not None
        try:
            holds = self._clinic.holds()
        except HealthHelperError as fault:
            self._fault, self._may_retry = f"{fault.title}. {fault.remedy}", self._last is not None
            return False
        if not holds:
            self._decided(False)
        return holds

    def _shares_documents(self) -> bool:
        """Likewise, before they are named."""
        assert self._clinic is not None
        try:
            return self._clinic.shares_documents()
        except HealthHelperError:
            return False

    def _take_speech_back(self) -> None:
        """What is on its way outside as sound."""
        if self._being_said is not None and self._being_said.outside:
            self._break_off()
        for recognition in self._understanding.values():
            recognition.cancel()

    def _rate(self, turn: int, good: bool) -> None:  # noqa: FBT001 (the verdict itself)
        if self._conversation is not None:
            self._conversation.feedback(turn, good)

    def _call_staff(self) -> None:
        log.event("staff_called")
        try:
            told = self._means.call_staff()
        except HealthHelperError:
            told = False
        except Exception as bug:  # noqa: BLE001 (nobody may believe that somebody comes)
            show(bug)
            told = False
        self._staff_called = True
        self._staff_trouble = (
            ""
            if told
            else said("Nobody can be told from here. Speak to a member of staff, or ask somebody near you.")
        )

    def _seen(self) -> None:
        self._safety_open = False
        self._speaker.stop()
        if self._waits_for_seen:
            self._waits_for_seen = False
            self._answer()

    def _forget(self) -> None:
        self._end_answer()
        self._drop_late()
        self._drop_speech()
        self._speaker.forget()
        if self._conversation is not None:
            self._conversation.forget()
        self._last = None
        self._judged = self._may_retry = self._safety_open = self._waits_for_seen = self._staff_called = False
        self._fault = self._answerer = self._staff_trouble = ""
        with contextlib.suppress(HealthHelperError):
            if self._clinic is not None:  # of a guest the next may be another
                agreed = self._clinic.agreed()
                self._agreed = False if agreed and self._unkept_no else agreed
        self._open_ears()
        log.event("talk_forgotten")

    # --- Time and what is shown

    def _tick(self) -> None:
        now_s = self._clock.now_s()
        if self._model is not None and now_s >= self._answer_due_s:
            self._clinic_failed()
            self._fail_answer()
        if self._late is not None and now_s >= self._late_until_s:
            self._drop_late()
        gathers = (
            self._gathering is not None and self._gathering.is_alive()
        )  # a store that hangs is asked once
        if self._conversation is not None and not gathers and now_s - self._gathered_s >= LOOKS_AGAIN_S:
            self._renew(self._visit)
        if self._being_said is not None and self._being_said.outside and now_s >= self._looks_s:
            self._looks_s = now_s + _LOOKS_S
            if not self._still_agreed():
                self._take_speech_back()
        waits = self._being_said is not None or bool(self._understanding)
        if self._parts and not waits and now_s >= self._due_s:
            self._end_turn()
        microphone = self._listener.microphone
        if self._wants_to_hear() and not microphone.name and not microphone.trouble and not microphone.ended:
            self._open_ears()  # what understands may be ready by now

    def _try_to_publish(self) -> None:
        """A bug in it is shown once, and said; the conversation goes on, for an emergency is still spoken."""
        try:
            self._publish()
            self._shows = True
        except Exception as bug:  # noqa: BLE001 (see above)
            if not self._shows:
                return
            self._shows = False
            show(bug)
            old = self._slot.get()
            told = said("This failed, by a bug of Health Helper's own. Try again.")
            self._slot.set(replace(old, fault=told, revision=old.revision + 1))

    def _publish(self) -> None:
        old, conversation, microphone = self._slot.get(), self._conversation, self._listener.microphone
        turns = () if conversation is None else conversation.turns
        rates = {} if conversation is None else conversation.feedbacks
        recogniser = self._recogniser()
        highlight = self._speaker.highlight
        spoken_now = self._being_said
        partial_text = [part for _, part in sorted(self._parts)]
        if spoken_now is not None and spoken_now.recognition is not None:
            partial_text.append(spoken_now.recognition.partial())
        open_ = bool(microphone.name) and not self._muted and self._mode is not Mode.TYPED
        new = replace(
            old,
            phase=self._phase(highlight, open_=open_),
            mode=self._mode,
            turns=turns,
            partial=" ".join(part for part in partial_text if part),
            level=Level.NONE if conversation is None else conversation.level,
            safety=None if conversation is None else conversation.safety,
            muted=self._muted,
            microphone=microphone.name if open_ else "",
            trouble=self._trouble(recogniser is not None, microphone.trouble),
            loudness=microphone.loudness if open_ else None,
            speaking=highlight,
            recogniser="" if recogniser is None else recogniser[0].name,
            answerer=self._answerer,
            voice=self._speaker.voice or self._first_voice(),
            why=" ".join(one for one in (self._why_here(), self._speaker.trouble) if one),
            fault=self._told_fault(),
            may_retry=self._may_retry,
            retry_in_s=self._retry_in_s() if self._may_retry and self._judged else 0,
            asks_consent=self._clinic is not None and self._agreed is None,
            staff_called=self._staff_called,
            staff_trouble=self._staff_trouble,
            rates=rates,
        )
        if new != old:
            self._slot.set(replace(new, revision=old.revision + 1))

    def _trouble(self, understands: bool, of_microphone: str) -> str:  # noqa: FBT001 (a fact)
        if self._mode is Mode.TYPED or self._muted:
            return ""
        if understands:
            return of_microphone
        fault = getattr(self._means.recogniser, "fault", None)
        if isinstance(fault, HealthHelperError):
            return f"{fault.title}. {fault.remedy}"
        return said("Nothing here can make text of speech now. Please type.")

    def _phase(self, highlight: Highlight | None, *, open_: bool) -> Phase:
        if self._safety_open:
            return Phase.SAFETY
        if self._being_said is not None:
            return Phase.HEARING
        if self._understanding or self._parts:
            return Phase.UNDERSTANDING
        if highlight is not None:
            return Phase.SPEAKING
        if self._model is not None:
            return Phase.ANSWERING
        return Phase.LISTENING if open_ else Phase.IDLE


def _wait_words(seconds: int) -> str:
    if seconds <= 0:
        return ""
    if seconds <= _COUNTED_S:
        return said(
            "The clinic's cloud has too much to do. It can be asked again in {seconds} s.", seconds=seconds
        )
    return said(
        "The clinic's cloud has too much to do. It can be asked again in {minutes} min.",
        minutes=math.ceil(seconds / 60.0),
    )


def _why_replaced(why: str) -> str:
    if why == "failed":
        return said("The clinic's cloud did not answer in full; this device has answered itself.")
    if why == "silent":
        return said("The clinic's cloud had nothing to say; this device has answered itself.")
    return said(
        "A part of the clinic's answer could not be proved and is not shown; this device has answered itself."
    )
