"""A progress bar in the form of a ring: what still has to be measured. It stands still while nothing counts."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QProgressBar, QSizePolicy, QWidget

from client.language import said
from client.ui import look

_STEPS = 1000


class Ring(QProgressBar):
    """For a screen reader it is a progress bar."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setRange(0, _STEPS)
        self.setTextVisible(False)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(said("Progress of the scan"))
        self._words, self._paused = "", False

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        side = max(130, 11 * self.fontMetrics().height())
        return QSize(side, side)

    minimumSizeHint = sizeHint  # noqa: N815 (Qt's name)

    def show_share(self, share: float | None, words: str, *, paused: bool) -> None:
        """share: 0 to 1, or None where no end is known. words: in the middle."""
        value = 0 if share is None else round(_STEPS * min(1.0, max(0.0, share)))
        if (value, words, paused) == (self.value(), self._words, self._paused):
            return
        self._words, self._paused = words, paused
        self.setValue(value)
        self.setAccessibleDescription(words)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        del event
        palette = look.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        thick = max(8.0, self.width() / 14.0)
        at = QRectF(self.rect()).adjusted(thick, thick, -thick, -thick)
        painter.setPen(QPen(QColor(palette.line), thick))
        painter.drawEllipse(at)
        colour = palette.warning if self._paused else palette.accent
        pen = QPen(QColor(colour), thick)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        turn = round(-360 * 16 * self.value() / _STEPS)
        if turn:
            painter.drawArc(at, 90 * 16, turn)
        painter.setPen(QColor(palette.text))
        words = f"{said('Paused')}\n{self._words}" if self._paused else self._words
        inner = at.adjusted(thick, thick, -thick, -thick)
        painter.drawText(inner, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, words)
