"""`health-helper scan`: measure one source and say what was found.

Exit status: 0 a heart rate is shown · 3 it is honestly not shown · 2 bad input or usage · 4 the environment ·
130 interrupted · 1 our bug. With --json exactly one object on standard output; everything else is on stderr.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from client import log
from client.cli import card
from client.cli.display import Display, LivePanel, PlainLines
from client.cli.people import (
    ConfirmOption,
    guest_agrees,
    note_what_is_on_paper,
    person_named,
    record_sharing,
    right_person,
)
from client.devices.ports import FrameSource
from client.errors import BadInput, HealthHelperError, Interrupted
from client.language import said
from client.parts import Demo, DemoScene, Parts
from client.pipeline.memory import peak_rss_mb
from client.pipeline.outcome import STOPPED_EARLY, not_kept_because, to_record
from client.pipeline.run import Outcome, ScanRun
from client.pipeline.session import EndedBy, Goal
from client.records import ScanRecord
from client.reports.files import check_target, write_report
from client.reports.wording import gave_up
from client.store.database import StoreDamaged, StoreFault
from client.store.observations import Observation
from client.vault import VaultFault

SHOWN = 0
NOT_SHOWN = 3
DEFAULT_S = 40.0
MIN_SECONDS, MAX_SECONDS = 1.0, 3600.0
MIN_BPM, MAX_BPM = 30.0, 220.0
_LOOK_EVERY_S = 0.1


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the command."""

    @app.command()
    def scan(
        camera: Annotated[
            str | None,
            typer.Option(metavar="ID", help="Measure in front of this camera (see: health-helper cameras)."),
        ] = None,
        video: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Measure a video file, to its end.")
        ] = None,
        url: Annotated[
            str | None,
            typer.Option(
                metavar="URL", help="Measure an MJPEG stream over HTTP, to its end (see --seconds)."
            ),
        ] = None,
        demo: Annotated[bool, typer.Option("--demo", help="Measure a simulated person.")] = False,
        demo_bpm: Annotated[
            float | None,
            typer.Option(metavar="BPM", help="The simulated person's true heart rate (default 72)."),
        ] = None,
        demo_scene: Annotated[DemoScene | None, typer.Option(help="What the simulated camera sees.")] = None,
        seconds: Annotated[
            float | None,
            typer.Option(
                metavar="N",
                help="How long to measure. A camera: N seconds of good signal, in at most three times as long "
                "(default 40). Files: their first N seconds (default: all). Streams: the same, but a camera's stream "
                "never ends by itself: give N, or press Ctrl-C. Demo: N seconds (default 40). A camera or stream of "
                "which hardly anything counts is given up after 15 s.",
            ),
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON object on standard output.")
        ] = False,
        report: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Write a report as well: a .pdf or a .json file.")
        ] = None,
        no_save: Annotated[bool, typer.Option("--no-save", help="Keep nothing on this device.")] = False,
        person: Annotated[
            str | None,
            typer.Option(
                metavar="NAME", help="Save it for this person (see: health-helper people). Default: a guest."
            ),
        ] = None,
        agree: Annotated[
            bool,
            typer.Option(
                "--agree", help="With --person: they agree that what is kept of them is sent to the clinic."
            ),
        ] = False,
        share: Annotated[
            bool, typer.Option("--share", help="Of a guest who agrees: it is sent to the clinic too.")
        ] = False,
        confirm: ConfirmOption = None,
        verbose: Annotated[
            bool, typer.Option("--verbose", help="Log to standard error; names nobody and no file.")
        ] = False,
    ) -> None:
        """Measure heart rate, its variability and breathing.

        Without a source: the first camera. Exit status: 0 a heart rate is shown, 3 it honestly is not,
        2 bad input, 4 the machine is not ready, 130 interrupted.

        Ctrl-C in front of a camera or a stream shows what was measured until then and ends with 130; before
        anything counted, with any other source, and if pressed twice, it shows nothing.
        """
        log.start(verbose=verbose)
        if report is not None:
            check_target(report)
        _check_sharing(person, agree=agree, share=share, no_save=no_save)
        if person is not None or share or confirm is not None:
            with closing(parts.store()) as kept:  # before anybody sits still for it
                if person is not None:
                    whose = person_named(kept, person)
                    right_person(kept, whose, confirm)
                    if agree:
                        record_sharing(kept, whose, parts.clock, given=True)
                elif confirm is not None:
                    right_person(kept, None, confirm)
                guest_agrees(kept, share=share, show=True)
        live_screen = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not verbose
        wanted_demo = _demo(
            demo,
            demo_bpm,
            demo_scene,
            seconds=_seconds(seconds),
            real_time=sys.stderr.isatty() and not as_json,
        )
        source, goal = _source(
            parts, camera=camera, video=video, url=url, demo=wanted_demo, seconds=_seconds(seconds)
        )
        errors = Console(stderr=True, highlight=False)
        display: Display = (
            LivePanel(errors)
            if live_screen
            else PlainLines(
                lambda line: print(line, file=sys.stderr, flush=True), parts.clock, errors.encoding
            )
        )
        outcome = _run(parts, source, goal, display)
        record, fault = _saved(
            parts, to_record(outcome, taken_at=parts.clock.utc()), person, wanted=not no_save, share=share
        )  # never raises: see there
        if as_json:
            card.show(record, errors)
            print(record.to_json_text())
        else:
            card.show(record, Console(highlight=False))
        if isinstance(fault, HealthHelperError):
            print(f"Not saved. {fault.title}. {fault.remedy}", file=sys.stderr)
        sys.stdout.flush()  # a result that cannot be written is known before a report says where to find it
        if report is not None:
            write_report(record, report)
            print(f"Report written: {report.name}", file=sys.stderr)
        if fault is not None and not isinstance(fault, HealthHelperError):
            raise fault  # a bug of ours, or Ctrl-C: after the result was shown
        if record.saved:
            _do_chores(parts)
        if outcome.session.ended_by is EndedBy.PERSON:
            print(STOPPED_EARLY, file=sys.stderr)
            raise typer.Exit(Interrupted.exit_status)
        if outcome.session.ended_by is EndedBy.HOPELESS:
            print(gave_up(outcome.result.quality.limiting_factor), file=sys.stderr)
        raise typer.Exit(NOT_SHOWN if record.heart_rate.value is None else SHOWN)


