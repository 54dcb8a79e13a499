"""A whole visit with the assistant: a real window, the whole backend, a real sound server, the real net and a real voice. Spoken, understood, judged,
answered from the clinic with its source, read aloud, interrupted, forgotten; and what must not happen: nothing leaves before consent, nothing
is written, no model is asked in an emergency, no answer is lost with the network.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QDialog

from backend_lambda.streaming.runtime import Prelude
from client import app
from client.assistant.conversation import Role
from client.assistant.triage import Level
from client.pipeline.talk_state import Mode, Phase
from client.pipeline.turn_taking import AFTER_STATEMENT_S
from client.policy import Policy
from client.store.database import FILE_NAME
from client.ui.pages.dialogs import ConfirmDialog
from tests.client.pipeline.talk_fakes import FakeRecogniser
from tests.scenarios.assistant_world import (
    OURS,
    Ear,
    Stages,
    Visit,
    files_under,
    labels,
    lacking,
    noting_files,
    real_utterances,
    seconds,
    sound_left,
    still_there,
    visiting,
    words_in,
)
from tests.scenarios.canaries import Finder, decrypted
from tests.stand_ins.api_gateway import Streaming
from tests.stand_ins.aws.bedrock import Says
from tests.stand_ins.local_cloud import LocalCloud
from tests.stand_ins.sound_server import sound_server
from tests.ui.conftest import Room
from tests.ui.conftest import display as display  # noqa: PLC0414 (a fixture)
from tests.ui.conftest import room as room  # noqa: PLC0414 (a fixture)
from tests.ui.looking import button_named, click, in_dialog, pause, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(lacking()), reason=lacking() or "all is there"),
]
FIGURES = "HH_ASSISTANT_STORY_JSON"
"""Names a file for the figures of the last test."""
QUESTION = "What was my heart rate today?"
LONG_QUESTION = "What was my heart rate today and how do you know about it after such a short time?"
UNDERSTOOD = "what was my heart rate today and how do you know about it after such a short time"
TRIES = 3
GAP_S = 0.5
"""No sentence of the person has so long a silence in it."""


@pytest.fixture
def sounds() -> Iterator[None]:
    """Before anything asks for a microphone."""
    with sound_server():
        yield


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    """One for each test: two at once in a process would share the settings of the API."""
    with LocalCloud() as running:
        yield running


@pytest.fixture
def visit(
    sounds: None, room: Room, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, request: Any
) -> Iterator[Visit]:
    with visiting(room, cloud, monkeypatch, random.Random(zlib.crc32(request.node.nodeid.encode()))) as made:
        yield made


def an_answer(canary: str, every_s: float = 0.1) -> Says:
    """Of a model, with its source; long enough to be interrupted."""
    pieces = (
        "URGENCY: none\n",
        "Your heart rate was 70 per minute ",
        "[v1]. ",
        f"It was measured by the camera while you sat still, and {canary} is the word of the day. ",
        "The camera sees how the colour of the skin changes with each beat, and the program counts these changes. ",
        "If you want to know more about it, you can ask me how the scan works and what the numbers mean.",
    )
    return Says(pieces, every_s=every_s)


def agree(dialog: QDialog) -> None:
    assert isinstance(dialog, ConfirmDialog)
    click(dialog.ok)


def test_the_whole_story(visit: Visit) -> None:
    asked, answered = (one.text for one in visit.canaries)
    visit.cloud.aws.bedrock.always = an_answer(answered)
    for text in (LONG_QUESTION, "No, no. Wait. I want something else now."):
        visit.voices(text)
    visit.arrive()
    page = visit.page
    visit.decide("Send to the clinic")
    assert visit.agreed() is True
    visit.just_talk()
    visit.until(lambda state: state.phase is Phase.LISTENING, "the microphone")
    assert page.meter.isVisible() and page.reads.isChecked()
    pause(600)
    # Spoken: what is understood is shown while it is said, then as a turn
    models, partials = visit.asked_models(), list[str]()
    visit.say(LONG_QUESTION, f"{UNDERSTOOD} {asked}")

    def shows() -> bool:
        if page.transcript.partial.isVisible():
            partials.append(page.transcript.partial.text.text())
        return bool(page.transcript.boxes)

    wait_for(shows, "the turn")
    assert any(one and one != page.transcript.boxes[0].text.text() for one in partials), partials
    assert page.transcript.boxes[0].text.text() == f"{UNDERSTOOD} {asked}"
    # Judged on this device, asked of the model, and its answer comes in pieces, with the source
    grows, marks = list[str](), list[str]()

    def marked(sentence: str) -> bool:
        """Whether it was marked by now; all marks are noted meanwhile, for where much else is done one may be over before it is waited for."""
        now = page.transcript.boxes[1].text.selectedText() if len(page.transcript.boxes) > 1 else ""
        if now and now not in marks:
            marks.append(now)
        return any(one.startswith(sentence) for one in marks)

    def comes() -> bool:
        boxes = page.transcript.boxes
        marked("")
        if len(boxes) > 1:
            grows.append(boxes[1].text.text())
        return len(boxes) > 1 and bool(boxes[1].citations) and visit.state.turns[1].complete

    wait_for(comes, "the answer")
    visit.until(lambda state: marked("") and state.speaking is not None, "the voice")
    assert visit.asked_models() == models + 1 and visit.tap.paths("/v1/chat")
    box = page.transcript.boxes[1]
    assert "[v1] heart rate" in box.citations[0].text() and "from the clinic" in box.who.text()
    # Read aloud, the sentence marked that is heard
    wait_for(lambda: marked("Your heart rate was 70"), "the mark")
    visit.until(lambda _: marked("It was measured"), "the next mark")
    assert marks[0].startswith("Your heart rate was 70") and marks[1].startswith("It was measured"), marks
    assert len({one for one in grows if one not in {"", "…"}}) >= 2, "it grew"
    assert visit.box.first_s is not None and box.read_aloud.text() == "Stop reading"
    # Somebody speaks into it
    pause(500)
    assert visit.state.speaking is not None, "our own voice does not stop us"
    visit.box.mark()
    visit.cloud.aws.bedrock.always = Says(("URGENCY: none\n", "You can ask something else. ", f"{answered}."))
    visit.say("No, no. Wait. I want something else now.", f"i want something else now {asked}")
    visit.until(lambda state: state.speaking is None, "silence")
    assert visit.box.stops_s, "it was stopped, not at its end"
    visit.until(lambda state: len(state.turns) >= 3, "the other question")
    assert visit.state.turns[2].text.endswith(asked)
    assert visit.state.turns[1].text.startswith("Your heart rate was 70"), "what was said stays"
    visit.until(lambda state: len(state.turns) >= 4 and state.turns[3].complete, "its answer")
    # The source opens: the measurement that it is of
    click(box.citations[0])
    assert visit.window.pages.currentWidget() is visit.window.history
    visit.until(lambda state: state.mode is Mode.TYPED, "nothing listens away from the page")
    click(visit.window.to_chat)
    # Forgotten
    heard, talk = visit.hearing.heard, visit.talk
    assert len(heard) >= 2 and all(len(one) > 16_000 for one in heard[:2]), "it was streamed as sound"
    check = in_dialog(agree)
    click(page.forget_it)
    check()
    visit.until(lambda state: not state.turns, "nothing")
    pause(300)
    assert asked not in words_in(visit.window) and answered not in words_in(visit.window)
    mine = [visit, visit.canaries, visit.hearing, visit.cloud, partials, grows, marks]
    mine += [*partials, *grows, *marks, marked, comes, asked]
    mine += [answered, *(one for canary in visit.canaries for one in (canary, canary.words))]
    roots = [page, talk, visit.window]
    assert still_there([asked, answered], roots, not_in=mine) == []
    # The loudspeaker's own last two seconds are pushed out by silence, and what was heard is gone already
    assert sound_left(talk._listener._segmenter) == sound_left(talk._listener._canceller) == 0.0
    wait_for(lambda: sound_left(talk._listener) == 0.0, "what was heard is gone", 5.0)


def test_what_is_looked_for_in_memory_is_found(visit: Visit) -> None:
    """Else the story would prove nothing."""
    word = visit.canaries[0].text
    visit.arrive()
    visit.ask_by_hand(f"what is a normal heart rate {word}")
    visit.until(lambda state: len(state.turns) == 2, "the answer")
    assert word in words_in(visit.window)
    mine = [visit, visit.canaries, word, *visit.canaries, *(one.words for one in visit.canaries)]
    assert still_there([word], [visit.page], not_in=mine)
    visit.talk.forget()
    visit.until(lambda state: not state.turns, "nothing")
    pause(200)
    assert still_there([word], [visit.page], not_in=mine) == []


def test_in_an_emergency_no_model_is_asked(visit: Visit) -> None:
    said = "I have crushing chest pain, and I can not breathe."
    visit.voices(said)
    visit.arrive()
    visit.decide("Send to the clinic")
    visit.just_talk()
    visit.until(lambda state: state.phase is Phase.LISTENING, "the microphone")
    pause(600)
    models, page = visit.asked_models(), visit.page
    visit.box.mark()
    visit.say(said, "i have crushing chest pain and i can not breathe")
    visit.until(lambda state: state.phase is Phase.SAFETY, "the banner")
    assert visit.state.level is Level.EMERGENCY and page.banner.isVisible()
    assert "112" in page.banner.number.text() and not page.transcript.isVisible()
    wait_for(lambda: visit.box.first_s is not None, "the voice")
    wait_for(page.banner.stop.isVisible, "a way to silence it")
    # A voice in the room does not stop it; its button does
    visit.hearing.words = ["and", "so", "on"]
    visit.person.say(visit.voices("And so on and so on."))
    pause(1200)
    assert visit.state.phase is Phase.SAFETY and visit.state.speaking is not None
    before = visit.tasks()
    click(page.banner.call)
    wait_for(lambda: "Staff can see on this device" in page.banner.told.text(), "the word")
    assert visit.tasks() == before + 1
    click(page.banner.stop)
    visit.until(lambda state: state.speaking is None, "silence")
    click(page.banner.seen)
    visit.until(lambda state: state.phase is not Phase.SAFETY, "the conversation")
    assert visit.asked_models() == models and not visit.tap.paths("/v1/chat")
    assert not page.banner.isVisible() and "emergency" in labels(page)


def test_nothing_leaves_before_consent_nor_after_a_no(
    sounds: None, room: Room, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It understands and answers by itself meanwhile."""
    own = FakeRecogniser()
    monkeypatch.setattr(app, "_recogniser", lambda _folder: own)
    policy = Policy(country="PT", recogniser_folder=Path("model"))
    with visiting(room, cloud, monkeypatch, random.Random(5), policy=policy) as visit:
        visit.voices(QUESTION)
        visit.arrive()
        pause(500)  # what enrolling brings with it goes out meanwhile
        answers = 0

        def a_turn(asks: str) -> None:
            nonlocal answers
            visit.tap.requests.clear()
            own.texts = [f"what was my heart rate today {asks}"]
            visit.just_talk()
            visit.until(lambda state: state.phase is Phase.LISTENING, "the microphone")
            pause(300)
            visit.person.say(visit.voices(QUESTION))
            answers += 2
            visit.until(lambda state: len(state.turns) == answers, "the answer")
            visit.just_talk(Mode.TYPED)
            visit.ask_by_hand(f"how does the scan work {asks}")
            answers += 2
            visit.until(lambda state: len(state.turns) == answers, "the other answer")
            assert all(turn.source == "device" for turn in visit.state.turns)
            pause(300)
            assert visit.tap.requests == [], "not one request, to whomever"
            assert visit.hearing.headers == [] and visit.hearing.heard == []

        a_turn("before")
        assert visit.agreed() is None and visit.page.consent.isVisible()
        visit.decide("Answer here only")
        assert visit.agreed() is False
        a_turn("after")
        assert "as you wish" in visit.page.in_use.text()
        # The same does go out once it may
        check = in_dialog(lambda dialog: click(button_named(dialog, "Send to the clinic")))
        click(visit.page.sent)
        check()
        wait_for(lambda: visit.agreed() is True, "the decision")
        visit.just_talk()
        visit.until(lambda state: state.phase is Phase.LISTENING, "the microphone")
        pause(300)
        visit.say(QUESTION, "what was my heart rate today")
        visit.until(lambda state: len(state.turns) == answers + 2 and state.turns[-1].complete, "the answer")
        assert visit.hearing.heard and {"/v1/speech/transcription", "/v1/chat"} <= set(visit.tap.paths())


