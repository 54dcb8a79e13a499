"""A running scan: one thread reads frames, one measures them, the caller's looks on.

[capture]  open, wait for the engine, read → Bounded(4)      live: drop oldest and count; file: wait
[measure]  make the engine, push each frame, session.update → Latest view; result at the end
[caller]   wait(0.1), view(), stop(); outcome() raises what went wrong in either thread

stop() on a live source of which something counts ends it with what was measured; everywhere else, and the second
time, with nothing.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

from client import log
from client.clock import Clock
from client.devices.ports import FrameSource, SourceFacts
from client.errors import EnvironmentFault, Interrupted, SourceStalled
from client.language import said
from client.pipeline.session import (
    EndedBy,
    Event,
    Failed,
    Finished,
    Goal,
    Measured,
    Opened,
    Session,
    Silent,
    SourceEnded,
    Stopped,
    update,
)
from client.pipeline.slots import Bounded, Closed, Latest
from client.records import Cost
from edge_models.types import Frame, Progress, Quality, Reason, ScanResult

QUEUE_FRAMES = 4
SILENT_S = 1.5
"""Without a frame for so long, a live source counts as silent even if its driver never says so; said within 2 s."""
_POLL_S = 0.25
_JOIN_S = 0.3
"""Three such waits at most: Ctrl-C ends everything within a second; a driver that hangs longer is left behind."""
_FACTS_EVERY_S = 1.0
_LAST_FACTS_S = 2.5
"""How long the end of a scan waits for the source's last facts: a read comes back within its stall time."""


class Engine(Protocol):
    """What measures: `edge_models.scan.Scan`."""

    def push(self, frame: Frame) -> Progress:
        """Take a frame in; say what is known now."""

    def result(self, *, distrust: tuple[Reason, ...] = ()) -> ScanResult:
        """The whole measurement so far."""


@dataclass(frozen=True, slots=True)
class View:
    """All that a display may look at, as one consistent value. frame: the newest that was measured; its face is in the progress."""

    session: Session
    facts: SourceFacts | None
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A scan that came to its end."""

    session: Session
    facts: SourceFacts
    result: ScanResult
    cost: Cost
    dropped_frames: int


@dataclass(frozen=True, slots=True)
class _End:
    """The capture thread's last word in the queue."""


@dataclass(slots=True)
class _Shared:
    """What the threads tell each other beside the queue; each field has one writer."""

    facts: SourceFacts | None = None
    startup_cpu_s: float = 0.0
    measure_cpu_s: float = 0.0
    push_ms: array[float] = field(default_factory=lambda: array("d"))
    result: ScanResult | None = None


