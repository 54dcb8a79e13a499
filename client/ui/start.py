"""Starts the window and runs it to its end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PySide6.QtCore import QEventLoop, Qt, QTimer
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QApplication, QMessageBox

from client import config, log, weights
from client.errors import EnvironmentFault, HealthHelperError, Interrupted
from client.language import said
from client.parts import Parts, WindowChoice
from client.records import ScanRecord
from client.ui import look, translations
from client.ui.preferences import CONSENT_VERSION, Preferences, PreferencesFile
from client.ui.shelf import Shelf
from client.ui.window import Window

SHOWN, NOT_SHOWN = 0, 3
_AGAIN_MS = 100
FONTS = ("report_font", "report_font_bold")
"""Shipped for the report; where the system lacks letters of a language, Qt takes them from here."""


class Application:
    """The window that is shown now, and what outlives it when language or look change."""

    def __init__(self, app: QApplication, parts: Parts, choice: WindowChoice, file: PreferencesFile) -> None:
        self._app, self._parts, self._choice, self._file = app, parts, choice, file
        self.preferences: Preferences = file.load()
        self.shelf = Shelf(parts.store, parts.restore_store, parts.begin_store_anew)
        self.status = SHOWN
        self._bug_box: QMessageBox | None = None
        self._again = QTimer(app)
        self._again.setSingleShot(True)
        self._again.setInterval(_AGAIN_MS)
        self._again.timeout.connect(self.rebuild)
        add_fonts()
        self.window = self._make()
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._system_changed)
        self._follows = True  # the system's look, until the end
        if self.preferences.consent == CONSENT_VERSION:
            self.shelf.open()

    def _make(self) -> Window:
        language = translations.use(self._app, self.preferences.language)
        look.apply(self._app, look.wanted_palette(self.preferences.theme), self.preferences.text_percent)
        window = Window(self._parts, self._choice, self.preferences, self.shelf, language)
        window.preferences_changed.connect(self._save_preferences)
        window.rebuild.connect(self.rebuild)
        if self._choice.end_after_result:
            window.result_shown.connect(self._say_and_end)
            window.scan.gave_up.connect(self._gave_up)
        self._app.installEventFilter(window)
        return window

    def show(self) -> None:
        """Put it on the screen."""
        if self._choice.full_screen:
            self.window.showFullScreen()
        else:
            self.window.show()
        QTimer.singleShot(0, lambda: log.event("window_usable"))  # after it was drawn for the first time
        if self._choice.begin:
            QTimer.singleShot(0, self.window.begin)

    def rebuild(self) -> None:
        """Another language or look: the same window anew, as soon as nothing is going on in it."""
        before = self.window
        if not before.at_rest:
            self._again.start()
            return
        before.let_go(made_anew=True)
        self._app.removeEventFilter(before)
        self.window = self._make()
        self.window.keep_of(before)
        self.window.setGeometry(before.geometry())
        if self._choice.full_screen:
            self.window.showFullScreen()
        else:
            self.window.show()
        before.deleteLater()
        before.hide()

    def end(self) -> None:
        """After the loop: no thread stays behind."""
        self._again.stop()
        if self._follows:
            QGuiApplication.styleHints().colorSchemeChanged.disconnect(self._system_changed)
            self._follows = False
        self._app.removeEventFilter(self.window)
        self.shelf.end()

    def _save_preferences(self) -> None:
        if not self._file.save(self.preferences):
            self.window.notice.tell(
                said("The settings could not be written; they hold until the window is closed.")
            )

    def _say_and_end(self, record: ScanRecord) -> None:
        print(record.to_json_text(), flush=True)  # noqa: T201 (what --end-after-result is for)
        self.status = NOT_SHOWN if record.heart_rate.value is None else SHOWN
        self.window.close()

    def _gave_up(self) -> None:
        self.status = EnvironmentFault.exit_status
        if self.window.scan.fault_words:
            print(f"Error: {self.window.scan.fault_words}", file=sys.stderr)  # noqa: T201 (as `scan` says it)
        self.window.close()

    def _system_changed(self) -> None:
        if self.preferences.theme == "system":
            self.rebuild()

    def interrupted(self) -> None:
        """Ctrl-C: it ends, with whatever dialog is open."""
        self.status = Interrupted.exit_status
        self._app.exit(self.status)

    def met(self, error: BaseException) -> None:
        """What nobody caught: the world's fault is told; Ctrl-C ends it; of a bug of ours the person reads once, and the window stays."""
        if isinstance(error, HealthHelperError):
            self.window.notice.tell(f"{error.title}. {error.remedy}")
            return
        if isinstance(error, KeyboardInterrupt):
            self.interrupted()
            return
        log.show_bug(type(error), error, None)
        if self._choice.end_after_result:
            self.status = HealthHelperError.exit_status
            self._app.exit(self.status)
        elif self._bug_box is None:
            self._tell_bug(error)

    def _tell_bug(self, error: BaseException) -> None:
        def closed() -> None:
            self._bug_box = None

        box = self._bug_box = QMessageBox(self.window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.destroyed.connect(closed)
        box.setIcon(QMessageBox.Icon.Critical)
        box.setWindowTitle("Health Helper")
        box.setText(said("Health Helper has met a bug of its own. Nothing that was saved is lost."))
        box.setInformativeText(
            said(
                "Go on, or, if it comes back, close the window and open it anew. Please report what is below; it names nobody."
            )
        )
        box.setDetailedText(log.describe_bug(error))
        box.open()


def add_fonts() -> None:
    """Let Qt know the shipped letters. Without them the system's have to do."""
    for name in FONTS:
        try:
            QFontDatabase.addApplicationFontFromData(weights.load(name))
        except (EnvironmentFault, KeyError):
            log.event("font_missing")


def make_app() -> QApplication:
    """The one application object of this process."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(["health-helper"])
    app.setApplicationName("health-helper")
    app.setApplicationDisplayName("Health Helper")
    app.setQuitOnLastWindowClosed(True)
    return app


def run_window(parts: Parts, choice: WindowChoice) -> int:
    """Show the window until it is closed; the exit status. Our own bugs are shown redacted; the window stays.

    Raises EnvironmentFault where there is no display: Qt would abort the process.
    """
    if not config.has_display():
        raise EnvironmentFault(
            title=said("There is no display to show a window on"),
            remedy=said("Log in to a desktop, or measure in the terminal: health-helper scan."),
        )
    app = make_app()

    def stop() -> None:
        running.interrupted()

    with _ctrl_c(stop):  # called by the loop only: by then it is there
        running = Application(app, parts, choice, PreferencesFile(config.preferences_file()))
        before = sys.excepthook
        sys.excepthook = lambda _kind, error, _where: running.met(error)
        try:
            running.show()
            app.exec()
            app.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
        finally:
            sys.excepthook = before
            if running.window.isVisible():
                running.window.let_go()
            running.end()
    return running.status


@contextmanager
def _ctrl_c(stop: Callable[[], None]) -> Iterator[None]:
    """Meanwhile Ctrl-C has `stop` called by the event loop. Raised in the middle of what Qt is calling just then, it would get lost there, with
    words of Qt's on standard error. Where it is ignored (a job of the background), or is somebody else's already, it stays so.

    The interpreter looks for it whenever it is called: by the window's timers four times a second at least.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda _number, _frame: QTimer.singleShot(0, stop))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
