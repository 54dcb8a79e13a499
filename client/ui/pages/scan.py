"""The scan page: before it begins, while it runs, and where it could not."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import pairwise

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QShortcut
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from client import log
from client.devices.ports import FrameSource
from client.errors import HealthHelperError, Interrupted
from client.language import said
from client.parts import Parts
from client.pipeline.memory import peak_rss_mb
from client.pipeline.outcome import to_record
from client.pipeline.run import ScanRun
from client.pipeline.session import Goal
from client.records import ScanRecord
from client.reports.wording import NOT_A_DEVICE, SIMULATED
from client.ui.views.scan import guide, is_mirrored, scan_view
from client.ui.widgets.layout import Page, button, card, label
from client.ui.widgets.notice import Standing, announce
from client.ui.widgets.picture import Picture
from client.ui.widgets.plots import WavePlot
from client.ui.widgets.ring import Ring

PICTURE_EVERY_MS, STATE_EVERY_MS = 33, 250
_SAY_EVERY_S = 4.0
"""A screen reader that repeats every change of a hint is switched off by whoever needs it."""
_FINISH_FROM_S = 12.0
"""From so much good signal on, ending early may still give a number."""

MakeSource = Callable[[], tuple[FrameSource, Goal]]


class ScanPage(QStackedWidget):
    """began: a scan has begun. finished(ScanRecord): it came to its end. gave_up: it ended otherwise, or could not begin.
    cancelled: the person gave it up. shows_waiting: the person wants to see the result that is hidden.

    may_begin: asked before a scan begins; there may be something that it would replace.
    """

    began = Signal()
    finished = Signal(object)
    gave_up = Signal()
    cancelled = Signal()
    shows_waiting = Signal()

    def __init__(self, parts: Parts, make_source: MakeSource, may_begin: Callable[[], bool]) -> None:
        super().__init__()
        self._parts, self._make_source, self._may_begin = parts, make_source, may_begin
        self._run: ScanRun | None = None
        self._said, self._said_at_s = "", 0.0
        self._shown_at_s = array("d")
        self._fast, self._slow = QTimer(self), QTimer(self)
        self._fast.setInterval(PICTURE_EVERY_MS)
        self._slow.setInterval(STATE_EVERY_MS)
        self._fast.timeout.connect(self._show_picture)
        self._slow.timeout.connect(self._show_state)
        self.setAccessibleName(said("Scan"))
        self.addWidget(self._before())
        self.addWidget(self._during())

    @property
    def running(self) -> bool:
        """Whether a scan is going on."""
        return self._run is not None

    def show_whose(self, name: str) -> None:
        """For whom is measured; "" for a guest."""
        self.whose.setText(
            said("For {name}. Choose another person at the top.", name=name)
            if name
            else said("For a guest. To keep results under a name, choose one at the top.")
        )

    def show_waiting(self, *, hidden: bool) -> None:
        """Whether there is a result that is not saved and was hidden."""
        words = said(
            "A result that is not saved was hidden, because nobody was there. A new scan replaces it."
        )
        self._waiting.say(words if hidden else "", said("Show it"))

    def focus_first(self) -> None:
        """The keyboard begins at the result that is hidden, or at a new scan: never at what would replace something."""
        (self._waiting.action if self._waiting.words else self.start).setFocus()

    def begin(self) -> None:
        """Start a scan, if none is running and nothing stands against it."""
        if self._run is not None or not self._may_begin():
            return
        self._fault.setText("")
        self._fault.hide()
        self.start.setText(said("Start the scan"))
        try:
            source, goal = self._make_source()
            run = ScanRun(
                source, self._parts.engine, goal=goal, clock=self._parts.clock, peak_rss_mb=peak_rss_mb
            )
            run.__enter__()
        except HealthHelperError as fault:
            self._tell(fault)
            self.gave_up.emit()
            return
        except BaseException:  # ours: raised, and nobody waits for the end of this scan
            self.gave_up.emit()
            raise
        self._run = run
        self._shown_at_s = array("d")
        # From here on the scan can be cancelled and comes to its end, whatever fails in showing it.
        self._fast.start()
        self._slow.start()
        self._cancel.setEnabled(True)
        self._finish.setEnabled(True)
        self.setCurrentIndex(1)
        self.began.emit()
        self._cancel.setFocus()
        self._picture.show_frame(None, mirrored=True, guide=None)
        self._show_state()

    def cancel(self) -> None:
        """Give the running scan up; nothing is kept of it."""
        if self._run is not None:
            self._run.stop()
            self._run.stop()  # a first stop of a live scan would end it with what was measured

    def _escape(self) -> None:
        """As the button, which can't be pressed once the scan is being finished."""
        if self._cancel.isEnabled():
            self.cancel()

    def finish_now(self) -> None:
        """End it with what was measured. A second stop would throw that away, so neither button can be pressed again."""
        if self._run is not None and self._finish.isEnabled():
            self._finish.setEnabled(False)
            self._cancel.setEnabled(False)
            self._run.stop()

    @property
    def fault_words(self) -> str:
        """Why the last scan could not be begun or finished; empty where it could."""
        return self._fault.text()

    def end(self) -> None:
        """The window closes: let go of the camera."""
        self._fast.stop()
        self._slow.stop()
        if self._run is not None:
            self.cancel()
            self._run.__exit__(None, None, None)
            self._run = None

    # Before

    def _before(self) -> QWidget:
        page = Page(said("Scan"))
        self._waiting = Standing(self.shows_waiting.emit)
        page.column.addWidget(self._waiting)
        frame, inside = card()
        inside.addWidget(label(said("Measure your pulse with the camera"), "title"))
        for line in (
            said("Sit down and rest for a minute. Put a steady light in front of you, not behind."),
            said("Bring your face into the outline, about an arm's length away, and take off a mask."),
            said("Hold still, do not talk, and breathe as usual. It takes about a minute."),
        ):
            inside.addWidget(label(f"•  {line}"))
        inside.addWidget(
            label(
                said("Pictures are measured on this device and thrown away at once. Nothing is recorded."),
                "muted",
            )
        )
        self.whose = label("")
        inside.addWidget(self.whose)
        self._fault = label("", "warning")
        self._fault.hide()
        inside.addWidget(self._fault)
        row = QHBoxLayout()
        self.start = button(said("Start the scan"), self.begin, primary=True)
        row.addWidget(self.start)
        row.addStretch(1)
        inside.addLayout(row)
        inside.addWidget(label(said(NOT_A_DEVICE), "muted"))
        page.column.addWidget(frame)
        page.column.addStretch(1)
        return page

    # During

    def _during(self) -> QWidget:
        page = Page(said("Scan"))
        self._heading = label("", "title")
        self._hint = label("", "hint")
        self._simulated = label(said(SIMULATED), "warning")
        self._picture = Picture()
        self._ring = Ring()
        self._rate = label("–", "number")
        self._rate_unit = label(said("beats per minute"), "muted")
        self._interval = label("", "muted")
        self._wave = WavePlot(said("Pulse wave"))
        self._status = label("", "muted")
        self._cancel = button(said("Cancel"), self.cancel)
        QShortcut(Qt.Key.Key_Escape, page).activated.connect(self._escape)
        self._finish = button(said("Finish now"), self.finish_now)
        beside, inside = card()
        for widget in (self._rate, self._rate_unit, self._interval):
            widget.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        inside.addWidget(self._ring, 0, Qt.AlignmentFlag.AlignHCenter)
        inside.addWidget(self._rate)
        inside.addWidget(self._rate_unit)
        inside.addWidget(self._interval)
        inside.addStretch(1)
        inside.addWidget(self._finish)
        inside.addWidget(self._cancel)
        beside.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        left = QVBoxLayout()
        left.addWidget(self._hint)
        left.addWidget(self._picture, 1)
        grid = QGridLayout()
        grid.addLayout(left, 0, 0)
        grid.addWidget(beside, 0, 1)
        grid.setColumnStretch(0, 3)
        grid.setColumnStretch(1, 1)
        page.column.addWidget(self._heading)
        page.column.addWidget(self._simulated)
        page.column.addLayout(grid, 1)
        page.column.addWidget(self._wave)
        page.column.addWidget(self._status)
        return page

    def _show_picture(self) -> None:
        if self._run is None:
            return
        if self._run.wait(0.0):
            self._ended()
            return
        self._shown_at_s.append(self._parts.clock.now_s())
        view = self._run.view()
        if view.frame is not None:
            self._picture.show_frame(view.frame.image, mirrored=is_mirrored(view), guide=guide(view))

    def _show_state(self) -> None:
        if self._run is None:
            return
        view = self._run.view()
        shown = scan_view(view)
        self._heading.setText(shown.heading)
        self._hint.setText(shown.hint)
        self._hint.setAccessibleName(said("What to do now: {hint}", hint=shown.hint))
        self._simulated.setVisible(shown.simulated)
        self._rate.setText(shown.rate)
        self._rate.setAccessibleName(said("Heart rate now: {rate}", rate=shown.rate))
        self._interval.setText(shown.interval)
        self._ring.show_share(shown.share, shown.seconds, paused=shown.paused)
        self._status.setText(shown.status)
        self._wave.show_newest(shown.wave)
        progress = view.session.progress
        self._finish.setVisible(
            bool(view.facts and view.facts.live and progress and progress.accepted_s >= _FINISH_FROM_S)
        )
        now_s = self._parts.clock.now_s()
        if shown.hint != self._said and now_s - self._said_at_s > _SAY_EVERY_S:
            self._said, self._said_at_s = shown.hint, now_s
            announce(self._hint, shown.hint)

    def _ended(self) -> None:
        run, self._run = self._run, None
        self._fast.stop()
        self._slow.stop()
        self.setCurrentIndex(0)
        if run is None:
            return
        record: ScanRecord | None = None
        try:
            self._picture.show_frame(None, mirrored=True, guide=None)
            self._log_pace()
            record = to_record(run.outcome(), taken_at=self._parts.clock.utc())
        except Interrupted:
            self.start.setFocus()
            self.cancelled.emit()
        except HealthHelperError as fault:
            self._tell(fault)
        finally:
            if record is None:  # also after a bug of ours, which is raised
                self.gave_up.emit()
        if record is not None:
            self.finished.emit(record)

    def _log_pace(self) -> None:
        """How regularly the window was drawn, for whoever looks after its speed."""
        steps_ms = sorted(1000.0 * (b - a) for a, b in pairwise(self._shown_at_s))
        if steps_ms:
            log.event(
                "scan_drawn",
                times=len(steps_ms),
                interval_ms_p50=steps_ms[len(steps_ms) // 2],
                interval_ms_p95=steps_ms[int(0.95 * len(steps_ms))],
                interval_ms_max=steps_ms[-1],
            )

    def _tell(self, fault: HealthHelperError) -> None:
        words = f"{fault.title}. {fault.remedy}"
        self._fault.setText(words)
        self._fault.show()
        self.start.setText(said("Try again"))
        self.start.setFocus()
        announce(self._fault, words)