class ScanRun:
    """One scan, from opening the source to the result. A context manager: leaving it ends the threads.

    source: not yet open; the capture thread opens and closes it.
    make_engine: called in the measure thread (loading the weights takes a while; the source opens meanwhile).
    peak_rss_mb: asked once, at the end. started_s: the clock's second at which the command began.
    """

    def __init__(
        self,
        source: FrameSource,
        make_engine: Callable[[], Engine],
        *,
        goal: Goal,
        clock: Clock,
        started_s: float | None = None,
        peak_rss_mb: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._source = source
        self._make_engine = make_engine
        self._clock = clock
        self._started_s = clock.now_s() if started_s is None else started_s
        self._peak_rss_mb = peak_rss_mb
        self._queue: Bounded[Frame | Silent | Opened | _End] = Bounded(
            QUEUE_FRAMES, may_drop=lambda item: isinstance(item, Frame)
        )
        self._session = Session(goal)
        self._view = Latest(View(self._session, None))
        self._shared = _Shared()
        self._frame: Frame | None = None
        self._errors: list[BaseException] = []
        self._engine_ready = threading.Event()
        self._stop = threading.Event()
        self._person_stopped = False  # and wants what was measured
        self._given_up = False
        self._caller_cpu_s = 0.0
        self._finished = threading.Event()
        self._capture = threading.Thread(
            target=self._guard, args=(self._read_all,), name="capture", daemon=True
        )
        self._measure = threading.Thread(
            target=self._guard, args=(self._measure_all,), name="measure", daemon=True
        )

    def __enter__(self) -> Self:
        self._caller_cpu_s = self._clock.thread_cpu_s()
        self._capture.start()
        self._measure.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._end_threads()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the scan is over, at most `timeout_s`; whether it is."""
        return self._finished.wait(timeout_s)

    def view(self) -> View:
        """How the scan stands now."""
        return self._view.get()

    def stop(self) -> None:
        """The person wants no more. Returns at once; not for signal handlers, for it takes locks.

        A live source of which something counts: the scan ends with that (EndedBy.PERSON), within about a second.
        Otherwise, or if called again: everything ends at once and `outcome` raises Interrupted.
        """
        view = self._view.get()
        counts = view.session.progress is not None and view.session.progress.accepted_s > 0.0
        if counts and view.facts is not None and view.facts.live and not self._person_stopped:
            self._person_stopped = True
            return
        self._given_up = True
        self._stop.set()
        self._queue.close()
        self._finished.set()

    def outcome(self) -> Outcome:
        """What came of it. Raises Interrupted, the world's fault, or our bug from whichever thread it was."""
        self._end_threads()
        if self._given_up:
            raise Interrupted(
                title=said("Stopped before the end"), remedy=said("Nothing was kept; start the scan again.")
            )
        if self._errors:
            raise self._errors[0]
        shared = self._shared
        if shared.result is None or shared.facts is None:
            raise RuntimeError("the scan ended without a result and without an error")
        result = shared.result
        if self._session.ended_by is EndedBy.STALL:
            if result.frames == 0:
                raise EnvironmentFault(
                    title=said("The source opened but sent no picture"),
                    remedy=said(
                        "Check the cable or the network, close other programs that use the camera, "
                        "then try again."
                    ),
                    retry=True,
                )
            result = _with_stall(result)
        elif self._session.ended_by is EndedBy.HOPELESS:
            result = _with_what_limited_it_first(result)
        return Outcome(self._session, shared.facts, result, self._cost(), self._queue.dropped)

    def _cost(self) -> Cost:
        cpu_s = self._clock.process_cpu_s()
        looking_on_s = self._clock.thread_cpu_s() - self._caller_cpu_s
        startup_s, measuring_s = self._shared.startup_cpu_s, self._shared.measure_cpu_s
        push_ms = sorted(self._shared.push_ms)
        return Cost(
            wall_s=self._clock.now_s() - self._started_s,
            cpu_s=cpu_s,
            startup_cpu_s=startup_s,
            # Codecs decode in threads of their own: what nobody else used went into decoding.
            decode_cpu_s=max(0.0, cpu_s - startup_s - measuring_s - looking_on_s),
            frame_ms_p50=_at_share(push_ms, 0.50),
            frame_ms_p95=_at_share(push_ms, 0.95),
            peak_rss_mb=self._peak_rss_mb(),
        )

    def _end_threads(self) -> None:
        self._stop.set()
        self._queue.close()
        self._engine_ready.set()
        if self._capture.ident is None:
            return
        self._capture.join(_JOIN_S)
        if self._capture.is_alive():
            self._source.close()  # a read that hangs comes back once its device is gone
        for thread in (self._capture, self._measure):
            thread.join(_JOIN_S)
            if thread.is_alive():
                log.event("thread_left_behind", capture=thread is self._capture)

    def _guard(self, work: Callable[[], None]) -> None:
        """Run a thread's work; keep what it raises for `outcome`, and let everybody else end."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (carried to the caller's thread, which raises it)
            self._errors.append(error)
            if threading.current_thread() is self._measure:
                self._update(Failed())
            self._stop.set()
            self._queue.close()
            self._engine_ready.set()
            self._finished.set()

    def _update(self, event: Event) -> None:
        self._session = update(self._session, event)
        self._view.set(View(self._session, self._shared.facts, self._frame))

    # The capture thread

    def _read_all(self) -> None:
        try:
            facts = self._source.open()
            self._shared.facts = facts
            log.event(
                "source_opened", live=facts.live, simulated=facts.simulated, header_fps=facts.header_fps
            )
            self._engine_ready.wait()
            if self._stop.is_set():
                return
            self._shared.startup_cpu_s = self._clock.process_cpu_s()
            self._queue.put(Opened(), wait=True)
            asked_s = self._clock.now_s()
            while not self._stop.is_set():
                try:
                    item: Frame | Silent | _End = self._source.read() or _End()
                except SourceStalled:
                    item = Silent(self._clock.now_s())
                may_drop = facts.live and isinstance(item, Frame)
                if not self._queue.put(item, wait=not may_drop) or isinstance(item, _End):
                    break
                if isinstance(item, Silent):
                    self._stop.wait(_POLL_S)
                if self._clock.now_s() - asked_s > _FACTS_EVERY_S:
                    asked_s, self._shared.facts = self._clock.now_s(), self._source.facts()
            self._shared.facts = self._source.facts()
        finally:
            self._source.close()

    # The measure thread

    def _measure_all(self) -> None:
        engine = self._make_engine()
        log.event("engine_ready")
        cpu_before_s = self._clock.thread_cpu_s()
        self._engine_ready.set()
        try:
            self._push_all(engine)
        except Closed:  # the person gave it up, or the capture thread failed
            self._update(Stopped() if self._given_up else Failed())
            return
        self._stop.set()
        self._queue.close()
        self._capture.join(_JOIN_S if self._person_stopped else _LAST_FACTS_S)
        if self._given_up:
            return
        facts = self._shared.facts
        self._shared.result = engine.result(distrust=facts.warnings if facts else ())
        self._shared.measure_cpu_s = self._clock.thread_cpu_s() - cpu_before_s
        self._update(Finished())
        self._finished.set()

    def _push_all(self, engine: Engine) -> None:
        heard_s: float | None = None
        while self._session.takes_frames:
            if self._person_stopped:
                self._update(Stopped())
                return
            item = self._queue.get(_POLL_S)
            now_s = self._clock.now_s()
            if item is None:
                live = self._shared.facts is not None and self._shared.facts.live
                if live and heard_s is not None and now_s - heard_s > SILENT_S:
                    self._update(Silent(now_s))
                continue
            if isinstance(item, Frame):
                progress = engine.push(item)
                self._frame = item
                self._shared.push_ms.append((self._clock.now_s() - now_s) * 1000.0)
                self._update(Measured(progress))
            elif isinstance(item, _End):
                self._update(SourceEnded())
            else:
                self._update(item)
            heard_s = self._clock.now_s()


def _with_stall(result: ScanResult) -> ScanResult:
    """The result of a scan that a silent source cut short says so."""
    quality = result.quality
    reasons = (*quality.reasons, Reason.SOURCE_STALLED)
    limiting = quality.limiting_factor or Reason.SOURCE_STALLED
    return replace(result, quality=Quality(quality.score, reasons, limiting))


def _with_what_limited_it_first(result: ScanResult) -> ScanResult:
    """The result of a scan that was given up: "too short" is true of it, and no help; what made it so comes first."""
    limit = result.quality.limiting_factor
    if limit is None:
        return result
    vitals = {
        name: found
        if found.value is not None
        else replace(found, reasons=tuple(dict.fromkeys((limit, *found.reasons))))
        for name, found in result.vitals.items()
    }
    return replace(result, vitals=vitals)


def _at_share(ordered: list[float], share: float) -> float:
    """The value below which that share of the ordered values lies (nearest rank); 0 for none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
