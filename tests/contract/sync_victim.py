"""The client that `sync_torture` kills: the real store, documents, outbox, uploader and transport, as the application puts them together.

One process has everything loaded and forks a child for each life. A child tells on standard output what it is about to do, what it has
begun and ended (+ and -), and what the person was told to be kept, once the call has returned. Whoever kills it reads all of that.

    save N PERSON … saved N          add N … added N ID          forget PERSON … forgotten PERSON

What is kept is worked out from numbers, so that the other side knows it without being told.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import sys
import threading
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from random import Random
from typing import Any, ClassVar
from uuid import UUID, uuid4

import filelock  # noqa: F401 (loaded before the first child)

from client.app import kept_of
from client.clock import SystemClock
from client.cloud import wire
from client.cloud.service import Cloud
from client.errors import BadInput
from client.parts import Kept
from client.pipeline import membership as _membership  # noqa: F401 (loaded before the first child)
from client.pipeline.outgoing import FIGURES
from client.policy import Policy
from client.store import database
from client.store.consents import Subject
from client.store.database import Database, migrations
from client.store.observations import Kind, Line, Numbers, Observation
from client.store.opening import open_store
from client.store.outbox import Outbox

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OF_A_LIFE = 1000
"""Numbers of things; a life has its own."""
OF_A_DEVICE_S = 3_000_000
"""Each thing has a moment of its own, one second after the other; each device its own weeks."""
OLDER = list(migrations())
STEP = (
    "UPDATE observation SET body = json_set(body, '$.step', coalesce(json_extract(body, '$.step'), 0) + 1);\n"
)
"""One further migration, which touches every row, as a newer program may have it."""
OLD_SCANS = 5
LARGEST_BYTES = 3_000_000
_WAVE = struct.pack("<dd", 0.0, 1.0 / 30.0)


class FileVault:
    """A key store that outlives whoever is killed: a file for each entry, whole or not there, as a real one's are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        return path.read_bytes() if path.exists() else None

    def write(self, name: str, secret: bytes) -> None:
        part = self._folder / f"{name}.{threading.get_ident()}.part"
        part.write_bytes(secret)
        part.replace(self._folder / name)

    def forget(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)


def store_of(folder: Path) -> Path:
    """Where a device's store lies."""
    return folder / "store"


def vault_of(folder: Path) -> FileVault:
    """Its key store."""
    return FileVault(folder / "keys")


# --- What is kept, by its number


def moment(device: int, number: int) -> datetime:
    return BEGAN + timedelta(seconds=device * OF_A_DEVICE_S + number)


def observation(device: int, number: int, person: str | None) -> Observation:
    """Two of three are scans, as large as real ones; the others were typed in."""
    chance = Random(f"observation {device} {number}")
    id_, at = str(UUID(int=chance.getrandbits(128), version=4)), moment(device, number)
    if number % 3 == 2:
        values = {
            "systolic": float(chance.randrange(90, 180)),
            "diastolic": float(chance.randrange(50, 110)),
        }
        body: dict[str, Any] = {
            "schema": "health-helper/entry/1",
            "entered": True,
            "values": values,
            "note": "as told",
        }
        return Observation(
            Line(id_, person, Kind.BLOOD_PRESSURE, at, 60, Numbers(), simulated=False), body, None
        )
    rate = round(chance.uniform(45.0, 130.0), 1)

    def vital(value: float | None, unit: str, *reasons: str) -> dict[str, Any]:
        return {
            "value": value,
            "low": None if value is None else value - 2.0,
            "high": None if value is None else value + 2.0,
            "unit": unit,
            "confidence": 0.0 if value is None else 0.9,
            "reasons": list(reasons),
            "window_s": 30.0,
            "algorithm": "torture",
        }

    scan = {
        "schema": "health-helper/scan/1",
        "source": "camera",
        "simulated": False,
        "duration_s": 30.0,
        "accepted_s": 29.5,
        "frames": 900,
        "measured_fps": 30.0,
        "vitals": {
            "heart_rate": vital(rate, "/min"),
            "respiratory_rate": vital(None, "/min", "sources_disagree"),
            "rmssd": vital(round(chance.uniform(10.0, 90.0), 1), "ms"),
            "sdnn": vital(None, "ms", "too_short"),
        },
        "beats_s": [round(at_s * 60.0 / rate, 3) for at_s in range(int(rate / 2))],
        "trend": [{"t_s": float(at_s), "heart_rate": rate, "low": None, "high": None} for at_s in range(10)],
        "quality": {"score": 0.91, "reasons": [], "limiting_factor": None},
        "saved": True,
        "saved_reason": None,
        "cost": {},
    }
    body = {
        "schema": "health-helper/kept-scan/1",
        "scan": scan,
        "notes": [],
        "remarks": [],
        "version": "0.1.0",
    }
    numbers = Numbers(heart_rate=rate, heart_rate_low=rate - 2.0, heart_rate_high=rate + 2.0)
    wave = _WAVE + chance.randbytes(4 * 900)
    return Observation(Line(id_, person, Kind.SCAN, at, 60, numbers, simulated=False), body, wave)


