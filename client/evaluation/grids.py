"""The simulator's fixed grids as cases. The one place that knows how edge_models.simulate names them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

from client.evaluation import trace_grid, video_grid
from client.evaluation.cases import Case, PreparedTrace, TraceCase, VideoCase, VideoTruth, Workshop
from client.evaluation.ledger import simulator_digest
from client.evaluation.outcomes import Truth, live_truth
from edge_models.simulate import oracle, scene
from edge_models.simulate import simulated_scan as simulated
from edge_models.simulate.spectral_scan import spectral_scan
from edge_models.types import Frame


def prepared(scan: simulated.SimulatedScan) -> PreparedTrace:
    """A simulated scan, ready to be measured, judged by its oracle."""
    signal_db = oracle.oracle_db(scan.t_s, scan.skin_rgb, scan.true_wave)
    return PreparedTrace(
        samples=scan.samples,
        size_px=scan.frame_size_px,
        duration_s=float(scan.truth.duration_s),
        truth=truth_of(scan.truth),
        oracle_db=round(signal_db, 2),
        supported=oracle.supported(signal_db, face_px=scan.face_px, fps=scan.fps),
    )


def truth_of(known: simulated.Truth) -> Truth:
    """What is true over the whole clip, as numbers; a value that needs more beats than there are is not known."""
    if not known.has_pulse:
        return Truth(has_pulse=False)

    def number(ask: str) -> float | None:
        try:
            value = float(getattr(known, ask)())
        except ValueError:
            return None
        return round(value, 3) if math.isfinite(value) else None

    return Truth(
        has_pulse=True,
        heart_rate=number("mean_heart_rate"),
        respiratory_rate=number("respiratory_rate"),
        rmssd=number("rmssd_ms"),
        sdnn=number("sdnn_ms"),
        live=live_truth([float(beat_s) for beat_s in known.beats_s], known.duration_s),
    )


def trace_case(
    name: str, axes: Mapping[str, str], setting: object, make: Callable[[], simulated.SimulatedScan]
) -> Case:
    """A scan of the trace grid. setting: says in its repr everything from which `make` simulates."""
    return TraceCase(name, "traces", axes, _identity(setting), lambda: prepared(make()))


def video_case(
    name: str,
    axes: Mapping[str, str],
    setting: object,
    *,
    write: Callable[[Path, Workshop], Path],
    judge: Callable[[], VideoTruth],
    look: Callable[[VideoTruth, Iterator[Frame]], VideoTruth] | None = None,
) -> Case:
    """A clip of the video grid. setting: as for trace_case. write: renders it into a folder; judge, look: its truth."""
    return VideoCase(name, "video", axes, _identity(setting), write, judge, look=look)


def _identity(setting: object) -> str:
    return f"{setting!r} {_simulator()}"


@cache
def _simulator() -> str:
    return simulator_digest()


def trace_cases() -> list[Case]:
    """Every scan of the trace grid."""
    return [
        trace_case(s.name, s.axes, s.scene, partial(spectral_scan, s.scene)) for s in trace_grid.settings()
    ]


def video_cases() -> list[Case]:
    """Every clip of the video grid."""
    return [
        video_case(
            s.name,
            s.axes,
            (s.scene, s.compression),
            write=partial(_rendered, s),
            judge=partial(_known, s.scene),
            look=partial(video_grid.judged, s.scene),
        )
        for s in video_grid.settings()
    ]


def _rendered(setting: video_grid.VideoSetting, folder: Path, workshop: Workshop) -> Path:
    frames = scene.render(setting.scene, workshop.portrait())
    return workshop.write_clip(folder, frames, setting.scene.fps, setting.compression)


def _known(setting: scene.Scene) -> VideoTruth:
    return VideoTruth(setting.duration_s, truth_of(scene.truth(setting)))


def ci_cases() -> list[Case]:
    """The small fixed part that is measured on every change."""
    return [case for case in trace_cases() if case.name in trace_grid.CI_NAMES]
