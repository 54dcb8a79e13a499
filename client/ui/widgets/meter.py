"""A bar that shows how loud it is, with a mark at the loudest of the last seconds."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QProgressBar, QSizePolicy, QWidget

from client.language import said
from client.ui import look

_SAY_EVERY_S = 2.0
"""A screen reader is told of every new value: more would only be noise."""


class LevelMeter(QProgressBar):
    """For a screen reader it is a progress bar, in percent of its length; its description is the level in dB."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setRange(0, 100)
        self.setTextVisible(False)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(said("Level of the microphone"))
        self._share = self._loudest = 0.0
        self._told_s: float | None = None

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        return QSize(240, max(16, self.fontMetrics().height()))

    minimumSizeHint = sizeHint  # noqa: N815 (Qt's name)

    def clear(self) -> None:
        """Nothing is heard."""
        self._share, self._loudest, self._told_s = 0.0, 0.0, None
        self.setValue(0)
        self.setAccessibleDescription("")
        self.update()

    def show_level(self, share: float, loudest: float, words: str, now_s: float) -> None:
        """share, loudest: of the bar, 0 to 1. words: the level. now_s: the clock's second, for what is told and not shown."""
        if (share, loudest) != (self._share, self._loudest):
            self._share, self._loudest = share, loudest
            self.update()
        if self._told_s is None or now_s - self._told_s >= _SAY_EVERY_S:
            self._told_s = now_s
            self.setAccessibleDescription(words)
            self.setValue(round(100 * loudest))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        del event
        palette = look.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.layoutDirection() is Qt.LayoutDirection.RightToLeft:
            painter.translate(float(self.width()), 0.0)
            painter.scale(-1.0, 1.0)
        whole = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(QPen(QColor(palette.control), 1.0))
        painter.setBrush(QColor(palette.raised))
        painter.drawRoundedRect(whole, 4.0, 4.0)
        inside = whole.adjusted(2.5, 2.5, -2.5, -2.5)
        bar = QRectF(inside.left(), inside.top(), self._share * inside.width(), inside.height())
        painter.fillRect(bar, QColor(palette.accent))
        if self._loudest > 0.0:
            at = inside.left() + self._loudest * (inside.width() - 3.0)
            painter.fillRect(QRectF(at, inside.top(), 3.0, inside.height()), QColor(palette.text))
