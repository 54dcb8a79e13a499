"""The assistant's page in a real window: asked by hand and by voice, opened, stopped, forgotten; and what must be read before all else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QMimeData, QPoint, Qt, QTimer
from PySide6.QtGui import QAccessible, QFocusEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QCheckBox, QLabel, QWidget

from client.assistant.conversation import Role, Turn
from client.assistant.evidence import Citation
from client.assistant.knowledge import shipped
from client.assistant.triage import Level
from client.devices.ports import Level as Loudness
from client.errors import EnvironmentFault
from client.intake import accept
from client.pipeline.talk_state import Highlight, Mode, Phase
from client.store.documents import Purpose
from client.ui.pages.chat import ChatPage
from client.ui.pages.chat_dialogs import PassageDialog, TalkConsentDialog
from client.ui.pages.dialogs import ConfirmDialog
from client.ui.pages.document_preview import PreviewDialog
from client.ui.shelf import Closed, Open
from client.ui.translations import LANGUAGES
from client.ui.views.chat import shown
from client.ui.views.palette import THEMES, contrast
from client.ui.widgets.layout import Page
from client.vault import VaultMissing
from tests.client.store.conftest import NOW
from tests.ui.conftest import Room
from tests.ui.fake_talk import ANSWER, ASKED, CHEST, HEART_RATE, LETTER, RESTING, SOON, Talks, with_talks
from tests.ui.looking import button_named, click, in_dialog, pause, press, shot, wait_for
from tests.ui.scripted import with_camera
from tests.ui.test_accessibility import CONTROLS, _inside_of_a_control, _name, _place, _tab_order
from tests.ui.test_sync import asked
from tests.ui.test_unsaved import measured, opened
from tests.ui.test_window import with_person

BOTH = (ASKED, ANSWER)
STAFF_SEE = (
    "Staff can see on this device that you asked for help. If nobody comes soon, ask somebody near you."
)


@pytest.fixture
def talks(room: Room) -> Talks:
    return with_talks(room)


def to_front(window: Any) -> None:
    """So that keys go where the focus is."""
    window.activateWindow()
    wait_for(window.isActiveWindow, "the window in front")


def at_page(room: Room, **preferences: object) -> tuple[Any, Any, ChatPage]:
    """The application, its window, and the page on it."""
    running, window = opened(room, **preferences)
    to_front(window)
    window.go_to_chat()
    return running, window, window.chat


def show(page: ChatPage, talks: Talks, **changes: Any) -> None:
    """Another state, and what the page makes of it."""
    talks.now.show(**changes)
    wait_for(lambda: page._state is talks.now.state, "the new state")
    pause(30)


def calls(talks: Talks, name: str) -> list[tuple[Any, ...]]:
    return [call for call in talks.now.calls if call[0] == name]


def words_on(page: QWidget) -> str:
    return "\n".join(label.text() for label in page.findChildren(QLabel) if label.isVisible())


# --- Asking


def test_somebody_comes_by_keyboard_and_asks_by_typing(room: Room, talks: Talks) -> None:
    _running, window = opened(room)
    to_front(window)
    QTest.keyClick(window, Qt.Key.Key_6, Qt.KeyboardModifier.ControlModifier)
    page = window.chat
    assert window.pages.currentWidget() is page and page.composer.hasFocus()
    assert talks.now.language == "en" and not page.send.isEnabled()
    QTest.keyClicks(page.composer, "What was my")
    QTest.keyClick(page.composer, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClicks(page.composer, "heart rate?")
    assert not calls(talks, "say") and page.send.isEnabled()
    QTest.keyClick(page.composer, Qt.Key.Key_Return)
    assert calls(talks, "say") == [("say", "What was my\nheart rate?")]
    assert page.composer.toPlainText() == "" and page.transcript.boxes[0].text.text().endswith("heart rate?")
    page.composer.setPlainText("And now?")
    click(page.send)
    assert calls(talks, "say")[-1] == ("say", "And now?") and len(page.transcript.boxes) == 2


def test_nothing_and_too_much_are_not_asked(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    page.composer.setPlainText("  \n ")
    QTest.keyClick(page.composer, Qt.Key.Key_Return)
    page.composer.setPlainText("x" * 4_001)
    QTest.keyClick(page.composer, Qt.Key.Key_Return)
    assert not calls(talks, "say") and "4001" in page.too_much.text() and page.too_much.isVisible()
    assert not page.send.isEnabled() and len(page.composer.toPlainText()) == 4_001
    page.composer.setPlainText("x" * 4_000)
    assert not page.too_much.isVisible() and page.send.isEnabled()


def test_what_is_put_in_is_plain_text(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    data = QMimeData()
    data.setHtml("<b>bold</b><img src='file:///x.png'>")
    data.setText("<b>plain</b>")
    page.composer.insertFromMimeData(data)
    QTest.keyClick(page.composer, Qt.Key.Key_Return)
    assert calls(talks, "say") == [("say", "<b>plain</b>")]


def test_an_answer_can_be_stopped_asked_again_read_and_judged(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    show(page, talks, turns=BOTH[:1], phase=Phase.UNDERSTANDING)
    assert not page.wrong.isVisible()
    click(page.stop)
    show(page, talks, turns=BOTH, voice="the system's", fault="It broke off. Ask again.", may_retry=True)
    assert "It broke off" in page.wrong.words and not page.stop.isEnabled()
    click(button_named(page.wrong, "Ask again"))
    assert not page.wrong.isVisible()
    box = page.transcript.boxes[1]
    click(box.no)
    click(box.yes)
    assert box.yes.isChecked() and not box.no.isChecked()
    click(box.yes)
    assert box.yes.isChecked() and page.transcript.boxes[0].read_aloud.isHidden()
    click(box.read_aloud)
    show(page, talks, phase=Phase.SPEAKING, speaking=Highlight(1, 0))
    assert box.read_aloud.text() == "Stop reading"
    click(box.read_aloud)
    wanted = [
        ("stop",),
        ("retry",),
        ("rate", 1, False),
        ("rate", 1, True),
        ("rate", 1, True),
        ("read_aloud", 1),
        ("stop",),
    ]
    assert [call for call in talks.now.calls if call[0] != "speak_answers"] == wanted
    show(page, talks, fault="The clinic can't be reached.", may_retry=False)
    assert page.wrong.isVisible() and not page.wrong.action.isVisible()


def test_asking_again_waits_as_long_as_the_clinic_wants(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    show(page, talks, turns=BOTH, fault="It has too much to do.", may_retry=True, retry_in_s=20)
    assert page.wrong.action.text() == "Ask again in 20 s" and not page.wrong.action.isEnabled()
    shot(window, "chat-waits")
    QTest.mouseClick(page.wrong.action, Qt.MouseButton.LeftButton)
    assert not calls(talks, "retry")
    show(page, talks, retry_in_s=0)
    click(button_named(page.wrong, "Ask again"))
    assert calls(talks, "retry")


def test_staff_are_called_from_the_page(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    click(page.staff)
    assert calls(talks, "call_staff") and page.staff_told.text() == STAFF_SEE


def test_an_assistant_that_does_not_begin_is_told_and_tried_again(room: Room, talks: Talks) -> None:
    talks.fault = lambda: EnvironmentFault(title="Its files are damaged", remedy="Install it anew.")
    _running, _window, page = at_page(room)
    assert page.broken.words == "Its files are damaged. Install it anew."
    assert not page.composer.isEnabled() and not page.mode.isEnabled()
    pause(150)
    talks.fault = None
    click(button_named(page.broken, "Try again"))
    assert not page.broken.isVisible() and page.composer.isEnabled()


def test_without_an_assistant_there_is_no_page_of_it(room: Room) -> None:
    room.parts = replace(room.parts, talk=None)
    _running, window = opened(room)
    to_front(window)
    assert not window.to_chat.isVisible()
    QTest.keyClick(window, Qt.Key.Key_6, Qt.KeyboardModifier.ControlModifier)
    assert window.pages.currentWidget() is window.scan


def test_what_is_in_use_and_why_is_on_the_page(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    show(page, talks, answerer="this device", why="The clinic can't be reached.")
    assert page.in_use.text() == "Answered by: this device. The clinic can't be reached."


# --- What is shown


def growing(lines: int) -> tuple[Turn, ...]:
    text = "\n".join(f"Line {at} of an answer that grows." for at in range(lines))
    return (ASKED, replace(ANSWER, text=text, citations=(), complete=False))


def test_text_that_comes_is_followed_but_does_not_jump_away_from_who_reads(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    bar = page.transcript.verticalScrollBar()
    show(page, talks, turns=growing(60), phase=Phase.ANSWERING)
    wait_for(lambda: bar.maximum() > 0 and bar.value() == bar.maximum(), "the end")
    show(page, talks, turns=growing(70))
    wait_for(lambda: bar.value() == bar.maximum(), "the end")
    bar.setValue(bar.maximum() // 2)
    stays = bar.value()
    most = bar.maximum()
    for lines in (80, 120, 160):
        show(page, talks, turns=growing(lines))
        assert bar.value() == stays
    assert bar.maximum() > most and page.transcript.newest.isVisible()
    shot(page, "chat-scrolled-up")
    click(page.transcript.newest)
    wait_for(lambda: bar.value() == bar.maximum(), "the end")
    assert not page.transcript.newest.isVisible()
    show(page, talks, turns=growing(170))
    wait_for(lambda: bar.value() == bar.maximum(), "the end")


def test_arrows_scroll_the_conversation(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    show(page, talks, turns=growing(80))
    bar = page.transcript.verticalScrollBar()
    wait_for(lambda: bar.value() == bar.maximum() > 0, "the end")
    press(page.transcript, Qt.Key.Key_PageUp)
    assert bar.value() < bar.maximum() and not page.transcript.follows


def test_the_sentence_that_is_read_is_marked(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    rare = replace(ANSWER, text=f"🫀 𝔸. {ANSWER.text}", sentences=("🫀 𝔸.", *ANSWER.sentences))
    show(page, talks, turns=(ASKED, rare), phase=Phase.SPEAKING, speaking=Highlight(1, 0))
    text = page.transcript.boxes[1].text
    assert text.selectedText() == "🫀 𝔸."
    show(page, talks, speaking=Highlight(1, 2))
    assert text.selectedText() == "At rest most hearts beat 60 to 100 times a minute [k1]."
    shot(page, "chat-reading")
    show(page, talks, speaking=None, phase=Phase.IDLE)
    assert text.selectedText() == ""


HOSTILE = (
    "<h1>Big</h1><a href='https://example.org'>click</a><img src='https://example.org/x.png'><script>x()</script>",
    "# Title\n[click](https://example.org) ![x](https://example.org/x.png) **bold** `code`",
    "w" * 8_000,
    "word " * 1_600,
    "\u202eevil\u202c \u2066x\u2069 \x00\x1b[31mred\x07",
    "z" + "\u0310" * 500 + "\n" * 300 + "end",
    "&amp; &lt;b&gt; &Save",
)


@pytest.mark.parametrize("role", [Role.PERSON, Role.ASSISTANT, Role.SAFETY])
def test_hostile_text_is_only_text(
    room: Room, talks: Talks, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens: list[object] = []
    monkeypatch.setattr("PySide6.QtGui.QDesktopServices.openUrl", opens.append)
    _running, window, page = at_page(room)
    width = window.width()
    turns = tuple(Turn(role, text, (Citation("k1", text, text, ""),), "cloud") for text in HOSTILE)
    show(
        page,
        talks,
        turns=turns,
        partial=HOSTILE[2],
        microphone=HOSTILE[0],
        fault=HOSTILE[1],
        mode=Mode.HANDS_FREE,
    )
    pause(100)
    assert len(page.transcript.boxes) == len(HOSTILE)
    for label in page.findChildren(QLabel):
        assert label.textFormat() is Qt.TextFormat.PlainText and not label.openExternalLinks(), label.text()
    assert page.transcript.boxes[0].text.text().replace("\u200b", "") == HOSTILE[0]
    assert not set("\u202e\u202c\u2066\u2069\x00\x1b\x07") & set(words_on(page))
    for box in page.transcript.boxes:
        assert box.width() <= page.transcript.viewport().width()
        needed = box.text.heightForWidth(box.text.width())
        assert box.text.height() >= needed - 1 and needed < 30_000
        click_all_over(box.text)
    assert page.horizontalScrollBar().maximum() == 0 and window.width() == width
    assert not opens
    shot(page, f"chat-hostile-{role}")


def click_all_over(label: QLabel) -> None:
    for x in range(5, label.width(), max(1, label.width() // 8)):
        QTest.mouseClick(label, Qt.MouseButton.LeftButton, pos=QPoint(x, 8))


def test_a_screen_reader_is_told_of_an_answer_once(
    room: Room, talks: Talks, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr("client.ui.pages.chat.announce", lambda _widget, words: heard.append(words))
    _running, _window, page = at_page(room)
    show(page, talks, turns=growing(3), phase=Phase.ANSWERING)
    show(page, talks, turns=growing(4))
    assert heard == ["Answering …"]
    show(page, talks, turns=BOTH, phase=Phase.IDLE)
    show(page, talks, answerer="this device")
    assert heard[1:] == [f"Assistant, from the clinic: {ANSWER.text}"]


# --- What an answer rests on


def test_a_passage_is_shown_as_it_is_and_nothing_leads_outside(
    room: Room, talks: Talks, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens: list[object] = []
    monkeypatch.setattr("PySide6.QtGui.QDesktopServices.openUrl", opens.append)
    _running, _window, page = at_page(room)
    bad = Citation("k2", "<b>x</b>", "see <a href='https://example.org'>this</a>", "https://example.org/")
    show(page, talks, turns=(ASKED, replace(ANSWER, citations=(RESTING, bad))))
    for button, title, text in zip(
        page.transcript.boxes[1].citations,
        (RESTING.title, bad.title),
        (RESTING.quote, bad.quote),
        strict=True,
    ):

        def look(dialog: Any, title: str = title, text: str = text) -> None:
            assert isinstance(dialog, PassageDialog)
            assert (dialog.title.text(), dialog.text.text()) == (title, text)
            assert all(one.textFormat() is Qt.TextFormat.PlainText for one in dialog.findChildren(QLabel))
            shot(dialog, "chat-passage")
            click(dialog.ok)

        check = in_dialog(look)
        press(button, Qt.Key.Key_Return)
        check()
    assert not opens


def test_an_article_of_ours_is_shown_whole_with_what_it_rests_on(room: Room, talks: Talks) -> None:
    ours = shipped().article("breathing-rate", "en")
    cited = Citation("k1", ours.title, ours.passages()[0], "article:breathing-rate")
    gone = Citation("k2", "Gone", "What it said.", "article:../../etc/passwd")
    _running, _window, page = at_page(room)
    show(page, talks, turns=(ASKED, replace(ANSWER, citations=(cited, gone))))

    def look(dialog: Any) -> None:
        assert dialog.article.text() == shown(ours.text) and dialog.text.text() == shown(cited.quote)
        assert all(one.partition(":")[0] in dialog.sources.text() for one in ours.sources)
        assert all(one.textFormat() is Qt.TextFormat.PlainText for one in dialog.findChildren(QLabel))
        shot(dialog, "chat-article")
        click(dialog.ok)

    check = in_dialog(look)
    click(page.transcript.boxes[1].citations[0])
    check()

    def alone(dialog: Any) -> None:
        assert dialog.text.text() == "What it said." and not dialog.article.isVisible()
        click(dialog.ok)

    check = in_dialog(alone)
    click(page.transcript.boxes[1].citations[1])
    check()


def test_a_measurement_opens_in_the_history(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    breathing = replace(HEART_RATE, uri="fact:respiratory_rate")
    show(page, talks, turns=(ASKED, replace(ANSWER, citations=(breathing,))))
    click(page.transcript.boxes[1].citations[0])
    assert window.pages.currentWidget() is window.history
    assert window.history.what.currentData() == "respiratory_rate"


def test_a_document_opens_over_the_conversation_for_whom_it_is(room: Room, talks: Talks) -> None:
    running, window, page = at_page(room)
    picture = io.BytesIO()
    Image.new("RGB", (80, 60), (200, 220, 240)).save(picture, "PNG")
    path = room.folder / "letter.png"
    path.write_bytes(picture.getvalue())
    accepted = accept(path)
    kept: list[Any] = []

    def keep(of: Any) -> None:
        kept.append(
            of.documents.add(
                accepted.chunks(),
                person=None,
                purpose=Purpose.MEDICAL_REPORT,
                media_type=str(accepted.media_type),
                title=accepted.title,
                pages=accepted.pages,
                now=NOW,
                guest_agrees=False,
            )
        )

    asked(window, keep)
    turns = (ASKED, replace(ANSWER, citations=(replace(LETTER, uri=f"upload:{kept[0].id}"),)))
    show(page, talks, turns=turns)

    def look(dialog: Any) -> None:
        assert isinstance(dialog, PreviewDialog) and accepted.title in dialog.windowTitle()
        click(dialog.ok)

    check = in_dialog(look)
    click(page.transcript.boxes[1].citations[0])
    wait_for(lambda: not running.shelf.busy, "the document")
    pause(200)
    check()
    assert window.pages.currentWidget() is page
    with_person(running, window, "Ana")
    wait_for(lambda: len(talks.made) == 2, "a conversation of hers")
    show(page, talks, turns=turns)
    click(page.transcript.boxes[1].citations[0])
    wait_for(lambda: "can't be shown" in window.notice.words, "the word")


# --- Talking


def choose_mode(page: ChatPage, mode: Mode) -> None:
    at = page.mode.findData(mode)
    page.mode.setCurrentIndex(at)
    page.mode.activated.emit(at)


def talking(page: ChatPage) -> bool:
    return page.talk.on


def test_somebody_talks_while_a_button_is_held_or_between_two_presses(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    assert not page.talk.isVisible() and not page.mute.isVisible() and not page.meter.isVisible()
    choose_mode(page, Mode.PUSH_TO_TALK)
    assert calls(talks, "listen") == [("listen", Mode.PUSH_TO_TALK)] and page.talk.isVisible()
    assert calls(talks, "speak_answers")[-1] == ("speak_answers", True) and page.reads.isChecked()
    QTest.mousePress(page.talk, Qt.MouseButton.LeftButton)
    pause(450)
    assert talking(page) and page.talk.text() == "Stop talking"
    QTest.mouseRelease(page.talk, Qt.MouseButton.LeftButton)
    assert not talking(page)
    QTest.keyPress(page.talk, Qt.Key.Key_Space)
    pause(450)
    assert talking(page)
    QTest.keyRelease(page.talk, Qt.Key.Key_Space)
    assert not talking(page)
    for _ in range(2):
        press(page.talk, Qt.Key.Key_Return)
        pause(450)
        assert talking(page)
        press(page.talk, Qt.Key.Key_Return)
        assert not talking(page)
    assert calls(talks, "talk") == [("talk", True), ("talk", False)] * 4


def test_nobody_talks_on_to_a_window_that_is_not_there_any_more(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    choose_mode(page, Mode.PUSH_TO_TALK)
    click(page.talk)
    assert talking(page)
    lost = QFocusEvent(QEvent.Type.FocusOut, Qt.FocusReason.ActiveWindowFocusReason)
    QApplication.sendEvent(page.talk, lost)
    assert not talking(page)
    click(page.talk)
    show(page, talks, muted=True)
    assert not talking(page) and not page.talk.isEnabled()
    show(page, talks, muted=False)
    click(page.talk)
    window.go_to_history()
    assert not talking(page) and calls(talks, "talk")[-1] == ("talk", False)


def test_away_from_the_page_nothing_listens_and_nothing_is_read_aloud(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    choose_mode(page, Mode.HANDS_FREE)
    show(page, talks, turns=BOTH, phase=Phase.SPEAKING, speaking=Highlight(1, 0))
    window.go_to_history()
    assert talks.now.calls[-3:] == [("listen", Mode.TYPED), ("speak_answers", False), ("stop",)]
    window.go_to_chat()
    assert len(talks.made) == 1 and len(page.transcript.boxes) == 2
    window.go_to_history()
    assert calls(talks, "stop") == [("stop",)] and len(calls(talks, "listen")) == 2


def test_the_microphone_is_muted_and_its_level_and_trouble_are_seen(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    choose_mode(page, Mode.HANDS_FREE)
    show(page, talks, loudness=Loudness(-35.0, only_zeros=False), partial="And what is")
    assert page.meter.isVisible() and page.meter.value() == 50 and page.mode.currentData() == Mode.HANDS_FREE
    assert page.transcript.partial.isVisible() and page.transcript.partial.text.text() == "And what is"
    assert page.status.text().startswith("Listening")
    show(page, talks, trouble="The microphone gives only silence. Switch it on.", partial="")
    assert "only silence" in page.trouble.words and not page.transcript.partial.isVisible()
    shot(page, "chat-hands-free")
    click(page.mute)
    assert calls(talks, "mute") == [("mute", True)] and not page.meter.isVisible()
    assert page.mute.text() == "Switch the microphone on" and page.status.text() == "The microphone is off."
    click(page.mute)
    assert calls(talks, "mute")[-1] == ("mute", False) and page.meter.isVisible()


def test_who_does_not_want_to_hear_answers_is_not_asked_again(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    assert calls(talks, "speak_answers") == [("speak_answers", False)]
    choose_mode(page, Mode.HANDS_FREE)
    assert page.reads.isChecked()
    choose_mode(page, Mode.TYPED)
    assert not page.reads.isChecked() and calls(talks, "speak_answers")[-1] == ("speak_answers", False)
    choose_mode(page, Mode.HANDS_FREE)
    press(page.reads, Qt.Key.Key_Space)
    choose_mode(page, Mode.PUSH_TO_TALK)
    assert not page.reads.isChecked() and calls(talks, "speak_answers")[-1] == ("speak_answers", False)


# --- Consent and forgetting


@pytest.mark.parametrize(
    ("answer", "given"), [("Send to the clinic", [True]), ("Answer here only", [False]), ("Cancel", [])]
)
def test_nothing_is_decided_but_by_who_decides(
    room: Room, talks: Talks, answer: str, given: list[bool]
) -> None:
    _running, _window, page = at_page(room)
    show(page, talks, asks_consent=True)
    assert "sent to the clinic until you agree" in page.consent.words

    def decide(dialog: Any) -> None:
        assert isinstance(dialog, TalkConsentDialog) and dialog.no.hasFocus()
        assert "never sent" in words_on(dialog)
        shot(dialog, "chat-consent")
        click(button_named(dialog, answer))

    check = in_dialog(decide)
    click(button_named(page.consent, "Decide…"))
    check()
    assert calls(talks, "consent") == [("consent", one) for one in given]
    assert page.consent.isVisible() is not bool(given)


def test_a_consent_can_be_taken_back(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    check = in_dialog(lambda dialog: click(button_named(dialog, "Answer here only")))
    click(page.sent)
    check()
    assert calls(talks, "consent") == [("consent", False)]


def test_forgetting_asks_first(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    assert not page.forget_it.isEnabled()
    show(page, talks, turns=BOTH)
    page.composer.setPlainText("something private")

    def cancel(dialog: Any) -> None:
        assert isinstance(dialog, ConfirmDialog) and dialog.cancel.hasFocus()
        click(dialog.cancel)

    check = in_dialog(cancel)
    click(page.forget_it)
    check()
    assert not calls(talks, "forget") and len(page.transcript.boxes) == 2
    check = in_dialog(lambda dialog: click(button_named(dialog, "Forget it")))
    click(page.forget_it)
    check()
    assert calls(talks, "forget") and not page.transcript.boxes and page.composer.toPlainText() == ""
    assert "72" not in words_on(page) and window.focusWidget() is page.composer and not talks.now.closed


def test_another_person_finds_nothing_of_the_one_before(room: Room, talks: Talks) -> None:
    running, window, page = at_page(room)
    show(page, talks, turns=BOTH)
    page.composer.setPlainText("something private")
    with_person(running, window, "Ana")
    first = talks.made[0]
    assert first.calls[-2:] == [("forget",), ("close",)]
    assert not page.transcript.boxes and page.composer.toPlainText() == ""
    wait_for(lambda: len(talks.made) == 2, "a conversation of hers")
    assert not talks.now.closed
    window._set_person(window._whose.person)
    assert not talks.now.closed  # she was chosen already


def known(talks: Talks) -> bool:
    """Whether the newest conversation has an open store to ask."""
    kept = talks.kept()
    return kept is not None and kept.observations.people() is not None


def begun_as(talks: Talks) -> tuple[str | None, tuple[str, ...], str]:
    return talks.begun


def test_a_conversation_knows_who_talks_and_what_was_kept_of_this_visit(room: Room, talks: Talks) -> None:
    running, window, page = at_page(room, microphone="desk")
    assert begun_as(talks) == (None, (), "desk") and known(talks)
    QTest.keyClicks(page.composer, "half")
    measured(window)
    window._save()
    wait_for(lambda: window.pages.currentWidget() is window.history, "the history")
    assert talks.made[0].closed  # nothing was said yet
    window.go_to_chat()
    visit = begun_as(talks)[1]
    assert asked(window, lambda kept: len(kept.observations.wholes(visit))) == len(visit) == 1
    assert page.composer.toPlainText() == "half" and len(talks.made) == 2
    show(page, talks, turns=BOTH)
    window._kept_of_visit("another")
    assert not talks.now.closed and len(page.transcript.boxes) == 2  # what was said stays
    assert talks.now.calls[-1] == ("renew", (*visit, "another"))
    with_person(running, window, "Ana")
    wait_for(lambda: len(talks.made) == 3, "a conversation of hers")
    assert begun_as(talks) == (window._whose.person, (), "desk") and window._whose.person is not None
    running.shelf.close()
    assert not known(talks)


def test_what_is_kept_or_added_in_mid_conversation_reaches_it(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    show(page, talks, turns=BOTH)
    measured(window)
    window._save()
    wait_for(lambda: window.pages.currentWidget() is window.history, "the history")
    [scan] = window._visit
    assert calls(talks, "renew")[-1:] == [("renew", (scan,))] and not talks.now.closed
    before = len(calls(talks, "renew"))
    window.documents.added.emit()
    assert len(calls(talks, "renew")) == before + 1
    window.go_to_chat()  # something may have been deleted meanwhile
    assert len(calls(talks, "renew")) == before + 2 and len(talks.made) == 1


def test_a_store_that_opens_later_is_known_then(room: Room, talks: Talks) -> None:
    running, window, page = at_page(room)
    running.shelf.close()
    window.go_to_chat()
    wait_for(lambda: len(talks.made) == 2, "another conversation")
    assert not known(talks)
    running.shelf.open()
    wait_for(lambda: isinstance(running.shelf.state, Open), "the store")
    wait_for(lambda: len(talks.made) == 3, "one that knows it")
    assert known(talks) and not page.has_words


def test_lock_now_forgets(room: Room, talks: Talks) -> None:
    running, window, page = at_page(room)
    show(page, talks, turns=BOTH)
    window.go_to_settings()
    click(window.settings.lock_button)
    wait_for(lambda: isinstance(running.shelf.state, Closed), "the lock")
    assert talks.now.calls[-2:] == [("forget",), ("close",)] and not page.has_words and len(talks.made) == 1
    pause(300)
    assert len(talks.made) == 1  # nothing is begun for a page that nobody sees


def test_a_store_that_is_locked_elsewhere_forgets_too(room: Room, talks: Talks) -> None:
    running, _window, page = at_page(room)
    show(page, talks, turns=BOTH)
    running.shelf.close()
    assert talks.made[0].closed and not page.transcript.boxes


def nobody_for(window: Any, seconds: float) -> None:
    window._used_at_s -= seconds
    window._lock_if_idle()


def test_when_nobody_is_there_it_is_forgotten_and_an_unread_emergency_is_not(
    room: Room, talks: Talks
) -> None:
    _running, window, page = at_page(room, lock_after_min=2)
    show(page, talks, turns=BOTH)
    check = in_dialog(lambda _dialog: nobody_for(window, 121.0))
    click(page.forget_it)
    check()
    assert talks.now.closed and not calls(talks, "forget")[1:] and "forgotten" not in window.notice.words
    assert window.pages.currentWidget() is window.scan and "Locked" in window.notice.words
    window.go_to_chat()
    show(page, talks, turns=BOTH, safety=CHEST, phase=Phase.SAFETY, level=Level.EMERGENCY)
    nobody_for(window, 121.0)
    assert window.pages.currentWidget() is window.scan and not page.must_be_read
    told = window.notice.words
    assert "did not say that they had read it" in told and "112" in told and "chest" not in told


def test_without_a_store_a_conversation_does_not_stay_either(room: Room, talks: Talks) -> None:
    room.vault.fault = VaultMissing()
    running = room.start(lock_after_min=2)
    window = running.window
    wait_for(lambda: not running.shelf.busy, "the trouble")
    window.go_to_chat()
    show(window.chat, talks, turns=BOTH)
    nobody_for(window, 121.0)
    assert talks.made[0].closed and "The conversation was forgotten" in window.notice.words


def test_who_talks_is_there(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room, lock_after_min=2)
    for changes in ({"turns": BOTH[:1]}, {"phase": Phase.SPEAKING}):
        window._used_at_s -= 121.0
        show(page, talks, **changes)
        window._lock_if_idle()
        assert window.pages.currentWidget() is page
    show(page, talks, phase=Phase.HEARING)
    nobody_for(window, 121.0)  # a noise is nobody
    assert window.pages.currentWidget() is window.scan


# --- What must be read


def test_an_emergency_is_first_in_focus_said_at_once_and_stays_until_it_was_read(
    room: Room, talks: Talks, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        "client.ui.widgets.banner.announce", lambda _widget, words, *, at_once: heard.append((words, at_once))
    )
    _running, window, page = at_page(room)
    QTest.keyClicks(page.composer, "my chest hurts")
    show(page, talks, turns=BOTH, safety=CHEST, phase=Phase.SAFETY, level=Level.EMERGENCY)
    banner = page.banner
    assert banner.isVisible() and banner.words.hasFocus() and len(heard) == 1
    assert heard[0][1] and CHEST.text in heard[0][0] and "Call 112" in heard[0][0].replace("\u200e", "")
    assert "112" in banner.number.text() and not page.composer.isVisible() and not page.transcript.isVisible()
    assert banner.number.font().pointSizeF() >= 1.5 * page.status.font().pointSizeF()
    shot(window, "chat-emergency")
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Space, Qt.Key.Key_Escape):  # whoever was typing
        QTest.keyClick(window.focusWidget(), key)
    assert not calls(talks, "seen") and banner.isVisible()
    for at in range(1, 6):
        QTest.keyClick(window, Qt.Key(Qt.Key.Key_0 + at), Qt.KeyboardModifier.ControlModifier)
        assert window.pages.currentWidget() is page and banner.words.hasFocus() and window.to_chat.isChecked()
    show(page, talks, partial="x")
    assert len(heard) == 1
    click(banner.call)
    assert calls(talks, "call_staff") and banner.told.text() == STAFF_SEE
    assert [words for words, _ in heard[1:]] == [STAFF_SEE]
    show(page, talks, speaking=Highlight(0, 0))
    click(banner.stop)
    assert calls(talks, "stop") and not banner.stop.isVisible() and banner.isVisible()
    click(banner.seen)
    assert calls(talks, "seen") and not banner.isVisible() and page.composer.hasFocus()
    assert "112" in page.reminder.words and "emergency" in page.reminder.words
    click(button_named(page.reminder, "Call staff"))
    assert len(calls(talks, "call_staff")) == 2
    assert page.composer.toPlainText() == "my chest hurts"
    window.go_to_history()
    assert window.pages.currentWidget() is window.history
    window.go_to_chat()
    assert not banner.isVisible() and len(heard) == 2  # and what became of the call
    show(page, talks, phase=Phase.SAFETY)  # the same is said again
    assert banner.isVisible() and len(heard) == 3 and not page.reminder.isVisible()
    page.forget()
    assert not banner.isVisible() and not page.reminder.isVisible()


def test_a_call_that_nobody_hears_is_no_call(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    show(
        page,
        talks,
        safety=CHEST,
        phase=Phase.SAFETY,
        staff_called=True,
        staff_trouble="Nobody can be told from here.",
    )
    assert page.banner.told.text() == "Nobody can be told from here."
    click(page.banner.seen)
    assert page.wrong.words == "Nobody can be told from here." and not page.staff_told.isVisible()


def test_an_emergency_is_read_and_done_by_keyboard_alone(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    show(page, talks, safety=CHEST, phase=Phase.SAFETY)
    QTest.keyClick(page.banner.words, Qt.Key.Key_Tab)
    assert page.banner.call.hasFocus()
    QTest.keyClick(page.banner.call, Qt.Key.Key_Tab)
    assert page.banner.seen.hasFocus()
    QTest.keyClick(page.banner.seen, Qt.Key.Key_Return)
    assert calls(talks, "seen")


def blocked(page: ChatPage) -> bool:
    return page.must_be_read


def test_an_emergency_comes_through_other_pages_and_dialogs(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    show(page, talks, turns=BOTH, phase=Phase.ANSWERING)
    window.go_to_history()
    talks.now.show(safety=CHEST, phase=Phase.SAFETY)
    wait_for(lambda: window.pages.currentWidget() is page, "the page")
    assert page.banner.isVisible() and page.banner.words.hasFocus()
    click(page.banner.seen)
    assert not blocked(page)
    QTimer.singleShot(200, lambda: talks.now.show(safety=CHEST, phase=Phase.SAFETY))
    page.ask_consent()  # returns, because it is closed
    assert blocked(page) and not calls(talks, "consent")


def test_an_emergency_waits_for_the_end_of_a_scan(room: Room, talks: Talks) -> None:
    with_camera(room, accepted_s=1000.0)
    _running, window, page = at_page(room)
    show(page, talks, turns=BOTH)
    window.go_to_scan()
    click(window.scan.start)
    talks.now.show(safety=CHEST, phase=Phase.SAFETY)
    pause(600)
    assert window.scan.running and window.pages.currentWidget() is window.scan
    click(window.scan._cancel)
    wait_for(lambda: window.pages.currentWidget() is page, "the page")


def test_what_is_urgent_leaves_the_conversation_and_who_types_alone(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    QTest.keyClicks(page.composer, "and also")
    show(page, talks, turns=BOTH, safety=SOON, level=Level.URGENT)
    assert page.banner.isVisible() and page.composer.hasFocus() and page.transcript.isVisible()
    window.go_to_history()
    assert window.pages.currentWidget() is window.history
    window.go_to_chat()
    assert page.banner.words.hasFocus()
    click(page.banner.seen)
    assert not page.banner.isVisible() and "112" in page.reminder.words
    show(page, talks, turns=(*BOTH, ASKED))
    assert not page.banner.isVisible()
    show(page, talks, safety=CHEST, phase=Phase.SAFETY)
    assert page.banner.words.hasFocus() and page.must_be_read


# --- Another look, and the end


def test_a_conversation_outlives_another_look_and_not_another_language(room: Room, talks: Talks) -> None:
    running, window, page = at_page(room)
    show(page, talks, turns=BOTH, safety=CHEST, phase=Phase.SAFETY)
    page.composer.setPlainText("half a question")
    running.preferences.theme = "dark"
    running.rebuild()
    assert running.window is not window
    window, page = running.window, running.window.chat
    assert window.pages.currentWidget() is page and page.banner.isVisible() and not talks.now.closed
    assert len(page.transcript.boxes) == 2 and page.composer.toPlainText() == "half a question"
    click(page.banner.seen)
    assert len(talks.made) == 1 and calls(talks, "seen")
    before = running.window
    running.preferences.theme = "light"
    running.rebuild()
    wait_for(lambda: running.window is not before, "the light window")
    page = running.window.chat
    assert not page.banner.isVisible() and "112" in page.reminder.words
    running.preferences.language = "es"
    before = running.window
    running.rebuild()
    wait_for(lambda: running.window is not before, "the window in Spanish")
    assert talks.made[0].closed and not running.window.chat.transcript.boxes
    assert talks.now.language == "es"


def test_the_window_ends_its_conversation(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    window.close()
    assert talks.now.closed
    pause(150)
    assert not page._timer.isActive()


# --- For everybody


def states(window: Any, page: ChatPage, talks: Talks) -> Iterator[str]:
    yield "empty"
    show(
        page,
        talks,
        turns=(*BOTH, ASKED, replace(ANSWER, complete=False)),
        mode=Mode.PUSH_TO_TALK,
        muted=False,
        voice="the system's",
        recogniser="this device",
        answerer="the clinic",
        microphone="Desk microphone",
        why="The clinic's recogniser can't be reached.",
        fault="The answer broke off. Ask again.",
        may_retry=True,
        trouble="The microphone gives only silence. Switch it on.",
        asks_consent=True,
        loudness=Loudness(-30.0, only_zeros=False),
        partial="And what is",
        staff_called=True,
    )
    yield "talk"
    show(page, talks, safety=SOON)
    yield "urgent"
    show(page, talks, safety=CHEST, phase=Phase.SAFETY, speaking=Highlight(0, 0))
    yield "emergency"


def test_every_control_has_a_name_and_every_label_is_heard(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    for state in states(window, page, talks):
        seen = 0
        for widget in page.findChildren(QWidget):
            if not widget.isVisible() or _inside_of_a_control(widget):
                continue
            if isinstance(widget, (*CONTROLS, type(page.composer), type(page.meter), type(page.transcript))):
                assert _name(widget).strip(), (state, widget)
                seen += 1
            elif isinstance(widget, QLabel) and widget.text():
                assert widget.text() in _name(widget), (state, widget.text())
        assert seen >= 3, state
    interface = QAccessible.queryAccessibleInterface(page.banner.words)
    assert CHEST.text in interface.text(QAccessible.Text.Name)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_tab_goes_from_top_to_bottom(room: Room, talks: Talks, language: str) -> None:
    _running, window, page = at_page(room, language=language)
    window.resize(1100, 1390)
    for state in states(window, page, talks):
        pause(60)
        page.transcript.verticalScrollBar().setValue(0)
        wanted = [
            widget
            for widget in window.findChildren(QWidget)
            if isinstance(widget, (*CONTROLS, type(page.composer)))
            and widget.isVisible()
            and widget.isEnabled()
            and not _inside_of_a_control(widget)
            and widget.objectName() != "nav"  # arrows go from one to the next, once one has had the focus
        ]
        order = _tab_order(window)
        assert not [_name(one) for one in wanted if one not in order], state
        jumps = [
            (_name(here), _name(there))
            for here, there in pairwise(one for one in order if one in wanted)
            if _place(window, there).bottom() < _place(window, here).top()
            and not page.transcript.isAncestorOf(here)  # it scrolls
        ]
        assert len(jumps) <= 1, (state, jumps)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_cut_off_at_twice_the_size_of_text(room: Room, talks: Talks, language: str) -> None:
    _running, window, page = at_page(room, language=language, text_percent=200)
    window.resize(1100, 780)
    for state in states(window, page, talks):
        pause(80)
        assert not any(
            area.horizontalScrollBar().maximum() for area in window.findChildren(Page) if area.isVisible()
        )
        shot(window, f"{language}-200-chat-{state}")
        for widget in window.findChildren(QWidget):
            if (
                not widget.isVisible()
                or not isinstance(widget, (QLabel, *CONTROLS))
                or _inside_of_a_control(widget)
            ):
                continue
            right = _place(window, widget)
            assert right.left() >= 0 and right.right() <= window.width(), (state, _name(widget))
            needed = (
                widget.heightForWidth(widget.width())
                if widget.hasHeightForWidth()
                else widget.minimumSizeHint().height()
            )
            assert widget.height() >= needed - 1, (state, _name(widget), needed, widget.height())
            if not (isinstance(widget, QLabel) and widget.wordWrap()) and not isinstance(widget, QCheckBox):
                assert widget.width() >= widget.minimumSizeHint().width() - 1, (state, _name(widget))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_emergency_is_in_the_strongest_colours(room: Room, talks: Talks, theme: str) -> None:
    palette = THEMES[theme]
    assert contrast(palette.surface, palette.danger) >= 7.0  # WCAG 2.1, 1.4.6
    _running, window, page = at_page(room, theme=theme)
    show(page, talks, safety=CHEST, phase=Phase.SAFETY)
    image = page.banner.grab().toImage()
    colours = [
        image.pixelColor(x, y).name() for x in range(0, image.width(), 2) for y in range(0, image.height(), 2)
    ]
    assert colours.count(palette.danger) > len(colours) // 2 and palette.surface in colours
    shot(window, f"chat-emergency-{theme}")


def test_what_was_asked_and_is_not_shown_yet_is_not_lost_when_the_store_opens(
    room: Room, talks: Talks
) -> None:
    """A conversation that begins takes a moment, and somebody with a pain does not wait for it."""
    _running, window, page = at_page(room)
    talk = talks.now
    before = talk.state
    page.composer.setPlainText("my chest hurts")
    talk.show = lambda **_changes: None  # type: ignore[method-assign]  # its thread is busy
    click(page.send)
    assert talk.state is before
    window._kept_of_visit("0b9f0c7e-4a55-4d0a-8a53-6a3f0c3c2c11")
    assert talks.now is talk and not talk.closed


def test_an_answer_that_comes_while_nobody_looks_is_not_read_aloud(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    click(page.reads)
    show(page, talks, turns=BOTH[:1], phase=Phase.ANSWERING)
    window.go_to_settings()
    assert calls(talks, "speak_answers")[-1] == ("speak_answers", False)
    window.go_to_chat()
    assert page.reads.isChecked() and calls(talks, "speak_answers")[-1] == ("speak_answers", True)


def test_staff_see_a_call_at_once_on_this_device(room: Room, talks: Talks) -> None:
    _running, window, page = at_page(room)
    wait_for(lambda: isinstance(window._shelf.state, Open), "the store")
    kept = window._shelf.kept_now()
    assert kept is not None and not window.to_tasks.isVisible()
    kept.tasks.ask_for_help(None, NOW)
    show(page, talks, staff_called=True)
    wait_for(window.to_tasks.isVisible, "the button for staff")
    assert "1" in window.to_tasks.text()


def test_what_was_forgotten_is_not_remembered_for_the_next_look(room: Room, talks: Talks) -> None:
    _running, _window, page = at_page(room)
    show(page, talks, turns=BOTH)
    show(page, talks, turns=())
    assert not page._cleaned._now and not page._cleaned._before
