"""Something to measure: simulated traces, a rendered clip, a recording. Each knows its truth and how to be measured."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from client.clock import Clock
from client.devices.ports import Compression, FrameSource
from client.errors import BadInput, EnvironmentFault
from client.evaluation.outcomes import OURS, Outcome, Reading, Truth
from client.evaluation.peers import Peer, PeerAnswer, answer_of
from client.evaluation.pictures import Pictures
from client.evaluation.process import run_to_end
from client.pipeline.run import Engine, ScanRun
from client.pipeline.session import Goal
from edge_models.face import SkinSample
from edge_models.types import ByteArray, Frame, ScanResult

OUR_COMMAND = "our command"
"""As a job: our own command as a whole process, as the peers are run, so that their costs can be compared."""
_LOOK_EVERY_S = 0.2
_FOLDER = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[/\\](?:[^\s/\\'\"]+[/\\])+")


@dataclass(frozen=True, slots=True)
class Workshop:
    """What measuring needs of the outside.

    portrait: the picture that the first simulator puts before its camera. folder: rendered clips lie in it for as
    long as they are measured. kept: clips that stay, by fingerprint; None:
    none stay. peers: by name. command: what runs our own scan of a video as a process.
    """

    folder: Path
    kept: Path | None
    clock: Clock
    engine: Callable[[], Engine]
    video: Callable[[Path], FrameSource]
    write_clip: Callable[[Path, Iterable[Frame], float, Compression | None], Path]
    portrait: Callable[[], ByteArray]
    command: Callable[[Path], list[str]]
    peers: Mapping[str, Peer]


class Case(Protocol):
    """One thing to measure."""

    @property
    def name(self) -> str:
        """Unique in its group."""

    @property
    def group(self) -> str:
        """As Outcome.group."""

    @property
    def effort(self) -> float:
        """About how long measuring takes, in traces of half a minute: for the progress bar."""

    @property
    def is_video(self) -> bool:
        """Whether whole programs (peers) can measure it."""

    def fingerprint(self) -> str:
        """Changes whenever what is measured changes; hexadecimal."""

    def measure(self, jobs: Sequence[str], workshop: Workshop) -> Iterator[tuple[str, list[Outcome]]]:
        """(job, what came of it) for every job: OURS, OUR_COMMAND, or the name of a peer.

        Raises EnvironmentFault where the machine is not ready. Whatever else goes wrong is an outcome that failed.
        """

    def failure(self, job: str, why: str) -> list[Outcome]:
        """What is put down where a job broke off without a word."""


def fingerprint_of(*parts: str) -> str:
    """A short digest of texts, each told apart from the next."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def tool_of(job: str) -> str:
    """Under which name a job's outcome stands in the tables."""
    return OURS if job == OUR_COMMAND else job


@dataclass(frozen=True, slots=True)
class PreparedTrace:
    """Skin samples ready to be measured. size_px: (width, height) of the picture they would come from."""

    samples: Iterable[SkinSample]
    size_px: tuple[int, int]
    duration_s: float
    truth: Truth
    oracle_db: float | None
    supported: bool | None


@dataclass(frozen=True, slots=True)
class TraceCase:
    """Simulated skin samples, without pictures. identity: text from which `prepare` follows."""

    name: str
    group: str
    axes: Mapping[str, str]
    identity: str
    prepare: Callable[[], PreparedTrace]
    effort: float = 1.0
    is_video: bool = False

    def fingerprint(self) -> str:
        """Of the identity."""
        return fingerprint_of(self.group, self.name, self.identity)

    def measure(self, jobs: Sequence[str], workshop: Workshop) -> Iterator[tuple[str, list[Outcome]]]:
        """By the engine behind the face tracker; `jobs` is OURS alone."""
        from edge_models.scan import Measurement

        for job in jobs:
            try:
                made = self.prepare()
                blank = Outcome(
                    self.name,
                    self.group,
                    OURS,
                    made.duration_s,
                    self.axes,
                    made.truth,
                    oracle_db=made.oracle_db,
                    supported=made.supported,
                )
                begun_s = workshop.clock.process_cpu_s()
                measurement = Measurement()
                for sample in made.samples:
                    measurement.take(sample, frame_size_px=made.size_px)
                found = filled(blank, measurement.result())
                cpu_s = workshop.clock.process_cpu_s() - begun_s
                yield job, [replace(found, cost={"cpu_s": round(cpu_s, 3)})]
            except Exception as error:  # noqa: BLE001 (one clip that breaks us must not hide the others)
                yield job, self.failure(job, told(error))

    def failure(self, job: str, why: str) -> list[Outcome]:
        """With the truth where that can still be had."""
        made = self.prepare()
        return [
            Outcome(
                self.name,
                self.group,
                tool_of(job),
                made.duration_s,
                self.axes,
                made.truth,
                oracle_db=made.oracle_db,
                supported=made.supported,
                failed=why,
            )
        ]


