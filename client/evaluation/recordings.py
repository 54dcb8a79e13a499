"""The real recordings beside the checkout, where they are there: mean colour traces of faces, and a few filmed faces.

ubfc-example: windows of 10 s, one every second, with two truths. "ubfc-example": the mean of the oximeter's rates
within the window. The oximeter itself averages and lags: its rate follows its own pulse wave by two to three seconds,
so that while the rate changes even a perfect measurement differs from it. "ubfc-example-contact": the rate of the
contact pulse wave in the same window, by the same spectrum, a sample per frame as the set was recorded.
monkey-traces: rhesus monkeys, one window per reference segment; 40 to 250 /min.
face-clips: one face with about 53 beats a minute; two clips whose header lies about the frame rate and whose truth
nobody knows: no number may be shown for them.

The plain methods beside ours are the projections of edge_models.pulse, band-limited, and the highest peak of a
Hann-tapered spectrum.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from client.evaluation.cases import Case, VideoCase, VideoTruth, Workshop, fingerprint_of, told
from client.evaluation.contact import peak_rate_per_min
from client.evaluation.outcomes import HEART_RATE, OURS, Outcome, Reading, Truth
from edge_models import mean_trace, pulse
from edge_models.signal.resample import even_grid, measured_fps, on_grid
from edge_models.types import FloatArray

UBFC, UBFC_CONTACT, MONKEYS, CLIPS = "ubfc-example", "ubfc-example-contact", "monkey-traces", "face-clips"
WINDOW_S, HOP_S = 10.0, 1.0
_UBFC_FPS = 29.875
_UBFC_BAND_PER_MIN = (40.0, 200.0)
_MONKEY_BAND_PER_MIN = (40.0, 250.0)
# Of monkey-traces/summary.txt: frames per second, seconds of a reference segment.
_SESSIONS = {1: (30.0, 8.5), 2: (30.0, 8.5), 3: (50.0, 5.0), 4: (100.0, 5.0), 5: (50.0, 5.0)}
_EVM_PER_MIN = 53.0


@dataclass(frozen=True, slots=True)
class Window:
    """Seconds of a trace and the true mean heart rate in them, /min."""

    start_s: float
    stop_s: float
    heart_rate: float


@dataclass(frozen=True, slots=True)
class MeanTrace:
    """A colour trace [shape=(n, 3)], R G B, at t_s [shape=(n,)], and its windows."""

    t_s: FloatArray
    rgb: FloatArray
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class TraceRecording:
    """A recording of which only the mean colour is there: ours and the plain methods on every window."""

    name: str
    group: str
    files: tuple[Path, ...]
    band_per_min: tuple[float, float]
    read: Callable[[], MeanTrace]
    effort: float = 2.0
    is_video: bool = False

    def fingerprint(self) -> str:
        """Of the files' contents."""
        contents = (hashlib.sha256(path.read_bytes()).hexdigest() for path in self.files)
        return fingerprint_of(self.group, self.name, *contents)

    def measure(self, jobs: Sequence[str], _workshop: Workshop) -> Iterator[tuple[str, list[Outcome]]]:
        """One outcome per window and method."""
        for job in jobs:
            try:
                found = [outcome for window in self._windows() for outcome in window]
            except Exception as error:  # noqa: BLE001 (one recording that breaks us must not hide the others)
                found = self.failure(job, told(error))
            yield job, found

    def _windows(self) -> Iterator[list[Outcome]]:
        trace = self.read()
        low, high = self.band_per_min
        for window in trace.windows:
            inside = (trace.t_s >= window.start_s) & (trace.t_s < window.stop_s)
            t_s, rgb = trace.t_s[inside], trace.rgb[inside]
            blank = Outcome(
                case=f"{self.name}, {window.start_s:g} s",
                group=self.group,
                tool=OURS,
                duration_s=window.stop_s - window.start_s,
                axes={"recording": self.name},
                truth=Truth(has_pulse=True, heart_rate=round(window.heart_rate, 3)),
            )
            said = mean_trace.estimate(t_s, rgb, lowest_per_min=low, highest_per_min=high)
            found = [replace(blank, vitals={HEART_RATE: Reading.of(said)})]
            for method in PLAIN:
                rate = plain_rate_per_min(method, t_s, rgb, self.band_per_min)
                found.append(replace(blank, tool=method, vitals={HEART_RATE: Reading(rate)}))
            yield found

    def failure(self, _job: str, why: str) -> list[Outcome]:
        """As a whole, without a truth."""
        return [Outcome(self.name, self.group, OURS, 0.0, {}, Truth(has_pulse=True), failed=why)]


def _green(rgb: FloatArray, _rate_hz: float) -> FloatArray:
    return pulse.green(rgb)


def _chrom(rgb: FloatArray, rate_hz: float) -> FloatArray:
    return pulse.chrom(rgb, rate_hz=rate_hz)


def _pos(rgb: FloatArray, rate_hz: float) -> FloatArray:
    return pulse.pos(rgb, rate_hz=rate_hz)


PLAIN: Mapping[str, Callable[[FloatArray, float], FloatArray]] = {
    "POS": _pos,
    "CHROM": _chrom,
    "GREEN": _green,
}
"""The plain methods by name: mean colour at an even rate (Hz) → wave."""


