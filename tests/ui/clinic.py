"""A clinic for the window: a store that is enrolled, what sends for it under a test's hand, and a policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from client.errors import HealthHelperError
from client.parts import Kept
from client.pipeline.sync import SyncState, SyncStatus
from client.policy import Policy
from client.store.outbox import Counts
from tests.client.store.conftest import kept_in
from tests.ui.conftest import Room

SERVER = "https://clinic.example.org"
NONE_WAITS = Counts(0, 0, 0, 0, None)
SENT_ALL = SyncStatus(SyncState.IDLE, NONE_WAITS, None, None, None)


class HandSync:
    """What sends, but that it says what the test wants."""

    def __init__(self) -> None:
        self.status = SENT_ALL
        self.calls: list[str] = []
        self.uploader = self

    def start(self) -> None:
        self.calls.append("start")

    def wake(self) -> None:
        self.calls.append("wake")

    def try_now(self) -> None:
        self.calls.append("try_now")

    def scanned(self, *, shown: bool) -> None:
        self.calls.append(f"scanned {shown}")

    def cancel(self, item: str) -> None:
        self.calls.append(f"cancel {item}")

    def end(self) -> None:
        self.calls.append("end")


@dataclass
class Clinic:
    """sync: says how it stands. clinic_id: of whoever enrols. fault: raised by the next enrolment. hold: waited for by it, as for a slow network. codes: that were tried."""

    sync: HandSync = field(default_factory=HandSync)
    clinic_id: str = "clinic"
    fault: HealthHelperError | None = None
    hold: Callable[[], object] = bool
    codes: list[tuple[str, str | None]] = field(default_factory=list)

    def kept(self, of_store: Kept, policy: Policy) -> Kept:
        """The store with this clinic."""

        def enrol(code: str, url: str | None) -> Any:
            self.codes.append((code, url))
            self.hold()
            if self.fault is not None:
                raise self.fault
            address = url or policy.cloud_url or SERVER
            facts = {"url": address, "clinic_id": self.clinic_id, "device_id": "device"}
            of_store.outbox.set_enrolled(facts)
            return facts

        def leave() -> None:
            of_store.outbox.set_enrolled(None)

        def close() -> None:
            self.sync.end()
            of_store.close()

        sync: Any = self.sync
        return replace(of_store, sync=sync, policy=policy, enrol=enrol, leave=leave, close=close)


def with_clinic(room: Room, *, enrolled: bool = True, policy: Policy | None = None) -> Clinic:
    """The room with a clinic, before its window is started."""
    clinic, its_policy = Clinic(), policy or Policy()

    def store() -> Kept:
        kept = clinic.kept(kept_in(room.folder / "store", room.vault), its_policy)
        if enrolled and kept.outbox.enrolled() is None:
            kept.enrol("first", SERVER)
            clinic.codes.clear()
        return kept

    room.parts = replace(room.parts, store=store)
    return clinic
