"""What the assistant's page makes of a conversation: plain words, whatever people, models and documents have written."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.assistant.conversation import Emergency, Role, Turn
from client.assistant.evidence import Citation
from client.assistant.triage import Level
from client.pipeline.sharing import assistant_question
from client.pipeline.talk_state import Highlight, Mode, Phase, TalkState
from client.ui.views import chat

ASKED = Turn(Role.PERSON, "How fast is it?")
ANSWER = Turn(
    Role.ASSISTANT,
    "It was 72 per minute [v1]. That is usual [k1, v1].",
    (
        Citation("v1", "Heart rate", "72", "fact:heart_rate"),
        Citation("k1", "At rest", "Most…", "article:rest"),
    ),
    "cloud",
    True,
    ("It was 72 per minute.", "That is usual."),
)
BOTH = TalkState(turns=(ASKED, ANSWER), voice="the system's")
STAFF_SEE = (
    "Staff can see on this device that you asked for help. If nobody comes soon, ask somebody near you."
)
CHEST = Emergency(Level.EMERGENCY, "chest_pain", "Call 112 now.", "Call a nurse", "112")


def test_a_conversation_that_has_not_begun_can_be_typed_into() -> None:
    found = chat.view(TalkState())
    assert found.may_type and not found.turns and found.banner is None and not found.alone
    assert not (found.may_stop or found.may_forget or found.may_talk or found.may_mute or found.hears)
    assert found.status == found.in_use == found.partial == ""


def test_turns_say_who_where_from_and_what_can_be_done_with_them() -> None:
    asked, answer = chat.view(replace(BOTH, rates={1: False})).turns
    assert (asked.who, asked.kind, asked.may_read, asked.may_rate) == ("You", "person", False, False)
    assert answer.who == "Assistant, from the clinic" and answer.may_read and answer.may_rate
    assert answer.rated is False and not answer.note and not answer.growing
    own = chat.view(replace(BOTH, turns=(replace(ANSWER, source="device"),), voice="")).turns[0]
    assert own.who == "Assistant, on this device" and not own.may_read and own.rated is None
    safety = chat.view(replace(BOTH, turns=(Turn(Role.SAFETY, "Call 112."),))).turns[0]
    assert safety.who == "Important" and safety.may_read and not safety.may_rate


def test_an_answer_that_grows_is_not_one_that_was_broken_off() -> None:
    half = replace(ANSWER, complete=False, text="")
    growing = chat.view(replace(BOTH, turns=(ASKED, half), phase=Phase.ANSWERING)).turns[1]
    assert growing.growing and growing.text == "…" and not growing.note and not growing.may_rate
    assert len(chat.view(replace(BOTH, turns=(ASKED, half))).turns) == 1  # there is nothing to show
    broken = chat.view(replace(BOTH, turns=(ASKED, replace(half, text="It was")))).turns[1]
    assert broken.note == "Broken off here." and broken.may_rate
    earlier = chat.view(
        replace(BOTH, turns=(replace(half, text="It was"), ASKED), phase=Phase.ANSWERING)
    ).turns[0]
    assert earlier.note and not earlier.growing


def test_a_turn_keeps_its_place_though_an_empty_one_before_it_is_not_shown() -> None:
    state = replace(BOTH, turns=(ASKED, replace(ANSWER, text="", complete=False), ANSWER))
    assert [one.at for one in chat.view(state).turns] == [0, 2]


@pytest.mark.parametrize(
    ("uri", "kind", "target"),
    [
        ("fact:heart_rate", "fact", "heart_rate"),
        ("upload:abc", "document", "abc"),
        ("article:rest", "passage", "rest"),
        ("", "passage", ""),
        ("https://example.org/x", "passage", ""),
        ("javascript:alert(1)", "passage", ""),
        ("file:///etc/passwd", "passage", ""),
    ],
)
def test_a_citation_opens_something_of_ours_or_its_own_words(uri: str, kind: str, target: str) -> None:
    state = replace(BOTH, turns=(replace(ANSWER, citations=(Citation("k1", "A title", "A quote", uri),)),))
    found = chat.view(state).turns[0].citations[0]
    assert (found.kind, found.target, found.title, found.text) == (kind, target, "A title", "A quote")
    assert found.words == "[k1] A title" and "k1" in found.spoken and "A title" in found.spoken


def test_a_long_title_is_cut_on_the_button_only() -> None:
    one = Citation("k1", "word " * 40, "", "article:x")
    found = chat.view(replace(BOTH, turns=(replace(ANSWER, citations=(one,)),))).turns[0].citations[0]
    assert len(found.words) < 45 and found.words.endswith("…") and found.spoken.count("word") == 40


def test_the_sentence_that_is_read_is_marked_in_the_text_with_its_citations_left_out() -> None:
    for sentence, words in enumerate(["It was 72 per minute [v1].", "That is usual [k1, v1]."]):
        state = replace(BOTH, phase=Phase.SPEAKING, speaking=Highlight(1, sentence))
        turn = chat.view(state).turns[1]
        assert turn.marked is not None and turn.reading
        assert turn.text[slice(*turn.marked)] == words
    for off in (Highlight(0, 0), Highlight(1, 7), Highlight(1, -1), Highlight(9, 0)):
        assert chat.view(replace(BOTH, speaking=off)).turns[1].marked is None


def test_the_same_sentence_twice_is_found_twice() -> None:
    assert chat.spans("Yes. Yes.", ("Yes.", "Yes.", "No.", "Yes.")) == ((0, 4), (5, 9), None, None)
    assert chat.spans("", ("x",)) == (None,) and chat.spans("x", ("",)) == (None,)


@given(st.lists(st.text("abc é\u0627\u05d0", min_size=1).map(lambda one: f"x{one.strip()}."), max_size=5))
def test_every_sentence_of_a_text_is_found_in_order(sentences: list[str]) -> None:
    text = chat.shown(" [k1]\n".join(sentences))
    found = chat.spans(text, sentences)
    assert None not in found
    ends = [place for one in found if one is not None for place in one]
    assert ends == sorted(ends)


HOSTILE = (
    "\u202egnp.exe",
    "a\u2066b\u2069\u200e\u200f\u061c",
    "\x00\x07\x1b[31mred\x7f\x9b",
    "z" + "\u0310" * 200,
    "\ufeff\u00ad\U000e0041",
    "\ud800",
    "\n" * 500 + "x",
    "w" * 8_000,
    "\t\v\f\r\r\n\u2028\u2029x",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_nobody_sees_or_what_turns_the_line_is_not_shown(text: str) -> None:
    _plain(chat.shown(text))


@given(st.text(max_size=300))
def test_whatever_was_written_is_shown_as_plain_lines(text: str) -> None:
    found = chat.shown(text)
    _plain(found)
    assert chat.shown(found) == found


def _plain(found: str) -> None:
    for sign in found:
        assert sign in "\n\u200b\u200c\u200d" or unicodedata.category(sign)[0] != "C", repr(sign)
    assert "\n\n\n" not in found
    assert all(len(piece) <= 60 for word in found.split() for piece in word.split("\u200b")), found
    marks = 0
    for sign in found:
        marks = marks + 1 if unicodedata.category(sign) in {"Mn", "Me"} else 0
        assert marks <= 4


def test_markup_stays_what_it_is_and_joined_letters_stay_joined() -> None:
    for text in (
        "<b>bold</b> <img src=x onerror=y>",
        "[a](https://example.org) **b**",
        "می\u200cخواهم",
        "क्\u200dष",
    ):
        assert chat.shown(text) == text


def test_a_text_is_shown_in_the_direction_of_its_first_letter() -> None:
    assert chat.right_to_left("12 كان") and chat.right_to_left("שלום abc")
    assert (
        not chat.right_to_left("abc كان") and not chat.right_to_left("123 !") and not chat.right_to_left("")
    )


def test_an_emergency_stands_alone_with_its_number_until_it_was_read() -> None:
    found = chat.view(replace(BOTH, safety=CHEST, phase=Phase.SAFETY, level=Level.EMERGENCY))
    banner = found.banner
    assert banner is not None and found.alone and banner.emergency and not found.may_type
    assert banner.staff == "Call a nurse" and "112" in banner.number and not banner.told
    assert banner.heading in banner.spoken and banner.number in banner.spoken and banner.text in banner.spoken
    assert not (found.may_listen or found.may_talk or found.may_retry)
    called = chat.view(replace(BOTH, safety=CHEST, phase=Phase.SAFETY, staff_called=True)).banner
    assert called is not None and called.told == STAFF_SEE and called.told in called.spoken
    after = chat.view(replace(BOTH, level=Level.EMERGENCY, safety=CHEST), read=CHEST)
    assert after.banner is None and after.may_type and after.may_forget and not after.alone
    assert banner.heading in after.reminder and "112" in after.reminder and not found.reminder
    again = chat.view(replace(BOTH, safety=CHEST, phase=Phase.SAFETY), read=CHEST)
    assert again.alone and not again.reminder
    worse = chat.view(replace(BOTH, safety=CHEST), read=replace(CHEST, level=Level.URGENT))
    assert worse.alone


def test_a_call_of_which_nobody_hears_is_not_said_to_be_one() -> None:
    called = replace(BOTH, safety=CHEST, staff_called=True)
    found = chat.view(
        replace(called, staff_trouble="Nobody can be told from here.", fault="The answer broke off.")
    )
    assert found.banner is not None and found.banner.told == "Nobody can be told from here."
    assert found.fault == "Nobody can be told from here. The answer broke off."
    assert found.staff_told == "" and chat.view(called).staff_told == STAFF_SEE


def test_the_button_that_asks_again_waits_as_long_as_the_clinic_wants() -> None:
    failed = replace(BOTH, fault="The clinic's cloud has too much to do.", may_retry=True)
    for in_s, words in ((0, "Ask again"), (7, "Ask again in 7 s"), (601, "Ask again in 11 min")):
        found = chat.view(replace(failed, retry_in_s=in_s))
        assert found.retry == words and found.may_retry is (in_s == 0)
    assert chat.view(replace(failed, may_retry=False)).retry == ""


def test_an_emergency_is_not_hidden_by_a_phase_that_goes_on() -> None:
    for phase in Phase:
        assert chat.view(replace(BOTH, safety=CHEST, phase=phase)).alone


def test_what_is_urgent_stands_above_and_the_conversation_goes_on() -> None:
    soon = replace(CHEST, level=Level.URGENT)
    found = chat.view(replace(BOTH, safety=soon))
    assert found.banner is not None and not found.banner.emergency and not found.alone and found.may_type
    assert "112" in found.banner.number and found.banner.number.startswith("If it gets worse")


def test_without_a_place_nobody_is_told_a_number() -> None:
    unknown = replace(CHEST, number=None)
    banner = chat.view(replace(BOTH, safety=unknown)).banner
    assert banner is not None and banner.number == "Call your local emergency number"
    urgent = chat.view(replace(BOTH, safety=replace(unknown, level=Level.URGENT))).banner
    assert urgent is not None and urgent.number == ""


@pytest.mark.parametrize(
    ("mode", "muted", "talks", "may_talk", "may_mute", "hears"),
    [
        (Mode.TYPED, True, False, False, False, False),
        (Mode.TYPED, False, False, False, False, False),
        (Mode.PUSH_TO_TALK, False, True, True, True, True),
        (Mode.PUSH_TO_TALK, True, True, False, True, False),
        (Mode.HANDS_FREE, False, False, False, True, True),
        (Mode.HANDS_FREE, True, False, False, True, False),
    ],
)
def test_what_can_be_done_with_a_microphone(
    mode: Mode, *, muted: bool, talks: bool, may_talk: bool, may_mute: bool, hears: bool
) -> None:
    found = chat.view(TalkState(mode=mode, muted=muted, microphone="Desk"))
    assert (found.talks, found.may_talk, found.may_mute, found.hears) == (talks, may_talk, may_mute, hears)
    assert found.mute == ("Switch the microphone on" if muted else "Switch the microphone off")
    assert (found.status == "The microphone is off.") is (muted and mode is not Mode.TYPED)


def test_a_microphone_that_is_not_open_yet_is_not_said_to_listen() -> None:
    closed = TalkState(mode=Mode.HANDS_FREE, muted=False)
    found = chat.view(closed)
    assert found.status == "The microphone is being opened …" and not found.hears and found.may_mute
    assert chat.view(replace(closed, trouble="There is none.")).status == ""
    assert not chat.view(replace(closed, mode=Mode.PUSH_TO_TALK)).may_talk


def test_what_goes_on_is_said_and_can_be_stopped() -> None:
    words = {
        phase: chat.view(TalkState(phase=phase, mode=Mode.HANDS_FREE, muted=False, microphone="Desk")).status
        for phase in Phase
    }
    assert all(words.values()) and len(set(words.values())) >= 6
    for phase in Phase:
        stops = phase in (Phase.UNDERSTANDING, Phase.ANSWERING, Phase.SPEAKING)
        assert chat.view(TalkState(phase=phase)).may_stop is stops
    assert chat.view(TalkState(phase=Phase.SAFETY, speaking=Highlight(0, 0))).may_stop


def test_what_is_in_use_and_why_is_said_in_one_line() -> None:
    found = chat.view(
        TalkState(
            recogniser="the clinic's", answerer="this device", microphone="Desk\u202e", why="Not connected."
        )
    )
    assert (
        found.in_use == "Heard by: the clinic's. Answered by: this device. Microphone: Desk. Not connected."
    )


def test_faults_and_trouble_are_told_as_they_come() -> None:
    found = chat.view(
        TalkState(fault="It broke. Ask again.", trouble="No sound.", may_retry=True, asks_consent=True)
    )
    assert (found.fault, found.trouble, found.may_retry, found.asks_consent) == (
        "It broke. Ask again.",
        "No sound.",
        True,
        True,
    )


def test_a_screen_reader_hears_each_answer_once_and_whole() -> None:
    growing = replace(BOTH, turns=(ASKED, replace(ANSWER, complete=False)), phase=Phase.ANSWERING)
    empty, half, whole = (chat.view(one).turns for one in (TalkState(), growing, BOTH))
    assert chat.announced(empty, half, speaks=False) == ""
    assert "72 per minute" in chat.announced(half, whole, speaks=False)
    assert chat.announced(whole, whole, speaks=False) == chat.announced(half, whole, speaks=True) == ""


def test_the_same_words_are_cleaned_once_and_those_that_went_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    real = chat.shown
    cleaned = chat.Cleaned()

    def noting(text: str) -> str:
        asked.append(text)
        return real(text)

    monkeypatch.setattr(chat, "shown", noting)
    first = chat.view(BOTH, cleaned).turns
    assert asked.count(ANSWER.text) == 1
    again = chat.view(replace(BOTH, phase=Phase.HEARING), cleaned).turns
    assert asked.count(ANSWER.text) == 1 and again == first
    for _ in range(2):
        chat.view(TalkState(), cleaned)
    chat.view(BOTH, cleaned)
    assert asked.count(ANSWER.text) == 2


def test_what_is_typed_is_asked_whole_or_not_at_all() -> None:
    assert chat.typed("  How? \n") == ("How?", "")
    assert chat.typed(" \n ") == ("", "")
    assert chat.typed("x" * 4_000)[0] and chat.typed("x" * 4_001)[0] == ""
    assert "4001" in chat.typed("x" * 4_001)[1]


def test_the_consent_says_what_leaves_what_never_does_and_that_it_can_be_taken_back() -> None:
    question, sent, never, otherwise, back = assistant_question()
    assert question.endswith("?")
    for word in ("say", "type", "measurements", "documents", "age"):
        assert word in sent
    assert "name" in never and "this device" in otherwise and "take this back" in back


def test_who_comes_after_an_unread_emergency_is_told_of_it_without_its_words() -> None:
    banner = chat.view(replace(BOTH, safety=CHEST)).banner
    assert banner is not None
    words = chat.unread_words(banner.number)
    assert "112" in words and CHEST.text not in words
    assert chat.unread_words("").endswith("help them.")
