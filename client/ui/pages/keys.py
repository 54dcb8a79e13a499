"""The recovery key: shown, printed, put in force, used; and what is left where it is lost too."""

from __future__ import annotations

from PySide6.QtWidgets import QDialog

from client.errors import HealthHelperError
from client.language import said
from client.ui.pages.dialogs import RecoveryDialog, RestoreDialog
from client.ui.pages.job import Job


class Keys(Job):
    """What is done with keys on paper."""

    def make(self) -> None:
        """A new one, in force once somebody says that it is written down."""
        self.shelf.new_recovery_key(self._show, self.tell_fault)

    def _show(self, key: str) -> None:
        dialog = RecoveryDialog(self.window, key, lambda: self.print_key(key))
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self.shelf.confirm_recovery_key(
                lambda _: self.notice.tell(
                    said("The recovery key is in force now, instead of any older one.")
                ),
                self._not_in_force,
            )

    def _not_in_force(self, fault: HealthHelperError) -> None:
        words = said("The new recovery key is not in force: throw its paper away. An older one stays valid.")
        self.notice.tell(f"{words} {fault.title}. {fault.remedy}")

    def print_key(self, key: str) -> None:
        """Straight to a printer: a file of it would be a plain-text copy."""
        from PySide6.QtGui import QTextDocument
        from PySide6.QtPrintSupport import QAbstractPrintDialog, QPrintDialog, QPrinter

        printer = QPrinter()
        dialog = QPrintDialog(printer, self.window)
        dialog.setOption(QAbstractPrintDialog.PrintDialogOption.PrintToFile, on=False)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            page = QTextDocument()
            page.setPlainText(f"Health Helper\n{said('Recovery key')}\n\n{key}\n")
            page.print_(printer)

    def restore(self) -> None:
        """Open the store with one that is typed."""
        dialog = RestoreDialog(self.window)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self.shelf.restore(dialog.key.text())

    def begin_anew(self) -> None:
        """A new store instead of one to which nobody has a key any more. It is asked once, in so many words."""
        question = said(
            "Begin a new, empty store? Only where nobody has the recovery key any more, and this system's key store will not come back: "
            "what is kept now is then on no list, in no report, and what of it waits is not sent. Nothing of it is deleted: it is set aside, "
            "encrypted as it is, in a folder with the date of today, and its recovery key opens it should it be found."
        )
        if self.confirmed(said("Begin a new store"), question, said("Begin a new store")):
            self.shelf.begin_anew()