def expected(device: int, number: int, patient: str) -> dict[str, Any]:
    """What the cloud must have been sent of it, written down from the numbers and not by the client."""
    kept = observation(device, number, None)
    found: dict[str, Any] = {
        "id": kept.line.id,
        "patient_id": patient,
        "kind": str(kept.line.kind),
        "taken_at": kept.line.taken_at.isoformat(),
        "utc_offset_min": 60,
    }
    if kept.line.kind == Kind.SCAN:
        scan = kept.body["scan"]
        return found | {
            "entered": False,
            "software_version": "0.1.0",
            "values": scan["vitals"],
            "quality": scan["quality"],
            "facts": {**{name: scan[name] for name in FIGURES}, "simulated": False},
        }
    values = kept.body["values"]
    return found | {
        "entered": True,
        "software_version": "",
        "values": {
            name: {"value": value, "unit": "mmHg", "reasons": [], "algorithm": ""}
            for name, value in values.items()
        },
        "facts": {},
    }


def digest(kept: Observation) -> str:
    """Of all that was kept but what a migration adds."""
    body = {name: value for name, value in kept.body.items() if name != "step"}
    line = asdict(replace(kept.line, kind=str(kept.line.kind)))
    text = json.dumps([line, body], sort_keys=True, default=datetime.isoformat)
    return hashlib.sha256(text.encode() + (kept.wave or b"no wave")).hexdigest()


