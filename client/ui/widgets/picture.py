"""The camera's picture with an outline for the face."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from client.language import said
from client.ui import look
from client.ui.views.scan import Guide
from edge_models.types import ByteArray

_GUIDE_HEIGHT, _GUIDE_WIDTH = 0.72, 0.74
"""Of the picture's height, and of the outline's own height: a face at arm's length."""


class Picture(QLabel):
    """Shows frames as they come, scaled and (a camera's) as a mirror. Keeps no frame but the newest."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._frame: ByteArray | None = None
        self._image: QImage | None = None
        self._mirrored = True
        self._guide: Guide | None = None
        self.setMinimumSize(240, 180)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(said("Camera picture"))

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        return QSize(320, 240)

    def show_frame(self, picture: ByteArray | None, *, mirrored: bool, guide: Guide | None) -> None:
        """picture: uint8 BGR [shape=(height, width, 3)], or None for none. guide: None draws no outline."""
        if picture is self._frame and guide is self._guide:
            return
        self._frame, self._mirrored, self._guide = picture, mirrored, guide
        if picture is None:
            self._image = None
        else:
            height, width = picture.shape[:2]
            # A view: the frame is held above as long as it is shown, and is never written to once made.
            self._image = QImage(picture.data, width, height, picture.strides[0], QImage.Format.Format_BGR888)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        del event
        painter = QPainter(self)
        palette = look.current()
        painter.fillRect(self.rect(), QColor(palette.raised))
        if self._image is None:
            painter.setPen(QColor(palette.muted))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, said("No picture yet"))
            return
        size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        at = QRectF(
            (self.width() - size.width()) / 2,
            (self.height() - size.height()) / 2,
            size.width(),
            size.height(),
        )
        painter.save()
        if self._mirrored:
            painter.translate(float(self.width()), 0.0)
            painter.scale(-1.0, 1.0)
        painter.drawImage(at, self._image)
        painter.restore()
        if self._guide is not None:
            self._draw_guide(painter, at, self._guide)

    def _draw_guide(self, painter: QPainter, at: QRectF, guide: Guide) -> None:
        palette = look.current()
        colour = {Guide.NEUTRAL: "#ffffff", Guide.GOOD: palette.good, Guide.ADJUST: palette.warning}[guide]
        # Not by colour alone: dashed where something is to be put right.
        style = Qt.PenStyle.DashLine if guide is Guide.ADJUST else Qt.PenStyle.SolidLine
        height = _GUIDE_HEIGHT * at.height()
        width = _GUIDE_WIDTH * height
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        centre = QPointF(at.center().x(), at.center().y())
        for pen in (QPen(QColor(0, 0, 0, 130), 7.0, style), QPen(QColor(colour), 4.0, style)):
            painter.setPen(pen)
            painter.drawEllipse(centre, width / 2, height / 2)
