"""A report and an export are written into files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QFileDialog

from client.language import said
from client.reports.files import write_report, write_table
from client.store.observations import Observations, utc_offset_min
from client.store.scans import earlier_heart_rates
from client.ui.pages.job import Job, shown_name
from client.ui.pages.result import Shown
from client.ui.shelf import Open
from client.ui.views.files import path_as_chosen


class Files(Job):
    """What leaves the store, or never was in it, for a file that a person chooses."""

    def report(self, shown: Shown, language: str) -> None:
        """The report of what a result page shows."""
        record, line, whose = shown.record, shown.kept, shown.whose
        path = self._ask_path(
            f"health-helper-{record.taken_at.astimezone():%Y-%m-%d-%H%M}.pdf",
            said("Report (*.pdf);;Data (*.json)"),
            said("Save the report of this scan"),
        )
        if path is None:
            return
        # On the clock of the place where it was taken, which may be another one by now.
        offset_min = utc_offset_min(record.taken_at) if line is None else line.utc_offset_min

        def write(history: list[tuple[datetime, float]]) -> None:
            write_report(
                record,
                path,
                language=language,
                name=whose or None,
                utc_offset_min=offset_min,
                history=history,
            )

        def written(_: None) -> None:
            self.notice.tell(
                said("Report written: {name}, in the folder {folder}", name=path.name, folder=path.parent)
            )

        if line is not None and isinstance(self.shelf.state, Open):
            person = line.person
            self.shelf.ask(
                lambda kept: write(earlier_heart_rates(kept, person, record.taken_at)),
                written,
                self.tell_fault,
            )
        else:
            self.shelf.elsewhere(lambda: write([]), written, self.tell_fault)

    def export(self, person: str | None) -> None:
        """All that is kept of one person."""
        path = self._ask_path(
            "health-helper.csv",
            said("Table (*.csv);;Data (*.json)"),
            said("Save all that is kept: {name}", name=shown_name(self.name_of(person))),
        )
        if path is None:
            return

        def write(kept: Observations) -> int:
            from client.store.export import COLUMNS, rows

            found = rows(kept, person, whole=path.suffix.lower() == ".json")
            write_table(found, COLUMNS, path)
            return len(found)

        def written(count: int) -> None:
            self.notice.tell(
                said(
                    "Written: {name}, {count} kept, in the folder {folder}. It is not encrypted.",
                    name=path.name,
                    count=count,
                    folder=path.parent,
                )
            )

        self.shelf.ask(write, written, self.tell_fault)

    def _ask_path(self, name: str, kinds: str, title: str) -> Path | None:
        typed, kind = QFileDialog.getSaveFileName(self.window, title, str(_documents() / name), kinds)
        if not typed:
            return None
        path = path_as_chosen(typed, kind, kinds)
        if path == Path(typed) or not path.exists():  # the dialog has asked about the name that it knew
            return path
        question = said("{name} is there already. Replace it?", name=path.name)
        return path if self.confirmed(title, question, said("Replace")) else None


def _documents() -> Path:
    """The person's folder for documents; where there is none (a new account may lack it), the home folder, not wherever we were started."""
    documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    return Path(documents) if documents and Path(documents).is_dir() else Path.home()
