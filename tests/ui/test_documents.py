"""Somebody hands in documents: by a dialog, by dropping them, by photographing a page."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog, QVBoxLayout, QWidget

from client import language
from client.clock import SystemClock
from client.devices.ports import FrameSource
from client.errors import EnvironmentFault, HealthHelperError
from client.intake import apart
from client.store.database import FILE_NAME, Database
from client.store.documents import Documents
from client.store.observations import Observations
from client.store.outbox import ItemKind, Outbox
from client.ui import look
from client.ui.pages.document_preview import PreviewDialog
from client.ui.pages.documents import DocumentsPage
from client.ui.pages.page_photo import PagePhotoDialog, is_sheet, whole
from client.ui.translations import use
from client.ui.views.palette import THEMES
from client.ui.widgets.notice import Notice
from edge_models.types import ByteArray, Frame
from tests.client.intake import making
from tests.client.pipeline.fakes import FACTS, ScriptedSource
from tests.client.store.conftest import KEY, NOW
from tests.edge_models.test_page import Scene, _staged
from tests.ui.looking import button_named, click, in_dialog, pause, press, shot, wait_for


@dataclass
class Place:
    """A window with nothing but the page in it, over a real store. agrees: what a guest answers. locked: the store is shut."""

    folder: Path
    window: QWidget
    page: DocumentsPage
    notice: Notice
    documents: Documents
    outbox: Outbox
    person: str
    agrees: list[bool | None] = field(default_factory=list)
    questions: int = 0
    faults: list[HealthHelperError] = field(default_factory=list)
    source: Callable[[], FrameSource] | None = None
    locked: bool = False

    def file(self, data: bytes, name: str) -> Path:
        path = self.folder / "handed in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    def titles(self) -> list[str]:
        return [row.title for row in self.page._rows]

    def add(self, *paths: Path) -> None:
        self.page.add_files(paths)
        wait_for(lambda: not self.page.adding, "all to be added")
        pause(60)


def _opened(folder: Path, *, percent: int = 100, theme: str = "light") -> Iterator[Place]:
    from client.ui.start import make_app

    app = make_app()
    look.apply(app, THEMES[theme], percent)
    database = Database(folder / FILE_NAME, KEY)
    person = Observations(database).add_person("Maria Lopez", now=NOW).id
    documents, outbox = Documents(database), Outbox(database)
    window = QWidget()
    window.resize(900, 760)
    window.setWindowTitle("Documents")
    column = QVBoxLayout(window)
    notice = Notice(window)
    place: Place

    def ask(job: Callable[[Any], Any], then: Callable[[Any], None], otherwise: Callable[[Any], None]) -> None:
        def answer() -> None:
            if place.locked:
                otherwise(EnvironmentFault(title="The store is locked", remedy="Unlock it."))
                return
            try:
                found = job(SimpleNamespace(documents=documents, outbox=outbox))
            except HealthHelperError as fault:
                otherwise(fault)
                return
            then(found)

        QTimer.singleShot(0, answer)

    def decide(
        whose: str | None, then: Callable[[bool], None], not_now: Callable[[HealthHelperError | None], None]
    ) -> None:
        if whose is not None:
            then(False)
            return
        place.questions += 1
        answer = place.agrees.pop(0)
        if answer is None:
            not_now(None)
        else:
            then(answer)

    def camera() -> FrameSource:
        assert place.source is not None
        return place.source()

    page = DocumentsPage(ask, SystemClock(), notice, camera, decide)
    place = Place(folder, window, page, notice, documents, outbox, person)
    page.failed.connect(place.faults.append)
    column.addWidget(notice)
    column.addWidget(page)
    page.show_store("", "")
    page.show_person(person, "Maria Lopez")
    window.show()
    pause(50)
    yield place
    page.end()
    window.close()
    window.deleteLater()
    app.sendPostedEvents()
    app.processEvents()
    database.close()


@pytest.fixture
def place(display: None, tmp_path: Path) -> Iterator[Place]:
    yield from _opened(tmp_path)


def _choose(place: Place, at: int) -> None:
    place.page.table.setCurrentCell(at, 0)
    pause(20)


def test_files_are_added_and_one_that_is_none_does_not_lose_the_others(place: Place) -> None:
    place.add(
        place.file(making.report(3), "Letter.pdf"),
        place.file(b"PK\x03\x04 word/", "Findings.docx"),
        place.file(making.telltale_jpeg(), "Leg.jpg"),
        place.folder / "nothing.pdf",
    )
    assert sorted(place.titles()) == ["Leg.jpg", "Letter.pdf"]
    assert "2 documents were added." in place.notice.words
    assert "Findings.docx is no PDF, JPEG or PNG but an office document" in place.page.wrong.text()
    assert "nothing.pdf is not there" in place.page.wrong.text()
    kept = {one.title: one for one in place.documents.list(place.person)}
    assert kept["Letter.pdf"].pages == 3
    assert b"".join(place.documents.read(kept["Letter.pdf"].id)) == making.report(3)
    picture = b"".join(place.documents.read(kept["Leg.jpg"].id))
    assert [secret for secret in making.SECRETS if secret in picture] == []
    shot(place.window, "documents-some-not-added")
    click(place.page.wrong_seen)
    assert not place.page.wrong.isVisible()


def test_files_chosen_in_the_dialog_are_added(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place.file(making.report(1), "Letter.pdf")
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(path)], ""))
    press(place.page.add, Qt.Key.Key_Space)
    wait_for(lambda: place.titles() == ["Letter.pdf"], "the file")


def test_files_are_dropped(place: Place) -> None:
    path = place.file(making.report(1), "Letter.pdf")
    dragged = QMimeData()
    dragged.setUrls([QUrl.fromLocalFile(str(path)), QUrl("https://example.org/x.pdf")])
    buttons, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    assert place.page.viewport().acceptDrops()

    def lit() -> bool:
        return place.page.target.lit

    enter = QDragEnterEvent(QPoint(20, 20), Qt.DropAction.CopyAction, dragged, buttons, none)
    QApplication.sendEvent(place.page.viewport(), enter)
    assert enter.isAccepted() and lit()
    shot(place.window, "documents-drop-target")
    QApplication.sendEvent(
        place.page.viewport(), QDropEvent(QPointF(20, 20), Qt.DropAction.CopyAction, dragged, buttons, none)
    )
    assert not lit()
    wait_for(lambda: place.titles() == ["Letter.pdf"], "the file")
    words = QMimeData()
    words.setText("words")
    enter = QDragEnterEvent(QPoint(20, 20), Qt.DropAction.CopyAction, words, buttons, none)
    enter.ignore()
    QApplication.sendEvent(place.page.viewport(), enter)
    assert not lit()


def test_what_is_dropped_is_copied_even_where_it_was_to_be_moved(place: Place) -> None:
    path = place.file(making.report(1), "Letter.pdf")
    dragged = QMimeData()
    dragged.setUrls([QUrl.fromLocalFile(str(path))])
    both = Qt.DropAction.MoveAction | Qt.DropAction.CopyAction
    buttons, shift = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier
    QApplication.sendEvent(
        place.page.viewport(), QDragEnterEvent(QPoint(20, 20), both, dragged, buttons, shift)
    )
    drop = QDropEvent(QPointF(20, 20), both, dragged, buttons, shift)
    assert drop.proposedAction() == Qt.DropAction.MoveAction
    QApplication.sendEvent(place.page.viewport(), drop)
    assert drop.isAccepted() and drop.dropAction() == Qt.DropAction.CopyAction
    wait_for(lambda: place.titles() == ["Letter.pdf"], "the file")


def test_the_next_guest_does_not_agree_by_the_answer_of_the_one_before(place: Place) -> None:
    place.page.show_person(None, "")
    place.outbox.set_enrolled({"url": "https://x", "clinic_id": "c", "device_id": "d"})
    place.agrees = [True]
    place.page.add_files([place.file(making.report(1), "Agreed.pdf")])
    place.page.add_files([place.file(making.report(1), "Not asked.pdf")])
    assert "added already" in place.notice.words
    wait_for(lambda: not place.page.adding, "the file")
    pause(60)
    assert place.titles() == ["Agreed.pdf"] and place.questions == 1


def test_once_it_is_locked_no_more_is_added_and_nothing_is_said_of_it(place: Place) -> None:
    place.page.add_files([place.file(b"nonsense", "Hers.pdf"), place.file(making.report(1), "B.pdf")])
    place.notice.tell("Locked.")
    place.page.show_store("The store is locked.", "Unlock")
    wait_for(lambda: not place.page.adding, "the end", 5.0)
    assert place.notice.words == "Locked."
    place.page.show_store("", "")
    assert not place.page.wrong.isVisible() and place.documents.list(place.person) == []


def test_what_the_clinic_has_of_a_deleted_document_is_told(place: Place) -> None:
    place.page.show_person(None, "")
    place.outbox.set_enrolled({"url": "https://x", "clinic_id": "c", "device_id": "d"})
    place.agrees = [True]
    place.add(place.file(making.report(1), "Sent.pdf"))
    [item] = place.outbox.claim(ItemKind.DOCUMENT, 1)
    place.outbox.acknowledge([item.id], now=NOW)
    _choose(place, 0)
    click(place.page.remove)
    wait_for(lambda: place.titles() == [], "it to be gone")
    assert place.notice.words.startswith("Deleted. It was sent: the clinic's copy is erased once")


def test_a_guest_is_asked_about_sharing_and_may_step_back(place: Place) -> None:
    place.page.show_person(None, "")
    place.outbox.set_enrolled({"url": "https://x", "clinic_id": "c", "device_id": "d"})
    place.agrees = [None, True, False]
    place.add(place.file(making.report(1), "Not.pdf"))
    assert place.titles() == []
    place.add(place.file(making.report(1), "Sent.pdf"))
    place.add(place.file(making.report(1), "Kept.pdf"))
    assert place.questions == 3
    states = {row.title: row.state for row in place.page._rows}
    assert states == {"Sent.pdf": "Waits to be sent", "Kept.pdf": "Kept here"}


def test_adding_is_cancelled_and_what_is_complete_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = apart.command

    def command() -> list[str]:
        return (
            real()
            if not place.titles()
            else [real()[0], "-c", "import time; print('started', flush=True); time.sleep(60)"]
        )

    monkeypatch.setattr(apart, "command", command)
    files = [place.file(making.report(1), f"{at}.pdf") for at in range(4)]
    place.page.add_files(files[:1])
    wait_for(lambda: place.titles() == ["0.pdf"] and not place.page.adding, "the first")
    place.page.add_files(files[1:])
    wait_for(place.page.stop.isVisible, "the progress")
    pause(200)
    shot(place.window, "documents-adding")
    click(place.page.stop)
    wait_for(lambda: not place.page.adding, "it to be given up", 5.0)
    assert place.titles() == ["0.pdf"] and place.notice.words == "Adding was cancelled."
    assert not place.page.wrong.isVisible()


def test_a_document_that_kills_who_looks_at_it_is_told_and_the_window_lives(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = apart.command()[0]
    monkeypatch.setattr(
        apart, "command", lambda: [python, "-c", "import os; os.write(1, b'started\\n'); os.abort()"]
    )
    place.add(place.file(making.report(1), "Evil.pdf"))
    assert "Evil.pdf is too complicated" in place.page.wrong.text()


def test_the_window_answers_while_a_file_is_looked_at(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    python = apart.command()[0]
    monkeypatch.setattr(apart, "command", lambda: [python, "-c", "import time; time.sleep(60)"])
    place.page.add_files([place.file(making.report(1), "Slow.pdf")])
    beats: list[int] = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(1))
    timer.start(10)
    pause(600)
    timer.stop()
    assert place.page.adding and len(beats) > 25
    place.page.show_person(None, "")  # somebody else is chosen meanwhile
    place.page.end()


def test_what_is_added_belongs_to_who_was_chosen_then(place: Place) -> None:
    place.page.add_files([place.file(making.report(1), "Hers.pdf")])
    place.page.show_person(None, "")
    wait_for(lambda: not place.page.adding, "the file")
    pause(60)
    assert place.titles() == []
    assert [one.title for one in place.documents.list(place.person)] == ["Hers.pdf"]


def test_a_store_that_is_locked_meanwhile_is_told_for_each_file(place: Place) -> None:
    place.locked = True
    place.page.add_files([place.file(making.report(1), "A.pdf"), place.file(making.report(1), "B.pdf")])
    wait_for(lambda: not place.page.adding, "both")
    assert place.page.wrong.text().count("The store is locked") == 2
    place.page.show_store("The store is locked.", "Unlock")
    assert not place.page.add.isVisible() and not place.page.viewport().acceptDrops()


def test_it_is_deleted_and_put_back(place: Place) -> None:
    place.add(place.file(making.report(1), "Letter.pdf"))
    _choose(place, 0)
    click(place.page.remove)
    wait_for(lambda: place.titles() == [], "it to be gone")
    assert place.notice.words == "Deleted."
    click(button_named(place.notice, "Undo"))
    wait_for(lambda: place.titles() == ["Letter.pdf"], "it to be back")


def test_a_copy_is_written_once_it_is_known_that_it_is_not_encrypted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.add(place.file(making.report(1), "Letter.pdf"))
    _choose(place, 0)
    goal = place.folder / "copy.pdf"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(goal), ""))
    no = in_dialog(lambda dialog: click(button_named(dialog, "Cancel")))
    click(place.page.copy)
    no()
    assert not goal.exists()
    yes = in_dialog(lambda dialog: click(button_named(dialog, "Choose where…")))
    click(place.page.copy)
    yes()
    wait_for(goal.exists, "the copy")
    assert goal.read_bytes() == making.report(1)
    wait_for(lambda: "It is not encrypted" in place.notice.words, "the words")


def test_its_pages_are_looked_at(place: Place) -> None:
    place.add(place.file(making.report(3), "Letter.pdf"))
    _choose(place, 0)

    def act(dialog: QDialog) -> None:
        assert isinstance(dialog, PreviewDialog)
        wait_for(lambda: not dialog.sheet.pixmap().isNull(), "the page")
        first = dialog.sheet.pixmap().toImage()
        assert dialog.words.text() == "Page 1 of 3" and not dialog.back.isEnabled()
        shot(dialog, "documents-preview")
        press(dialog.on, Qt.Key.Key_Space)
        wait_for(lambda: dialog.words.text() == "Page 2 of 3" and dialog._drawing is None, "the next page")
        assert dialog.sheet.pixmap().toImage() != first
        click(dialog.larger)
        wait_for(lambda: dialog._drawing is None, "the larger page")
        assert dialog.sheet.pixmap().width() > 1.3 * first.width()
        QTest.keyClick(dialog, Qt.Key.Key_Escape)
        assert dialog._data == b"" and dialog.sheet.pixmap().isNull()

    check = in_dialog(act)
    click(place.page.look_at)
    wait_for(lambda: QApplication.activeModalWidget() is None, "the end of the preview")
    pause(100)
    check()


# A page in front of the camera


def _camera(images: list[ByteArray]) -> Callable[[], FrameSource]:
    def frames() -> Iterator[Frame]:
        at_s = 0.0
        while True:
            for image in images:
                at_s += 0.03
                time.sleep(0.03)  # as long as a camera takes, in the thread that reads it
                yield Frame(image, at_s)

    return lambda: ScriptedSource(frames(), FACTS)


@pytest.fixture(scope="module")
def sheet_on_table() -> Scene:
    return _staged(1003, table="wood")


def _in_photo(place: Place, act: Callable[[PagePhotoDialog], None]) -> None:
    def inside(dialog: QDialog) -> None:
        assert isinstance(dialog, PagePhotoDialog)
        wait_for(dialog.take.isEnabled, "a picture")
        act(dialog)

    check = in_dialog(inside)
    click(place.page.photograph)
    check()


def test_a_page_is_photographed_straightened_and_kept(place: Place, sheet_on_table: Scene) -> None:
    place.source = _camera([sheet_on_table.image])

    def act(dialog: PagePhotoDialog) -> None:
        wait_for(lambda: dialog.picture.corners is not None, "the outline")
        shot(dialog, "page-photo-live")
        assert dialog.take.hasFocus()
        press(dialog.take, Qt.Key.Key_Return)
        wait_for(dialog.use.isEnabled, "the straightened page")
        assert not dialog.take.isVisible() and dialog.use.hasFocus()
        shot(dialog, "page-photo-taken")
        click(dialog.use)

    _in_photo(place, act)
    wait_for(lambda: len(place.titles()) == 1, "the page")
    assert place.titles()[0].startswith("Photographed page 20")
    kept = place.documents.list(place.person)[0]
    image = making.decoded(b"".join(place.documents.read(kept.id)))
    assert abs(image.shape[1] / image.shape[0] - sheet_on_table.aspect) < 0.06
    assert np.median(image) > 190  # paper to its edges
    assert all(np.median(edge) > 150 for edge in (image[4], image[-5], image[:, 4], image[:, -5]))


def test_without_a_sheet_the_corners_are_set_by_keyboard_and_mouse(place: Place) -> None:
    plain = np.full((480, 640, 3), 90, np.uint8)
    plain[100:400, 150:450] = cv2.GaussianBlur(plain[100:400, 150:450], (0, 0), 3) + 1
    place.source = _camera([plain])

    def act(dialog: PagePhotoDialog) -> None:
        click(dialog.take)
        assert "No sheet was found" in dialog.words.text()
        before = dialog.picture.corners
        assert before is not None
        handle = dialog.picture.handles[0]
        assert handle.accessibleName() == "Upper left corner"
        handle.setFocus()
        for _ in range(3):
            QTest.keyClick(handle, Qt.Key.Key_Right)
        QTest.keyClick(handle, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
        after = dialog.picture.corners
        assert after is not None
        moved = after - before
        assert moved[0, 0] > 1.0 and moved[0, 1] > 5.0 and (moved[1:] == 0).all()
        _drag(dialog.picture.handles[2], QPoint(-40, -30))
        dragged = dialog.picture.corners
        assert dragged is not None and (dragged[2] < after[2] - 10).all()
        for _ in range(60):  # never across the other sides
            QTest.keyClick(handle, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
        assert dialog.picture.corners is not None and is_sheet(dialog.picture.corners)
        wait_for(dialog.use.isEnabled, "the straightened page")
        shot(dialog, "page-photo-by-hand")
        click(dialog.again)
        wait_for(dialog.take.isEnabled, "the camera again")
        assert not dialog.use.isVisible()
        click(dialog.take)
        click(dialog.as_it_is)

    _in_photo(place, act)
    wait_for(lambda: len(place.titles()) == 1, "the page")
    kept = place.documents.list(place.person)[0]
    assert making.decoded(b"".join(place.documents.read(kept.id))).shape == (480, 640, 3)


def _drag(widget: QWidget, by: QPoint) -> None:
    start = QPointF(widget.rect().center())
    for kind, at in (
        (QEvent.Type.MouseButtonPress, start),
        (QEvent.Type.MouseMove, start + QPointF(by)),
        (QEvent.Type.MouseButtonRelease, start),
    ):
        button = Qt.MouseButton.NoButton if kind is QEvent.Type.MouseMove else Qt.MouseButton.LeftButton
        held = (
            Qt.MouseButton.NoButton if kind is QEvent.Type.MouseButtonRelease else Qt.MouseButton.LeftButton
        )
        where = QPointF(widget.mapToGlobal(at))
        QApplication.sendEvent(
            widget, QMouseEvent(kind, at, where, button, held, Qt.KeyboardModifier.NoModifier)
        )


def test_a_camera_that_fails_is_told_in_the_dialog(place: Place) -> None:
    def failing() -> FrameSource:
        fault = EnvironmentFault(title="The camera is used by another program", remedy="Close it.")
        return ScriptedSource([], FACTS, open_error=fault)

    place.source = failing

    def act(dialog: QDialog) -> None:
        assert isinstance(dialog, PagePhotoDialog)
        wait_for(lambda: "used by another program" in dialog.wrong.text(), "the words")
        assert not dialog.take.isEnabled()
        click(dialog.cancel)

    check = in_dialog(act)
    click(place.page.photograph)
    check()
    assert place.titles() == []


def test_no_camera_at_all_is_told_on_the_page(place: Place) -> None:
    def none() -> FrameSource:
        raise EnvironmentFault(title="No camera was found", remedy="Plug one in.")

    place.source = none
    click(place.page.photograph)
    assert place.notice.words == "No camera was found. Plug one in."


@pytest.mark.parametrize(
    ("code", "theme", "percent"), [("en", "dark", 100), ("en", "light", 200), ("ar", "light", 100)]
)
def test_it_can_be_read_in_every_look(
    display: None, tmp_path: Path, sheet_on_table: Scene, code: str, theme: str, percent: int
) -> None:
    """Nothing is wider than the window; the pictures are for eyes."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    with contextlib.ExitStack() as stack:
        stack.callback(look.apply, app, THEMES["light"], 100)
        stack.callback(app.setLayoutDirection, Qt.LayoutDirection.LeftToRight)
        stack.callback(language.use, None)
        use(app, code)
        place = stack.enter_context(
            contextlib.contextmanager(_opened)(tmp_path, percent=percent, theme=theme)
        )
        place.add(
            place.file(
                making.report(3), "A letter of the cardiologist with a long name, of 3 March 2026.pdf"
            ),
            place.file(making.telltale_jpeg(), "Leg.jpg"),
            place.file(b"MZ", "setup.pdf"),
        )
        _choose(place, 0)
        shot(place.window, f"documents-{code}-{theme}-{percent}")
        assert place.page.horizontalScrollBar().maximum() == 0
        place.source = _camera([sheet_on_table.image])

        def act(dialog: PagePhotoDialog) -> None:
            dialog.freeze()
            wait_for(dialog.use.isEnabled, "the straightened page")
            shot(dialog, f"page-photo-{code}-{theme}-{percent}")
            assert dialog.width() <= place.window.width()
            dialog.reject()

        _in_photo(place, act)


def test_corners_that_cross_are_no_sheet() -> None:
    square = whole(np.zeros((100, 100, 3), np.uint8), 0.1)
    assert is_sheet(square)
    assert not is_sheet(square[[0, 2, 1, 3]]) and not is_sheet(square[::-1])
    assert not is_sheet(square * 0.01)