def document(device: int, number: int) -> tuple[str, str, bytes]:
    """Purpose, media type and bytes: 1 KB to 3 MB, small ones more often than large ones."""
    chance = Random(f"document {device} {number}")
    size = int(1000.0 * (LARGEST_BYTES / 1000.0) ** chance.random())
    match number % 3:
        case 0:
            return "medical_report", "application/pdf", _pdf(chance, min(size, 60_000))
        case 1:
            return "medical_report", "image/png", png(chance, size)
    filler = chance.randbytes(max(1, size // 2 - 60)).hex()
    record = json.dumps(
        {"schema": "health-helper/scan/1", "device": device, "number": number, "rest": filler}
    )
    return "scan_record", "application/json", record.encode()


def png(chance: Random, size: int) -> bytes:
    """Noise."""
    width = 64
    height = max(1, size // (3 * width + 1))
    rows = b"".join(b"\0" + chance.randbytes(3 * width) for _ in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows, 0))
        + chunk(b"IEND", b"")
    )


def _pdf(chance: Random, size: int) -> bytes:
    """One page with a line of text, and a long remark where it is drawn."""
    drawn = b"BT /F1 12 Tf 50 700 Td (%s) Tj ET\n" % chance.randbytes(8).hex().encode()
    drawn += b"% " + chance.randbytes(max(1, (size - 700) // 2)).hex().encode() + b"\n"
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    made, places = bytearray(b"%PDF-1.4\n"), []
    for at, part in enumerate(parts, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (at, part)
    begin = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(parts) + 1)
    made += b"".join(b"%010d 00000 n \n" % place for place in places)
    made += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(parts) + 1, begin)
    return bytes(made)


# --- A life


@dataclass(frozen=True, slots=True)
class Life:
    """kind: what it does mostly; "born" and "drained" are let live to their end. number: of the life, from 1. steps: further migrations that its
    program has. old: the version that the store is born with. enrolled: as the outbox keeps it. sabotage: how this client is broken.
    """

    kind: str
    folder: str
    device: int
    number: int
    seed: str
    person: str
    steps: int
    old: int
    enrolled: dict[str, str]
    sabotage: str | None = None


def say(words: str) -> None:
    os.write(1, words.encode() + b"\n")  # one call: on the pipe before the next thing is done


@contextmanager
def _within(what: str) -> Iterator[None]:
    say(f"+ {what}")
    try:
        yield
    finally:
        say(f"- {what}")


def _tell(owner: type, method: str, what: str) -> None:
    """From now on its beginning and its end are told."""
    real = getattr(owner, method)

    @wraps(real)
    def told(*given: Any, **named: Any) -> Any:
        with _within(what):
            return real(*given, **named)

    setattr(owner, method, told)


def _born(life: Life) -> None:
    """A store as an older program left it, with somebody in it and what was measured of them."""
    database.migrations = lambda: OLDER[: life.old]
    opened = open_store(store_of(Path(life.folder)), vault_of(Path(life.folder)))
    kept = [observation(life.device, number, life.person) for number in range(OLD_SCANS)]
    with opened.database.changes() as change:
        change.do(
            "INSERT INTO person (id, name, made_at) VALUES (?, 'Somebody', '2026-03-01T12:00:00.000Z')",
            (life.person,),
        )
        for one in kept:
            numbers = one.line.numbers
            change.do(
                "INSERT INTO observation (id, person, kind, taken_at, utc_offset_min, heart_rate, heart_rate_low, heart_rate_high,"
                " simulated, body, wave) VALUES (?, ?, ?, ?, 60, ?, ?, ?, 0, ?, ?)",
                (
                    one.line.id,
                    life.person,
                    str(one.line.kind),
                    one.line.taken_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    numbers.heart_rate,
                    numbers.heart_rate_low,
                    numbers.heart_rate_high,
                    json.dumps(one.body),
                    None if one.wave is None else zlib.compress(one.wave),
                ),
            )
    for number in range(OLD_SCANS):
        say(f"save {number} {life.person}")
        say(f"saved {number}")
    opened.database.close()
    say("over")


class _Living:
    """Does things one after the other, by chance; most often those of its kind."""

    WEIGHTS: ClassVar = {"save": 6, "document": 2, "backup": 1, "delete": 2, "forget": 1}
    MOST: ClassVar = {"save": 30, "document": 4, "backup": 4, "delete": 12, "forget": 3}
    """Of one life, so that a store does not grow with the slowness of the machine."""

    def __init__(self, life: Life, kept: Kept) -> None:
        self._life, self._kept, self._chance = life, kept, Random(life.seed)
        self._next = life.number * OF_A_LIFE
        self._mine: list[str] = []
        self._mine_on_file: list[str] = []
        self._did: dict[str, int] = dict.fromkeys(self.WEIGHTS, 0)

    def go_on(self) -> None:
        weights = dict(self.WEIGHTS)
        if self._life.kind in weights:
            weights[self._life.kind] += 12
        if self._life.kind in {"upload", "acknowledge"}:
            weights["document"] += 3
        while True:
            can = {what: weight for what, weight in weights.items() if self._did[what] < self.MOST[what]}
            if can:
                [what] = self._chance.choices(list(can), list(can.values()))
                self._did[what] += 1
                getattr(self, what)()
                self._kept.sync.wake()
            _still_wanted()
            threading.Event().wait(self._chance.uniform(0.0, 0.12) if can else 0.1)
            if self._chance.random() < 0.3:
                self._kept.sync.try_now()

    def _number(self) -> int:
        self._next += 1
        return self._next

    def save(self, person: str | None = None) -> None:
        number = self._number()
        whose = person or (self._life.person if self._chance.random() < 0.7 else None)
        made = observation(self._life.device, number, whose)
        say(f"save {number} {whose or '-'}")
        with _within("save"):
            self._kept.observations.save(made, guest_agrees=True)
        say(f"saved {number}")
        if person is None:
            self._mine.append(made.line.id)

    def document(self, person: str | None = None) -> None:
        number = self._number()
        whose = person or (self._life.person if self._chance.random() < 0.7 else None)
        purpose, media_type, data = document(self._life.device, number)
        pieces = [data[at : at + 50_000] for at in range(0, len(data), 50_000)]
        if self._life.sabotage == "corrupt":
            pieces[-1] = pieces[-1][:-1]
        say(f"add {number} {whose or '-'}")
        with _within("document"):
            made = self._kept.documents.add(
                pieces,
                person=whose,
                purpose=purpose,
                media_type=media_type,
                title="From home",
                pages=None,
                now=datetime.now(UTC),
                guest_agrees=True,
            )
        say(f"added {number} {made.id}")
        if person is None:
            self._mine_on_file.append(made.id)

    def backup(self) -> None:
        self._kept.back_up()

    def delete(self) -> None:
        now = datetime.now(UTC)
        if self._mine_on_file and self._chance.random() < 0.4:
            one = self._chance.choice(self._mine_on_file)
            with _within("delete"):
                self._kept.documents.delete(one, now)
                if self._chance.random() < 0.5:
                    self._kept.documents.restore(one)
        elif self._mine:
            one = self._chance.choice(self._mine)
            with _within("delete"):
                self._kept.observations.delete(one, now=now)
                if self._chance.random() < 0.5:
                    self._kept.observations.restore(one)

    def forget(self) -> None:
        """Somebody comes, is measured, perhaps sent, and wants to be forgotten."""
        number = self._number()
        now = datetime.now(UTC)
        person = self._kept.observations.add_person(f"Visitor {number}", now=now).id
        say(f"visitor {person}")
        self._kept.consents.record(person, Subject.CLOUD, 1, True, "en", now)
        self.save(person)
        if self._chance.random() < 0.4:
            self.document(person)
        self._kept.sync.wake()
        threading.Event().wait(self._chance.choice((0.0, 0.05, 0.3)))
        say(f"forget {person}")
        with _within("forget"):
            self._kept.forgetting.forget_person(person, datetime.now(UTC))
        say(f"forgotten {person}")


def _opened(life: Life) -> Kept:
    folder = Path(life.folder)
    database.migrations = lambda: [*OLDER, *[STEP] * life.steps]
    vault = vault_of(folder)
    with _within("migration" if life.kind == "migration" else "opening"):
        opened = open_store(store_of(folder), vault)
    if opened.healed is not None:
        say("healed")  # nothing here damages a file
    kept = kept_of(opened, vault, SystemClock(), Policy())
    if kept.outbox.enrolled() is None:
        kept.outbox.set_enrolled(life.enrolled)
    consent = kept.consents.newest(life.person, Subject.CLOUD)
    now = datetime.now(UTC)
    if consent is None:
        kept.consents.record(life.person, Subject.CLOUD, 1, True, "en", now)
    kept.outbox.offer_earlier(life.person, now=now)
    return kept


def _live(life: Life) -> None:
    for owner, method, what in (
        (Outbox, "acknowledge", "acknowledge"),
        (Database, "back_up", "backup"),
        (Cloud, "send_observations", "upload"),
        (Cloud, "announce", "upload"),
        (Cloud, "put", "upload"),
        (Cloud, "complete", "upload"),
    ):
        _tell(owner, method, what)
    SABOTAGES[life.sabotage](life)
    kept = _opened(life)
    kept.sync.start()
    say("opened")
    _Living(life, kept).go_on()


def _once(life: Life) -> None:
    """One scan and one document are kept and sent; nothing else happens."""
    SABOTAGES[life.sabotage](life)
    kept = _opened(life)
    living = _Living(life, kept)
    living.save(life.person)
    living.document(life.person)
    kept.sync.start()
    kept.sync.try_now()  # a program that was just started takes its time
    say("opened")


def _drained(life: Life) -> None:
    """What was deleted is put back; all is sent; then what is here is told."""
    SABOTAGES[life.sabotage](life)
    kept = _opened(life)
    now = datetime.now(UTC)
    for _, one in kept.documents.deleted(now):
        kept.documents.restore(one.id)
    for gone in kept.observations.deleted(now=now):
        if gone.line is not None:
            kept.observations.restore(gone.line.id)
    kept.sync.start()
    kept.sync.try_now()
    while (counts := kept.outbox.counts()).pending + counts.sending:
        say(f"waits {counts.pending + counts.sending} {kept.sync.status.state}")
        _still_wanted()
        threading.Event().wait(0.2)
        kept.sync.try_now()
    for item in kept.outbox.items(100):
        say(f"stays {item.id} {item.kind} {item.state} {item.reason}")
    if kept.sync.uploader.bug is not None:
        say(f"bug {kept.sync.uploader.bug!r}")
    if not kept.sync.end(30.0):
        say("bug the thread that sends does not end")
    _tell_all(kept)
    say("over")


def _tell_all(kept: Kept) -> None:
    store: Any = kept.observations
    for words in store._database.damage():
        say(f"damage {words}")
    if not store._database.journal_is_whole():
        say("damage the journal")
    people = [person.id for person in store.people()]
    for person in people:
        say(f"person {person}")
    for person in (None, *people):
        lines = store.between(person, None, None)
        for one in store.wholes([line.id for line in lines]):
            say(f"has {one.line.id} {digest(one)}")
        for listed in kept.documents.list(person):
            hashed = hashlib.sha256()
            for chunk in kept.documents.read(listed.id):
                hashed.update(chunk)
            say(f"holds {listed.id} {hashed.hexdigest()}")
    kept.close()


# --- Clients that are broken on purpose: what the torture must find


def _acknowledges_first(_life: Life) -> None:
    """What was never sent is taken for sent."""

    def send(self: Cloud, batch: wire.ObservationBatch) -> wire.BatchResult:
        stored = (
            wire.ItemResult(at, one.id, wire.ItemStatus.STORED, ())
            for at, one in enumerate(batch.observations)
        )
        return wire.BatchResult(tuple(stored))

    Cloud.send_observations = send  # type: ignore[method-assign]


def _new_id_each_time(_life: Life) -> None:
    """Each try has its own identifiers, and there are always two."""
    real = Cloud.send_observations

    def send(self: Cloud, batch: wire.ObservationBatch) -> wire.BatchResult:
        def once() -> wire.BatchResult:
            others = tuple(replace(one, id=str(uuid4())) for one in batch.observations)
            return real(self, wire.ObservationBatch(others))

        once()
        found = once()
        named = (replace(one, id=batch.observations[one.at].id) for one in found.results)
        return wire.BatchResult(tuple(named))

    Cloud.send_observations = send  # type: ignore[method-assign]


def _dies_after(method: str) -> Callable[[Life], None]:
    """The process is killed once the server has answered, before anybody here has seen the answer."""

    def prepare(_life: Life) -> None:
        real = getattr(Cloud, method)

        def last(*given: Any) -> None:
            real(*given)
            say(f"dies {method}")
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(Cloud, method, last)

    return prepare


def _dies_in_put(_life: Life) -> None:
    """With half of a file on its way."""
    real = Cloud.put

    def put(self: Cloud, place: wire.UploadUrl, chunks: Iterable[bytes], length_bytes: int) -> None:
        def half() -> Iterator[bytes]:
            sent_bytes = 0
            for chunk in chunks:
                yield chunk[: max(1, length_bytes // 2 - sent_bytes)]
                sent_bytes += len(chunk)
                if sent_bytes >= length_bytes // 2:
                    say("dies within put")
                    os.kill(os.getpid(), signal.SIGKILL)

        real(self, place, half(), length_bytes)

    Cloud.put = put  # type: ignore[method-assign]


POINTS = ("announce", "within put", "put", "complete", "send_observations")
SABOTAGES: dict[str | None, Callable[[Life], None]] = {
    None: lambda _life: None,
    "lost": _acknowledges_first,
    "doubled": _new_id_each_time,
    "corrupt": lambda _life: None,  # in `document`
    **{point: _dies_after(point) for point in POINTS},
    "within put": _dies_in_put,
}
KINDS: dict[str, Callable[[Life], None]] = {"born": _born, "once": _once, "drained": _drained}
"""Every other kind lives until it is killed."""


def _still_wanted() -> None:
    if os.getppid() != _parent:
        os._exit(1)


_parent = 0


def serve() -> None:
    """A child for each line of standard input; "reap PID" once it was killed."""
    global _parent  # noqa: PLW0603 (of the children: who has forked them)
    _parent = os.getpid()
    for line in sys.stdin:
        if line.startswith("reap "):
            os.waitpid(int(line.removeprefix("reap ")), 0)
            say("ended")
            continue
        life = Life(**json.loads(line))
        pid = os.fork()
        if pid:
            say(f"pid {pid}")
            continue
        try:
            KINDS.get(life.kind, _live)(life)
        except BadInput as error:
            say(f"failed {error.title!r} {traceback.format_exc()!r}")
        except BaseException:  # noqa: BLE001 (told to whoever kills it)
            say(f"failed {traceback.format_exc()!r}")
        while True:
            _still_wanted()
            with suppress(InterruptedError):
                signal.sigtimedwait([], 1)
