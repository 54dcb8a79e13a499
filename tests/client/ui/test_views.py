"""What the window shows, without a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import language
from client.language import Sentence
from client.pipeline.run import View
from client.pipeline.session import Goal, Session, State
from client.reports.wording import REASONS
from client.store import entries
from client.store.history import NO_TREND, NUMBERS, Trend
from client.store.observations import Kind, Line, Numbers
from client.ui.views import entry, history
from client.ui.views.guard import STALE_AFTER_S, Choice, must_ask
from client.ui.views.result import MEANINGS, result_view
from client.ui.views.result import row as result_row
from client.ui.views.scan import Guide, guide, is_mirrored, scan_view
from edge_models.types import Box, Estimate, Quality, Reason
from edge_models.vitals import VITALS
from tests.client.pipeline.fakes import FACTS, estimate, progress, scan_result
from tests.client.store.conftest import NOW
from tests.client.store.test_scans import record

FACE = Box(10.0, 10.0, 100.0, 120.0)
CAMERA = replace(FACTS, name="Desk camera", live=True)


def view(state: State = State.MEASURING, goal: Goal | None = None, **changes: object) -> View:
    now = progress(12.0, 10.0, **({"face": FACE} | changes))
    return View(Session(goal or Goal(accepted_s=40.0, at_most_s=120.0), state, now, 12.0), CAMERA)


# A running scan


def test_a_good_moment() -> None:
    shown = scan_view(view())
    assert (shown.rate, shown.interval) == ("70", "95 % interval 68 to 72")
    assert shown.share == 0.25 and shown.seconds == "30 s left" and not shown.paused
    assert guide(view()) is Guide.GOOD and "Hold still" in shown.hint
    assert is_mirrored(view()) and not shown.simulated


@pytest.mark.parametrize("reason", list(Reason))
def test_a_hint_is_the_one_thing_to_do_and_the_outline_says_so(reason: Reason) -> None:
    shown = scan_view(view(hint=reason))
    assert guide(view(hint=reason)) is Guide.ADJUST
    if reason is not Reason.TOO_SHORT:
        assert shown.hint == REASONS[reason].remedy


def test_a_withheld_rate_is_a_dash_without_an_interval() -> None:
    shown = scan_view(view(heart_rate=estimate(None, Reason.WEAK_PULSE)))
    assert (shown.rate, shown.interval) == ("–", "")


def test_paused_and_stalled_show_it_and_no_old_wave() -> None:
    assert scan_view(view(State.PAUSED)).paused
    stalled = scan_view(view(State.STALLED))
    assert stalled.paused and stalled.rate == "–" and len(stalled.wave.t_s) == 0
    assert guide(view(State.STALLED)) is Guide.NEUTRAL


def test_before_the_first_frame() -> None:
    first = View(Session(Goal(accepted_s=40.0)), None)
    shown = scan_view(first)
    assert shown.rate == "–" and shown.share == 0.0 and guide(first) is Guide.NEUTRAL


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_heading(state: State) -> None:
    assert scan_view(view(state)).heading


def test_a_source_without_an_end_counts_up() -> None:
    shown = scan_view(view(goal=Goal()))
    assert shown.share is None and shown.seconds == "10 s counted"


def test_a_recording_is_not_mirrored_and_a_simulation_is_said() -> None:
    recorded = replace(view(), facts=FACTS)
    assert not is_mirrored(recorded)
    assert scan_view(replace(view(), facts=replace(FACTS, simulated=True))).simulated


# A result


def test_a_result_has_every_vital_sign_with_its_interval_or_its_reason() -> None:
    shown = result_view(record())
    assert {row.name for row in shown.rows} == {spec.name for spec in VITALS}
    for row in shown.rows:
        assert row.meaning and row.beside
        assert row.shown == (row.value != "–")
        assert row.shown is row.beside.startswith("95 % interval")
    assert shown.heading == "Your heart rate is 70 per minute" and shown.why_not_saved is None


@pytest.mark.parametrize("reason", list(Reason))
def test_no_rate_names_what_was_in_the_way_and_what_to_do(reason: Reason) -> None:
    shown = result_view(replace(record(), result=scan_result(estimate(None, reason))))
    assert shown.heading == "No heart rate is shown"
    assert REASONS[reason].seen in shown.sub and REASONS[reason].remedy in shown.sub
    assert shown.why_not_saved is not None


def test_of_a_value_that_is_sure_a_reason_is_a_remark() -> None:
    found = estimate(70.0, Reason.TOO_NEAR)
    sure = result_row("heart_rate", replace(found, confidence=1.0))
    assert sure.beside == "95 % interval 68 to 72. Remark: the face was too near."
    assert (
        result_row("heart_rate", found).beside
        == "95 % interval 68 to 72; less sure because the face was too near"
    )


def test_a_scan_of_a_second_was_too_short_whatever_the_camera_gave() -> None:
    short = replace(estimate(None, Reason.TOO_FEW_FRAMES), window_s=0.97)
    limited = Quality(0.0, (Reason.TOO_FEW_FRAMES,), Reason.TOO_FEW_FRAMES)
    shown = result_view(replace(record(), result=scan_result(short, quality=limited)))
    assert shown.sub == (
        "Because there was too little usable signal. Measure for longer: 7 s of good signal or more."
    )


def test_what_needs_longer_than_the_shortest_scan_says_where_that_is_set() -> None:
    where = "To measure for longer: Settings, “Good signal that a scan takes”."
    beside = result_row("rmssd", estimate(None, Reason.TOO_SHORT, unit="ms")).beside
    assert beside == f"Not shown: it needs 60 s of good signal, there were 30. {where}"
    short = replace(estimate(None, Reason.TOO_SHORT), window_s=3.0)
    assert where not in result_row("heart_rate", short).beside  # no setting is that short
    assert where not in result_row("rmssd", estimate(None, Reason.TOO_DARK, unit="ms")).beside


def test_a_number_that_is_not_finite_is_not_shown() -> None:
    vitals = dict(scan_result().vitals)
    vitals["respiratory_rate"] = Estimate(float("inf"), 0.0, float("inf"), "/min", 0.9, (), 30.0, "x")
    shown = result_view(replace(record(), result=replace(scan_result(), vitals=vitals)))
    assert next(row for row in shown.rows if row.name == "respiratory_rate").value == "–"


def test_every_vital_sign_has_a_meaning() -> None:
    assert set(MEANINGS) == {spec.name for spec in VITALS}


# Whose


@pytest.mark.parametrize(
    ("person", "chosen_at_s", "last_saved", "now_s", "asks"),
    [
        (None, 200.0, "b", 210.0, False),  # a guest
        ("a", 50.0, None, 210.0, False),  # chosen before the scan
        ("a", 50.0, "a", 210.0, False),
        ("a", 150.0, None, 210.0, True),  # chosen after it had begun
        ("a", 50.0, "b", 210.0, True),  # another one was saved last
        ("a", 50.0, None, 51.0 + STALE_AFTER_S, True),  # chosen long ago
    ],
)
def test_when_it_is_asked_who_that_is(
    person: str | None, chosen_at_s: float, last_saved: str | None, now_s: float, asks: bool
) -> None:
    choice = Choice(person, chosen_at_s)
    assert must_ask(choice, started_s=100.0, last_saved=last_saved, now_s=now_s) is asks


# What is typed in


def test_there_is_a_form_for_every_kind_that_is_typed_in() -> None:
    assert set(entry.FORMS) == set(Kind) - {Kind.SCAN}
    assert all(field.least < field.most for form in entry.FORMS.values() for field in form.fields)


@pytest.mark.parametrize(
    ("text", "number"), [("37.2", 37.2), ("37,2", 37.2), ("٣٧٫٢", 37.2), ("  37 ", 37.0), ("3.7e1", 37.0)]
)
def test_numbers_as_people_type_them(text: str, number: float) -> None:
    assert entry.values_of(Kind.TEMPERATURE, {"celsius": text}) == ({"celsius": number}, {})


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-1", "1000", "37.2.1", "0x20", "99999999999"])
def test_what_can_not_be_is_told(text: str) -> None:
    numbers, wrong = entry.values_of(Kind.TEMPERATURE, {"celsius": text})
    assert not numbers and "celsius" in wrong


@given(st.dictionaries(st.sampled_from(["systolic", "diastolic", "pulse", "else"]), st.text(max_size=8)))
def test_whatever_is_typed_is_taken_whole_or_told(typed: dict[str, str]) -> None:
    numbers, wrong = entry.values_of(Kind.BLOOD_PRESSURE, typed)
    if not wrong:
        assert numbers["diastolic"] < numbers["systolic"] and set(numbers) <= {
            "systolic",
            "diastolic",
            "pulse",
        }
        entries.to_observation(Kind.BLOOD_PRESSURE, numbers, NOW, None)


def test_readings_in_words() -> None:
    assert entry.words("blood_pressure", {"systolic": 128.0, "diastolic": 82.0, "pulse": 70.0}) == (
        "128/82 mmHg, pulse 70 /min"
    )
    assert entry.words("oximeter", {"spo2": 97.0}) == "97 %"
    assert entry.words("temperature", {"celsius": 37.2}) == "37.2 °C"
    assert entry.words("of a newer version", {"x": 1.0}) == "of a newer version"
    assert entry.words("blood_pressure", {}) == ""


def test_remarks_are_said_in_the_language_of_the_day() -> None:
    note = Sentence("The camera failed and was opened again ({count} ×).", {"count": 2})
    kept = record(notes=(note,))
    assert result_view(kept).remarks == ("The camera failed and was opened again (2 ×).",)
    language.use(lambda text: "Otra vez: {count}." if text == note.text else text)
    try:
        assert result_view(kept).remarks == ("Otra vez: 2.",)
    finally:
        language.use(None)


# History


def line(days: float, rate: float | None, kind: str = Kind.SCAN, offset_min: int = 0) -> Line:
    numbers = (
        Numbers()
        if rate is None
        else Numbers(heart_rate=rate, heart_rate_low=rate - 1, heart_rate_high=rate + 2)
    )
    return Line(f"{days}", None, kind, NOW - timedelta(days=days), offset_min, numbers, False)


def trend(rates: Sequence[float | None], step_s: float = 1.0) -> Trend:
    """Scans one after another; None: withheld. Their RMSSD is half of the rate."""
    rate = np.array(rates, np.float64)
    numbers = dict.fromkeys(NUMBERS, np.full(len(rates), np.nan)) | {
        "heart_rate": rate,
        "heart_rate_low": rate - 1.0,
        "heart_rate_high": rate + 2.0,
        "rmssd": rate / 2.0,
    }
    return Trend(step_s * np.arange(len(rates), dtype=np.float64), numbers)


def test_a_line_in_words_on_the_clock_of_its_place() -> None:
    row = history.row(line(0.0, 72.0, offset_min=330))
    assert row.when == "2026-03-01 17:30"
    assert row.what == "heart rate 72 /min (71 to 74)" and row.is_scan


def test_a_kind_of_a_newer_version_is_listed_by_its_own_name() -> None:
    row = history.row(line(0.0, None, kind="ecg"))
    assert (row.kind, row.what) == ("ecg", "ecg") and not row.is_scan


def test_a_reading_is_marked_as_typed_in_and_a_scan_is_not() -> None:
    cuff = line(0.0, None, kind=Kind.BLOOD_PRESSURE)
    assert history.row(cuff, {"systolic": 128.0, "diastolic": 82.0}).what == "128/82 mmHg, typed in"
    assert history.row(cuff).what == "typed in"
    assert "typed" not in history.row(line(0.0, 72.0)).what


def test_the_course_has_scans_with_a_value_only() -> None:
    found = history.series(trend([60.0, None, 70.0]), "heart_rate")
    assert found.values.tolist() == [60.0, 70.0]
    assert found.low.tolist() == [59.0, 69.0] and found.high.tolist() == [62.0, 72.0]
    assert found.at_s.tolist() == [0.0, 2.0]
    assert history.spoken(found) == "Heart rate, /min: 2 scans, from 60 to 70, the newest 70"
    assert "nothing" in history.spoken(history.series(NO_TREND, "sdnn"))
    other = history.series(trend([60.0]), "rmssd")
    assert other.low.tolist() == other.values.tolist() == [30.0]
    assert (found.unit, other.unit) == ("/min", "ms")


@given(
    st.lists(st.floats(38.0, 205.0), min_size=1, max_size=300),
    st.integers(1, 60),
    st.sampled_from([0.0, 1.0, 9e4]),
)
def test_a_thinned_course_keeps_every_extreme_and_its_order(
    rates: list[float], columns: int, step_s: float
) -> None:
    whole = history.series(trend(rates, step_s), "heart_rate")
    found = history.thinned(whole, columns)
    assert len(found.at_s) <= max(2 * columns, 1) and set(found.values) <= set(whole.values)
    assert found.values.min() == whole.values.min() and found.values.max() == whole.values.max()
    assert np.all(np.diff(found.at_s) >= 0.0)
    assert (found.low == found.values - 1.0).all() and (found.high == found.values + 2.0).all()


def test_a_short_course_is_not_thinned() -> None:
    whole = history.series(trend([60.0, 61.0, 62.0]), "heart_rate")
    assert history.thinned(whole, 2) is whole
