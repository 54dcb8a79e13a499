"""How fast the store is when it is full: the same statements on the encrypted database and on plain SQLite, in turn.

A store of many scans with bodies and waves of a real size, and readings typed in, is filled in large transactions; then single saves,
all that the history page reads for one showing, and opening are timed on both. Ratios of one run say what encryption costs; absolute times say what this machine's disk does.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from client.clock import Clock
from client.evaluation.report import table
from client.store import entries
from client.store.database import FILE_NAME, Database
from client.store.history import Trend, read
from client.store.observations import Kind, Line, Numbers, Observation, Observations, new_id

SCHEMA = "health-helper/store-speed/1"
_KEY = bytes(range(32))
_START = datetime(2026, 1, 1, tzinfo=UTC)
_AT_ONCE = 2_000
_SCANS_A_READING = 20
_SPAN = timedelta(days=30)
"""The one with which the history page begins."""
SAVES, PAGES, OPENS = 300, 100, 5


class PlainDatabase(Database):
    """The same without encryption: SQLite as Python ships it."""

    def _connected(self, path: Path, _key: bytes) -> Any:
        return sqlite3.connect(str(path), isolation_level=None, check_same_thread=False)


@dataclass(frozen=True, slots=True)
class Times:
    """Of one database, all in ms except size_mb.

    page_ms: what the history page reads when it is shown: 50 lines from the newest, what was typed in among them, the trend of 30 days.
    again_ms: when it is shown again, and nothing was kept since. deep_page_ms: from the middle on. all_ms: with the trend of all.
    """

    name: str
    save_p50_ms: float
    save_p95_ms: float
    page_ms: float
    again_ms: float
    deep_page_ms: float
    all_ms: float
    newest_ms: float
    count_ms: float
    open_ms: float
    size_mb: float


def example(number: int) -> Observation:
    """A scan of 40 s as it is kept, a quarter of an hour after the one before it."""
    chance = np.random.default_rng(number)
    rate = float(chance.normal(72.0, 8.0))
    t_s = np.arange(1200) / 30.0
    wave = (np.sin(2 * np.pi * rate / 60.0 * t_s) + 0.2 * chance.standard_normal(1200)).astype("<f4")
    trend = [
        {"t_s": float(s), "heart_rate": round(rate, 2), "low": round(rate - 1, 2), "high": round(rate + 1, 2)}
        for s in range(40)
    ]
    beats = [round(float(b), 4) for b in np.arange(0.4, 40.0, 60.0 / rate)]
    return Observation(
        Line(
            id=new_id(),
            person=None,
            kind="scan",
            taken_at=_START + timedelta(minutes=15 * number),
            utc_offset_min=0,
            numbers=Numbers(heart_rate=rate, heart_rate_low=rate - 1.0, heart_rate_high=rate + 1.0),
            simulated=False,
        ),
        body={"schema": "health-helper/kept-scan/1", "scan": {"trend": trend, "beats_s": beats}},
        wave=wave.tobytes(),
    )


def reading(number: int) -> Observation:
    """A cuff's, typed in a minute after that scan."""
    taken_at = _START + timedelta(minutes=15 * number + 1)
    values = {"systolic": 120.0 + number % 7, "diastolic": 80.0, "pulse": 70.0}
    return entries.to_observation(Kind.BLOOD_PRESSURE, values, taken_at, None)


def measure(folder: Path, scans: int, clock: Clock, progress: Callable[[str], None]) -> list[Times]:
    """Fill both databases with so many scans and time them. folder: empty, on the disk that is asked about."""
    made: list[tuple[str, type[Database], Path]] = []
    for name, kind in (("encrypted", Database), ("plain SQLite", PlainDatabase)):
        place = folder / name.partition(" ")[0]
        place.mkdir()
        made.append((name, kind, place / FILE_NAME))
    for name, kind, path in made:
        with closing(kind(path, _KEY)) as database:
            for done in _filled(Observations(database), scans):
                progress(f"{name}: {done:,} of {scans:,} scans")
    progress("timing both in turn")
    return _timed(made, scans, clock)


def _filled(store: Observations, scans: int) -> Iterator[int]:
    for first in range(0, scans, _AT_ONCE):
        after = min(first + _AT_ONCE, scans)
        store.save_all(example(number) for number in range(first, after))
        store.save_all(reading(number) for number in range(first, after, _SCANS_A_READING))
        yield after


