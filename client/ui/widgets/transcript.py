"""What was said, turn by turn, as plain text: nothing in it is markup, a link, or a picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QPushButton, QScrollArea, QVBoxLayout, QWidget

from client.language import said
from client.ui.views.chat import CitationView, TurnView
from client.ui.widgets.flow import Flow
from client.ui.widgets.layout import button, label

_NEAR_PX = 24
"""So near to its end the text is followed as it grows."""
_LEAST_LINES, _LINES = 5, 8


class TurnBox(QFrame):
    """One turn. cited(CitationView), read, stop, rated(bool). chained: there are other buttons."""

    cited = Signal(object)
    chained = Signal()
    read = Signal()
    stop = Signal()
    rated = Signal(bool)

    def __init__(self, kind: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(kind)
        self._view: TurnView | None = None
        self._was_marked = False
        self._citations: tuple[CitationView, ...] = ()
        self.citations: list[QPushButton] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 14, 10)
        column.setSpacing(6)
        self.who = label("", "who")
        self.text = label("")
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.note = label("", "muted")
        for one in (self.who, self.text, self.note):
            column.addWidget(one)
        self._cites, self._acts = QWidget(), QWidget()
        self._cite_row, row = Flow(self._cites), Flow(self._acts)
        column.addWidget(self._cites)
        self.read_aloud = button("", self._read)
        self.asks = label(said("Did this help?"), "muted")
        self.asks.setWordWrap(False)
        self.yes = self._verdict(said("Yes"), said("Yes, this helped"), good=True)
        self.no = self._verdict(said("No"), said("No, this did not help"), good=False)
        for widget in (self.read_aloud, self.asks, self.yes, self.no):
            row.addWidget(widget)
        column.addWidget(self._acts)

    @property
    def view(self) -> TurnView | None:
        """What it shows."""
        return self._view

    @property
    def buttons(self) -> list[QPushButton]:
        """As Tab goes through them."""
        return [*self.citations, self.read_aloud, self.yes, self.no]

    def show_view(self, view: TurnView) -> None:
        """Only what is other than before is touched."""
        before, self._view = self._view, view
        if before == view:
            return
        self.setAccessibleName(view.who)
        self.who.setText(view.who)
        if before is None or before.text != view.text:
            self.text.setText(view.text)
            direction = (
                Qt.LayoutDirection.RightToLeft if view.right_to_left else Qt.LayoutDirection.LeftToRight
            )
            self.text.setLayoutDirection(direction)
        self._mark(view)
        self.note.setText(view.note)
        self.note.setVisible(bool(view.note))
        if view.citations != self._citations:
            self._cite(view.citations)
        self._cites.setVisible(bool(view.citations))
        self.read_aloud.setText(said("Stop reading") if view.reading else said("Read aloud"))
        self.read_aloud.setVisible(view.may_read or view.reading)
        for widget in (self.asks, self.yes, self.no):
            widget.setVisible(view.may_rate)
        self.yes.setChecked(view.rated is True)
        self.no.setChecked(view.rated is False)
        self._acts.setVisible(view.may_read or view.reading or view.may_rate)

    def _verdict(self, words: str, spoken: str, *, good: bool) -> QPushButton:
        def rate() -> None:
            self.yes.setChecked(good)
            self.no.setChecked(not good)
            self.rated.emit(good)

        made = button(words, rate)
        made.setCheckable(True)
        made.setObjectName("verdict")
        made.setAccessibleName(spoken)
        return made

    def _read(self) -> None:
        reading = self._view is not None and self._view.reading
        (self.stop if reading else self.read).emit()

    def _mark(self, view: TurnView) -> None:
        if view.marked is None:
            if self.text.hasSelectedText() and self._was_marked:
                self.text.setSelection(0, 0)
            self._was_marked = False
            return
        begin, end = (_utf16(view.text[:at]) for at in view.marked)
        self._was_marked = True
        if (self.text.selectionStart(), len(self.text.selectedText())) != (begin, end - begin):
            self.text.setSelection(begin, end - begin)

    def _cite(self, citations: tuple[CitationView, ...]) -> None:
        for old in self.citations:
            self._cite_row.removeWidget(old)
            old.hide()
            old.deleteLater()
        self._citations = citations
        self.citations = [self._citation(one) for one in citations]
        self.chained.emit()

    def _citation(self, one: CitationView) -> QPushButton:
        made = button(one.words, lambda: self.cited.emit(one))
        made.setObjectName("citation")
        made.setAccessibleName(one.spoken)
        self._cite_row.addWidget(made)
        return made


def _utf16(text: str) -> int:
    """How many places Qt counts for it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Transcript(QScrollArea):
    """cited(CitationView); read_aloud(int), stop, rated(int, bool): of a turn.

    Follows its end while somebody is there; whoever has scrolled up stays where they read, and a button leads to what is new.
    """

    cited = Signal(object)
    read_aloud = Signal(int)
    stop = Signal()
    rated = Signal(int, bool)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("transcript")
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # arrows scroll it
        self.setAccessibleName(said("Conversation"))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._boxes: list[TurnBox] = []
        self._follows = True
        inside = QWidget()
        inside.setObjectName("page")
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(8, 8, 8, 8)
        self._column.setSpacing(10)
        self.nothing = label(said("Ask about what was measured here, or what the numbers mean."), "muted")
        self._column.addWidget(self.nothing)
        self.partial = TurnBox("person")
        self.partial.setProperty("partial", True)
        self.partial.hide()
        self._column.addWidget(self.partial)
        self._column.addStretch(1)
        self.setWidget(inside)
        self.newest = button(said("To the newest"), self.follow)
        self.newest.setParent(self)
        self.newest.hide()
        self._settles = QTimer(self)
        self._settles.setSingleShot(True)
        self._settles.setInterval(0)
        self._settles.timeout.connect(self._settle)
        bar = self.verticalScrollBar()
        bar.valueChanged.connect(lambda _value: self._scrolled())
        bar.rangeChanged.connect(lambda _low, _high: self._grown())

    @property
    def boxes(self) -> Sequence[TurnBox]:
        """One for each turn that is shown."""
        return self._boxes

    @property
    def follows(self) -> bool:
        """Whether its end stays in sight as it grows."""
        return self._follows

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        return QSize(400, _LINES * self.fontMetrics().lineSpacing())

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        return QSize(200, _LEAST_LINES * self.fontMetrics().lineSpacing())

    def show_turns(self, turns: Sequence[TurnView], partial: str, *, right_to_left: bool) -> None:
        """All of them; and what is being said just now."""
        for at, one in enumerate(turns):
            if at < len(self._boxes) and (self._boxes[at].objectName() != one.kind or self._at(at) != one.at):
                self._drop(at)
            if at == len(self._boxes):
                self._boxes.append(self._made(one, at))
                self._chain()
            self._boxes[at].show_view(one)
        self._drop(len(turns))
        self.nothing.setVisible(not turns and not partial)
        self.partial.setVisible(bool(partial))
        self.partial.show_view(
            TurnView(-1, "person", said("You, just now"), partial, right_to_left=right_to_left)
        )
        if not turns and not partial:
            self._follows = True
            self.newest.hide()

    def follow(self) -> None:
        """To its end, and with it from now on."""
        self._follows = True
        self.newest.hide()
        self._settles.start()

    def scroll_to(self, box: TurnBox) -> None:
        """So that all of it can be read, or its beginning."""
        self.ensureWidgetVisible(box, 0, 8)

    def _at(self, at: int) -> int:
        view = self._boxes[at].view
        return -1 if view is None else view.at

    def _made(self, one: TurnView, at: int) -> TurnBox:
        made = TurnBox(one.kind)
        turn = one.at
        made.cited.connect(self.cited.emit)
        made.chained.connect(self._chain)
        made.read.connect(lambda: self.read_aloud.emit(turn))
        made.stop.connect(self.stop.emit)
        made.rated.connect(lambda good: self.rated.emit(turn, good))
        self._column.insertWidget(1 + at, made)
        return made

    def _chain(self) -> None:
        """Tab goes from top to bottom; Qt puts what is new at the end of the window's chain."""
        chain = [self, *(one for box in self._boxes for one in box.buttons), self.newest]
        for before, after in pairwise(chain):
            QWidget.setTabOrder(before, after)

    def _drop(self, first: int) -> None:
        """All from this one on. Nothing of their words stays."""
        for old in self._boxes[first:]:
            self._column.removeWidget(old)
            old.hide()
            old.text.clear()
            old.deleteLater()
        del self._boxes[first:]

    def _scrolled(self) -> None:
        bar = self.verticalScrollBar()
        if bar.maximum() - bar.value() <= _NEAR_PX:
            self._follows = True
            self.newest.hide()
        elif not self._settles.isActive():
            self._follows = False

    def _grown(self) -> None:
        if self._follows:
            self._settles.start()
        elif self._boxes:
            self._place()
            self.newest.show()
            self.newest.raise_()

    def _settle(self) -> None:
        if self._follows:
            bar = self.verticalScrollBar()
            bar.setValue(bar.maximum())

    def _place(self) -> None:
        self.newest.adjustSize()
        inside = self.viewport().geometry()
        self.newest.move(
            inside.center().x() - self.newest.width() // 2, inside.bottom() - self.newest.height() - 8
        )

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 (Qt's name)
        super().resizeEvent(event)
        self._place()
        if self._follows:
            self._settles.start()
