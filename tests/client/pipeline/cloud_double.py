"""A cloud in memory for the uploader: it keeps what it is sent, judges as the server does, and fails as it is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from client.clock import Clock
from client.cloud import faults, wire

MOMENT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@dataclass
class CloudDouble:
    """trouble: called before each request with its name; what it raises is the answer. lost: the same after it was carried out.

    verdicts: of single observations, instead of "stored". poison: ids that make the server fail (500). state: of a file once it is complete.
    busy_erasing: so often an erasure is answered with 503 first. while_putting: called at each piece of a file.
    """

    clock: Clock
    trouble: Callable[[str], None] = lambda _name: None
    lost: Callable[[str], None] = lambda _name: None
    verdicts: dict[str, str] = field(default_factory=dict)
    device_id: str | None = None
    poison: set[str] = field(default_factory=set)
    state: str = "processing"
    reason: str | None = None
    busy_erasing: int = 0
    max_batch: int = 100
    clinic_id: str = "c0ffee00-0000-4000-8000-000000000001"
    while_putting: Callable[[], None] = lambda: None
    stored: dict[str, dict[str, object]] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    announced: dict[str, wire.NewUpload] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    erased: list[str] = field(default_factory=list)
    beats: list[wire.Heartbeat] = field(default_factory=list)
    asked: list[tuple[str, float]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    clock_offset_s: float | None = 0.5
    closed: bool = False

    def count(self, name: str) -> int:
        return sum(asked == name for asked, _ in self.asked)

    def close(self) -> None:
        self.closed = True

    def _begin(self, name: str) -> None:
        self.asked.append((name, self.clock.now_s()))
        self.trouble(name)

    def send_observations(self, batch: wire.ObservationBatch) -> wire.BatchResult:
        self._begin("observations")
        assert 1 <= len(batch.observations) <= 100 and len(batch.body()) <= wire.REQUEST_BYTES
        self.batches.append(len(batch.observations))
        if any(one.id in self.poison for one in batch.observations):
            raise faults.ServerBusy(500)
        results = []
        for at, one in enumerate(batch.observations):
            status = self.verdicts.get(one.id, "stored")
            if status == "stored":
                if one.id in self.stored:
                    status = "already_stored" if self.stored[one.id] == one.to_json() else "conflict"
                    self.again.append(one.id)
                else:
                    self.stored[one.id] = one.to_json()
                    self.order.append(one.id)
            results.append(wire.ItemResult(at, one.id, status, ()))
        self.lost("observations")
        return wire.BatchResult(tuple(results))

    def announce(self, new: wire.NewUpload) -> wire.UploadUrl:
        self._begin("announce")
        if self.announced.setdefault(new.id, new) != new:
            raise faults.Refused(409, wire.Code.CONFLICT)
        there = new.id in self.files
        self.lost("announce")
        return wire.UploadUrl(
            id=new.id,
            state=self.states.get(new.id, "awaiting"),
            url=None if there else f"https://objects.example/{new.id}",
            method="PUT",
            headers={},
            expires_at=None,
        )

    def put(self, place: wire.UploadUrl, chunks: Iterable[bytes], length_bytes: int) -> None:
        self._begin("put")
        data = bytearray()
        for chunk in chunks:
            data += chunk
            self.while_putting()
        assert len(data) == length_bytes
        self.files[place.id] = bytes(data)
        self.lost("put")

    def complete(self, upload_id: str) -> wire.Upload:
        self._begin("complete")
        if upload_id not in self.announced:
            raise faults.Refused(404, wire.Code.NOT_FOUND)
        if upload_id not in self.files:
            raise faults.Refused(409, wire.Code.CONFLICT)
        new = self.announced[upload_id]
        assert hashlib.sha256(self.files[upload_id]).hexdigest() == new.sha256
        if self.states.get(upload_id) not in {"ready", "quarantined"}:
            self.states[upload_id] = self.state
        self.order.append(upload_id)
        self.lost("complete")
        return self._upload(upload_id)

    def upload(self, upload_id: str) -> wire.Upload:
        self._begin("upload")
        return self._upload(upload_id)

    def _upload(self, upload_id: str) -> wire.Upload:
        new = self.announced[upload_id]
        return wire.Upload(
            id=upload_id,
            patient_id=new.patient_id,
            purpose=new.purpose,
            media_type=new.media_type,
            length_bytes=new.length_bytes,
            sha256=new.sha256,
            state=self.states[upload_id],
            reason=self.reason,
            pages=1,
            created_at=MOMENT,
        )

    def erase(self, patient_id: str) -> wire.Erased:
        self._begin("erase")
        if self.busy_erasing > 0:
            self.busy_erasing -= 1
            raise faults.ServerBusy(503, None, 2.0)
        self.stored = {name: one for name, one in self.stored.items() if one["patient_id"] != patient_id}
        for name in [name for name, new in self.announced.items() if new.patient_id == patient_id]:
            self.files.pop(name, None)
        self.erased.append(patient_id)
        self.lost("erase")
        return wire.Erased(0, 0, 0)

    def config(self) -> wire.Config:
        self._begin("config")
        self.lost("config")
        return wire.Config(
            clinic_id=self.clinic_id,
            allows=(),
            model_ids=(),
            languages=(),
            token_budget=0,
            tokens_used=0,
            max_batch=self.max_batch,
            requests_per_minute=60,
            uploads=(),
        )

    def heartbeat(self, beat: wire.Heartbeat) -> None:
        self._begin("heartbeat")
        beat.body()
        self.beats.append(beat)
