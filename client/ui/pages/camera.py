"""What the settings show of the camera: which one, and its picture while somebody looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout

from client.errors import HealthHelperError
from client.language import said
from client.parts import CameraEntry, Parts
from client.pipeline.preview import Preview
from client.ui.pages.device_choice import DeviceChoice, device_box
from client.ui.preferences import Preferences
from client.ui.views.devices import choices
from client.ui.widgets.layout import button, form, label
from client.ui.widgets.notice import announce
from client.ui.widgets.picture import Picture


class CameraChoice(DeviceChoice[CameraEntry]):
    """changed: another one was chosen. Its picture is there from "Show its picture" to "Hide its picture", or to the moment when the
    page is no longer shown.

    A driver may hang: a thread of its own lists the cameras, and the window looks at what came of it.
    """

    def __init__(self, parts: Parts, preferences: Preferences) -> None:
        super().__init__("cameras", parts.cameras)
        self._parts, self._preferences = parts, preferences
        self._found: Sequence[CameraEntry] = ()
        self._preview: Preview | None = None
        self.box = device_box(said("Camera"))
        self.box.activated.connect(self._choose)
        self.words = label("", "muted")
        self.picture = Picture()
        self.picture.setMinimumHeight(260)
        self.try_it = button(said("Show its picture"), self._toggle)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        rows = form()
        rows.addRow(self.box.accessibleName(), self.box)
        column.addLayout(rows)
        column.addWidget(self.words)
        column.addWidget(self.picture)
        row = QHBoxLayout()
        row.addWidget(self.try_it)
        row.addStretch(1)
        column.addLayout(row)
        self.picture.hide()
        self._fill()
        self.try_it.setEnabled(False)
        self._tell("")

    def _fill(self) -> None:
        self.box.clear()
        for words, kept in choices(said("The first one"), self._found, self._preferences.camera):
            self.box.addItem(words, kept)
        self.box.setCurrentIndex(max(0, self.box.findData(self._preferences.camera)))

    def _choose(self, at: int) -> None:
        self._stop()
        self._tell("")
        self._preferences.camera = self.box.itemData(at)
        self.changed.emit()

    def _toggle(self) -> None:
        if self._preview is not None:
            self._stop()
            self._tell("")
            return
        camera = self._preferences.camera_among(self._found)
        self._preview = Preview(self._parts.camera(camera))
        self._preview.__enter__()
        self.picture.show()
        self.try_it.setText(said("Hide its picture"))
        self._timer.start()

    def _stop(self) -> None:
        preview, self._preview = self._preview, None
        if preview is not None:
            preview.__exit__(None, None, None)
        self.picture.show_frame(None, mirrored=True, guide=None)
        self.picture.hide()
        self.try_it.setText(said("Show its picture"))

    def _look(self) -> None:
        if self._listed is not None and self._listed.done():
            self._show_list(self._listed)
        if self._preview is not None:
            self._show_picture(self._preview)
        if self._listed is None and self._preview is None:
            self._timer.stop()

    def _show_list(self, listed: Future[Sequence[CameraEntry]]) -> None:
        self._listed = None
        self._tell("")
        try:
            self._found = listed.result()
        except HealthHelperError as fault:
            self._found = ()
            self._tell(f"{fault.title}. {fault.remedy}")
        else:
            if not self._found:
                self._tell(said("No camera was found. Plug one in and open this page again."))
        self._fill()
        self.try_it.setEnabled(bool(self._found))

    def _show_picture(self, preview: Preview) -> None:
        fault, frame = preview.fault(), preview.frame()
        self._tell("" if fault is None else f"{fault.title}. {fault.remedy}")
        if frame is not None:
            self.picture.show_frame(frame.image, mirrored=True, guide=None)

    def _tell(self, words: str) -> None:
        """Show it, and let a screen reader say what is new."""
        if words and words != self.words.text():
            announce(self.words, words)
        self.words.setText(words)
        self.words.setVisible(bool(words))
