"""How the service is, what a clinic may use, and how its devices are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from backend_lambda.auth.gate import as_device
from backend_lambda.errors import Refusal
from backend_lambda.ports import Ports
from backend_lambda.principals import Principal
from backend_lambda.services.clinics import budget
from backend_lambda.settings import Settings
from backend_lambda.store import clinics, devices, usage
from backend_lambda.store.database import Database
from backend_lambda.wire import MAX_OBSERVATIONS, Config, Health, Heartbeat, Part, UploadLimit

PART_MAY_TAKE_S = 2.0
HEALTH_KEPT_S = 5.0
"""Anybody may ask for the health; the parts are asked at most this often."""
LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "pt", "zh")
"""Of the assistant and of speech."""
_PROBE_KEY = "health"
_PROBE = b"health"


class Fleet:
    """version: of the deployment. uploads: what may be sent, by purpose and type."""

    def __init__(
        self,
        database: Database,
        ports: Ports,
        settings: Settings,
        *,
        version: str,
        uploads: Sequence[UploadLimit],
    ) -> None:
        self._database, self._ports, self._settings = database, ports, settings
        self._version, self._uploads = version, list(uploads)
        self._known: tuple[float, Health] | None = None

    def health(self) -> Health:
        """By part. Asks them at the same time; one that does not answer in PART_MAY_TAKE_S is not ready. Raises nothing."""
        now_s = self._ports.clock.now_s()
        if self._known is not None and now_s - self._known[0] < HEALTH_KEPT_S:
            return self._known[1]
        probes = [
            _Probe("store", self._store, self._ports.clock.now_s),
            _Probe("objects", self._objects, self._ports.clock.now_s),
            _Probe("signer", self._signer, self._ports.clock.now_s),
        ]
        until_s = now_s + PART_MAY_TAKE_S
        parts = [probe.part(until_s - self._ports.clock.now_s()) for probe in probes]
        health = Health(ready=all(part.ready for part in parts), version=self._version, parts=parts)
        self._known = (now_s, health)
        return health

    def config(self, principal: Principal) -> Config:
        """What the device's clinic may use. Raises Refusal 403, 503."""
        device = as_device(principal)
        settings = self._settings
        with self._database.clinic(device.clinic_id) as transaction:
            used = usage.used_this_month(transaction, self._ports.clock.utc())
            clinic = clinics.get(transaction, device.clinic_id)
        assert clinic is not None  # its device was let in
        return Config(
            clinic_id=device.clinic_id,
            allows=sorted(clinic.allows),
            model_ids=list(settings.model_ids),
            languages=list(LANGUAGES),
            token_budget=budget(clinic, settings),
            tokens_used=used,
            max_batch=MAX_OBSERVATIONS,
            requests_per_minute=settings.requests_per_minute,
            uploads=self._uploads,
        )

    def heartbeat(self, principal: Principal, beat: Heartbeat) -> None:
        """Kept with the device; measured for its clinic. Raises Refusal 403, 503."""
        device = as_device(principal)
        with self._database.clinic(device.clinic_id) as transaction:
            devices.seen(
                transaction,
                device.id,
                self._ports.clock.utc(),
                beat.software_version,
                beat.waiting,
                beat.parked,
                beat.oldest_waiting_s,
                beat.clock_offset_s,
            )
        clinic, add = str(device.clinic_id), self._ports.measures.add
        add("sync_age", beat.oldest_waiting_s or 0.0, "Seconds", clinic)
        add("sync_waiting", float(min(beat.waiting, 2**53)), "Count", clinic)
        add("sync_parked", float(min(beat.parked, 2**53)), "Count", clinic)
        if beat.scans:
            shown = min(beat.scans_shown / beat.scans, 1.0)
            add("scan_coverage", 100.0 * shown, "Percent", clinic)

    def _store(self) -> bool:
        return self._database.ready()

    def _objects(self) -> bool:
        self._ports.documents.head(_PROBE_KEY)  # whether it is there does not matter
        return True

    def _signer(self) -> bool:
        return len(self._ports.signer.sign(_PROBE)) == 64


class _Probe:
    """Asks one part on a thread of its own, which may outlive the question."""

    def __init__(self, name: str, ask: Callable[[], bool], now_s: Callable[[], float]) -> None:
        self._name, self._ask, self._now_s = name, ask, now_s
        self._ready = False
        self._began_s = now_s()
        self._took_s = PART_MAY_TAKE_S
        self._thread = threading.Thread(target=self._run, name=f"health {name}", daemon=True)
        self._thread.start()

    def part(self, wait_s: float) -> Part:
        self._thread.join(max(0.0, wait_s))
        if self._thread.is_alive():
            return Part(name=self._name, ready=False, took_ms=1000.0 * PART_MAY_TAKE_S)
        return Part(name=self._name, ready=self._ready, took_ms=round(1000.0 * self._took_s, 1))

    def _run(self) -> None:
        try:
            self._ready = self._ask()
        except Refusal:
            self._ready = False
        finally:
            self._took_s = self._now_s() - self._began_s
