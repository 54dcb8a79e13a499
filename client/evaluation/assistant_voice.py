"""How well and how fast the device hears that somebody speaks, by noise and level, beside WebRTC's detector in the same run.

Speech is laid out with a second of silence between pieces. A block of 32 ms counts as speech where the clean sound is within 25 dB of the
piece's 90th percentile, as none in the silence between pieces (a guard of 64 ms beside each is left out), and is not counted elsewhere. Noise is
mixed at so many dB below the mean power of active speech. The area under the ROC curve is of all counted blocks; of WebRTC's detector the
score is the share of its four modes, and of its frames of 10 ms in the block, that say speech.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.clock import Clock
from client.evaluation import foreign, sounds
from client.evaluation.report import table
from client.evaluation.sounds import Voice
from edge_models.nets import SpeechNet
from edge_models.speech import BLOCK, BLOCK_S, Began, Ended, Segmenter
from edge_models.types import FloatArray

CLEAN = "clean"
LEVELS_DB: tuple[float | None, ...] = (None, 20.0, 10.0, 5.0, 0.0, -5.0)
"""Speech over noise; None: no noise."""
GATED = ("white", "pink", "brown", "hum", "clicks", "music")
"""Noises that are none of speech; babble is told and not judged."""
LEAST_AUC = {10.0: 0.985, 0.0: 0.965}
MOST_CPU = 0.01
"""Of a core."""
MOST_END_S = 0.7
OURS, WEBRTC = "ours", "webrtcvad"
_GAP_S = 1.0
_GUARD = 2
_SPEECH_DB, _ROOM_DBFS, _LOUD_DBFS = -25.0, -75.0, -26.0
_SPEECH, _NONE, _UNCOUNTED = 1, 0, -1
_SYNTHETIC = {
    "en-us+f3": "I have had a headache since this morning, and my hands are cold.",
    "en-gb+m3": "Could you tell me how long the waiting time is today?",
    "es-419+f2": "Desde ayer me duele la cabeza y no he dormido bien.",
    "fr-fr+m5": "Je voudrais savoir ce que veut dire ce résultat.",
    "de+f4": "Seit gestern habe ich Husten und ein wenig Fieber.",
    "pt-br+m1": "Quero perguntar quando posso voltar ao trabalho.",
    "hi+f5": "मुझे कल से हल्का बुखार है और गला खराब है।",
    "ar": "أشعر بتعب منذ الأمس ولم أنم جيدا.",
    "cmn": "我从昨天开始头疼，晚上也没有睡好。",
}


@dataclass(frozen=True, slots=True)
class Track:
    """One stream of labelled speech. truth: int8 for each block, 1 speech, 0 none, −1 not counted. begins_s, ends_s: of each piece: of its
    first and last block of speech.
    """

    name: str
    samples: FloatArray = field(repr=False)
    truth: NDArray[np.int8] = field(repr=False)
    begins_s: tuple[float, ...] = field(repr=False)
    ends_s: tuple[float, ...] = field(repr=False)


def synthetic() -> list[Voice]:
    """A sentence in each of nine voices of espeak-ng; none where it is not installed."""
    if not sounds.can_speak():
        return []
    return [Voice(voice, sounds.spoken(text, voice), real=False) for voice, text in _SYNTHETIC.items()]


def track(name: str, voices: Sequence[Voice], rng: np.random.Generator) -> Track:
    """All of them in turn, as loud as each other, over the faint noise of a room."""
    parts: list[FloatArray] = []
    truth: list[NDArray[np.int8]] = []
    begins, ends, at = [], [], 0
    gap = round(_GAP_S / BLOCK_S)
    for voice in voices:
        blocks = len(voice.samples) // BLOCK
        piece = sounds.at_level(voice.samples[: blocks * BLOCK], _LOUD_DBFS)
        powers = sounds.powers_of(piece, BLOCK)
        if not powers.any():
            continue
        speech = powers >= np.percentile(powers, 90) * 10 ** (_SPEECH_DB / 10)
        silence = np.full(gap, _NONE, np.int8)
        silence[:_GUARD] = silence[-_GUARD:] = _UNCOUNTED
        parts += [np.zeros(gap * BLOCK), piece]
        truth += [silence, np.where(speech, _SPEECH, _UNCOUNTED).astype(np.int8)]
        spoken = np.flatnonzero(speech)
        begins.append((at + gap + spoken[0]) * BLOCK_S)
        ends.append((at + gap + spoken[-1] + 1) * BLOCK_S)
        at += gap + blocks
    parts.append(np.zeros(gap * BLOCK))
    tail = np.full(gap, _NONE, np.int8)
    tail[:_GUARD] = _UNCOUNTED
    whole = np.concatenate(parts)
    whole = whole + rng.standard_normal(len(whole)) * 10 ** (_ROOM_DBFS / 20)
    return Track(name, whole, np.concatenate([*truth, tail]), tuple(begins), tuple(ends))


def mixed(one: Track, kind: str, level_db: float | None, voices: Sequence[Voice]) -> FloatArray:
    """With noise of a kind, so many dB below the speech; the same kind is the same noise at each level."""
    if level_db is None:
        return one.samples
    rng = np.random.default_rng(zlib.crc32(f"{one.name} {kind}".encode()))
    noise = sounds.noise(kind, len(one.samples), rng, list(voices))
    return np.asarray((one.samples + noise * 10 ** ((_LOUD_DBFS - level_db) / 20)).clip(-1.0, 1.0))


def auc(scores: FloatArray, truth: NDArray[np.int8]) -> float:
    """Area under the ROC curve by ranks, ties counted as a half; NaN where one class is missing."""
    counted = truth != _UNCOUNTED
    values, labels = scores[counted], truth[counted] == _SPEECH
    positive = int(labels.sum())
    negative = len(labels) - positive
    if not positive or not negative:
        return float("nan")
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - 0.5 * (times - 1))[place]
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one track in one noise. cpu_s: of a core, for each block of 32 ms. onsets_s, ends_s, utterances_s: of our net and segmenter, for
    each piece that was heard: from its first block of speech until an utterance had begun, from its last until the net's probability was low,
    and until the utterance was whole. missed: pieces in which none had begun.
    """

    track: str
    noise: str
    level_db: float | None
    tool: str
    auc: float
    cpu_s: float
    onsets_s: tuple[float, ...] = ()
    ends_s: tuple[float, ...] = ()
    utterances_s: tuple[float, ...] = ()
    missed: int = 0

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "track": self.track,
            "noise": self.noise,
            "level_db": self.level_db,
            "tool": self.tool,
            "auc": round(self.auc, 4),
            "cpu_us_per_32_ms": round(1e6 * self.cpu_s, 1),
            "onset_ms": [round(1000 * one) for one in self.onsets_s],
            "end_ms": [round(1000 * one) for one in self.ends_s],
            "utterance_ms": [round(1000 * one) for one in self.utterances_s],
            "missed": self.missed,
        }


