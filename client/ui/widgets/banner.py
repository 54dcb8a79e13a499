"""What may be an emergency, over everything else, until somebody says that they have read it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from client.language import said
from client.ui.views.chat import BannerView
from client.ui.widgets.flow import Flow
from client.ui.widgets.layout import button, label
from client.ui.widgets.notice import announce


class SafetyBanner(QFrame):
    """staff: somebody is wanted. read: it was read. quiet: it is to be read aloud no longer.

    The words have the focus first and not a button: whoever was typing presses nothing by it.
    """

    staff = Signal()
    read = Signal()
    quiet = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("urgent")
        self.setAccessibleName(said("Important"))
        self._shown: BannerView | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(12)
        self.heading = label("", "alarm")
        self.words = label("", "alarm_words")
        self.words.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.number = label("", "alarm")
        self.told = label("", "alarm_words")
        for one in (self.heading, self.number, self.words, self.told):
            column.addWidget(one)
        holder = QWidget()
        row = Flow(holder)
        self.call = button("", self.staff.emit)
        self.stop = button(said("Stop reading"), self.quiet.emit)
        self.seen = button(said("I have read this"), self.read.emit)
        for act in (self.call, self.stop, self.seen):
            row.addWidget(act)
        column.addWidget(holder)
        self.hide()

    @property
    def view(self) -> BannerView | None:
        """What it shows; None: nothing."""
        return self._shown

    def show_view(self, view: BannerView | None, *, reads: bool) -> bool:
        """reads: it is read aloud just now. Whether other words stand there than before."""
        self.stop.setVisible(reads)
        if view == self._shown:
            return False
        before, self._shown = self._shown, view
        self.setVisible(view is not None)
        if view is None:
            return False
        self.setObjectName("emergency" if view.emergency else "urgent")
        for widget in (self, *self.findChildren(QWidget)):
            widget.style().unpolish(widget)
            widget.style().polish(widget)
        self.heading.setText(view.heading)
        self.words.setText(view.text)
        self.words.setAccessibleName(view.spoken)
        for shown, words in ((self.number, view.number), (self.told, view.told)):
            shown.setText(words)
            shown.setVisible(bool(words))
        self.call.setText(view.staff.replace("&", "&&"))
        if before is not None and view.told and view.told != before.told:
            announce(self, view.told, at_once=True)
        return before is None or (before.text, before.emergency) != (view.text, view.emergency)

    def alert(self) -> None:
        """Let a screen reader say it at once, whatever it is saying."""
        if self._shown is not None:
            announce(self, self._shown.spoken, at_once=True)
            QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.Alert))
