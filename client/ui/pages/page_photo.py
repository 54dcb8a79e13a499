"""A page is photographed: the camera's picture, the sheet found in it, its corners put right, the sheet seen straight from above.

Nothing of it is on the disk: the picture goes from the camera to the intake as pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QPushButton, QSizePolicy, QWidget

from client.devices.ports import FrameSource
from client.errors import HealthHelperError
from client.language import marked, said
from client.pipeline.preview import Preview
from client.pipeline.worker import Worker
from client.ui import look
from client.ui.pages.dialogs import Dialog
from client.ui.widgets.layout import button, label
from client.ui.widgets.notice import announce
from client.ui.widgets.picture import Picture
from edge_models.types import ByteArray, FloatArray

if TYPE_CHECKING:
    from edge_models.page import Quad

_LOOK_EVERY_MS = 60
_END_S = 1.0
_STRAIGHTEN_AFTER_MS = 120
_HANDLE_PX = 30
_STEP_PX, _LARGE_STEP_PX = 1.0, 10.0
_FEWEST_LINES = 900
"""A page of A4 has 297 mm: fewer than 3 pixels for each, and small print can't be read any more."""
_CORNERS = (
    marked("Upper left corner"),
    marked("Upper right corner"),
    marked("Lower right corner"),
    marked("Lower left corner"),
)


class _Handle(QAbstractButton):
    """A corner: dragged with the mouse, or moved by arrows while it has the focus (with Shift in larger steps)."""

    moved = Signal(QPointF)

    def __init__(self, parent: QWidget, name: str) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setAccessibleDescription(said("Arrows move it; with Shift, in larger steps."))
        self.setToolTip(name)
        self.setCursor(Qt.CursorShape.SizeAllCursor)
        self.resize(_HANDLE_PX, _HANDLE_PX)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = look.current()
        at = QRectF(self.rect()).adjusted(5, 5, -5, -5)
        painter.setBrush(QColor(palette.accent if self.hasFocus() else palette.surface))
        painter.setPen(QPen(QColor(palette.text), 2.0))
        painter.drawEllipse(at)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(palette.accent), 2.5))
            painter.drawEllipse(QRectF(self.rect()).adjusted(2, 2, -2, -2))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.moved.emit(QPointF(self.mapToParent(event.position())))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        step = _LARGE_STEP_PX if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else _STEP_PX
        way = {
            Qt.Key.Key_Left: QPointF(-step, 0),
            Qt.Key.Key_Right: QPointF(step, 0),
            Qt.Key.Key_Up: QPointF(0, -step),
            Qt.Key.Key_Down: QPointF(0, step),
        }.get(Qt.Key(event.key()))
        if way is None:
            super().keyPressEvent(event)
        else:
            self.moved.emit(QPointF(self.geometry().center()) + QPointF(0.5, 0.5) + way)


