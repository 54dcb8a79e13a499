"""What was deleted and can still be put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from PySide6.QtWidgets import QWidget

from client.language import listing, said
from client.store.documents import Document
from client.store.observations import Deleted, Person
from client.ui.pages.dialogs import Dialog
from client.ui.views.documents import KINDS
from client.ui.views.history import LEFT_TO_RIGHT, row
from client.ui.widgets.layout import label
from client.ui.widgets.table import Table


@dataclass(frozen=True, slots=True)
class DeletedDocument:
    """A document of somebody who is still here, person None for a guest's. deleted_at: UTC."""

    deleted_at: datetime
    person: Person | None
    document: Document


class DeletedDialog(Dialog):
    """chosen: the one to be put back, once it is accepted. days: for so long it can be."""

    def __init__(self, parent: QWidget, found: Sequence[Deleted | DeletedDocument], days: int) -> None:
        super().__init__(parent, said("Deleted in the last {days} days", days=days))
        self._found = found
        metrics = self.fontMetrics()
        if found:
            self.setMinimumWidth(min(parent.width() - 40, 80 * metrics.averageCharWidth()))
        self.column.addWidget(
            label(
                said(
                    "Choose what is to be put back. A person comes back with all that was deleted with them."
                )
                if found
                else said("Nothing was deleted in the last {days} days.", days=days)
            )
        )
        self.table = Table(self.windowTitle(), [said("Deleted"), said("Whose"), said("What")])
        self.table.fill([_words(one) for one in found])
        self.table.setMinimumHeight(10 * metrics.height())
        self.table.setVisible(bool(found))
        self.table.itemSelectionChanged.connect(self._chosen)
        self.column.addWidget(self.table, 1)
        self.table.horizontalHeader().sectionResized.connect(self.table.resizeRowsToContents)
        self.buttons(said("Put back"), self.accept)
        self.cancel.setText(said("Close"))
        self._chosen()

    @property
    def chosen(self) -> Deleted | DeletedDocument | None:
        """The chosen line's."""
        at = self.table.currentRow()
        return self._found[at] if 0 <= at < len(self._found) and self.table.selectedItems() else None

    def _chosen(self) -> None:
        self.ok.setEnabled(self.chosen is not None)


def _words(one: Deleted | DeletedDocument) -> tuple[str, str, str]:
    when = f"{LEFT_TO_RIGHT}{one.deleted_at.astimezone():%Y-%m-%d %H:%M}"
    whose = said("Guest") if one.person is None else one.person.name
    if isinstance(one, DeletedDocument):
        kind = said(KINDS.get(one.document.media_type, one.document.media_type))
        return when, whose, listing((one.document.title, kind))
    if one.line is None:
        return when, whose, said("This person, with all that was kept of them")
    kept = row(one.line)
    return when, whose, " ".join(part for part in (LEFT_TO_RIGHT + kept.when, kept.kind, kept.what) if part)