def _check_sharing(person: str | None, *, agree: bool, share: bool, no_save: bool) -> None:
    for wrong, names in (
        (no_save and person is not None, ("--person", "--no-save")),
        (no_save and share, ("--share", "--no-save")),
        (share and person is not None, ("--person", "--share")),
    ):
        if wrong:
            raise BadInput(
                title=said("{one} and {other} contradict each other", one=names[0], other=names[1]),
                remedy=said("Give one of them."),
            )
    if agree and person is None:
        raise BadInput(
            title=said("--agree is for a person"),
            remedy=said("Add --person NAME; for a guest there is --share."),
        )


def _do_chores(parts: Parts) -> None:
    """After the result was shown: nobody waits for them."""
    with suppress(StoreFault, VaultFault), parts.store():
        pass


def _seconds(seconds: float | None) -> float | None:
    if seconds is not None and not MIN_SECONDS <= seconds <= MAX_SECONDS:  # a NaN is in no range
        raise BadInput(
            title=said("--seconds {seconds} cannot be measured", seconds=f"{seconds:g}"),
            remedy=_give_from_to(MIN_SECONDS, MAX_SECONDS),
        )
    return seconds


def _give_from_to(least: float, most: float) -> str:
    return said("Give a number from {least} to {most}.", least=f"{least:g}", most=f"{most:g}")


def too_many_sources(named: Sequence[str]) -> BadInput:
    """More than one option that names a source was given."""
    both = reduce(lambda one, other: said("{one} and {other}", one=one, other=other), named)
    return BadInput(title=said("{both} are two sources", both=both), remedy=said("Give one of them."))


