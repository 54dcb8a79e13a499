"""One scan from its first frame to its result. The same object serves camera, file, demo, tests and benchmark."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import replace

import numpy as np

from edge_models.coach import Coach
from edge_models.face import BACKGROUND_COLS, BACKGROUND_ROWS, FaceTracker, SkinSample
from edge_models.fusion import HOP_S, WINDOW_S, PulseFusion, PulseTrack
from edge_models.nets import FaceNet
from edge_models.quality import MIN_FPS, FrameVerdict, judge, light_changes
from edge_models.regions import GRID_RATE_HZ, Traces, background_weights, traces
from edge_models.signal.beats import detect
from edge_models.signal.resample import measured_fps
from edge_models.types import (
    Estimate,
    Float32Array,
    Frame,
    Progress,
    Quality,
    Reason,
    ScanResult,
    Trace,
    TrendPoint,
)
from edge_models.vitals import VITALS, Signals, heart_rate
from edge_models.vitals.spec import withheld

_MIN_WINDOW_SHARE = 0.6
LIVE_WINDOWS = 6
_LIVE_WAVE_S = 6.0
_GONE_AFTER_S = 0.7
_MIN_FRAMES = 60
_LONGEST_PAUSE_S = 60.0
_RATE_EVERY_S = 0.25
_RATE_OF_S = 2.0
_OFTEN = 0.2
"""Share of the time from which a fault is told beside the result."""
_EMPTY = np.zeros(0)
_TINT_ROWS = slice(2, 16)
"""Of the face's cells: without hair and neck."""
_NO_WAVE = Trace(_EMPTY, _EMPTY)


def _tint(cells: Float32Array | None) -> float:
    """Natural logarithm of green over red, of the mean over cells [shape=(..., 3)]; NaN without cells."""
    if cells is None or not cells.size:
        return float("nan")
    red, green, _ = cells.reshape(-1, 3).mean(axis=0).tolist()
    return math.log(max(green, 1.0) / max(red, 1.0))


