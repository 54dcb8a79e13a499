"""The pulse wave as it comes, and the course of a value over seconds or days.

Time runs to the right in every language; the axis of the values stands where a line of text begins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QSizePolicy, QWidget

from client.ui import look
from edge_models.types import FloatArray, Trace

WAVE_SPAN_S = 6.0


class _Plot(pg.PlotWidget):  # type: ignore[misc]  # ships no types
    """Looked at, not handled: no menus, no dragging, out of the way of the keyboard."""

    def __init__(self, name: str, parent: QWidget | None, **options: object) -> None:
        super().__init__(parent, background=look.current().surface, **options)
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.hideButtons()
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setMinimumHeight(max(110, 6 * self.fontMetrics().height()))
        self.values_at = "right" if self.isRightToLeft() else "left"
        if self.values_at == "right":
            self.hideAxis("left")
            self.showAxis("right")
        for part in (self, self.plotItem):  # alone, the second mirrors where axes are, not what is in them
            part.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        self.setAccessibleName(name)
        for side in (self.values_at, "bottom"):
            axis = self.getAxis(side)
            axis.setPen(look.current().control)
            axis.setTextPen(look.current().muted)
            axis.setStyle(tickFont=self.font())

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        return QSize(400, max(170, 11 * self.fontMetrics().height()))


class WavePlot(_Plot):
    """The newest seconds of the pulse wave, or all of one."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(name, parent)
        self.hideAxis(self.values_at)
        self.hideAxis("bottom")
        self._curve = self.plot(pen=pg.mkPen(look.current().pulse, width=2))
        self.show_newest(Trace(np.zeros(0), np.zeros(0)))

    def show_newest(self, wave: Trace) -> None:
        """The last WAVE_SPAN_S seconds; nothing where there are none."""
        self._curve.setData(wave.t_s, wave.values)
        end_s = float(wave.t_s[-1]) if len(wave.t_s) else WAVE_SPAN_S
        self.setXRange(end_s - WAVE_SPAN_S, end_s, padding=0)
        self.setYRange(-1.6, 1.6, padding=0)

    def show_part(self, wave: Trace, begin_s: float, span_s: float) -> None:
        """Some seconds of a finished wave, scaled to the height."""
        inside = (wave.t_s >= begin_s) & (wave.t_s <= begin_s + span_s)
        values = wave.values[inside]
        size = float(np.abs(values).max()) if len(values) else 1.0
        self._curve.setData(wave.t_s[inside], values / (size or 1.0))
        self.setXRange(begin_s, begin_s + span_s, padding=0.01)
        self.setYRange(-1.1, 1.1, padding=0)


class CoursePlot(_Plot):
    """Values with their intervals over seconds or days."""

    def __init__(self, name: str, parent: QWidget | None = None, *, days: bool = False) -> None:
        options = {"axisItems": {"bottom": pg.DateAxisItem(orientation="bottom")}} if days else {}
        super().__init__(name, parent, **options)
        self._days = days
        self.showGrid(y=True, alpha=0.25)

    def show_course(
        self,
        at_s: Sequence[float] | FloatArray,
        values: Sequence[float] | FloatArray,
        low: Sequence[float] | FloatArray,
        high: Sequence[float] | FloatArray,
    ) -> None:
        """at_s: seconds of a scan, or since 1970 (UTC) where days are shown. NaN leaves a gap."""
        self.clear()
        x, y = np.asarray(at_s, np.float64), np.asarray(values, np.float64)
        bottom, top = np.asarray(low, np.float64), np.asarray(high, np.float64)
        shown = np.isfinite(y)
        if not shown.any():
            return
        palette = look.current()
        self.addItem(
            pg.ErrorBarItem(
                x=x[shown],
                y=y[shown],
                top=_size(top - y, shown),
                bottom=_size(y - bottom, shown),
                pen=palette.control,
            )
        )
        self.plot(
            x,
            y,
            pen=pg.mkPen(palette.pulse, width=2),
            connect="finite",
            symbol="o",
            symbolSize=6,
            symbolBrush=palette.pulse,
            symbolPen=None,
        )
        least, most = float(np.nanmin(bottom[shown])), float(np.nanmax(top[shown]))
        self.setYRange(least - 3.0, most + 3.0)
        if len(x) > 1:
            self.setXRange(float(x[0]), float(x[-1]), padding=0.03)
        elif self._days:
            self.setXRange(float(x[0]) - 86400.0, float(x[0]) + 86400.0)


def _size(of: FloatArray, shown: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> FloatArray:
    return np.asarray(np.nan_to_num(np.maximum(of[shown], 0.0)), np.float64)
