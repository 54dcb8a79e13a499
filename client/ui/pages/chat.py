"""The assistant's page: somebody asks, by typing or talking, and reads or hears an answer. It pulls what the conversation offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QApplication, QCheckBox, QDialog, QHBoxLayout, QVBoxLayout, QWidget

from client.assistant import knowledge
from client.assistant.conversation import Emergency, Role
from client.assistant.knowledge import Article
from client.clock import Clock
from client.errors import EnvironmentFault, HealthHelperError
from client.language import said
from client.pipeline.talk_state import Mode, Phase, Talking, TalkState
from client.ui.pages.chat_dialogs import PassageDialog, TalkConsentDialog
from client.ui.pages.dialogs import ConfirmDialog
from client.ui.views import chat
from client.ui.views.chat import ChatView, CitationView, TurnView
from client.ui.views.microphone import Hearing
from client.ui.widgets.banner import SafetyBanner
from client.ui.widgets.choice import ChoiceBox
from client.ui.widgets.composer import Composer, TalkButton
from client.ui.widgets.flow import Flow
from client.ui.widgets.layout import Page, button, label
from client.ui.widgets.meter import LevelMeter
from client.ui.widgets.notice import Standing, announce
from client.ui.widgets.transcript import Transcript

_LOOK_EVERY_MS = 50
_LOOK_HIDDEN_MS = 250
_NOTHING = TalkState()
_BUSY = (Phase.ANSWERING, Phase.SPEAKING)


class ChatPage(Page):
    """open_fact(str): a vital sign by its name, in the history. open_document(str): by its identifier. used: somebody talks here or listens.
    alarm: something that must be read, behind another page or a dialog. staff_called: there is something for staff to see.

    make: begins a conversation in a language; raises HealthHelperError. It is asked when the page is first shown, and again after everything
    was forgotten. Away from the page nothing listens and nothing is read aloud.
    """

    open_fact = Signal(str)
    open_document = Signal(str)
    used = Signal()
    alarm = Signal()
    staff_called = Signal()

    def __init__(self, make: Callable[[str], Talking], language: str, clock: Clock) -> None:
        super().__init__(said("Assistant"))
        self._make, self._language, self._clock = make, language, clock
        self._talk: Talking | None = None
        self._state = _NOTHING
        self._cleaned = chat.Cleaned()
        self._view = chat.view(_NOTHING, self._cleaned)
        self._hearing = Hearing()
        self._asked = False  # whether anything was said to this conversation; its state may follow later
        self._reads: bool | None = None  # as the person has chosen; None: as they talk
        self._read: Emergency | None = None  # what was said to be read, and still holds
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self.heading = label(said("Assistant"), "title")
        self.column.addWidget(self.heading)
        self.broken = Standing(self._begin)
        self.consent = Standing(self.ask_consent)
        self.banner = SafetyBanner()
        self.reminder = Standing(self._staff)
        self.transcript = Transcript()
        self.wrong = Standing(self._retry)
        for widget in (self.broken, self.consent, self.banner, self.reminder):
            self.column.addWidget(widget)
        self._inside = QWidget()
        inside = QVBoxLayout(self._inside)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(self.column.spacing())
        inside.addWidget(self.transcript, 1)
        inside.addWidget(self.wrong)
        self._add_composer(inside)
        self.column.addWidget(self._inside, 1)
        self._add_voice()
        self._add_rest()
        self._connect()
        self._show(_NOTHING)

    # What is where

    def _add_composer(self, column: QVBoxLayout) -> None:
        self.too_much = label("", "warning")
        self.too_much.hide()
        self.composer = Composer()
        self.send = button(said("Ask"), self._send, primary=True)
        row = QHBoxLayout()
        row.addWidget(self.composer, 1)
        row.addWidget(self.send)
        column.addLayout(row)
        column.addWidget(self.too_much)

    def _add_voice(self) -> None:
        self._voice = QWidget()
        row = Flow(self._voice)
        self.mode = ChoiceBox()
        self.mode.setAccessibleName(said("How you ask"))
        self.mode.setSizeAdjustPolicy(ChoiceBox.SizeAdjustPolicy.AdjustToContents)
        for one, words in chat.MODES.items():
            self.mode.addItem(said(words), one)
        self.talk = TalkButton()
        self.mute = button("", self._mute)
        self.stop = button(said("Stop"), self._stop)
        self.reads = QCheckBox(said("Read answers aloud"))
        for widget in (self.mode, self.talk, self.mute, self.stop, self.reads):
            row.addWidget(widget)
        self.meter = LevelMeter()
        self.status = label("")
        self.trouble = Standing(lambda: None)
        self.column.addWidget(self._voice)
        line = QHBoxLayout()
        line.addWidget(self.status, 2)
        line.addWidget(self.meter, 1)
        self.column.addLayout(line)
        self.column.addWidget(self.trouble)

    def _add_rest(self) -> None:
        self._rest = QWidget()
        row = Flow(self._rest)
        self.staff = button(said("Call staff"), self._staff)
        self.staff_told = label("")  # a sentence, below the buttons
        self.sent = button(said("What is sent…"), self.ask_consent)
        self.forget_it = button(said("Forget this conversation…"), self._ask_forget)
        for widget in (self.staff, self.sent, self.forget_it):
            row.addWidget(widget)
        self.in_use = label("", "muted")
        self.column.addWidget(self._rest)
        self.column.addWidget(self.staff_told)
        self.column.addWidget(self.in_use)
        self.column.addStretch(0)

    def _connect(self) -> None:
        self.banner.staff.connect(self._staff)
        self.banner.read.connect(self._seen)
        self.banner.quiet.connect(self._stop)
        self.transcript.cited.connect(self._open)
        self.transcript.stop.connect(self._stop)
        self.transcript.read_aloud.connect(lambda turn: self._do(lambda talk: talk.read_aloud(turn)))
        self.transcript.rated.connect(lambda turn, good: self._do(lambda talk: talk.rate(turn, good)))
        self.composer.sent.connect(self._send)
        self.composer.textChanged.connect(self._typed)
        self.mode.activated.connect(lambda at: self._listen(Mode(self.mode.itemData(at))))
        self.talk.talks.connect(self._talks)
        self.reads.toggled.connect(self._read_answers)

    # The conversation

    @property
    def has_words(self) -> bool:
        """Whether there is anything of anybody on it."""
        return bool(self._view.may_forget or self.composer.toPlainText())

    @property
    def must_be_read(self) -> bool:
        """Whether something stands there that goes before everything."""
        return self._view.alone

    @property
    def unread(self) -> str:
        """What is told once it is hidden though nobody has said that they had read it; else ""."""
        banner = self._view.banner
        return chat.unread_words(banner.number) if self.must_be_read and banner is not None else ""

    def forget(self) -> None:
        """Nothing of anybody is here any more, or can come: another person, a lock. The next one begins anew."""
        talk, self._talk = self._talk, None
        if talk is not None:
            talk.forget()
            talk.close()
        self._clear()
        if self.isVisible():
            self._timer.start(_LOOK_EVERY_MS)  # and not now: what forgets may leave the page too
        else:
            self._timer.stop()

    def renew(self, visit: Sequence[str], *, anew: bool = True) -> None:
        """There is more to be known of whoever asks, or less: the conversation is told. visit: see Talking.renew. anew: where nothing was said
        yet, one that knows it begins instead.
        """
        untouched = not self._asked and not self._view.may_forget and self._state.mode is Mode.TYPED
        if self._talk is None:
            return
        if anew and untouched:
            typed = self.composer.toPlainText()
            self.forget()
            self.composer.setPlainText(typed)
        else:
            self._talk.renew(visit)

    def decided(self, given: bool) -> None:  # noqa: FBT001 (the decision itself)
        """It was decided elsewhere whether what is said and asked may be sent, and is kept there."""
        self._do(lambda talk: talk.decided(given))

    def end(self) -> None:
        """The window closes."""
        self._timer.stop()
        talk, self._talk = self._talk, None
        if talk is not None:
            talk.close()

    def take_over(self, before: ChatPage) -> None:
        """The same page, made anew. In another language a conversation does not go on: it is forgotten."""
        before._timer.stop()
        talk, before._talk = before._talk, None
        if talk is None:
            return
        if before._language != self._language:
            talk.forget()
            talk.close()
            return
        self._read, self._asked = before._read, before._asked
        self._check_reads(on=before.reads.isChecked())
        self._talk, self._reads = talk, before._reads
        self.composer.setPlainText(before.composer.toPlainText())
        self._look()
        self._timer.start(_LOOK_EVERY_MS if self.isVisible() else _LOOK_HIDDEN_MS)

    def focus_first(self) -> None:
        """What must be read, or where one types."""
        if self.banner.view is not None:
            self.banner.words.setFocus()
        else:
            self.composer.setFocus()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 (Qt's name)
        super().showEvent(event)
        self._begin()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 (Qt's name)
        """Nobody is heard and nothing is read aloud by what nobody sees; what must be read is still looked for."""
        super().hideEvent(event)
        talk = self._talk
        if talk is None:
            self._timer.stop()
            return
        if self._state.mode is not Mode.TYPED:
            talk.listen(Mode.TYPED)
        talk.speak_answers(False)  # also what is answered only now
        if self._state.phase is Phase.SPEAKING:
            talk.stop()
        self._timer.start(_LOOK_HIDDEN_MS)

    def _begin(self) -> None:
        if self._talk is None:
            try:
                self._talk = self._make(self._language)
            except HealthHelperError as fault:
                self._timer.stop()
                self._clear()
                self.broken.say(f"{fault.title}. {fault.remedy}", said("Try again"))
                self._inside.setEnabled(False)
                self._voice.setEnabled(False)
                return
        self._talk.speak_answers(self.reads.isChecked())
        self.broken.say("", "")
        self._inside.setEnabled(True)
        self._voice.setEnabled(True)
        self._look()
        self._timer.start(_LOOK_EVERY_MS)

    def _clear(self) -> None:
        self.composer.clear()
        self._check_reads(on=False)
        self._reads = self._read = None
        self._asked = False
        self.talk.end()
        self._cleaned = chat.Cleaned()
        self._show(_NOTHING)

    def _do(self, command: Callable[[Talking], None]) -> None:
        if self._talk is not None:
            command(self._talk)
            self._look()

    # What is done

    def _send(self) -> None:
        asked, wrong = chat.typed(self.composer.toPlainText())
        if not asked or not self._view.may_type or self._talk is None:
            if wrong:
                announce(self.too_much, wrong)
            return
        self.composer.clear()
        self.transcript.follow()
        self._asked = True
        self._do(lambda talk: talk.say(asked))

    def _typed(self) -> None:
        asked, wrong = chat.typed(self.composer.toPlainText())
        self.send.setEnabled(bool(asked) and self._view.may_type)
        self.too_much.setText(wrong)
        self.too_much.setVisible(bool(wrong))

    def _listen(self, mode: Mode) -> None:
        self._asked = True
        if self._reads is None:  # who talks wants to hear, unless they have said otherwise
            self._check_reads(on=mode is not Mode.TYPED)
            self._do(lambda talk: talk.speak_answers(self.reads.isChecked()))
        self._do(lambda talk: talk.listen(mode))

    def _check_reads(self, *, on: bool) -> None:
        self.reads.blockSignals(True)
        self.reads.setChecked(on)
        self.reads.blockSignals(False)

    def _talks(self, down: bool) -> None:  # noqa: FBT001 (a button is down or not)
        if down:
            self.transcript.follow()
        self._do(lambda talk: talk.talk(down))

    def _mute(self) -> None:
        on = not self._state.muted
        self._do(lambda talk: talk.mute(on))

    def _stop(self) -> None:
        self._do(lambda talk: talk.stop())

    def _retry(self) -> None:
        self.transcript.follow()
        self._do(lambda talk: talk.retry())

    def _read_answers(self, on: bool) -> None:  # noqa: FBT001 (on or off)
        self._reads = on
        self._do(lambda talk: talk.speak_answers(on))

    def _staff(self) -> None:
        self._do(lambda talk: talk.call_staff())

    def _seen(self) -> None:
        self._read = self._state.safety
        self._do(lambda talk: talk.seen())
        self._show(self._state)  # also where nothing else has become other

    def ask_consent(self) -> None:
        """Whether what is said and asked may be sent; also to take it back."""
        dialog, talk = TalkConsentDialog(self.window()), self._talk
        dialog.exec()
        given = dialog.choice
        dialog.deleteLater()
        if given is not None and talk is self._talk:  # not locked meanwhile, nor somebody else's turn
            self._do(lambda now: now.consent(given))

    def _ask_forget(self) -> None:
        dialog, talk = ConfirmDialog(self.window(), *chat.forget_words()), self._talk
        wanted = dialog.exec() == QDialog.DialogCode.Accepted
        dialog.deleteLater()
        if wanted and talk is self._talk:
            self.composer.clear()
            self._cleaned, self._read, self._asked = chat.Cleaned(), None, False
            self._do(lambda now: now.forget())
            self.composer.setFocus()

    def _open(self, citation: CitationView) -> None:
        if citation.kind == "fact":
            self.open_fact.emit(citation.target)
        elif citation.kind == "document":
            self.open_document.emit(citation.target)
        else:
            dialog = PassageDialog(self.window(), citation, self._article(citation.target))
            dialog.exec()
            dialog.deleteLater()

    def _article(self, name: str) -> Article | None:
        """Of ours, where there is one of this name."""
        try:
            return knowledge.shipped().article(name, self._language) if name else None
        except (KeyError, EnvironmentFault):  # the passage itself is shown all the same
            return None

    # What is shown

    def _look(self) -> None:
        if self._talk is None:
            self._begin()
            return
        state = self._talk.state
        if state is not self._state:
            self._note_use(state)
            self._show(state)
        if self._view.alone and (not self.isVisible() or QApplication.activeModalWidget() is not None):
            self.alarm.emit()

    def _note_use(self, state: TalkState) -> None:
        """Who talks or listens touches nothing and is there all the same."""
        before = sum(turn.role is Role.PERSON for turn in self._state.turns)
        if state.phase in _BUSY or sum(turn.role is Role.PERSON for turn in state.turns) > before:
            self.used.emit()

    def _show(self, state: TalkState) -> None:
        if state.safety is None:
            self._read = None
        before, now = self._view, chat.view(state, self._cleaned, self._read)
        called = _is_called(state) and not _is_called(self._state)
        self._state, self._view = state, now
        if not now.turns:  # forgotten: nothing is remembered of the view before either
            self._cleaned = chat.Cleaned()
        self._show_banner(now, reads=state.speaking is not None or state.phase is Phase.SPEAKING)
        if now.turns != before.turns or now.partial != before.partial or not now.turns:
            self.transcript.show_turns(now.turns, now.partial, right_to_left=now.partial_right_to_left)
            self._tell(before.turns, now, speaks=state.phase is Phase.SPEAKING)
        self.consent.say(*self._consent_words(now))
        self.reminder.say(now.reminder, said("Call staff") if now.reminder else "")
        self.wrong.say(now.fault, now.retry)
        self.wrong.action.setEnabled(now.may_retry)
        self.trouble.say(now.trouble, "")
        self._show_status(before, now)
        self._show_voice(state, now)
        self._show_enabled(now)
        self.heading.setVisible(not now.turns and not now.alone)  # the room is for the conversation
        if called:
            self.staff_called.emit()

    def _consent_words(self, now: ChatView) -> tuple[str, str]:
        if not now.asks_consent or now.alone:
            return "", ""
        return (
            said("Nothing that you say or ask here is sent to the clinic until you agree to it."),
            said("Decide…"),
        )

    def _show_banner(self, now: ChatView, *, reads: bool) -> None:
        stood = self.banner.view is not None
        other = self.banner.show_view(now.banner, reads=reads)
        for widget in (self._inside, self._rest, self.in_use):
            widget.setVisible(not now.alone)
        if stood and now.banner is None and self.isVisible():
            self.composer.setEnabled(now.may_type)
            self.composer.setFocus()
        if not other or now.banner is None:
            return
        self.banner.alert()
        if now.alone or not (self.composer.hasFocus() and self.composer.toPlainText()):
            self.banner.words.setFocus()
        self.verticalScrollBar().setValue(0)

    def _tell(self, before: tuple[TurnView, ...], now: ChatView, *, speaks: bool) -> None:
        words = chat.announced(before, now.turns, speaks=speaks)
        if words and self.isVisible():
            announce(self.transcript, words)

    def _show_status(self, before: ChatView, now: ChatView) -> None:
        self.status.setText(now.status)
        self.status.setVisible(bool(now.status) and not now.alone)
        if now.status != before.status and now.status and self.isVisible() and not now.alone:
            announce(self.status, now.status)
        self.in_use.setText(now.in_use)
        self.staff_told.setText(now.staff_told)
        self.staff_told.setVisible(bool(now.staff_told) and not now.alone)

    def _show_voice(self, state: TalkState, now: ChatView) -> None:
        self.mode.setCurrentIndex(self.mode.findData(now.mode))
        for widget in (self.mode, self.stop, self.reads):
            widget.setVisible(not now.alone)
        self.talk.setVisible(now.talks and not now.alone)
        self.mute.setText(now.mute)
        self.mute.setVisible(now.may_mute)
        self.meter.setVisible(now.hears)
        if not now.hears:
            self.meter.clear()
        elif state.loudness is not None:
            now_s = self._clock.now_s()
            seen = self._hearing.view(state.loudness, now_s)
            self.meter.show_level(seen.share, seen.loudest_share, seen.level, now_s)

    def _show_enabled(self, now: ChatView) -> None:
        self.composer.setEnabled(now.may_type)
        self.send.setEnabled(now.may_type and bool(chat.typed(self.composer.toPlainText())[0]))
        self.mode.setEnabled(now.may_listen)
        self.talk.setEnabled(now.may_talk)
        self.stop.setEnabled(now.may_stop)
        self.forget_it.setEnabled(now.may_forget)


def _is_called(state: TalkState) -> bool:
    return state.staff_called and not state.staff_trouble