@dataclass(frozen=True, slots=True)
class VideoTruth:
    """What is known of a video beside its pictures. duration_s: 0 where nobody knows before it is read."""

    duration_s: float
    truth: Truth
    oracle_db: float | None = None
    supported: bool | None = None
    axes: Mapping[str, str] = field(default_factory=dict)


_UNKNOWN = VideoTruth(0.0, Truth(has_pulse=True))


def _blank(case: Case, axes: Mapping[str, str], job: str, known: VideoTruth) -> Outcome:
    return Outcome(
        case.name,
        case.group,
        tool_of(job),
        known.duration_s,
        {**axes, **known.axes},
        known.truth,
        oracle_db=known.oracle_db,
        supported=known.supported,
    )


@dataclass(frozen=True, slots=True)
class VideoCase:
    """A video, measured as a person would: our scan of the file, and whole programs beside it.

    identity: text from which the video follows (a setting and the simulator's version; a file's name, size, time).
    make: writes the video into a folder with the workshop's writer, or says where it lies already.
    owned: whether what `make` returns may be deleted. judge: its truth; look: what its pictures, as they are
    decoded, add to that.
    """

    name: str
    group: str
    axes: Mapping[str, str]
    identity: str
    make: Callable[[Path, Workshop], Path]
    judge: Callable[[], VideoTruth]
    owned: bool = True
    look: Callable[[VideoTruth, Iterator[Frame]], VideoTruth] | None = None
    effort: float = 25.0
    is_video: bool = True

    def fingerprint(self) -> str:
        """Of the identity."""
        return fingerprint_of(self.group, self.name, self.identity)

    def measure(self, jobs: Sequence[str], workshop: Workshop) -> Iterator[tuple[str, list[Outcome]]]:
        """The video is made once for all jobs."""
        with tempfile.TemporaryDirectory(dir=workshop.folder) as folder:
            try:
                known = self.judge()
                video = self._video(Path(folder), workshop)
                if self.look is not None:
                    known = self.look(known, _decoded(workshop.video(video)))
            except EnvironmentFault:
                raise
            except Exception as error:  # noqa: BLE001 (as for traces)
                yield from ((job, self.failure(job, told(error))) for job in jobs)
                return
            for job in jobs:
                blank = _blank(self, self.axes, job, known)
                try:
                    if job == OURS:
                        found = scanned(workshop.video(video), blank, workshop)
                    elif job == OUR_COMMAND:
                        found = _ran(workshop.command(video), blank, workshop)
                    else:
                        found = _ran(workshop.peers[job].command(video), blank, workshop)
                except EnvironmentFault:
                    raise
                except Exception as error:  # noqa: BLE001 (as for traces)
                    found = replace(blank, failed=told(error))
                yield job, [found]

    def _video(self, folder: Path, workshop: Workshop) -> Path:
        if workshop.kept is None or not self.owned:
            return self.make(folder, workshop)
        stays = workshop.kept / self.fingerprint()
        if whole := sorted(stays.glob("clip.*")):
            return whole[0]
        made = self.make(folder, workshop)
        half = stays.with_name(f"{stays.name}.{folder.name}")
        half.mkdir(parents=True)
        shutil.move(made, half / f"clip{made.suffix}")
        if stays.exists():  # another run was faster
            shutil.rmtree(half)
        else:
            half.rename(stays)
        return next(stays.glob("clip.*"))

    def failure(self, job: str, why: str) -> list[Outcome]:
        """With its truth where that can be had."""
        return _failure(self, self.axes, self.judge, job, why)