class Measurement:
    """Everything behind the face tracker: take every skin sample in order; result() at any moment, as often as wanted.

    Samples must have strictly increasing t_s, 0 for the first; one that does not is dropped.
    """

    def __init__(self) -> None:
        self._fusion = PulseFusion()
        self._samples: list[SkinSample] = []
        self._verdicts: list[FrameVerdict] = []
        # Of every sample: its time, and the accepted seconds until then.
        self._times_s: list[float] = []
        self._accepted_until_s: list[float] = []
        self._frames_with: Counter[Reason] = Counter()
        self._frames_first_with: Counter[Reason] = Counter()  # as what is worst
        self._size_px = (0, 0)
        self._accepted_s = 0.0
        self._last_accepted_s = -np.inf
        self._next_window_s = HOP_S
        self._trend: list[TrendPoint] = []
        self._live: Estimate | None = None
        self._live_wave = _NO_WAVE
        self._coach = Coach()
        self._recent_fps = 0.0
        self._next_rate_s = -np.inf

    def take(self, sample: SkinSample, *, frame_size_px: tuple[int, int]) -> Progress:
        """Measure one sample. frame_size_px: (width, height) of the picture it came from."""
        self._size_px = frame_size_px
        t_s = sample.t_s
        before = self._samples[-1] if self._samples else None
        if before is not None and t_s <= before.t_s:
            return self._progress(before)
        verdict = judge(
            sample,
            before,
            frame_height_px=frame_size_px[1],
            seen_before=self._last_accepted_s >= 0,
        )
        if verdict.accepted:
            if before is not None and self._verdicts[-1].accepted:
                self._accepted_s += min(t_s - before.t_s, 0.5)
            self._last_accepted_s = t_s
        self._samples.append(sample)
        self._verdicts.append(verdict)
        self._times_s.append(t_s)
        self._accepted_until_s.append(self._accepted_s)
        if verdict.reasons:
            self._frames_with.update(set(verdict.reasons))
            self._frames_first_with[verdict.reasons[0]] += 1
        self._coach.take(sample, verdict, frame_size_px=frame_size_px)
        if t_s - self._next_window_s > _LONGEST_PAUSE_S:
            self._next_window_s = float(
                np.floor(t_s)
            )  # a clock that jumps: no reading for seconds that never were
        while t_s >= self._next_window_s:
            self._each_second(self._next_window_s)
            self._next_window_s += HOP_S
        if (
            t_s - self._last_accepted_s > _GONE_AFTER_S
            and self._live is not None
            and self._live.value is not None
        ):
            why = verdict.reasons[:1] or (Reason.FACE_LEFT,)
            self._live = withheld(heart_rate.UNIT, heart_rate.ALGORITHM, why, self._accepted_s)
            self._live_wave = _NO_WAVE
        return self._progress(sample)

    def result(self, *, distrust: tuple[Reason, ...] = ()) -> ScanResult:
        """Everything measured so far. distrust: what the source says against itself, e.g. its frame rate."""
        duration_s = self._samples[-1].t_s if self._samples else 0.0
        t_s = np.array([s.t_s for s in self._samples])
        fps = measured_fps(t_s)
        fusion = self._fusion.copy()  # the scan may go on after this result
        end_s = float(np.floor(duration_s * GRID_RATE_HZ) / GRID_RATE_HZ)
        if end_s - (self._next_window_s - HOP_S) > 0.3 * HOP_S:  # the last part of a second
            window = self._window(end_s)
            if window is not None:
                fusion.add(window)
        fusion.read_again()
        obstacles, forbidding = self._obstacles(fps, distrust)
        signals = self._signals(fusion, fusion.track(), obstacles, forbidding)
        signals = self._with_beats_and_breath(signals)
        rate = heart_rate.estimate(signals)
        signals = replace(signals, heart_rate=rate)
        vitals = {spec.name: rate if spec is heart_rate.SPEC else spec.estimate(signals) for spec in VITALS}
        shown = rate.value is not None
        beats = signals.beats
        return ScanResult(
            duration_s=float(duration_s),
            accepted_s=self._accepted_s,
            frames=len(self._samples),
            measured_fps=fps,
            vitals=vitals,
            beats_s=tuple(float(b) for b in beats.times_s[beats.good]) if shown and beats is not None else (),
            trend=tuple(self._trend)
            if not distrust
            else tuple(TrendPoint(p.t_s, None, None, None) for p in self._trend),
            quality=self._quality(rate, obstacles),
            bvp=Trace(signals.t_s, signals.bvp) if shown else _NO_WAVE,
        )

    def _progress(self, sample: SkinSample) -> Progress:
        if sample.t_s >= self._next_rate_s:  # not for every frame: nobody reads it so fast
            self._next_rate_s = sample.t_s + _RATE_EVERY_S
            # Of the last seconds, not of the last frames: at 8 a second those would be long ago.
            recent = bisect_left(self._times_s, sample.t_s - _RATE_OF_S)
            self._recent_fps = measured_fps(np.array(self._times_s[recent:]))
        return Progress(
            t_s=sample.t_s,
            accepted_s=self._accepted_s,
            frames=len(self._samples),
            measured_fps=self._recent_fps,
            face=sample.face,
            hint=self._coach.hint,
            heart_rate=self._live,
            bvp=self._live_wave,
            faults=self._coach.present,
        )

    def _counted_s(self, start_s: float, end_s: float) -> float:
        """Accepted seconds inside [start_s, end_s]."""
        first, after = bisect_left(self._times_s, start_s), bisect_right(self._times_s, end_s)
        if after <= max(first, 1):
            return 0.0
        return self._accepted_until_s[after - 1] - self._accepted_until_s[max(first, 1) - 1]

    def _window(self, end_s: float) -> Traces | None:
        """The traces of the window that ends at end_s; None where too little of it counts."""
        start_s = end_s - WINDOW_S
        if self._counted_s(start_s, end_s) < _MIN_WINDOW_SHARE * WINDOW_S:
            return None
        first = bisect_left(self._samples, start_s - 0.2, key=lambda s: s.t_s)
        accepted = np.array([v.accepted for v in self._verdicts[first:]])
        return traces(
            self._samples[first:], accepted, start_s=start_s, end_s=end_s, frame_size_px=self._size_px
        )

    def _each_second(self, now_s: float) -> None:
        """Close the window that ends now, and renew the live reading."""
        self._live, self._live_wave = None, _NO_WAVE
        point = TrendPoint(now_s, None, None, None)
        window = self._window(now_s)
        if window is not None:
            self._fusion.add(window)
            if self._counted_s(now_s - _GONE_AFTER_S, now_s) > 0:
                self._live, self._live_wave = live, _ = self._measure_live(now_s)
                point = TrendPoint(now_s, live.value, live.low, live.high)
        self._trend.append(point)

    def _measure_live(self, now_s: float) -> tuple[Estimate, Trace]:
        """The heart rate of the last windows, and the last seconds of the wave where there is one."""
        fps = measured_fps(np.array([s.t_s for s in self._samples[-300:]]))
        obstacles, forbidding = self._obstacles(fps, ())
        track = self._fusion.track(last=LIVE_WINDOWS)
        signals = self._signals(self._fusion, track, obstacles, forbidding)
        # What stands behind it are the last windows, not the whole scan.
        behind_s = self._counted_s(now_s - WINDOW_S - (LIVE_WINDOWS - 1) * HOP_S, now_s)
        rate = heart_rate.estimate_now(replace(signals, accepted_s=behind_s))
        if rate.value is None:
            return rate, _NO_WAVE
        late = signals.t_s >= now_s - _LIVE_WAVE_S
        wave = signals.bvp[late]
        size = float(np.percentile(np.abs(wave), 95)) if len(wave) else 0.0
        return rate, Trace(signals.t_s[late], wave / size if size > 0 else wave)

    # What all vital signs are computed from

    def _signals(
        self,
        fusion: PulseFusion,
        track: PulseTrack | None,
        obstacles: tuple[Reason, ...],
        forbidding: tuple[Reason, ...],
    ) -> Signals:
        t_s, bvp, rate, valid = _EMPTY, _EMPTY, _EMPTY, np.zeros(0, np.bool_)
        if track is not None:
            t_s, bvp, valid = fusion.wave(track)
            rate = np.interp(t_s, track.t_s, track.rate_per_min)
        return Signals(
            accepted_s=self._accepted_s,
            track=track,
            t_s=t_s,
            bvp=bvp,
            rate_per_min=rate,
            valid=valid,
            beats=None,
            heart_rate=None,
            chest_t_s=_EMPTY,
            chest_y=_EMPTY,
            head_y=_EMPTY,
            skin_tint=_EMPTY,
            room_tint=_EMPTY,
            obstacles=obstacles,
            forbidding=forbidding,
        )

    def _with_beats_and_breath(self, signals: Signals) -> Signals:
        """What only a finished scan needs: every beat, and what may move with the breath."""
        # The face in it would make the room's tint breathe, which is then taken out of the skin's.
        away = background_weights(self._samples, *self._size_px).reshape(BACKGROUND_ROWS, BACKGROUND_COLS) > 0
        return replace(
            signals,
            beats=None
            if signals.track is None
            else detect(signals.t_s, signals.bvp, signals.rate_per_min, signals.valid),
            chest_t_s=np.array([s.t_s for s in self._samples]),
            chest_y=np.array([s.chest_y for s in self._samples]),
            head_y=np.array([s.motion[1] if s.face is not None else np.nan for s in self._samples]),
            skin_tint=np.array(
                [_tint(None if s.cells is None else s.cells[_TINT_ROWS]) for s in self._samples]
            ),
            room_tint=np.array([_tint(s.background[away]) for s in self._samples]),
        )

    def _obstacles(
        self, fps: float, distrust: tuple[Reason, ...]
    ) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
        """(all that stood in the way, worst first; those of them that forbid any value)."""
        forbidding: list[Reason] = list(distrust)
        if self._last_accepted_s < 0:
            worst = self._frames_first_with.most_common(1)
            forbidding += [reason for reason, _ in worst] or [Reason.TOO_SHORT]
        if len(self._samples) > 1 and fps < MIN_FPS:
            forbidding.append(Reason.LOW_FRAME_RATE)
        if len(self._samples) < _MIN_FRAMES:
            forbidding.append(Reason.TOO_FEW_FRAMES)
        total = max(len(self._verdicts), 1)
        often = self._frames_with.most_common()
        remarks = [reason for reason, count in often if count > _OFTEN * total]
        remarks += self._coach.often(_OFTEN)
        if light_changes(self._samples):
            remarks.append(Reason.LIGHT_CHANGES)
        return tuple(dict.fromkeys((*forbidding, *remarks))), tuple(dict.fromkeys(forbidding))

    def _quality(self, rate: Estimate, obstacles: tuple[Reason, ...]) -> Quality:
        """The score is the share of time that counted, times the confidence in the pulse."""
        duration_s = self._samples[-1].t_s if self._samples else 0.0
        share = min(1.0, self._accepted_s / duration_s) if duration_s > 0 else 0.0
        reasons = tuple(dict.fromkeys((*obstacles, *rate.reasons)))
        return Quality(round(share * rate.confidence, 3), reasons, reasons[0] if reasons else None)


class Scan(Measurement):
    """push every frame in order, read Progress; result() at any moment.

    face_net: the verified bytes of the face net. Frames must have strictly increasing t_s; a frame that
    does not is dropped, because its time cannot be told. A frame of another size starts a new search for the face.
    """

    def __init__(self, face_net: bytes) -> None:
        super().__init__()
        self._tracker = FaceTracker(FaceNet(face_net))
        self._start_s: float | None = None
        self._last_s = -np.inf

    def push(self, frame: Frame) -> Progress:
        """Measure one frame. Raises ValueError for a picture that is not uint8 [height, width, 3], or no time."""
        image = frame.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape[:2]) < 16:
            raise ValueError(f"a frame must be uint8 [height, width, 3] of at least 16 px, not {image.shape}")
        if not np.isfinite(frame.t_s):
            raise ValueError(f"a frame must have a time, not {frame.t_s}")
        if self._start_s is None:
            self._start_s = frame.t_s
        t_s = frame.t_s - self._start_s
        if t_s <= self._last_s:
            return self._progress(self._samples[-1])
        self._last_s = t_s
        sample = self._tracker.update(Frame(image, t_s))
        return self.take(sample, frame_size_px=(image.shape[1], image.shape[0]))
