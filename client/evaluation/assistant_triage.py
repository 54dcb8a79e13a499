"""How well triage notices an emergency in sentences that were written for it: recall, false alarms, time, by language, category and style.

The sets are lines of JSON (id, language, text, level, category, style) in `assets/benchmark/assistant/triage`. "held_out" was written apart
from the rules and used once; "development" is what the rules were mended with. An emergency counts as noticed where the level comes out as
emergency; a benign sentence is a false alarm where any level but none does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np

from client import config
from client.assistant.triage import Level, Triage, Verdict
from client.clock import Clock
from client.errors import EnvironmentFault
from client.evaluation.metrics import Share
from client.evaluation.report import table

SETS = ("held_out", "development")
LEAST_RECALL, LEAST_RECALL_PER_LANGUAGE, MOST_FALSE, MOST_MS = 0.995, 0.98, 0.05, 200.0
_FIELDS = ("id", "language", "text", "level", "style")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One of a set. level: what is right. category: None where nothing is wrong."""

    id: str
    language: str
    text: str = field(repr=False)
    level: Level
    category: str | None
    style: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What triage made of it, and how long that took."""

    sentence: Sentence
    level: Level
    category: str | None
    took_ms: float

    @property
    def noticed(self) -> bool:
        """At least the level that is right."""
        return self.level >= self.sentence.level

    @property
    def alarm(self) -> bool:
        """Anything at all was noticed."""
        return self.level is not Level.NONE


def sets(folder: Traversable | None = None) -> dict[str, list[Sentence]]:
    """Those of SETS that are there, in that order. Raises EnvironmentFault where there is none, or one is broken."""
    folder = folder or config.assets().joinpath("benchmark", "assistant", "triage")
    found = {}
    for name in SETS:
        file = folder.joinpath(f"{name}.jsonl")
        if file.is_file():
            found[name] = [
                _sentence(name, number, line)
                for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
                if line.strip()
            ]
    if not found:
        raise EnvironmentFault(
            title="There are no sentences to judge", remedy="They come with the source of Health Helper."
        )
    return found


def _sentence(name: str, number: int, line: str) -> Sentence:
    try:
        given = json.loads(line)
        said, language, text, level, style = (given[one] for one in _FIELDS)
        return Sentence(said, language, text, Level(level), given.get("category"), style)
    except (ValueError, KeyError, TypeError) as error:
        raise EnvironmentFault(
            title=f"Line {number} of {name}.jsonl is not as agreed", remedy="Take it from the source again."
        ) from error


def judged(
    sentences: Iterable[Sentence], triage: Triage, clock: Clock, tell: Callable[[str], None] = lambda _: None
) -> list[Judged]:
    """Each alone; the shortest of up to three times counts, for what other programs take is not ours. tell: is told how far it is."""
    triage.prepare()
    found = []
    for sentence in sentences:
        verdict, took_ms = _timed(triage, sentence, clock)
        for _ in range(2):
            if took_ms > MOST_MS / 4:
                took_ms = min(took_ms, _timed(triage, sentence, clock)[1])
        found.append(Judged(sentence, verdict.level, verdict.category, took_ms))
        if len(found) % 50 == 0:
            tell(f"triage: {len(found)} sentences")
    return found


def _timed(triage: Triage, sentence: Sentence, clock: Clock) -> tuple[Verdict, float]:
    began_s = clock.now_s()
    verdict = triage.judge(sentence.text, sentence.language)
    return verdict, 1000.0 * (clock.now_s() - began_s)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of some sentences. recall: of emergencies; false: of benign ones; urgent: of urgent ones, that at least that was noticed.

    right_category: of emergencies that were noticed.
    """

    recall: Share
    false: Share
    urgent: Share
    right_category: Share

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "recall": self.recall.to_json(),
            "false_alarms": self.false.to_json(),
            "urgent": self.urgent.to_json(),
            "right_category": self.right_category.to_json(),
        }


def figures(found: Sequence[Judged]) -> Figures:
    """Of these."""
    flags = [one for one in found if one.sentence.level is Level.EMERGENCY]
    benign = [one for one in found if one.sentence.level is Level.NONE]
    urgent = [one for one in found if one.sentence.level is Level.URGENT]
    noticed = [one for one in flags if one.noticed]
    return Figures(
        Share(len(noticed), len(flags)),
        Share(sum(one.alarm for one in benign), len(benign)),
        Share(sum(one.noticed for one in urgent), len(urgent)),
        Share(sum(one.category == one.sentence.category for one in noticed), len(noticed)),
    )