def by_ours(
    one: Track, kind: str, level_db: float | None, sound: FloatArray, net: SpeechNet, clock: Clock
) -> Measured:
    """Our net, and the segmenter behind it."""
    net.reset()
    blocks = sound.astype(np.float32).reshape(-1, BLOCK)
    began_s = clock.thread_cpu_s()
    scores = np.array([net.probability(block) for block in blocks])
    cpu_s = (clock.thread_cpu_s() - began_s) / len(blocks)
    segmenter = Segmenter()
    begins, told = [], []
    for at, (block, score) in enumerate(zip(blocks, scores.tolist(), strict=True), 1):
        for event in segmenter.push(block, at * BLOCK_S, score):
            if isinstance(event, Began):
                begins.append(at * BLOCK_S)
            elif isinstance(event, Ended) and not event.cut:
                told.append(event.told_s)
    onsets, ends, utterances, missed = [], [], [], 0
    low = scores < segmenter.rules.ends
    for begin_s, end_s in zip(one.begins_s, one.ends_s, strict=True):
        until_s = end_s + _GAP_S
        here = [at_s for at_s in begins if begin_s - _GAP_S / 2 < at_s <= until_s]
        if not here:
            missed += 1
            continue
        onsets.append(max(0.0, here[0] - begin_s))
        after = round(end_s / BLOCK_S)
        fallen = np.flatnonzero(low[after : after + round(_GAP_S / BLOCK_S)])
        if len(fallen):
            ends.append((float(fallen[0]) + 1) * BLOCK_S)
        utterances += [at_s - end_s for at_s in told if end_s < at_s <= until_s][:1]
    return Measured(
        one.name,
        kind,
        level_db,
        OURS,
        auc(scores, one.truth),
        cpu_s,
        tuple(onsets),
        tuple(ends),
        tuple(utterances),
        missed,
    )


def by_webrtc(one: Track, kind: str, level_db: float | None, sound: FloatArray, clock: Clock) -> Measured:
    """WebRTC's detector, the mean of its modes. Raises EnvironmentFault without the package."""
    began_s = clock.thread_cpu_s()
    frames = foreign.webrtc_speech(sound)
    cpu_s = (clock.thread_cpu_s() - began_s) / len(one.truth)
    centres = (np.arange(len(frames)) + 0.5) * (0.01 / BLOCK_S)
    blocks = np.minimum(centres.astype(np.int64), len(one.truth) - 1)
    sums = np.bincount(blocks, frames, len(one.truth))
    counts = np.maximum(np.bincount(blocks, minlength=len(one.truth)), 1)
    return Measured(one.name, kind, level_db, WEBRTC, auc(sums / counts, one.truth), cpu_s)


