"""The pulse wave as it comes, and the course of a value over seconds or days.

Time runs to the right in every language; the axis of the values stands where a line of text begins.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QDateTime, QLocale, QSize, Qt
from PySide6.QtWidgets import QSizePolicy, QWidget

from client.language import said
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


class DayAxis(pg.DateAxisItem):  # type: ignore[misc]  # ships no types
    """Days and hours with the names of the window's language; digits as everywhere in the window."""

    zoomLevels: OrderedDict[float, Any]  # noqa: N815 (its base's name)

    def __init__(self) -> None:
        super().__init__(orientation="bottom")
        self._locale = QLocale()
        short = QLocale.FormatType.ShortFormat
        self._months = [self._locale.standaloneMonthName(month, short) for month in range(1, 13)]
        self._weekdays = [self._locale.standaloneDayName(day, short) for day in range(1, 8)]
        room = {"MMM": max(self._months, key=len), "MMM 00": f"{max(self._weekdays, key=len)} 00"}
        self.zoomLevels = OrderedDict(
            (density, type(level)(level.tickSpecs, room.get(level.exampleText, level.exampleText)))
            for density, level in self.zoomLevels.items()  # levels are shared by all axes
        )

    def tickStrings(  # noqa: N802 (its base's name)
        self, values: Sequence[float], scale: float, spacing: float
    ) -> list[str]:
        """As its base, which asks the process's language for the names."""
        form = next((s.format for s in self.zoomLevel.tickSpecs if s.spacing == spacing), "")
        if "%b" not in form and "%a" not in form:
            words: list[str] = super().tickStrings(values, scale, spacing)
            return words
        days = [QDateTime.fromSecsSinceEpoch(round(value)).date() for value in values]
        return [
            form.replace("%b", self._months[day.month() - 1])
            .replace("%a", self._weekdays[day.dayOfWeek() - 1])
            .replace("%d", f"{day.day():02d}")
            for day in days
        ]


class CoursePlot(_Plot):
    """Values with their intervals over seconds or days. Those over the seconds of a scan are a heart rate, per minute."""

    def __init__(self, name: str, parent: QWidget | None = None, *, days: bool = False) -> None:
        options = {"axisItems": {"bottom": DayAxis()}} if days else {}
        super().__init__(name, parent, **options)
        self._days = days
        self.showGrid(y=True, alpha=0.25)
        if not days:
            self._name_axis(self.values_at, said("/min"))
            self._name_axis("bottom", said("s"))

    def _name_axis(self, side: str, words: str) -> None:
        axis = self.getAxis(side)
        axis.setLabel(words, color=look.current().muted)
        axis.label.setFont(self.font())

    def show_course(
        self,
        at_s: Sequence[float] | FloatArray,
        values: Sequence[float] | FloatArray,
        low: Sequence[float] | FloatArray,
        high: Sequence[float] | FloatArray,
        *,
        unit: str = "",
        span_s: tuple[float, float] | None = None,
    ) -> None:
        """at_s: seconds of a scan, or since 1970 (UTC) where days are shown. NaN leaves a gap. unit: of the values, translated, at their
        axis; "" leaves that as it was. span_s: what the axis of time shows, whatever is in it; None: what there is.
        """
        self.clear()
        if unit:
            self._name_axis(self.values_at, unit)
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
        if span_s is not None:
            self.setXRange(*span_s, padding=0.01)
        elif len(x) > 1:
            self.setXRange(float(x[0]), float(x[-1]), padding=0.03)
        elif self._days:
            self.setXRange(float(x[0]) - 86400.0, float(x[0]) + 86400.0)


def _size(of: FloatArray, shown: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> FloatArray:
    return np.asarray(np.nan_to_num(np.maximum(of[shown], 0.0)), np.float64)