def _groups(found: Sequence[Judged]) -> dict[str, dict[str, list[Judged]]]:
    keys: Mapping[str, Callable[[Sentence], str]] = {
        "language": lambda one: one.language,
        "category": lambda one: one.category or "benign",
        "style": lambda one: one.style,
    }
    made: dict[str, dict[str, list[Judged]]] = {axis: {} for axis in keys}
    for one in found:
        for axis, key in keys.items():
            made[axis].setdefault(key(one.sentence), []).append(one)
    return {axis: dict(sorted(cells.items())) for axis, cells in made.items()}


def times_ms(found: Sequence[Judged]) -> tuple[float, float, float]:
    """Median, 95th percentile and the longest."""
    took = [one.took_ms for one in found]
    p50, p95 = np.percentile(took, [50, 95])
    return float(p50), float(p95), max(took)


def misses(found: Sequence[Judged]) -> list[str]:
    """Which targets are missed, in words."""
    told, whole = [], figures(found)
    if whole.recall.whole and (whole.recall.share or 0.0) < LEAST_RECALL:
        told.append(f"recall {_percent(whole.recall)}")
    if (whole.false.share or 0.0) > MOST_FALSE:
        told.append(f"false alarms {_percent(whole.false)}")
    for language, members in _groups(found)["language"].items():
        recall = figures(members).recall
        if recall.whole and (recall.share or 0.0) < LEAST_RECALL_PER_LANGUAGE:
            told.append(f"recall in {language} {_percent(recall)}")
    longest_ms = times_ms(found)[2]
    if longest_ms > MOST_MS:
        told.append(f"{longest_ms:.0f} ms for a sentence")
    return told


def _percent(share: Share) -> str:
    if share.share is None or share.interval is None:
        return "–"
    low, high = share.interval
    return f"{100 * share.share:.1f} % ({100 * low:.1f}–{100 * high:.1f}; {share.count} of {share.whole})"


def markdown(found: Mapping[str, Sequence[Judged]]) -> str:
    """The sets in turn, with a table for each axis, and the names of what went wrong (never its words)."""
    text = []
    for name, members in found.items():
        whole, (p50, p95, longest) = figures(members), times_ms(members)
        flags = [one for one in members if one.sentence.level is Level.EMERGENCY]
        exact = sum(one.level is Level.EMERGENCY for one in members if one.sentence.level is Level.NONE)
        text += [
            f"## Triage, {name} set: {len(flags)} emergencies, {whole.false.whole} benign",
            (
                f"Recall {_percent(whole.recall)}, wanted {100 * LEAST_RECALL:g} %. False alarms {_percent(whole.false)}, at most "
                f"{100 * MOST_FALSE:g} % ({exact} of them as an emergency). Category right in {_percent(whole.right_category)}. Time "
                f"{p50:.0f} ms median, {p95:.0f} ms 95th percentile, {longest:.0f} ms longest (at most {MOST_MS:g})."
            ),
        ]
        for axis, cells in _groups(members).items():
            rows = []
            for key, some in cells.items():
                of = figures(some)
                rows.append([key, _percent(of.recall), _percent(of.false)])
            text.append(table([axis, "recall (95 % interval)", "false alarms (95 % interval)"], rows))
        missed = [one.sentence.id for one in flags if not one.noticed]
        alarms = [one.sentence.id for one in members if one.sentence.level is Level.NONE and one.alarm]
        text.append(f"Missed: {', '.join(missed) or 'none'}. False alarms: {', '.join(alarms) or 'none'}.")
        text.append(f"Short of what is wanted: {'; '.join(misses(members)) or 'nothing'}.")
    return "\n\n".join(text)


def to_json(found: Mapping[str, Sequence[Judged]]) -> dict[str, Any]:
    """The same for programs. No sentence is in it, only its name."""
    made = {}
    for name, members in found.items():
        p50, p95, longest = times_ms(members)
        made[name] = {
            **figures(members).to_json(),
            "ms": {"p50": round(p50, 2), "p95": round(p95, 2), "max": round(longest, 2)},
            "by": {
                axis: {key: figures(some).to_json() for key, some in cells.items()}
                for axis, cells in _groups(members).items()
            },
            "missed": [
                one.sentence.id for one in members if one.sentence.level is not Level.NONE and not one.noticed
            ],
            "false": [one.sentence.id for one in members if one.sentence.level is Level.NONE and one.alarm],
            "misses": misses(members),
        }
    return made
