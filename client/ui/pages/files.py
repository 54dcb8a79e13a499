"""A report and an export are written into files."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QStandardPaths, Qt, QTimer
from PySide6.QtWidgets import QFileDialog, QProgressDialog, QWidget

from client.errors import HealthHelperError
from client.language import listing, said
from client.parts import Kept
from client.pipeline import handing_on
from client.reports import exports
from client.reports.contents import Dot
from client.reports.files import write_report
from client.store.observations import utc_offset_min
from client.ui.pages.job import Job, shown_name
from client.ui.pages.result import Shown
from client.ui.shelf import Open
from client.ui.views.files import path_as_chosen

_SHOWN_AFTER_MS, _LOOK_EVERY_MS = 500, 100


class Files(Job):
    """What leaves the store, or never was in it, for a file that a person chooses."""

    def report(self, shown: Shown, language: str) -> None:
        """The report of what a result page shows."""
        record, line, whose = shown.record, shown.kept, shown.whose
        path = self.ask_path(
            f"health-helper-{record.taken_at.astimezone():%Y-%m-%d-%H%M}.pdf",
            said("Report (*.pdf);;Data (*.json)"),
            said("Save the report of this scan"),
        )
        if path is None:
            return
        # On the clock of the place where it was taken, which may be another one by now.
        offset_min = utc_offset_min(record.taken_at) if line is None else line.utc_offset_min
        number = self._number_of(whose)

        def write(history: list[Dot]) -> None:
            write_report(
                record,
                path,
                language=language,
                name=whose or None,
                utc_offset_min=offset_min,
                history=history,
                scan_id=None if line is None else line.id,
                record_number=number,
            )

        def written(_: None) -> None:
            self.notice.tell(
                said("Report written: {name}, in the folder {folder}", name=path.name, folder=path.parent)
            )

        if line is not None and isinstance(self.shelf.state, Open):
            person = line.person
            self.shelf.ask(
                lambda kept: write(handing_on.history(kept, person, record.taken_at)),
                written,
                self.tell_fault,
            )
        else:
            self.shelf.elsewhere(lambda: write([]), written, self.tell_fault)

    def _number_of(self, name: str) -> str | None:
        """The record number of whoever is shown under this name: no two people here have the same."""
        state = self.shelf.state
        people = state.people if isinstance(state, Open) else ()
        return next((one.record_number for one in people if one.name == name), None)

    def export(self, person: str | None, language: str = "en") -> None:
        """All that is kept of one person. It may take long: it is written beside everything else, and can be stopped."""
        path = self.ask_path(
            "health-helper.zip",
            said(
                "Everything, with documents (*.zip);;Table (*.csv);;Data (*.json);;For another system, FHIR (*.fhir.json);;"
                "Overview (*.pdf)"
            ),
            said("Save all that is kept: {name}", name=shown_name(self.name_of(person))),
        )
        if path is None:
            return
        watch = _Watch(self.window, path.name)
        name = self.name_of(person) or None
        now = self.clock.utc()

        def write(kept: Kept) -> tuple[int, tuple[str, ...]]:
            everything = handing_on.everything(
                kept.observations, kept.documents, kept.consents, kept.tasks, person, now=now
            )
            done = exports.write(
                everything,
                path,
                language=language,
                report=handing_on.report_of(kept.observations, person, language=language, name=name),
                progress=watch.tell,
                cancelled=lambda: watch.stopped or not isinstance(self.shelf.state, Open),
            )
            return everything.count, done.left_out

        def written(done: tuple[int, tuple[str, ...]]) -> None:
            watch.end()
            count, left_out = done
            told = said(
                "Written: {name}, {count} kept, in the folder {folder}. It is not encrypted.",
                name=path.name,
                count=count,
                folder=path.parent,
            )
            if left_out:
                titles = listing(left_out)
                told = f"{told} {said('Damaged documents were left out: {titles}.', titles=titles)}"
            self.notice.tell(told)

        def failed(fault: HealthHelperError) -> None:
            watch.end()
            self.tell_fault(fault)

        self.shelf.over_network(write, written, failed)

    def ask_path(self, name: str, kinds: str, title: str) -> Path | None:
        """Where a file is to be written; None where nowhere. name: suggested. kinds: as Qt's dialogs take them."""
        typed, kind = QFileDialog.getSaveFileName(self.window, title, str(documents_folder() / name), kinds)
        if not typed:
            return None
        path = path_as_chosen(typed, kind, kinds)
        if path == Path(typed) or not path.exists():  # the dialog has asked about the name that it knew
            return path
        question = said("{name} is there already. Replace it?", name=path.name)
        return path if self.confirmed(title, question, said("Replace")) else None


class _Watch:
    """How far a file is, for the person who waits for it. `tell` and `stopped` are for the thread that writes."""

    def __init__(self, window: QWidget, name: str) -> None:
        self.stopped = False
        self._done = 0.0
        self._dialog = QProgressDialog(
            said("Writing {name} …", name=name), said("Stop"), 0, 100, window, Qt.WindowType.Dialog
        )
        self._dialog.setWindowModality(Qt.WindowModality.WindowModal)
        self._dialog.setMinimumDuration(_SHOWN_AFTER_MS)
        self._dialog.setAutoReset(False)
        self._dialog.setAutoClose(False)
        self._dialog.setValue(0)  # from here on it counts until it shows itself
        self._dialog.canceled.connect(self._stop)
        self._timer = QTimer(self._dialog)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(lambda: self._dialog.setValue(round(100.0 * self._done)))
        self._timer.start()

    def tell(self, done: float) -> None:
        """0 to 1."""
        self._done = done

    def end(self) -> None:
        """It is written, or will not be."""
        self._timer.stop()
        self._dialog.canceled.disconnect(self._stop)
        self._dialog.close()
        self._dialog.deleteLater()

    def _stop(self) -> None:
        self.stopped = True


def documents_folder() -> Path:
    """The person's folder for documents; where there is none (a new account may lack it), the home folder, not wherever we were started."""
    documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    return Path(documents) if documents and Path(documents).is_dir() else Path.home()