class SheetPicture(QWidget):
    """A camera's picture, not mirrored, with the outline of a sheet. changed: a corner was moved by the person."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._frame: ByteArray | None = None
        self._image: QImage | None = None
        self._corners: FloatArray | None = None
        self._sure = True
        self.setMinimumSize(240, 180)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(said("Camera picture"))
        self.handles = [_Handle(self, said(name)) for name in _CORNERS]
        for at, handle in enumerate(self.handles):
            handle.moved.connect(lambda to, at=at: self._move(at, to))
            handle.hide()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        return QSize(480, 360)

    @property
    def corners(self) -> FloatArray | None:
        """In pixels of the picture, as of a Quad."""
        return self._corners

    def show_picture(
        self, frame: ByteArray | None, corners: FloatArray | None, *, sure: bool, handles: bool
    ) -> None:
        """frame: uint8 BGR [shape=(height, width, 3)]. corners: as of a Quad, in its pixels. handles: whether they can be moved."""
        if frame is not self._frame:
            self._frame = frame
            self._image = (
                None
                if frame is None
                else QImage(
                    frame.data, frame.shape[1], frame.shape[0], frame.strides[0], QImage.Format.Format_BGR888
                )
            )
        self._corners, self._sure = (None if corners is None else corners.copy()), sure
        for handle in self.handles:
            handle.setVisible(handles and corners is not None)
        self._place()
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 (Qt's name)
        super().resizeEvent(event)
        self._place()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        del event
        painter = QPainter(self)
        palette = look.current()
        painter.fillRect(self.rect(), QColor(palette.raised))
        if self._image is None:
            painter.setPen(QColor(palette.muted))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, said("No picture yet"))
            return
        painter.drawImage(self._where(), self._image)
        if self._corners is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        outline = QPolygonF([self._to_widget(x, y) for x, y in self._corners.tolist()])
        # Not by colour alone: dashed where nobody is sure.
        style = Qt.PenStyle.SolidLine if self._sure else Qt.PenStyle.DashLine
        colour = QColor(palette.good if self._sure else palette.warning)
        for pen in (QPen(QColor(0, 0, 0, 130), 6.0, style), QPen(colour, 3.0, style)):
            painter.setPen(pen)
            painter.drawPolygon(outline)

    def _where(self) -> QRectF:
        """Of the picture, in the widget."""
        assert self._image is not None
        around = _HANDLE_PX / 2
        room = QSize(max(1, round(self.width() - 2 * around)), max(1, round(self.height() - 2 * around)))
        size = self._image.size().scaled(room, Qt.AspectRatioMode.KeepAspectRatio)
        return QRectF(
            (self.width() - size.width()) / 2,
            (self.height() - size.height()) / 2,
            size.width(),
            size.height(),
        )

    def _to_widget(self, x: float, y: float) -> QPointF:
        assert self._frame is not None
        at, (height, width) = self._where(), self._frame.shape[:2]
        return QPointF(at.x() + (x + 0.5) / width * at.width(), at.y() + (y + 0.5) / height * at.height())

    def _place(self) -> None:
        if self._frame is None or self._corners is None:
            return
        for handle, (x, y) in zip(self.handles, self._corners.tolist(), strict=True):
            at = self._to_widget(x, y)
            handle.move(QPoint(round(at.x() - handle.width() / 2), round(at.y() - handle.height() / 2)))

    def _move(self, at: int, to: QPointF) -> None:
        if self._frame is None or self._corners is None:
            return
        where, (height, width) = self._where(), self._frame.shape[:2]
        x = (to.x() - where.x()) / where.width() * width - 0.5
        y = (to.y() - where.y()) / where.height() * height - 0.5
        corners = self._corners.copy()
        corners[at] = (min(max(x, -0.5), width - 0.5), min(max(y, -0.5), height - 0.5))
        if is_sheet(corners):
            self._corners, self._sure = corners, True
            self._place()
            self.update()
            self.changed.emit()


def is_sheet(corners: FloatArray) -> bool:
    """Whether they go round clockwise without crossing, and leave something between them."""
    sides = np.roll(corners, -1, axis=0) - corners
    back = np.roll(sides, 1, axis=0)
    turns = back[:, 0] * sides[:, 1] - back[:, 1] * sides[:, 0]
    return bool((turns > 100.0).all())


def whole(frame: ByteArray, inset: float) -> FloatArray:
    """Corners of the picture, or of what is left without `inset` of its width and height on each side."""
    height, width = frame.shape[:2]
    x, y = inset * width, inset * height
    edges = [[x, y], [width - x, y], [width - x, height - y], [x, height - y]]
    return np.asarray(edges, np.float64) - 0.5


# OpenCV is loaded once a camera has been opened, which gives it its settings, and not with the window.


def _found_in(image: ByteArray) -> Quad | None:
    from edge_models.page import find_page

    return find_page(image)


def _is_sure(found: Quad | None) -> bool:
    from edge_models.page import SURE

    return found is not None and found.confidence >= SURE


def _straight(image: ByteArray, corners: FloatArray) -> ByteArray:
    from edge_models.page import Quad, straighten

    return straighten(image, Quad(corners, 1.0))


class PagePhotoDialog(Dialog):
    """taken: the page once it was accepted: uint8 BGR [shape=(height, width, 3)]. One page; each is a document of its own.

    make_source: opens nothing yet; where it raises at once (there is no camera), so does this.
    """

    def __init__(self, parent: QWidget, make_source: Callable[[], FrameSource]) -> None:
        self._source: FrameSource | None = make_source()
        super().__init__(parent, said("Photograph a page"))
        self.taken: ByteArray | None = None
        self._make_source = make_source
        self._preview: Preview | None = None
        self._worker = Worker("page")
        self._finding: Future[Quad | None] | None = None
        self._found: Quad | None = None
        self._focus_is_due = True
        self._frame: ByteArray | None = None
        self._frozen: ByteArray | None = None
        self._straight: Future[ByteArray] | None = None
        self._timer, self._soon = QTimer(self), QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)
        self._soon.setInterval(_STRAIGHTEN_AFTER_MS)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._straighten)
        self.words = label("")
        self.column.addWidget(self.words)
        row = QHBoxLayout()
        self.picture = SheetPicture()
        self.picture.changed.connect(self._soon.start)
        self.straight = Picture()
        self.straight.setAccessibleName(said("The page as it will be kept"))
        row.addWidget(self.picture, 3)
        row.addWidget(self.straight, 2)
        self.column.addLayout(row, 1)
        self.column.addWidget(self.wrong)
        row = QHBoxLayout()
        row.addStretch(1)
        self.cancel = button(said("Cancel"), self.reject)
        self.again = button(said("Again"), self.look_again)
        self.as_it_is = button(said("Use as it is"), self._use_as_it_is)
        self.take = button(said("Take"), self.freeze, primary=True)
        self.use = button(said("Use"), self._use, primary=True)
        for one in (self.cancel, self.again, self.as_it_is, self.take, self.use):
            row.addWidget(one)
        self.column.addLayout(row)
        self.finished.connect(lambda _result: self.end())
        room = parent.size()
        self.resize(min(1000, room.width() - 20), min(760, room.height() - 20))
        self.look_again()

    def look_again(self) -> None:
        """The camera's picture, as it comes."""
        self._frozen = self._straight = None
        self._soon.stop()
        self._set_state(frozen=False)
        self._say(said("Lay the page flat, in even light, and hold the camera so that it fills the picture."))
        if self._preview is None:
            source, self._source = self._source, None
            try:
                self._preview = Preview(self._make_source() if source is None else source)
            except HealthHelperError as fault:  # it was unplugged since the last one
                self.tell(f"{fault.title}. {fault.remedy}")
                return
            self._preview.__enter__()
        self._timer.start()

    def freeze(self) -> None:
        """Keep the picture that is seen now."""
        if self._frame is None:
            return
        frame = self._frozen = self._frame
        self._stop_camera()
        found = self._found = _found_in(frame)
        corners = whole(frame, 0.1) if found is None else found.corners
        sure = _is_sure(found)
        self.picture.show_picture(frame, corners, sure=sure, handles=True)
        self._set_state(frozen=True)
        if found is None:
            words = said(
                "No sheet was found. Move the corners to those of the sheet, or use the picture as it is."
            )
        elif sure:
            words = said("Is every word legible? The corners can be moved.")
        else:
            words = said("Look at the corners: they may be wrong. They can be moved.")
        if max(frame.shape[:2]) < _FEWEST_LINES:
            words += " " + said("The camera's picture is coarse: small print may not be legible.")
        self._say(words)
        self._timer.start()
        self._straighten()

    def end(self) -> None:
        """Let go of the camera and of every picture but the one that is used."""
        self._timer.stop()
        self._soon.stop()
        self._stop_camera()
        self._worker.end(_END_S)
        self._frame = self._frozen = None
        self.picture.show_picture(None, None, sure=True, handles=False)
        self.straight.show_frame(None, mirrored=False, guide=None)

    def _set_state(self, *, frozen: bool) -> None:
        for one in (self.again, self.as_it_is, self.use, self.straight):
            one.setVisible(frozen)
        self.take.setVisible(not frozen)
        self.take.setEnabled(False)
        self.use.setEnabled(False)
        (self.use if frozen else self.take).setDefault(True)
        self._focus_is_due = True

    def _stop_camera(self) -> None:
        preview, self._preview = self._preview, None
        if preview is not None:
            preview.__exit__(None, None, None)

    def _look(self) -> None:
        if self._frozen is not None:
            self._look_at_result()
        elif self._preview is not None:
            self._look_at_camera(self._preview)

    def _look_at_camera(self, preview: Preview) -> None:
        fault, frame = preview.fault(), preview.frame()
        self.tell("" if fault is None else f"{fault.title}. {fault.remedy}")
        if frame is None:
            return
        if self._finding is not None and self._finding.done():
            self._found, self._finding = self._finding.result(), None
        if self._finding is None and frame.image is not self._frame:
            image = frame.image
            self._finding = self._worker.do(lambda: _found_in(image))
        self._frame = frame.image
        self._enable(self.take)
        found = self._found
        self.picture.show_picture(
            frame.image,
            None if found is None else found.corners,
            sure=_is_sure(found),
            handles=False,
        )

    def _straighten(self) -> None:
        frame, corners = self._frozen, self.picture.corners
        if frame is not None and corners is not None:
            self._straight = self._worker.do(lambda: _straight(frame, corners))
            self.use.setEnabled(False)

    def _look_at_result(self) -> None:
        if self._straight is not None and self._straight.done() and not self._soon.isActive():
            straight = self._straight.result()
            straight.flags.writeable = False
            self.straight.show_frame(straight, mirrored=False, guide=None)
            self._enable(self.use)

    def _enable(self, what: QPushButton) -> None:
        """The first time in each state it gets the focus, which it could not have before; later the person has put it somewhere."""
        what.setEnabled(True)
        if self._focus_is_due:
            self._focus_is_due = False
            what.setFocus()

    def _use(self) -> None:
        if self._straight is not None and self._straight.done():
            self.taken = self._straight.result()
            self.accept()

    def _use_as_it_is(self) -> None:
        self.taken = self._frozen
        self.accept()

    def _say(self, words: str) -> None:
        if words != self.words.text():
            self.words.setText(words)
            announce(self.words, words)