def plain_rate_per_min(
    method: str, t_s: FloatArray, rgb: FloatArray, band_per_min: tuple[float, float]
) -> float:
    """The highest peak of the spectrum of a plain method's wave within the band, /min."""
    rate_hz = measured_fps(t_s)
    grid_s = even_grid(float(t_s[0]), float(t_s[-1]), rate_hz)
    even = np.stack([on_grid(t_s, rgb[:, k], grid_s, max_gap_s=1.0)[0] for k in range(3)], axis=1)
    return peak_rate_per_min(PLAIN[method](even, rate_hz), rate_hz, band_per_min)


def cases(folder: Path) -> list[Case]:
    """Those of the recordings that lie in the folder."""
    found: list[Case] = []
    colours, reference = folder / UBFC / "mean_rgb.mat", folder / UBFC / "ground_truth.txt"
    if colours.is_file() and reference.is_file():
        for group in (UBFC, UBFC_CONTACT):
            read = partial(read_ubfc_example, colours, reference, by_contact=group == UBFC_CONTACT)
            found.append(TraceRecording("subject", group, (colours, reference), _UBFC_BAND_PER_MIN, read))
    for number, (fps, segment_s) in _SESSIONS.items():
        place = folder / MONKEYS / f"Session{number}"
        samples, rates = place / f"Session{number}.bin", place / f"Session{number}_REF.csv"
        if samples.is_file() and rates.is_file():
            read = partial(read_monkey_session, samples, rates, fps, segment_s)
            found.append(
                TraceRecording(f"session {number}", MONKEYS, (samples, rates), _MONKEY_BAND_PER_MIN, read)
            )
    clips = folder / CLIPS
    if (film := clips / "evm-face-53bpm.mp4").is_file():
        truth = VideoTruth(10.0, Truth(has_pulse=True, heart_rate=_EVM_PER_MIN))
        found.append(_clip("evm-face-53bpm", film, truth))
    unknown = VideoTruth(0.0, Truth(has_pulse=True))
    films = {name: clips / f"{name}.mp4" for name in ("desk-light-100", "desk-light-25")}
    return [*found, *(_clip(name, film, unknown) for name, film in films.items() if film.is_file())]


def _clip(name: str, film: Path, truth: VideoTruth) -> VideoCase:
    return VideoCase(
        name,
        CLIPS,
        {},
        hashlib.sha256(film.read_bytes()).hexdigest(),
        make=lambda _folder, _workshop: film,
        judge=lambda: truth,
        owned=False,
        effort=10.0,
    )


def read_ubfc_example(colours: Path, reference: Path, *, by_contact: bool) -> MeanTrace:
    """Mean RGB at the video's stated rate; the reference's rows are: contact pulse, oximeter's rate, time in s."""
    rgb = matlab_matrix(colours.read_bytes())
    rgb = rgb if rgb.shape[1] == 3 else rgb.T
    contact, rate, rate_t_s = np.array(
        [
            [float(word) for word in line.split()]
            for line in reference.read_text("ascii").splitlines()
            if line.strip()
        ]
    )
    t_s = np.arange(len(rgb)) / _UBFC_FPS
    last_s = min(float(t_s[-1]), float(rate_t_s[-1]))
    windows = []
    for k in range(math.floor((last_s - WINDOW_S) / HOP_S) + 1):
        start_s = k * HOP_S
        if by_contact:
            first = math.ceil(start_s * _UBFC_FPS)
            true = peak_rate_per_min(
                contact[first : first + round(WINDOW_S * _UBFC_FPS)], _UBFC_FPS, _UBFC_BAND_PER_MIN
            )
        else:
            true = float(rate[(rate_t_s >= start_s) & (rate_t_s < start_s + WINDOW_S)].mean())
        windows.append(Window(start_s, start_s + WINDOW_S, true))
    return MeanTrace(t_s, rgb, tuple(windows))


def read_monkey_session(samples: Path, rates: Path, fps: float, segment_s: float) -> MeanTrace:
    """float32 R, G, B in turn; one reference rate per segment, commas between. Segments that are not whole are left."""
    rgb = np.frombuffer(samples.read_bytes(), "<f4").reshape(-1, 3).astype(np.float64)
    t_s = np.arange(len(rgb)) / fps
    windows = [
        Window(k * segment_s, (k + 1) * segment_s, float(rate))
        for k, rate in enumerate(rates.read_text("ascii").strip().split(","))
        if (k + 1) * segment_s <= len(rgb) / fps + 1e-9
    ]
    return MeanTrace(t_s, rgb, tuple(windows))


_MATRIX, _DOUBLE = 14, 9
_HEADER_BYTES = 128


def matlab_matrix(raw: bytes) -> FloatArray:
    """The one uncompressed real matrix of doubles in a MATLAB level 5 file. Raises ValueError for anything else."""
    at = _HEADER_BYTES
    kind, _ = struct.unpack_from("<II", raw, at)
    if kind != _MATRIX:
        raise ValueError("no uncompressed matrix")
    at += 8
    shape: tuple[int, ...] = ()
    for field in ("flags", "shape", "name", "values"):
        word, size = struct.unpack_from("<II", raw, at)
        if word >> 16:  # a small element: type and size in one word, its data in the next
            at += 8
            continue
        if field == "shape":
            shape = struct.unpack_from(f"<{size // 4}i", raw, at + 8)
        if field == "values":
            if word != _DOUBLE:
                raise ValueError("no matrix of doubles")
            return np.frombuffer(raw, "<f8", size // 8, at + 8).reshape(shape, order="F").astype(np.float64)
        at += 8 + (size + 7) // 8 * 8
    raise ValueError("no values")
