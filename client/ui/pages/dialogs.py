"""Short questions: a new name, is it you, a reading to type in, the recovery key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from PySide6.QtCore import QDateTime, Qt
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from client.language import listing, said
from client.store.observations import LONGEST_NAME, LONGEST_RECORD_NUMBER, Kind, Person
from client.ui.views import entry
from client.ui.views.guard import whose_number
from client.ui.widgets.choice import ChoiceBox, MomentEdit
from client.ui.widgets.layout import button, form, label
from client.ui.widgets.notice import announce


class Dialog(QDialog):
    """A title, what is asked, and what keeps it from being accepted."""

    def __init__(self, parent: QWidget, title: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAccessibleName(title)
        self.setMinimumWidth(min(560, max(320, parent.width() - 40)))
        self.column = QVBoxLayout(self)
        self.column.setSpacing(12)
        around = max(16, self.fontMetrics().height())
        self.column.setContentsMargins(around, around, around, around)
        self.wrong = label("", "warning")
        self.wrong.hide()

    def tell(self, words: str) -> None:
        """What keeps it from being accepted."""
        self.wrong.setText(words)
        self.wrong.setVisible(bool(words))
        self.grow()
        if words:
            announce(self.wrong, words)

    def grow(self) -> None:
        """Wider and higher, if there is more in it now than there is room for."""
        if self.isVisible():
            self.column.invalidate()
            self.column.activate()
            width = max(self.width(), self.column.totalMinimumSize().width())
            self.resize(width, max(self.height(), self.column.totalHeightForWidth(width)))

    def buttons(self, words: str, do: Callable[[], object], *, between: QPushButton | None = None) -> None:
        """At its end: one that leaves everything as it is, and one that does it."""
        self.column.addWidget(self.wrong)
        row = QHBoxLayout()
        row.addStretch(1)
        self.cancel = button(said("Cancel"), self.reject)
        row.addWidget(self.cancel)
        if between is not None:
            row.addWidget(between)
        self.ok = button(words, do, primary=True)
        self.ok.setDefault(True)
        row.addWidget(self.ok)
        self.column.addLayout(row)


class NameDialog(Dialog):
    """A name and perhaps a record number for somebody new, or others for somebody.

    record_number: that they have now. A barcode scanner types one, and Enter.
    """

    def __init__(self, parent: QWidget, now: str = "", record_number: str = "") -> None:
        super().__init__(parent, said("Rename a person") if now else said("Add a person"))
        question = (
            said("Another name for {name}; what is kept of them stays theirs:", name=now)
            if now
            else said("Name of the person whose results are to be kept:")
        )
        self.column.addWidget(label(question))
        self.name = QLineEdit(now)
        self.name.selectAll()
        self.name.setMaxLength(LONGEST_NAME)
        self.name.setAccessibleName(said("Name"))
        self.column.addWidget(self.name)
        self.column.addWidget(label(said("Record number, typed or scanned (may be left out):")))
        self.number = number_field(record_number)
        self.column.addWidget(self.number)
        self.buttons(said("Rename") if now else said("Add"), self._accept)

    @property
    def record_number(self) -> str | None:
        """As typed; None where there is none."""
        return self.number.text() if self.number.text().strip() else None

    def _accept(self) -> None:
        if self.name.text().strip():
            self.accept()
        else:
            self.tell(said("Type a name."))
            self.name.setFocus()


def number_field(now: str = "") -> QLineEdit:
    """For a record number."""
    field = QLineEdit(now)
    field.setMaxLength(2 * LONGEST_RECORD_NUMBER)  # a scanner adds signs of its own, which do not count
    field.setAccessibleName(said("Record number"))
    field.setInputMethodHints(Qt.InputMethodHint.ImhNoPredictiveText | Qt.InputMethodHint.ImhSensitiveData)
    return field


class RecordNumberDialog(Dialog):
    """Whose record number is typed or scanned. found: that person, once it is accepted.

    expected: for whom something is to be saved, or None: anybody may be chosen. Nobody else's name is shown.
    """

    def __init__(self, parent: QWidget, people: Sequence[Person], expected: Person | None) -> None:
        super().__init__(parent, said("Record number"))
        self._people, self._expected = people, expected
        self.found: Person | None = None
        self.column.addWidget(
            label(
                said("Type or scan a person's record number, to choose them.")
                if expected is None
                else said(
                    "Before this is saved for {name}: type or scan their record number.", name=expected.name
                )
            )
        )
        self.number = number_field()
        self.number.textEdited.connect(lambda _text: self._begin_anew())
        self.column.addWidget(self.number)
        self.other = button(said("Choose that person"), self.accept)
        self.other.setAutoDefault(False)  # not by the Enter of a scanner
        self.buttons(said("Choose") if expected is None else said("Go on"), self._accept, between=self.other)
        self.other.hide()

    @property
    def is_expected(self) -> bool:
        """Whether it is the number of the person for whom something is to be saved."""
        return self.found is not None and self._expected is not None and self.found.id == self._expected.id

    def _begin_anew(self) -> None:
        self.found = None
        self.other.hide()
        self.tell("")

    def _accept(self) -> None:
        self.found = found = whose_number(self.number.text(), self._people)
        self.other.setVisible(found is not None and self._expected is not None and not self.is_expected)
        if found is not None and (self._expected is None or self.is_expected):
            self.accept()
            return
        self.tell(
            said("Nobody on this device has this number. Try it again.")
            if found is None
            else said(
                "This number belongs to somebody else on this device. Nothing was saved. Try it again, or choose that person and save then."
            )
        )
        self.number.selectAll()
        self.number.setFocus()


class SharingDialog(Dialog):
    """Whether something may be sent to the clinic. choice: "send", "keep" (here only), or "" where nothing was decided.

    paragraphs: what is asked; the first is the question.
    """

    def __init__(self, parent: QWidget, paragraphs: Sequence[str]) -> None:
        super().__init__(parent, said("Send to the clinic?"))
        self.choice = ""
        for at, words in enumerate(paragraphs):
            self.column.addWidget(label(words, "" if at else "heading"))
        self.keep = button(said("Keep here only"), lambda: self._chosen("keep"))
        self.buttons(said("Send too"), lambda: self._chosen("send"), between=self.keep)
        self.keep.setDefault(True)
        self.keep.setFocus()

    def _chosen(self, choice: str) -> None:
        self.choice = choice
        self.accept()


class DeletePersonDialog(Dialog):
    """Somebody with all that is theirs. choice: "delete" (to be put back for a while), "forever", or "" to leave everything as it is.

    may_be_sent: whether anything of them may be in the clinic's cloud. days: for so long it can be put back.
    """

    def __init__(self, parent: QWidget, name: str, days: int, *, may_be_sent: bool) -> None:
        super().__init__(parent, said("Delete a person"))
        self.choice = ""
        self.column.addWidget(
            label(
                said(
                    "Delete {name} and all that is kept of them? It can be put back for {days} days.",
                    name=name,
                    days=days,
                )
            )
        )
        if may_be_sent:
            self.column.addWidget(
                label(
                    said(
                        "What was sent of them is erased in the clinic's cloud too, once it can't be put back any more."
                    )
                )
            )
        self.forever = button(said("Delete for ever now…"), lambda: self._chosen("forever"))
        self.forever.setAutoDefault(False)
        self.buttons(said("Delete {name}", name=name), lambda: self._chosen("delete"), between=self.forever)
        self.cancel.setDefault(True)
        self.cancel.setFocus()

    def _chosen(self, choice: str) -> None:
        self.choice = choice
        self.accept()


class ConfirmDialog(Dialog):
    """One question with two answers; the careful one has the focus."""

    def __init__(self, parent: QWidget, title: str, question: str, yes: str) -> None:
        super().__init__(parent, title)
        self.column.addWidget(label(question))
        self.buttons(yes, self.accept)
        self.cancel.setDefault(True)
        self.cancel.setFocus()


class UnsavedDialog(Dialog):
    """A result is not saved, and the window is to be closed. choice: "save", "discard", or "" to stay.

    why_not: why it can't be saved now; "" where it can.
    """

    def __init__(self, parent: QWidget, name: str, why_not: str) -> None:
        super().__init__(parent, said("Not saved"))
        self.choice = ""
        self.column.addWidget(
            label(
                said(
                    "The result of the last scan is not saved yet. Save it for {name}, or discard it?",
                    name=name,
                )
            )
        )
        self.discard = button(said("Discard"), lambda: self._chosen("discard"))
        self.discard.setAutoDefault(False)  # Enter never throws anything away by being nearest
        self.buttons(said("Save"), lambda: self._chosen("save"), between=self.discard)
        if why_not:
            self.tell(said("This can't be saved now: {why}", why=why_not))
            self.ok.setEnabled(False)
            self.cancel.setDefault(True)
            self.cancel.setFocus()
        else:
            self.ok.setFocus()

    def _chosen(self, choice: str) -> None:
        self.choice = choice
        self.accept()


@dataclass(frozen=True, slots=True)
class Typed:
    """A reading as it was typed in. taken_at: with its time zone."""

    kind: Kind
    values: Mapping[str, float]
    taken_at: datetime


class EntryDialog(Dialog):
    """A reading from another device."""

    def __init__(self, parent: QWidget, whose: str, now: datetime) -> None:
        super().__init__(parent, said("Add a reading"))
        self._now = now
        self.typed: Typed | None = None
        self.column.addWidget(
            label(said("For {name}. It is marked as typed in.", name=whose or said("Guest")))
        )
        self.kind = ChoiceBox()
        self.kind.setAccessibleName(said("Device"))
        for kind, reading in entry.FORMS.items():
            self.kind.addItem(said(reading.title), kind)
        self.kind.activated.connect(lambda _at: self._show_form())
        self.when = MomentEdit()
        self.when.setDateTime(QDateTime.fromSecsSinceEpoch(int(now.timestamp())))
        self.when.setDisplayFormat("yyyy-MM-dd HH:mm")
        self.when.setMaximumDateTime(QDateTime.fromSecsSinceEpoch(int(now.timestamp()) + 60))
        self.when.setAccessibleName(said("When it was read"))
        self.form = form()
        self.form.addRow(said("Device"), self.kind)
        self.form.addRow(said("When it was read"), self.when)
        self.column.addLayout(self.form)
        self.fields: dict[str, QLineEdit] = {}
        self._show_form()
        self.buttons(said("Save"), self._accept)

    def _show_form(self) -> None:
        while self.form.rowCount() > 2:  # device and time stay
            self.form.removeRow(2)
        self.fields = {}
        for field in entry.FORMS[Kind(self.kind.currentData())].fields:
            edit = QLineEdit()
            optional = said(" (may be left out)") if field.optional else ""
            words = listing([said(field.title), said(field.unit)]) + optional
            edit.setAccessibleName(words)
            edit.setInputMethodHints(Qt.InputMethodHint.ImhFormattedNumbersOnly)
            self.form.addRow(words, edit)
            self.fields[field.name] = edit
        self.tell("")

    def _accept(self) -> None:
        kind = Kind(self.kind.currentData())
        values, wrong = entry.values_of(kind, {name: edit.text() for name, edit in self.fields.items()})
        if wrong:
            self.tell(" ".join(wrong.values()))
            self.fields[next(iter(wrong))].setFocus()
            return
        taken_at = datetime.fromtimestamp(self.when.dateTime().toSecsSinceEpoch(), tz=self._now.tzinfo)
        self.typed = Typed(kind, values, taken_at)
        self.accept()


class RecoveryDialog(Dialog):
    """A recovery key that is shown once, and in force once somebody says that it is written down."""

    def __init__(self, parent: QWidget, key: str, print_it: Callable[[], None]) -> None:
        super().__init__(parent, said("Recovery key"))
        self.column.addWidget(
            label(
                said(
                    "Write this down or print it, and keep it away from this computer. It opens what is kept here when this "
                    "computer's key store is lost, and on another computer. It is shown only now."
                )
            )
        )
        self.key = label(key, "key")  # not to be selected: a clipboard keeps a copy, and others read it
        self.key.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # Tab brings a screen reader to it
        self.key.setAccessibleName(said("Recovery key: {key}", key=key))
        self.key.setAccessibleDescription(" ".join(key))  # sign by sign
        self.column.addWidget(self.key)
        self.column.addWidget(button(said("Print…"), print_it))
        self.buttons(said("I have written it down"), self.accept)


class RestoreDialog(Dialog):
    """A recovery key to be typed."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, said("Open with the recovery key"))
        self.column.addWidget(label(said("Type the recovery key from the paper:")))
        self.key = QLineEdit()
        self.key.setAccessibleName(said("Recovery key"))
        self.key.setInputMethodHints(
            Qt.InputMethodHint.ImhNoPredictiveText | Qt.InputMethodHint.ImhSensitiveData
        )
        self.column.addWidget(self.key)
        self.buttons(said("Open"), self._accept)

    def _accept(self) -> None:
        if self.key.text().strip():
            self.accept()
        else:
            self.tell(said("Type the key."))
