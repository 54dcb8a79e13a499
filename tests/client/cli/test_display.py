"""The running scan on the terminal: what is shown when, on wide, narrow and poor terminals."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from client.cli.display import (
    ASCII,
    UNICODE,
    Glyphs,
    LivePanel,
    PlainLines,
    glyphs_for,
    panel,
    wave,
)
from client.pipeline.coaching import hint, live_heart_rate
from client.pipeline.run import View
from client.pipeline.session import Goal, Session, State
from client.reports.wording import REASONS
from edge_models.types import Reason, Trace
from tests.client.pipeline.fakes import FACTS, HandClock, estimate, progress

CAMERA = replace(FACTS, name="Desk camera", live=True)


def pulse_wave(seconds: float = 8.0) -> Trace:
    t_s = np.arange(0.0, seconds, 1.0 / 30.0)
    return Trace(t_s, np.sin(2.0 * np.pi * 1.2 * t_s))


def view(
    state: State = State.MEASURING, *, simulated: bool = False, live: bool = True, **changes: object
) -> View:
    now = progress(12.0, 10.0, bvp=pulse_wave(), **changes)
    session = Session(Goal(accepted_s=40.0, at_most_s=120.0), state, now, 12.0)
    return View(session, replace(CAMERA, simulated=simulated, live=live))


def screen(shown: View, columns: int = 80, rows: int = 30, glyphs: Glyphs = UNICODE) -> str:
    console = Console(width=columns, height=rows, file=io.StringIO(), force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(panel(shown, columns, rows, glyphs))
    return capture.get()


def test_a_running_scan_shows_rate_interval_bar_source_frame_rate_and_time() -> None:
    text = screen(view())
    for words in ("70 /min", "68 to 72", "10 of 40 s", "Desk camera", "30.0 frames/s", "0:12 elapsed"):
        assert words in text
    assert "medical device" in text


def test_a_withheld_rate_is_a_dash_and_the_reason_is_the_hint() -> None:
    text = screen(view(heart_rate=estimate(None, Reason.WEAK_PULSE)))
    assert "70" not in text
    assert "–– /min" in text
    assert REASONS[Reason.WEAK_PULSE].remedy in text


@pytest.mark.parametrize("state", [State.STALLED, State.STARTING, State.FAILED])
def test_no_number_is_shown_of_a_source_that_sends_nothing(state: State) -> None:
    assert live_heart_rate(view(state)) is None
    assert "70 /min" not in screen(view(state))


def test_no_number_is_shown_of_a_source_that_is_known_to_be_untrusted() -> None:
    trusted = view(live=False)
    facts = replace(FACTS, warnings=(Reason.FRAME_RATE_UNTRUSTED,))
    shown = replace(trusted, facts=facts)
    assert live_heart_rate(trusted) is not None and live_heart_rate(shown) is None
    assert "70 /min" not in screen(shown)
    assert "true frame rate of the recording is not known" in screen(shown)


@pytest.mark.parametrize("state", [State.PAUSED, State.STALLED])
def test_a_bar_that_does_not_grow_says_so(state: State) -> None:
    assert "paused" in screen(view(state))
    assert "paused" not in screen(view(State.MEASURING))


def test_one_hint_at_a_time_says_a_person_what_to_do_and_of_a_recording_what_is_wrong() -> None:
    assert hint(view(hint=Reason.TOO_DARK)) == REASONS[Reason.TOO_DARK].remedy
    of_a_file = hint(view(hint=Reason.TOO_DARK, live=False))
    assert of_a_file is not None
    assert REASONS[Reason.TOO_DARK].seen.casefold() in of_a_file.casefold()
    assert hint(view()) is None
    assert "cable" in (hint(view(State.STALLED)) or "")


def test_what_is_simulated_is_marked_on_every_terminal() -> None:
    for columns, rows in ((100, 40), (80, 24), (30, 10), (20, 6)):
        assert "SIMULATED" in screen(view(simulated=True), columns, rows)
        assert "SIMULATED" not in screen(view(), columns, rows)


@pytest.mark.parametrize("columns", [12, 20, 30, 43, 44, 60, 80, 200])
@pytest.mark.parametrize("rows", [5, 11, 12, 40])
def test_no_line_is_wider_than_the_terminal_and_the_rate_is_always_there(columns: int, rows: int) -> None:
    text = screen(view(hint=Reason.MOTION), columns, rows)
    assert max(len(line) for line in text.splitlines()) <= columns
    assert "70 /min" in text


def test_a_terminal_without_unicode_gets_plain_signs() -> None:
    assert glyphs_for("utf-8") is UNICODE
    for poor in ("ascii", "latin-1", "cp1252", "no-such-encoding"):
        assert glyphs_for(poor) is ASCII
    buffer = io.BytesIO()
    console = Console(
        file=io.TextIOWrapper(buffer, encoding="ascii", errors="strict", write_through=True),
        width=80,
        height=30,
    )
    console.print(panel(view(), 80, 30, glyphs_for(console.encoding)))
    assert b"70 /min" in buffer.getvalue()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    file = io.StringIO()
    Console(file=file, force_terminal=True, width=80, height=30).print(panel(view(), 80, 30, UNICODE))
    for colour in ("[31m", "[32m", "[33m", "[36m"):
        assert colour not in file.getvalue()


def test_the_live_panel_gives_the_terminal_back_even_after_an_error() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, height=30)

    def show_and_fail() -> None:
        with LivePanel(console) as display:
            display.show(view())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        show_and_fail()
    text = file.getvalue()
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0, "the cursor is shown again"


def test_the_wave_has_the_newest_beat_at_the_right_and_fills_its_columns() -> None:
    rows = wave(pulse_wave(), 60, 2, UNICODE)
    assert [len(row) for row in rows] == [60, 60]
    assert "█" in rows[0] or "▇" in rows[0]
    assert len(set(rows[1])) > 3
    short = wave(pulse_wave(2.0), 60, 1, UNICODE)[0]
    assert set(short[:35]) == {"▁"}
    assert len(set(short[40:])) > 3


@pytest.mark.parametrize(
    "trace",
    [
        Trace(np.zeros(0), np.zeros(0)),
        Trace(np.zeros(1), np.zeros(1)),
        Trace(np.arange(90) / 30.0, np.zeros(90)),
        Trace(np.arange(90) / 30.0, np.full(90, 1e-12)),
    ],
)
def test_a_wave_without_a_pulse_is_flat_and_never_fails(trace: Trace) -> None:
    for row in wave(trace, 20, 2, UNICODE):
        assert len(row) == 20


def test_the_wave_moves_on_without_trembling() -> None:
    """One column later in time, the same picture stands one column further left."""
    trace = pulse_wave(20.0)
    step_s = 6.0 / 60.0
    early = Trace(trace.t_s[trace.t_s <= 15.0], trace.values[trace.t_s <= 15.0])
    late = Trace(trace.t_s[trace.t_s <= 15.0 + step_s], trace.values[trace.t_s <= 15.0 + step_s])
    assert wave(early, 60, 1, UNICODE)[0][2:] == wave(late, 60, 1, UNICODE)[0][1:-1]


def test_plain_lines_come_at_most_every_five_seconds_and_say_the_same() -> None:
    clock = HandClock()
    lines: list[str] = []
    display = PlainLines(lines.append, clock, "utf-8")
    with display:
        for _ in range(120):
            display.show(view(simulated=True))
            clock.at_s += 0.1
    assert len(lines) == 3
    assert "SIMULATED" in lines[0]
    assert "heart rate 70 (68 to 72) /min" in lines[0]
    assert "30.0 frames/s" in lines[0]
    assert "\x1b" not in "".join(lines)