def measured(
    tracks: Sequence[tuple[Track, Sequence[Voice]]],
    weights: bytes,
    clock: Clock,
    noises: Iterable[str] = sounds.NOISES,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Measured]:
    """Every track in every noise at every level. tell: is told how far it is."""
    net, found = SpeechNet(weights), []
    kinds = list(noises)
    for one, voices in tracks:
        cases = [
            (CLEAN, None),
            *((kind, level) for kind in kinds for level in LEVELS_DB if level is not None),
        ]
        for at, (kind, level_db) in enumerate(cases, 1):
            sound = mixed(one, kind, level_db, voices)
            found.append(by_ours(one, kind, level_db, sound, net, clock))
            found.append(by_webrtc(one, kind, level_db, sound, clock))
            tell(f"hearing, {one.name} speech: {at} of {len(cases)}")
    return found


def _mean_auc(found: Sequence[Measured], track_: str, tool: str, level_db: float | None) -> float:
    """Over the noises that are judged."""
    some = [
        one.auc
        for one in found
        if (one.track, one.tool, one.level_db) == (track_, tool, level_db)
        and (level_db is None or one.noise in GATED)
    ]
    return float(np.mean(some)) if some else float("nan")


def misses(found: Sequence[Measured]) -> list[str]:
    """Which targets are missed, in words. End of speech counts in the clean and down to 10 dB."""
    told = []
    for name in dict.fromkeys(one.track for one in found):
        for level_db, least in LEAST_AUC.items():
            reached = _mean_auc(found, name, OURS, level_db)
            if reached < least:
                told.append(f"AUC of {name} speech at {level_db:g} dB {reached:.3f}")
    ours = [one for one in found if one.tool == OURS]
    cpu = float(np.median([one.cpu_s for one in ours])) / BLOCK_S if ours else 0.0
    if cpu > MOST_CPU:
        told.append(f"{100 * cpu:.1f} % of a core")
    ends = _all(ours, "utterances_s")
    if ends and float(np.percentile(ends, 95)) > MOST_END_S:
        told.append(f"utterance {1000 * np.percentile(ends, 95):.0f} ms after the end of speech")
    return told


def _all(found: Sequence[Measured], what: str) -> list[float]:
    return [
        value
        for one in found
        if one.level_db is None or (one.level_db >= 10.0 and one.noise in GATED)
        for value in getattr(one, what)
    ]


def _level(level_db: float | None) -> str:
    return CLEAN if level_db is None else f"{level_db:g} dB".replace("-", "−")


def markdown(found: Sequence[Measured]) -> str:
    """AUC by level, ours beside WebRTC's, then by noise; and how fast and dear it is."""
    text = []
    for name in dict.fromkeys(one.track for one in found):
        rows = [
            [f"{tool}", *(f"{_mean_auc(found, name, tool, level):.3f}" for level in LEVELS_DB)]
            for tool in (OURS, WEBRTC)
        ]
        kinds = dict.fromkeys(one.noise for one in found if one.noise != CLEAN)
        cells = {(one.noise, one.level_db, one.tool): one.auc for one in found if one.track == name}
        rows += [
            [
                f"{kind}: ours / webrtcvad" + ("" if kind in GATED else " (not judged)"),
                "",
                *(
                    f"{cells[kind, level, OURS]:.3f} / {cells[kind, level, WEBRTC]:.3f}"
                    for level in LEVELS_DB
                    if level is not None
                ),
            ]
            for kind in kinds
        ]
        text += [
            f"## Hearing, {name} speech: AUC (mean of the judged noises, then each)",
            table(["", *map(_level, LEVELS_DB)], rows),
        ]
    rows = []
    for name in dict.fromkeys(one.track for one in found):
        for level in LEVELS_DB:
            some = [
                one
                for one in found
                if one.tool == OURS
                and (one.track, one.level_db) == (name, level)
                and (level is None or one.noise in GATED)
            ]
            times = [
                "–"
                if not (many := [v for one in some for v in getattr(one, what)])
                else " / ".join(f"{1000 * value:.0f}" for value in np.percentile(many, [50, 95]))
                for what in ("onsets_s", "ends_s", "utterances_s")
            ]
            missed = sum(one.missed for one in some)
            rows.append([name, _level(level), *times, str(missed)])
    text += [
        "## From sound to knowing it, ms: median / 95th percentile",
        table(["speech", "level", "begun", "net quiet again", "utterance whole", "pieces not heard"], rows),
    ]
    for tool in (OURS, WEBRTC):
        cpu_s = float(np.median([one.cpu_s for one in found if one.tool == tool]))
        text.append(
            f"{tool}: {1e6 * cpu_s:.0f} µs of a core for 32 ms ({100 * cpu_s / BLOCK_S:.2f} %)"
            + (", four modes together." if tool == WEBRTC else ".")
        )
    return "\n\n".join(text)


def to_json(found: Sequence[Measured]) -> dict[str, Any]:
    """Everything, as plain values."""
    return {"measured": [one.to_json() for one in found], "misses": misses(found)}