def _demo(
    demo: bool, bpm: float | None, scene: DemoScene | None, *, seconds: float | None, real_time: bool
) -> Demo | None:
    if not demo:
        if bpm is not None or scene is not None:
            raise BadInput(
                title=said("--demo-bpm and --demo-scene are for the demo only"),
                remedy=said("Add --demo, or leave them out."),
            )
        return None
    rate = 72.0 if bpm is None else bpm
    if math.isnan(rate) or not MIN_BPM <= rate <= MAX_BPM:
        raise BadInput(
            title=said("--demo-bpm {rate} is no heart rate that can be simulated", rate=f"{rate:g}"),
            remedy=_give_from_to(MIN_BPM, MAX_BPM),
        )
    return Demo(
        scene=scene or DemoScene.PERSON,
        heart_rate_bpm=rate,
        duration_s=DEFAULT_S if seconds is None else seconds,
        real_time=real_time,
    )


def _source(
    parts: Parts,
    *,
    camera: str | None,
    video: Path | None,
    url: str | None,
    demo: Demo | None,
    seconds: float | None,
) -> tuple[FrameSource, Goal]:
    """The one source that was asked for, and when it is enough."""
    named = [
        name
        for name, given in (("--camera", camera), ("--video", video), ("--url", url), ("--demo", demo))
        if given is not None
    ]
    if len(named) > 1:
        raise too_many_sources(named)
    if video is not None:
        return parts.video(video), Goal(at_most_s=seconds)
    if url is not None:
        return parts.url(url), Goal(at_most_s=seconds, unless_hopeless=True)
    if demo is not None:
        return parts.demo(demo), Goal(at_most_s=demo.duration_s, unless_hopeless=demo.real_time)
    enough_s = DEFAULT_S if seconds is None else seconds
    goal = Goal.live(enough_s)
    if camera is not None:
        return parts.camera(camera), goal
    found = parts.cameras()
    if not found:
        raise BadInput(
            title=said("No camera was found and no other source was named"),
            remedy=said("Plug in a camera, or use --video FILE, --url URL or --demo."),
        )
    return parts.camera(found[0].id), goal


def _run(parts: Parts, source: FrameSource, goal: Goal, display: Display) -> Outcome:
    run = ScanRun(
        source,
        parts.engine,
        goal=goal,
        clock=parts.clock,
        started_s=parts.started_s,
        peak_rss_mb=peak_rss_mb,
    )
    stops = 0
    with _counted_signals() as signals, run, display:
        while not run.wait(_LOOK_EVERY_S):
            while stops < signals.count:
                stops += 1
                run.stop()
            display.show(run.view())
    return run.outcome()


@dataclass(slots=True)
class _Signals:
    """How often the person has asked to end it."""

    count: int = 0


@contextmanager
def _counted_signals() -> Iterator[_Signals]:
    """Ctrl-C and a polite kill are only counted: whoever looks at the count acts on it.

    A handler runs between two instructions of the main thread, which may hold any lock: it must take none.
    """
    signals = _Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals  # only the main thread may set handlers
        return

    def handler(_number: int, _frame: FrameType | None) -> None:
        signals.count += 1

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _saved(
    parts: Parts, record: ScanRecord, person: str | None, *, wanted: bool, share: bool
) -> tuple[ScanRecord, BaseException | None]:
    """The record with what became of it, and what kept it from being saved. Nothing that happens here may take the result away."""
    reason = not_kept_because(record) if wanted else "no_save"
    if reason is not None:
        return replace(record, saved_reason=reason), None
    kept_record = replace(record, saved=True, saved_reason=None)
    made: list[Observation] = []  # once, so that a second try keeps no second one

    def keep() -> None:
        with closing(parts.store()) as kept:
            from client.store.scans import to_observation

            whose = None if person is None else person_named(kept, person)
            if whose is not None:
                note_what_is_on_paper(kept, whose, parts.clock)
            if not made:
                made.append(to_observation(kept_record, person=None if whose is None else whose.id))
            kept.observations.save(
                made[0],
                guest_agrees=guest_agrees(kept, share=share and kept.outbox.enrolled() is not None),
            )

    try:
        try:
            keep()
        except StoreDamaged:
            keep()  # opening it anew mends it
    except (StoreFault, VaultFault) as fault:
        return replace(record, saved_reason=fault.code), fault
    except BaseException as other:  # noqa: BLE001 (shown first, raised afterwards)
        return replace(record, saved_reason="store_failed"), other
    return kept_record, None