def test_no_sound_and_no_word_is_written(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    visit.cloud.aws.bedrock.always = an_answer(visit.canaries[1].text, every_s=0.0)
    visit.voices(QUESTION)
    visit.arrive()
    visit.decide("Send to the clinic")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", logger="health_helper")
    pause(500)
    with noting_files() as written:
        visit.just_talk()
        visit.until(lambda state: state.phase is Phase.LISTENING, "the microphone")
        pause(400)
        visit.say(QUESTION, f"what was my heart rate today {visit.canaries[0].text}")
        visit.until(lambda state: state.phase is Phase.HEARING, "a voice")
        assert sound_left(visit.talk._listener) > 0.05, "what is being said is in memory, and is found there"
        visit.until(lambda state: len(state.turns) == 2 and state.turns[1].complete, "the answer")
        assert visit.state.turns[1].source == "cloud"
        visit.until(lambda state: state.speaking is not None, "the voice")
        visit.page._do(lambda talk: talk.rate(1, True))
        pause(1500)
        click(visit.page.stop)
        visit.ask_by_hand(f"and {visit.canaries[0].text} again")
        visit.until(lambda state: len(state.turns) == 4, "another turn")
        open_now = open_for_writing()
        conversations = [one for one in written if one.thread in OURS]
        visit.talk.call_staff()  # this is kept: that somebody was wanted
        visit.until(lambda state: state.staff_called, "the call")
        visit.talk.forget()
        visit.until(lambda state: not state.turns, "nothing")
        pause(300)
    assert conversations == []
    store = tmp_path / "store"
    assert {Path(one.path).parent for one in written} <= {store}, written
    strangers = [path for path in open_now if not path.is_relative_to(store)]
    assert [path for path in strangers if path.is_relative_to(tmp_path)] == []
    assert list(temporary.rglob("*")) == []
    find = Finder(visit.canaries)
    files = files_under(tmp_path, Path(visit.cloud.postgres.folder))
    assert len(files) > 5
    for path in files:
        assert find(path.read_bytes()) == set(), path
    key = next(iter(visit.room.vault.kept.values()))
    for path in (store / FILE_NAME, store / f"{FILE_NAME}-wal"):
        if path.exists():
            assert find(decrypted(path, key)) == set(), path
    kept = [one for one in caplog.records if one.name == "health_helper" or one.levelno >= logging.INFO]
    lines = "\n".join(f"{one.getMessage()} {vars(one)}" for one in kept)
    assert "staff_called" in lines
    assert find(lines.encode()) == set()


def open_for_writing() -> list[Path]:
    """Plain files that this process has open and may write to, as the system has it; native code opens past Python."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            path = link.readlink()
            flags = int(Path(f"/proc/self/fdinfo/{link.name}").read_text().split("flags:")[1].split()[0], 8)
        except OSError:
            continue
        if path.is_file() and flags & (os.O_WRONLY | os.O_RDWR):
            found.append(path)
    return found


def mortal(cloud: LocalCloud) -> Callable[[], None]:
    """What kills it: what it is just sending ends in the middle, and nobody can reach it any more."""
    gateway, dead = cloud.gateway, threading.Event()
    whole, buffered = dict(gateway._streaming), gateway._buffered

    def asked(event: dict[str, Any], context: Any) -> dict[str, Any]:
        if dead.is_set():
            raise ConnectionResetError
        return buffered(event, context)

    def broken(handler: Streaming) -> Streaming:
        def pieces(event: dict[str, Any], context: Any) -> Generator[Prelude | bytes, None, None]:
            with closing(handler(event, context)) as answer:
                for piece in answer:
                    if dead.is_set():
                        raise ConnectionResetError
                    yield piece

        return pieces

    gateway._buffered = asked
    gateway._streaming = {route: broken(handler) for route, handler in whole.items()}

    def die() -> None:
        dead.set()
        gateway._server.shutdown()
        gateway._server.server_close()

    return die


def test_a_cloud_that_dies_in_mid_answer_leaves_what_was_released(visit: Visit) -> None:
    visit.cloud.aws.bedrock.always = an_answer("calm", every_s=0.4)
    dies = mortal(visit.cloud)
    visit.voices(QUESTION)
    visit.arrive()
    visit.decide("Send to the clinic")
    visit.just_talk()
    visit.until(lambda state: state.phase is Phase.LISTENING, "the microphone")
    pause(500)
    visit.say(QUESTION, "what was my heart rate today")
    first = "Your heart rate was 70 per minute [v1]."
    visit.until(lambda state: len(state.turns) == 2 and first in state.turns[1].text, "its beginning")

    dies()
    visit.until(lambda state: len(state.turns) == 3, "our own")
    state = visit.state
    assert state.turns[1].text.startswith(first) and not state.turns[1].complete
    assert state.turns[2].role is Role.ASSISTANT and state.turns[2].source == "device"
    assert "70" in state.turns[2].text and state.turns[2].citations and state.may_retry
    assert "Broken off here." in labels(visit.page)
    assert "this device has answered itself" in visit.page.wrong.words
    click(button_named(visit.page.wrong, "Ask again"))
    visit.until(lambda now: len(now.turns) == 5, "our own again")


def test_how_long_somebody_waits_for_the_first_word_of_the_clinics_answer(visit: Visit) -> None:
    """Both ends as they are heard in the room: all of the way but the model, which takes no time here. A synthetic voice, then, where the recordings
    are here, people: what they say is taken for the same question.

    The figures are judged by `health-helper bench assistant --turn FILE`, of the file that HH_ASSISTANT_STORY_JSON names here.
    """
    visit.cloud.aws.bedrock.always = Says(
        ("URGENCY: none\n", "Your heart rate was 70 per minute [v1]. ", "You can ask me more about it.")
    )
    visit.voices(QUESTION)
    visit.arrive()
    visit.decide("Send to the clinic")
    visit.just_talk()
    visit.until(lambda state: state.phase is Phase.LISTENING, "the microphone")
    pause(800)
    waits: list[float] = []
    stages: dict[str, list[float]] = {}
    real = real_utterances()[:TRIES]
    with closing(Ear()) as ear:
        for spoken in [visit.voices(QUESTION)] * TRIES + real:
            ear.read_s.clear()
            ear.heard_s.clear()
            with closing(Stages(visit)) as turn:
                visit.hearing.words = ["what", "was", "my", "heart", "rate", "today"]
                visit.person.say(spoken)
                wait_for(lambda: ear.first_gap(GAP_S) is not None, "the first word")
            ended_s, began_s = ear.first_gap(GAP_S) or (0.0, 0.0)
            waits.append(began_s - ended_s)
            for name, reached_s in turn.reached_s.items():
                stages.setdefault(name, []).append(reached_s - ear.read_at(ended_s))
            assert len(turn.reached_s) == 4 and list(turn.reached_s) == list(stages), (
                "each stage, in the same order"
            )
            wait_for(lambda: visit.talk.state.turns[-1].complete, "all of it")
            assert len(visit.state.turns) == 2 * len(waits)
            assert visit.state.turns[-1].source == "cloud"
            visit.talk.stop()
            visit.until(lambda state: state.phase is Phase.LISTENING, "the next turn")
            pause(700)
    figures = {
        "end_of_speech_to_first_word": seconds(waits),
        "with_a_synthetic_voice": seconds(waits[:TRIES]),
        "with_real_speech": seconds(waits[TRIES:]) if real else None,
        "of_which_silence_that_ends_a_turn_s": AFTER_STATEMENT_S,
        "stages_from_the_end_of_speech": {name: seconds(reached) for name, reached in stages.items()},
        "the_rest": seconds([one - AFTER_STATEMENT_S for one in waits]),
        "model_s": 0.0,
        "turns": len(waits),
    }
    sys.stdout.write(f"{json.dumps(figures)}\n")
    if named := os.environ.get(FIGURES):
        Path(named).write_text(json.dumps(figures, indent=1) + "\n")