@dataclass(frozen=True, slots=True)
class PicturesCase:
    """Pictures that lie in no video file, with their own times: ours only, for whole programs want a file.

    frames: from the first picture to the last. The rest as for VideoCase.
    """

    name: str
    group: str
    axes: Mapping[str, str]
    identity: str
    frames: Callable[[], Iterator[Frame]]
    judge: Callable[[], VideoTruth]
    effort: float = 40.0
    is_video: bool = False

    def fingerprint(self) -> str:
        """Of the identity."""
        return fingerprint_of(self.group, self.name, self.identity)

    def measure(self, jobs: Sequence[str], workshop: Workshop) -> Iterator[tuple[str, list[Outcome]]]:
        """By the same ScanRun as a video."""
        for job in jobs:
            try:
                blank = _blank(self, self.axes, job, self.judge())
                yield job, [scanned(Pictures(self.name, self.frames), blank, workshop)]
            except EnvironmentFault:
                raise
            except Exception as error:  # noqa: BLE001 (as for traces)
                yield job, self.failure(job, told(error))

    def failure(self, job: str, why: str) -> list[Outcome]:
        """With its truth where that can be had."""
        return _failure(self, self.axes, self.judge, job, why)


def _decoded(source: FrameSource) -> Iterator[Frame]:
    source.open()
    try:
        while (frame := source.read()) is not None:
            yield frame
    finally:
        source.close()


def _failure(
    case: Case, axes: Mapping[str, str], judge: Callable[[], VideoTruth], job: str, why: str
) -> list[Outcome]:
    try:
        known = judge()
    except Exception:  # noqa: BLE001 (it may be what failed)
        known = _UNKNOWN
    return [replace(_blank(case, axes, job, known), failed=why)]


def scanned(source: FrameSource, blank: Outcome, workshop: Workshop) -> Outcome:
    """Our scan of a source in this process, by the same ScanRun as the command's."""
    clock = workshop.clock
    begun_s, begun_cpu_s = clock.now_s(), clock.process_cpu_s()
    with ScanRun(source, workshop.engine, goal=Goal(), clock=clock) as run:
        while not run.wait(_LOOK_EVERY_S):
            pass
        result = run.outcome().result
    cost = {"cpu_s": clock.process_cpu_s() - begun_cpu_s, "wall_s": clock.now_s() - begun_s}
    return replace(filled(blank, result), cost={name: round(value, 3) for name, value in cost.items()})


def _ran(command: list[str], blank: Outcome, workshop: Workshop) -> Outcome:
    """A whole process, ours or a peer's, and what it cost the machine."""
    ended = run_to_end(command, clock=workshop.clock)
    answer: PeerAnswer = answer_of(ended)
    return replace(
        blank,
        vitals=answer.vitals,
        live=answer.live,
        cost={
            "process_cpu_s": round(ended.cpu_s, 3),
            "startup_cpu_s": answer.startup_cpu_s,
            "wall_s": round(ended.wall_s, 3),
            "peak_rss_mb": answer.peak_rss_mb,
        },
    )


def filled(blank: Outcome, result: ScanResult) -> Outcome:
    """The outcome with what the engine says."""
    return replace(
        blank,
        duration_s=blank.duration_s or round(result.duration_s, 3),
        vitals={name: Reading.of(estimate) for name, estimate in result.vitals.items()},
        live=tuple((p.t_s, p.heart_rate, p.low, p.high) for p in result.trend),
    )


def told(error: Exception) -> str:
    """One line for the table; folders of this machine are no part of it."""
    if isinstance(error, BadInput):
        return error.title
    what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return _FOLDER.sub("", f"{type(error).__name__}: {what}")[:200]
