"""What the settings show of the microphone: which one, and how loud it is there while somebody tries it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout

from client.devices.ports import LevelSource
from client.errors import HealthHelperError, SourceStalled
from client.language import said
from client.parts import MicrophoneEntry, Parts
from client.ui.pages.device_choice import DeviceChoice, device_box
from client.ui.preferences import Preferences
from client.ui.views.devices import choices
from client.ui.views.microphone import Hearing
from client.ui.widgets.layout import button, form, label
from client.ui.widgets.meter import LevelMeter
from client.ui.widgets.notice import announce

_AT_MOST_S = 60.0
"""Whoever goes away from a try leaves no open microphone behind."""


class MicrophoneChoice(DeviceChoice[MicrophoneEntry]):
    """changed: another one was chosen. Listens from "Try it" to "Stop", to the moment when it is no longer shown, or for a minute.

    The sound system may hang: a thread of its own waits for it, and the window looks at what came of it.
    """

    def __init__(self, parts: Parts, preferences: Preferences) -> None:
        super().__init__("microphone", parts.microphones)
        self._parts, self._preferences = parts, preferences
        self._source: LevelSource | None = None
        self._opened: Future[None] | None = None
        self._began_s = 0.0
        self._hearing = Hearing()
        self._announced: set[str] = set()
        self.box = device_box(said("Microphone"))
        self.box.activated.connect(self._choose)
        self.meter = LevelMeter()
        self.words = label()
        self.try_it = button(said("Try it"), self._toggle)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        rows = form()
        rows.addRow(self.box.accessibleName(), self.box)
        column.addLayout(rows)
        column.addWidget(
            label(
                said(
                    "The assistant listens with it, when somebody has it listen. Here only this try does; nothing of it is recorded or sent."
                ),
                "muted",
            )
        )
        column.addWidget(self.meter)
        column.addWidget(self.words)
        row = QHBoxLayout()
        row.addWidget(self.try_it)
        row.addStretch(1)
        column.addLayout(row)
        self.meter.hide()
        self._fill(())
        self.try_it.setEnabled(False)
        self._tell("")

    def _fill(self, found: Sequence[MicrophoneEntry]) -> None:
        self.box.clear()
        for words, kept in choices(said("The system's own"), found, self._preferences.microphone):
            self.box.addItem(words, kept)
        self.box.setCurrentIndex(max(0, self.box.findData(self._preferences.microphone)))

    def _choose(self, at: int) -> None:
        self._stop()
        self._tell("")
        self._preferences.microphone = self.box.itemData(at)
        self.changed.emit()

    def _toggle(self) -> None:
        if self._source is not None:
            self._stop()
            self._tell("")
        elif self._worker is not None:
            self._source = self._parts.microphone_level(self._preferences.microphone)
            self._opened = self._worker.do(self._source.open)
            self._began_s = self._parts.clock.now_s()
            self._hearing = Hearing()
            self._announced.clear()
            self._tell(said("The microphone is being opened …"))
            self.meter.show()
            self.try_it.setText(said("Stop"))
            self._timer.start()

    def _stop(self) -> None:
        source, self._source, self._opened = self._source, None, None
        if source is not None and self._worker is not None:
            self._worker.do(source.close)
        self.meter.clear()
        self.meter.hide()
        self.try_it.setText(said("Try it"))

    def _look(self) -> None:
        if self._listed is not None and self._listed.done():
            self._show_list(self._listed)
        if self._source is not None and self._opened is not None and self._opened.done():
            self._hear(self._source, self._opened)
        if self._listed is None and self._source is None:
            self._timer.stop()

    def _show_list(self, listed: Future[Sequence[MicrophoneEntry]]) -> None:
        self._listed = None
        self.try_it.setEnabled(True)
        try:
            found = listed.result()
        except HealthHelperError as fault:
            self._tell(f"{fault.title}. {fault.remedy}")
            return
        self._fill(found)
        if not found:
            self.try_it.setEnabled(False)
            self._tell(said("No microphone was found. Plug one in and open this page again."))

    def _hear(self, source: LevelSource, opened: Future[None]) -> None:
        now_s = self._parts.clock.now_s()
        try:
            opened.result()
            level = source.level()
        except SourceStalled as stalled:
            self.meter.clear()
            self._tell(f"{stalled.title}. {stalled.remedy}")
            level = None
        except HealthHelperError as fault:
            self._stop()
            self._tell(f"{fault.title}. {fault.remedy}")
            return
        except Exception:
            self._stop()
            raise
        if now_s - self._began_s > _AT_MOST_S:
            self._stop()
            self._tell(said("The try has ended by itself after a minute."))
        elif level is not None:
            view = self._hearing.view(level, now_s)
            self.meter.show_level(view.share, view.loudest_share, view.level, now_s)
            self._tell(view.words)

    def _tell(self, words: str) -> None:
        """Show it, and let a screen reader say it once in a try."""
        self.words.setText(words)
        self.words.setVisible(bool(words))
        if words and words not in self._announced:
            self._announced.add(words)
            announce(self.words, words)
