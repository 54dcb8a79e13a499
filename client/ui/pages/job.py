"""What the window does beside showing pages, job by job: people, files, keys. Each asks the store and tells what came of it."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDialog, QWidget

from client.clock import Clock
from client.errors import HealthHelperError
from client.language import said
from client.ui.pages.dialogs import ConfirmDialog
from client.ui.shelf import Open, Shelf
from client.ui.widgets.notice import Notice


class Job(QObject):
    """window: its dialogs stand before it. notice: where it tells."""

    def __init__(self, window: QWidget, shelf: Shelf, notice: Notice, clock: Clock) -> None:
        super().__init__(window)
        self.window, self.shelf, self.notice, self.clock = window, shelf, notice, clock

    def name_of(self, person: str | None) -> str:
        """Of somebody on this device; "" for a guest, and while nothing is open."""
        state = self.shelf.state
        people = state.people if isinstance(state, Open) else ()
        return next((one.name for one in people if one.id == person), "")

    def tell_fault(self, fault: HealthHelperError) -> None:
        """The world's fault, where one looks."""
        self.notice.tell(f"{fault.title}. {fault.remedy}")

    def confirmed(self, title: str, question: str, yes: str) -> bool:
        """Whether the person says yes."""
        return ConfirmDialog(self.window, title, question, yes).exec() == QDialog.DialogCode.Accepted


def shown_name(name: str) -> str:
    """A person's, or a guest's."""
    return name or said("Guest")
