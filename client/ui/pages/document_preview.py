"""A kept document is looked at: page by page, in memory only."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Event

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QImage, QPixmap, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QScrollArea, QWidget

from client.errors import HealthHelperError
from client.intake.preview import LONGEST_PX, Sheet, sheet
from client.language import said
from client.pipeline.worker import Worker
from client.ui.pages.dialogs import Dialog
from client.ui.views.documents import zoom_steps
from client.ui.widgets.layout import button, label
from client.ui.widgets.notice import announce

_LOOK_EVERY_MS = 30
_END_S = 3.0


class PreviewDialog(Dialog):
    """data: the document, decrypted; let go of when this closes."""

    def __init__(self, parent: QWidget, title: str, data: bytes, media_type: str) -> None:
        super().__init__(parent, said("Preview: {name}", name=title))
        self._data, self._media_type = data, media_type
        self._page, self._pages, self._zoom = 0, 1, 0
        self._worker = Worker("preview of a document")
        self._given_up = Event()
        self._drawing: Future[Sheet] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)
        self.words = label("", "muted")
        self.sheet = QLabel()
        self.sheet.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.area = QScrollArea()
        self.area.setWidget(self.sheet)
        self.area.setWidgetResizable(True)
        self.area.setAccessibleName(said("The page"))
        self.area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # arrows scroll it
        room = parent.size()
        self.area.setMinimumSize(min(460, room.width() - 120), min(420, max(160, room.height() - 260)))
        self.column.addWidget(self.area, 1)
        self.column.addWidget(self.words)
        self.back = button(said("Page before"), lambda: self.turn_to(self._page - 1))
        self.on = button(said("Next page"), lambda: self.turn_to(self._page + 1))
        self.smaller = button(said("Smaller"), lambda: self.zoom_to(self._zoom - 1))
        self.larger = button(said("Larger"), lambda: self.zoom_to(self._zoom + 1))
        for pair in ((self.back, self.on), (self.smaller, self.larger)):
            row = QHBoxLayout()
            for one in pair:
                row.addWidget(one)
            row.addStretch(1)
            self.column.addLayout(row)
        self.column.addWidget(self.wrong)
        row = QHBoxLayout()
        row.addStretch(1)
        self.ok = button(said("Close"), self.accept, primary=True)
        row.addWidget(self.ok)
        self.column.addLayout(row)
        for key, step in ((Qt.Key.Key_PageDown, 1), (Qt.Key.Key_PageUp, -1)):
            QShortcut(key, self).activated.connect(lambda step=step: self.turn_to(self._page + step))
        for sign, step in (("+", 1), ("-", -1)):
            QShortcut(sign, self).activated.connect(lambda step=step: self.zoom_to(self._zoom + step))
        self.finished.connect(lambda _result: self.end())
        self.resize(min(900, room.width() - 40), min(1000, room.height() - 20))
        self._draw()

    def turn_to(self, page: int) -> None:
        """Another page, if it is there."""
        if 0 <= page < self._pages and page != self._page:
            self._page = page
            self._draw()

    def zoom_to(self, step: int) -> None:
        """Larger or smaller, if there is such a step."""
        if 0 <= step < len(zoom_steps()) and step != self._zoom:
            self._zoom = step
            self._draw()

    def end(self) -> None:
        """Nothing of the document stays."""
        self._timer.stop()
        self._given_up.set()
        self._drawing = None
        self._worker.end(_END_S)
        self._data = b""
        self.sheet.clear()

    def _draw(self) -> None:
        # Twice as many pixels as the width has: a page is higher than wide, and longest_px is of its longer side.
        width = max(300, self.area.width() - 24)
        longest = min(
            LONGEST_PX, round(1.42 * width * self.devicePixelRatioF() * zoom_steps()[self._zoom] / 100)
        )
        data, media_type, page, given_up = self._data, self._media_type, self._page, self._given_up
        self._drawing = self._worker.do(
            lambda: sheet(data, media_type, page, longest, cancelled=given_up.is_set)
        )
        self._timer.start()
        self._show_where()

    def _look(self) -> None:
        if self._drawing is None or not self._drawing.done():
            return
        done, self._drawing = self._drawing, None
        self._timer.stop()
        try:
            found = done.result()
        except HealthHelperError as fault:
            self.sheet.clear()
            self.tell(f"{fault.title}. {fault.remedy}")
            return
        self.tell("")
        self._pages = found.pages
        height, width = found.pixels.shape[:2]
        image = QImage(found.pixels.data, width, height, 3 * width, QImage.Format.Format_BGR888)
        pixmap = QPixmap.fromImage(image)  # a copy: the array may go
        pixmap.setDevicePixelRatio(self.devicePixelRatioF())
        self.sheet.setPixmap(pixmap)
        self._show_where()
        announce(self.words, self.words.text())

    def _show_where(self) -> None:
        words = said("Page {page} of {pages}", page=self._page + 1, pages=self._pages)
        self.words.setText(words)
        self.sheet.setAccessibleName(words)
        self.back.setEnabled(self._page > 0)
        self.on.setEnabled(self._page + 1 < self._pages)
        self.smaller.setEnabled(self._zoom > 0)
        self.larger.setEnabled(self._zoom + 1 < len(zoom_steps()))
