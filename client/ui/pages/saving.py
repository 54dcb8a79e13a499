"""Before something is kept: is it the right person, and may it be sent to the clinic? Then it is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from client.clock import Clock
from client.errors import HealthHelperError
from client.language import said
from client.parts import Kept
from client.pipeline.sharing import ON_PAPER_VERSION, assistant_agreed, question, server_of
from client.policy import Policy
from client.store.consents import ASSISTANT_VERSION, CLOUD_VERSION, Consent, Subject
from client.store.observations import Observation, Person
from client.store.tasks import Task
from client.ui.pages.chat_dialogs import TalkConsentDialog
from client.ui.pages.dialogs import Dialog, RecordNumberDialog, SharingDialog
from client.ui.pages.job import Job
from client.ui.shelf import Open, Shelf
from client.ui.views.guard import must_read_number
from client.ui.views.sharing import Standing, assistant_holds, holds, standing
from client.ui.widgets.layout import button, label
from client.ui.widgets.notice import Notice

NotKept = Callable[[HealthHelperError | None], None]
"""Called where it came to nothing: with the world's fault, or None where the person did not want it after all."""


@dataclass(frozen=True, slots=True)
class Saved:
    """tasks: what of it staff should look at."""

    tasks: tuple[Task, ...]


class Saving(Job):
    """chosen(str): the person whose record number was read, instead of the one who was chosen. assistant_decided(str, bool): whether
    the assistant may ask the clinic for this person; what is taken back is told before it is kept.
    """

    chosen = Signal(object)
    assistant_decided = Signal(object, bool)

    def __init__(self, window: QWidget, shelf: Shelf, notice: Notice, clock: Clock, language: str) -> None:
        super().__init__(window, shelf, notice, clock)
        self._language = language

    # Is it the right person?

    def reads_numbers(self, person: str | None) -> bool:
        """Whether this person's record number has to be read before something is saved for them."""
        state = self.shelf.state
        return isinstance(state, Open) and must_read_number(
            self._of(person), wanted=state.policy.confirm_record_number
        )

    def is_right(self, person: str | None) -> bool:
        """Whether it is them by their record number, where that has to be read. Otherwise whoever it belongs to may be chosen."""
        if not self.reads_numbers(person):
            return True
        dialog = RecordNumberDialog(self.window, self._people(), self._of(person))
        if dialog.exec() != QDialog.DialogCode.Accepted or dialog.found is None:
            return False
        if not dialog.is_expected:
            self.chosen.emit(dialog.found.id)
        return dialog.is_expected

    def find(self) -> None:
        """Choose a person by their record number."""
        dialog = RecordNumberDialog(self.window, self._people(), None)
        if dialog.exec() == QDialog.DialogCode.Accepted and dialog.found is not None:
            self.chosen.emit(dialog.found.id)

    def _people(self) -> tuple[Person, ...]:
        state = self.shelf.state
        return state.people if isinstance(state, Open) else ()

    def _of(self, person: str | None) -> Person | None:
        return next((one for one in self._people() if one.id == person), None)

    # May it be sent?

    def decide(self, person: str | None, then: Callable[[bool], None], not_now: NotKept) -> None:
        """Ask what has to be asked, and note the answer. then: with whether a guest's is sent; of a person, what was noted holds."""

        def look(kept: Kept) -> Standing:
            newest = kept.consents.newest(person, Subject.CLOUD)
            return standing(kept.outbox.enrolled(), newest, kept.policy, guest=person is None)

        def got(found: Standing) -> None:
            if found.on_paper:
                self._note(person, ON_PAPER_VERSION, given=True, then=lambda: then(True), not_now=not_now)
            elif not found.ask:
                then(found.sends)
            else:
                dialog = SharingDialog(self.window, question(self.name_of(person), found.clinic))
                dialog.exec()
                if not dialog.choice:
                    not_now(None)
                    return
                given = dialog.choice == "send"
                self._note(person, CLOUD_VERSION, given=given, then=lambda: then(given), not_now=not_now)

        self.shelf.ask_kept(look, got, not_now)

    def decide_documents(self, person: str | None, then: Callable[[bool], None], not_now: NotKept) -> None:
        """As `decide`, before documents are added: for them too it has to be the right person."""
        if self.is_right(person):
            self.decide(person, then, not_now)
        else:
            not_now(None)

    def _note(
        self,
        person: str | None,
        version: int,
        *,
        subject: Subject = Subject.CLOUD,
        given: bool,
        then: Callable[[], None],
        not_now: NotKept,
    ) -> None:
        now = self.clock.utc()
        self.shelf.ask_kept(
            lambda kept: kept.consents.record(person, subject, version, given, self._language, now),
            lambda _: then(),
            not_now,
        )

    def note_measuring(self, version: int) -> None:
        """What was agreed to on the first page, where the store does not have it yet. version: of its text."""
        now = self.clock.utc()

        def note(kept: Kept) -> None:
            newest = kept.consents.newest(None, Subject.MEASURING)
            if newest is None or newest.version != version or not newest.given:
                kept.consents.record(None, Subject.MEASURING, version, True, self._language, now)

        self.shelf.ask_kept(note, lambda _: None, self.tell_fault)

    def change_sharing(self, person: str | None) -> None:
        """Give or take back what a person has agreed to: that what is kept is sent, and that the assistant asks the clinic."""
        if person is None:
            self.notice.tell(said("Choose a person at the top first; a guest is asked each time."))
            return

        def look(kept: Kept) -> tuple[Consent | None, Consent | None]:
            return kept.consents.newest(person, Subject.CLOUD), kept.consents.newest(
                person, Subject.ASSISTANT
            )

        def got(found: tuple[Consent | None, Consent | None]) -> None:
            state = self.shelf.state
            if not isinstance(state, Open):
                return
            clinic = server_of(state.server)
            dialog = SharedDialog(self.window, self.name_of(person), clinic, *found, state.policy)
            if dialog.exec() != QDialog.DialogCode.Accepted:
                return
            if dialog.choice == "assistant":
                self._change_assistant(person, given=bool(assistant_agreed(found[1], state.policy)))
            else:
                self._change_copy(person, given=found[0] is not None and found[0].given)

        self.shelf.ask_kept(look, got, self.tell_fault)

    def _change_copy(self, person: str, *, given: bool) -> None:
        name = self.name_of(person)
        words = (
            said(
                "Nothing more of {name} is sent. What was sent before stays at the clinic until {name} is deleted for ever.",
                name=name,
            )
            if given
            else said("What is kept of {name} from now on is sent to the clinic.", name=name)
        )
        self._note(
            person,
            CLOUD_VERSION,
            given=not given,
            then=lambda: self.notice.tell(words),
            not_now=self._tell_not_noted,
        )

    def _change_assistant(self, person: str, *, given: bool) -> None:
        """What is taken back holds before the store has it, and without a question."""
        name = self.name_of(person)
        if given:
            self.assistant_decided.emit(person, False)
            words = said("Nothing more that {name} says to the assistant or asks it is sent.", name=name)
        else:
            dialog = TalkConsentDialog(self.window)
            dialog.exec()
            if not dialog.choice:
                return
            words = said("What {name} says to the assistant and asks it is sent to the clinic.", name=name)

        def noted() -> None:
            if not given:
                self.assistant_decided.emit(person, True)
            self.notice.tell(words)

        self._note(
            person,
            ASSISTANT_VERSION,
            subject=Subject.ASSISTANT,
            given=not given,
            then=noted,
            not_now=self._tell_not_noted,
        )

    def _tell_not_noted(self, fault: HealthHelperError | None) -> None:
        if fault is not None:
            self.tell_fault(fault)

    # Keep it

    def keep(self, observation: Observation, then: Callable[[Saved], None], not_kept: NotKept) -> None:
        """Ask what has to be asked and keep it."""
        line = observation.line

        def save(guest_agrees: bool) -> None:  # noqa: FBT001 (an answer)
            def job(kept: Kept) -> Saved:
                kept.observations.save(observation, guest_agrees=guest_agrees)
                return Saved(tuple(one for one in kept.tasks.open() if one.observation == line.id))

            self.shelf.change(job, then, not_kept, again=True)  # what is kept once is not kept twice

        if line.simulated:
            save(False)
        else:
            self.decide(line.person, save, not_kept)