def _timed(made: list[tuple[str, type[Database], Path]], scans: int, clock: Clock) -> list[Times]:
    """Each thing on one and then on the other, over and over: what else the machine does meanwhile meets both."""

    def ms(work: Callable[[], object]) -> float:
        begun_s = clock.now_s()
        work()
        return 1e3 * (clock.now_s() - begun_s)

    def opened(kind: type[Database], path: Path) -> None:
        with closing(kind(path, _KEY)) as database:
            Observations(database).lines(None)

    found: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name, _, _ in made}
    for _ in range(OPENS):
        for name, kind, path in made:
            found[name]["open"].append(ms(partial(opened, kind, path)))
    with ExitStack() as both:
        stores = {
            name: Observations(both.enter_context(closing(kind(path, _KEY)))) for name, kind, path in made
        }
        middle = replace(example(scans // 2).line, id="")
        start = _START + timedelta(minutes=15 * (scans + SAVES)) - _SPAN
        known: dict[Observations, Trend] = {}

        def shown(store: Observations) -> None:
            known[store] = read(store, None, start).trend

        asked: list[tuple[str, int, Callable[[Observations], object]]] = [
            ("page", PAGES, shown),
            ("again", PAGES, lambda store: read(store, None, start, known=known[store])),
            ("deep", PAGES, lambda store: read(store, None, start, before=middle, known=known[store])),
            ("all", OPENS, lambda store: read(store, None, None)),
            ("newest", PAGES, lambda store: store.newest(None, "scan")),
            ("count", OPENS, lambda store: store.count(None)),
        ]
        for number in range(scans, scans + SAVES):
            new = example(number)
            for name, store in stores.items():
                found[name]["save"].append(ms(partial(store.save, new)))
        for what, times, ask in asked:
            for _ in range(times):
                for name, store in stores.items():
                    found[name][what].append(ms(partial(ask, store)))
    return [
        Times(
            name,
            save_p50_ms=float(np.median(found[name]["save"])),
            save_p95_ms=float(np.percentile(found[name]["save"], 95)),
            page_ms=float(np.percentile(found[name]["page"], 95)),
            again_ms=float(np.percentile(found[name]["again"], 95)),
            deep_page_ms=float(np.percentile(found[name]["deep"], 95)),
            all_ms=float(np.median(found[name]["all"])),
            newest_ms=float(np.percentile(found[name]["newest"], 95)),
            count_ms=float(np.median(found[name]["count"])),
            open_ms=float(np.median(found[name]["open"])),
            size_mb=sum(part.stat().st_size for part in path.parent.iterdir()) / 1e6,
        )
        for name, _, path in made
    ]


def to_json(scans: int, found: list[Times]) -> dict[str, object]:
    """Plain values."""
    return {
        "schema": SCHEMA,
        "scans": scans,
        "databases": [
            {
                field: getattr(one, field) if field == "name" else round(getattr(one, field), 3)
                for field in Times.__slots__
            }
            for one in found
        ],
    }


def markdown(scans: int, found: list[Times]) -> str:
    """A table, with the encrypted one's times over the plain one's."""
    ours, plain = found
    rows = [
        [
            words,
            wanted,
            f"{getattr(ours, field):.2f}",
            f"{getattr(plain, field):.2f}",
            f"{getattr(ours, field) / getattr(plain, field):.2f}",
        ]
        for words, wanted, field in (
            ("one save, median, ms", "", "save_p50_ms"),
            ("one save, 95th percentile, ms", "≤ 10", "save_p95_ms"),
            ("the history page's read, 30 days, 95th percentile, ms", "≤ 50", "page_ms"),
            ("the same again, 95th percentile, ms", "≤ 50", "again_ms"),
            ("its page from the middle, 95th percentile, ms", "≤ 50", "deep_page_ms"),
            ("its read with the trend of all, median, ms", "", "all_ms"),
            ("the newest of a kind, 95th percentile, ms", "", "newest_ms"),
            ("counting them all, median, ms", "", "count_ms"),
            ("open and show the newest page, median, ms", "≤ 1,000", "open_ms"),
            ("on the disk, MB", "", "size_mb"),
        )
    ]
    return table([f"{scans:,} scans", "wanted", ours.name, plain.name, "ratio"], rows)