class SharedDialog(Dialog):
    """What a person has decided about sending and about the assistant, and the other decisions. Accepted: the one that choice names,
    "copy" or "assistant".
    """

    def __init__(
        self,
        parent: QWidget,
        name: str,
        clinic: str,
        newest: Consent | None,
        of_assistant: Consent | None,
        policy: Policy,
    ) -> None:
        super().__init__(parent, said("Sharing of {name}", name=name))
        self.choice = ""
        given, asks = newest is not None and newest.given, bool(assistant_agreed(of_assistant, policy))
        self._inside = QWidget()
        self._inside.setObjectName("page")
        self._words = QVBoxLayout(self._inside)
        self._words.addWidget(label(holds(newest), "heading"))
        for words in question(name, clinic)[0 if not given else 1 :]:
            self._words.addWidget(label(words))
        self.copy = button(said("Take it back") if given else said("Agree"), lambda: self._chosen("copy"))
        self._add_act(self.copy)
        if policy.assistant or asks:
            self._words.addWidget(label(assistant_holds(of_assistant, policy), "heading"))
            self.assistant = button(
                said("Take it back for the assistant") if asks else said("Decide for the assistant…"),
                lambda: self._chosen("assistant"),
            )
            self._add_act(self.assistant)
        self._words.addStretch(1)
        self._add_area(self.windowTitle(), parent.height())
        self.column.addWidget(self.wrong)
        row = QHBoxLayout()
        row.addStretch(1)
        self.close_it = button(said("Close"), self.reject, primary=True)
        self.close_it.setDefault(True)
        row.addWidget(self.close_it)
        self.column.addLayout(row)
        self.close_it.setFocus()

    def _add_area(self, name: str, room: int) -> None:
        """Large letters may need more room than there is. room: the window's height."""
        area = QScrollArea()
        area.setWidget(self._inside)
        area.setWidgetResizable(True)
        area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # arrows scroll it
        area.setAccessibleName(name)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        margins = self.column.contentsMargins()
        width = self.minimumWidth() - margins.left() - margins.right()
        height = max(self._words.totalHeightForWidth(width), self._words.totalMinimumSize().height())
        area.setMinimumHeight(min(height + 4, max(160, room - 200)))
        area.setMinimumWidth(self._words.totalMinimumSize().width())
        self.column.addWidget(area, 1)

    def _add_act(self, act: QPushButton) -> None:
        row = QHBoxLayout()
        row.addWidget(act)
        row.addStretch(1)
        self._words.addLayout(row)

    def _chosen(self, choice: str) -> None:
        self.choice = choice
        self.accept()
