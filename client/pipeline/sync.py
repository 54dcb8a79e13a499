"""From the outbox to the cloud: what is owed is sent, whatever the network does, and nobody waits for it.

One process per store sends: the one that holds `sending.lock`. A row is claimed, sent and acknowledged by its id; whatever ends in
between, it is pending again. What the server refuses for good is parked with a code, by itself. What may pass later rests by itself, and
where nothing passes at all, everything pauses (client.pipeline.pacing). After an outage the first request is one for the settings: while
it fails nothing is claimed, so months without a network write nothing.

    observations, a batch → an erasure → where no observation was left, a file → observations …
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from client import log
from client.clock import Clock
from client.cloud import faults, wire
from client.cloud.forms import Unfit, as_label
from client.errors import BadInput, EnvironmentFault, HealthHelperError
from client.language import marked, said
from client.pipeline.outgoing import to_wire
from client.pipeline.pacing import Pacing
from client.pipeline.slots import Latest
from client.store.database import DiskFull, StoreFault, StoreRenewed, fault_of
from client.store.documents import SETTLED, Document, DocumentDamaged, Documents
from client.store.observations import Observation, Observations
from client.store.outbox import Counts, Item, ItemKind, Outbox
from client.vault import VaultFault, VaultLocked, VaultMissing

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK_NAME = "sending.lock"
DAY_S = 86_400.0


class SyncState(StrEnum):
    """How it stands. WAITING: something waits that may not be tried yet, or the server takes nothing now. FAILED: the store, or a bug."""

    NOT_ENROLLED = "not_enrolled"
    IDLE = "idle"
    SENDING = "sending"
    WAITING = "waiting"
    OFFLINE = "offline"
    UNTRUSTED = "untrusted"
    PORTAL = "portal"
    REVOKED = "revoked"
    SIGN_IN_LOST = "sign_in_lost"
    KEYRING_LOCKED = "keyring_locked"
    ANOTHER_PROGRAM = "another_program"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Sending:
    """A file on its way. id: of the document. sent_bytes: of length_bytes."""

    id: str
    sent_bytes: int
    length_bytes: int


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """As one consistent value. fault: what stands against all sending, and what to do. last_success_utc: when the cloud last
    took something. progress: of the file that is being sent.
    """

    state: SyncState
    counts: Counts
    fault: HealthHelperError | None
    last_success_utc: datetime | None
    progress: Sending | None


NOTHING = SyncStatus(SyncState.NOT_ENROLLED, Counts(0, 0, 0, 0, None), None, None, None)
"""Before anybody has looked."""


class CloudPort(Protocol):
    """What is asked of the cloud: `client.cloud.service.Cloud`. Each method raises CloudFault or VaultFault."""

    device_id: str | None
    """As which device is asked, and as no other: NotEnrolled where the key store has another by now."""

    @property
    def clock_offset_s(self) -> float | None:
        """How far this computer's clock is ahead of the server's; None: not known yet."""

    def send_observations(self, batch: wire.ObservationBatch) -> wire.BatchResult:
        """Each place of the batch is answered, once."""

    def announce(self, new: wire.NewUpload) -> wire.UploadUrl:
        """A place for a file; the same again gets another."""

    def put(self, place: wire.UploadUrl, chunks: Iterable[bytes], length_bytes: int) -> None:
        """Send a file there; what raises in the chunks cancels, and comes out as it is."""

    def complete(self, upload_id: str) -> wire.Upload:
        """The file is there."""

    def upload(self, upload_id: str) -> wire.Upload:
        """What became of a file."""

    def erase(self, patient_id: str) -> wire.Erased:
        """All of a patient, for good."""

    def config(self) -> wire.Config:
        """What this clinic may use."""

    def heartbeat(self, beat: wire.Heartbeat) -> None:
        """Tell how this device is."""


@dataclass(frozen=True, slots=True)
class Connection:
    """close: ends what is under way, from any thread; nothing can be asked afterwards."""

    cloud: CloudPort
    close: Callable[[], None]


class _Cancelled(Exception):
    """Somebody wants this file not sent."""


class _Unreadable(Exception):
    """A file that can't be read now."""


class _PutOff(Exception):
    """Something else comes first; nothing is wrong with the file."""


_STATES: Mapping[str, SyncState] = {
    faults.NotEnrolled.code: SyncState.SIGN_IN_LOST,  # the store says otherwise: the key store has lost it
    faults.SignInLost.code: SyncState.SIGN_IN_LOST,
    faults.DeviceRevoked.code: SyncState.REVOKED,
    faults.CaptivePortal.code: SyncState.PORTAL,
    faults.ClockWrong.code: SyncState.UNTRUSTED,
    **dict.fromkeys(
        (
            one.code
            for one in (
                faults.CertificateUntrusted,
                faults.CertificateWrongHost,
                faults.CertificateExpired,
                faults.AuthoritiesUnreadable,
            )
        ),
        SyncState.UNTRUSTED,
    ),
    **dict.fromkeys(
        (
            one.code
            for one in (
                faults.Offline,
                faults.NameUnknown,
                faults.ConnectionRefused,
                faults.ConnectionBroken,
                faults.Unreachable,
                faults.TlsFailed,
                faults.ProxyRefused,
                faults.ProxyUnusable,
                faults.TimedOut,
                faults.Closed,
            )
        ),
        SyncState.OFFLINE,
    ),
}
_BY_STATUS: Mapping[int, str] = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    413: "too_large",
    415: "media_type",
    422: "invalid",
}
_ABOUT_ITEMS = {400, 409, 413, 422, 500}
"""Refusals of a batch that one observation in it may be the reason of. Any other is about the device or the server."""
_SPENT = {wire.ItemStatus.STORED, wire.ItemStatus.ALREADY_STORED}
_FOR_GOOD = {wire.ItemStatus.CONFLICT, wire.ItemStatus.INVALID, wire.ItemStatus.PATIENT_ERASED}
_THERE = {wire.UploadState.AWAITING, wire.UploadState.FAILED, wire.UploadState.QUARANTINED}
"""States of a file that is not yet, or never, in the clinic's hands."""
_BODY_BYTES = wire.REQUEST_BYTES - 100
"""For the observations of a batch, with a comma each; the rest is what is around them."""
_IDLE_S = 150.0, 300.0
_LOOK_S = 15.0, 30.0
"""Between two looks whether another program has kept something; nothing is asked over the network for that."""
_NO_KEY_S = 600.0, 1200.0
"""Each try may make the system ask the person for a password."""
_ANOTHER_S = 30.0, 60.0
SPREAD_S = 150.0
"""For `spread_s`: after a power cut all computers start in the same minute, and the server gives out
a hundred tokens a second (`health-helper bench reconnect`)."""
_NETWORK_S = 10.0, 20.0
"""Between two looks whether there is a network again; nothing is sent for that."""
_BACK_S = 5.0
"""After it is there: by chance in this time."""
_HEARTBEAT_S = 720.0, 1080.0
_LOOK_FIRST_S, _LOOK_AT_MOST_S = 10.0, 600.0
"""After a file: until its state is asked for, which then doubles."""
_BUSY_S = 0.2


def state_of(fault: HealthHelperError) -> SyncState:
    """What a fault that stands against all sending makes of the state."""
    if isinstance(fault, VaultFault):
        return SyncState.KEYRING_LOCKED
    if isinstance(fault, faults.CloudFault):
        return _STATES.get(fault.code, SyncState.WAITING)
    return SyncState.FAILED


def reason_of(fault: faults.CloudFault) -> str:
    """The code that the outbox keeps; never a text from outside."""
    if isinstance(fault, faults.Refused):
        return next(
            (code for code in wire.Code if code == fault.server_code),
            _BY_STATUS.get(fault.status, fault.code),
        )
    return fault.code


class Uploader:
    """For one thread at a time, but for what says otherwise. Everything it knows of time is the clock's, all chance is rng's."""

    def __init__(
        self,
        outbox: Outbox,
        observations: Observations,
        documents: Documents,
        *,
        connect: Callable[[], Connection],
        enrolment: Callable[[], Mapping[str, str] | None],
        folder: Path,
        clock: Clock,
        rng: Random,
        version: str,
        system: str,
        spread_s: float = 0.0,
        has_network: Callable[[], bool] = lambda: False,
        before_acknowledged: Callable[[Observation], None] = lambda _observation: None,
    ) -> None:
        """connect: makes a connection, once there is somebody to send to. enrolment: url, clinic_id and device_id that the key store has, or
        None; raises VaultFault. folder: the store's. spread_s: the first request comes by chance in this time, unless somebody wants it now. has_network: whether there is any; asked, without waiting, after there was none. before_acknowledged: is told of each observation that the cloud has, before the
        outbox is.
        """
        self._outbox, self._observations, self._documents = outbox, observations, documents
        self._connect, self._enrolment = connect, enrolment
        self._lock_path = folder / LOCK_NAME
        self._clock, self._rng = clock, rng
        self._version, self._system = version, system
        self._has_network = has_network
        self._before_acknowledged = before_acknowledged
        self.bug: BaseException | None = None
        """The newest bug of ours that was met here; sending goes on after a pause."""
        self._slot = Latest(NOTHING)
        self._turn = threading.Lock()
        self._wanted_now = threading.Event()
        self._wants_alone = threading.Event()
        self._interrupted = threading.Event()
        self._stopped = threading.Event()
        self._cancelled: str | None = None
        self._guard = threading.Lock()
        """Of the connection, which `stop` closes from another thread."""
        self._connection: Connection | None = None
        self._lock: BaseFileLock | None = None
        self._pacing = Pacing(clock, rng)
        self._pacing.pause(self._pacing.between(0.0, spread_s))
        self._verified: Mapping[str, Any] | None = None
        self._look = True
        self._has_looked = False
        """For what was sent before this program was started."""
        self._to_recover = True
        self._unsure = True
        self._max_batch = self._limit = wire.MAX_OBSERVATIONS
        self._suspects: set[str] = set()
        """Observations that failed alone: they are sent alone, once no other is left."""
        self._looks: dict[str, float] = {}
        self._config_due_s = self._beat_due_s = clock.now_s()
        self._scans = self._scans_shown = 0

    # From any thread

    @property
    def status(self) -> SyncStatus:
        """How it stands."""
        return self._slot.get()

    def try_now(self) -> None:
        """Somebody wants it tried, whatever it waits for."""
        self._wanted_now.set()

    def cancel(self, item: str) -> None:
        """Of the file that is being sent: it is parked as "cancelled" until somebody retries it. Nothing happens to any other."""
        self._cancelled = item

    def scanned(self, *, shown: bool) -> None:
        """A scan has ended, for the next heartbeat. shown: with a heart rate."""
        with self._guard:
            self._scans += 1
            self._scans_shown += int(shown)

    def stop(self) -> None:
        """What is under way ends; nothing is sent any more."""
        with self._guard:
            self._stopped.set()
            connection = self._connection
        self._interrupted.set()
        if connection is not None:
            connection.close()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nothing is sent in this block: who this device is may change in it. What is under way is cut off, and sent later."""
        self._wants_alone.set()  # a lock is not fair: whoever lets it go in a loop has it again at once
        self._interrupted.set()
        with self._guard:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        with self._turn:
            self._wants_alone.clear()
            if not self._stopped.is_set():
                self._interrupted.clear()
            self._look = True
            yield

    # One step

    def step(self) -> float:
        """Do one piece of what is owed. Returns the seconds after which the next call may find something to do: 0 where there is more."""
        if self._wants_alone.is_set() or not self._turn.acquire(timeout=_BUSY_S):
            return _BUSY_S
        try:
            if self._wanted_now.is_set():
                self._wanted_now.clear()
                self._pacing.clear()
                self._look = self._unsure = True
            try:
                return self._stepped()
            except Exception as met:  # noqa: BLE001 (a bug is told by whoever looks at `bug`; nothing else may end sending)
                if self._stopped.is_set():  # the store may be closed under it by now
                    return _BUSY_S
                if isinstance(met, faults.CloudFault | VaultFault | StoreFault):
                    return self._held_up(met)
                self.bug = met
                return self._held_up(_failed())
        finally:
            self._turn.release()

    def close(self) -> None:
        """Let the lock go. Not while `step` runs."""
        self._let_go()
        with self._guard:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _stepped(self) -> float:
        if self._enrolled() is None:
            self._let_go()
            self._show(SyncState.NOT_ENROLLED)
            return self._pacing.between(*_IDLE_S)
        if not self._holds():
            self._show(SyncState.ANOTHER_PROGRAM)
            return self._pacing.between(*_ANOTHER_S)
        if self._to_recover:
            self._outbox.recover()
            self._to_recover = False
        if self.status.state in {SyncState.NOT_ENROLLED, SyncState.ANOTHER_PROGRAM}:  # not any more
            counts = self._outbox.counts()
            self._show(SyncState.WAITING if counts.pending else SyncState.IDLE, counts=counts)
        if self._pacing.pause_s > 0.0:
            return self._paused()
        cloud = self._connected()
        self._keep_in_touch(cloud)
        worked = False
        for work in (self._send_observations, self._send_erasure):
            if self._pacing.pause_s == 0.0:
                worked = work(cloud) or worked
        for later in (self._send_document, self._look_after_one):
            if not worked and self._pacing.pause_s == 0.0:
                worked = later(cloud)
        if self._pacing.pause_s > 0.0:
            return self._paused()
        return 0.0 if worked else self._rests()

    def _rests(self) -> float:
        counts = self._outbox.counts()
        self._show(SyncState.WAITING if counts.pending else SyncState.IDLE, counts=counts)
        now_s = self._clock.now_s()
        rested_s = self._pacing.first_rested_s()
        waits_s = [
            self._pacing.between(*_LOOK_S),
            self._config_due_s - now_s,
            self._beat_due_s - now_s,
            *([] if rested_s is None else [rested_s]),
        ]
        return max(min(waits_s), _BUSY_S)

    def _paused(self) -> float:
        fault = self.status.fault
        if isinstance(fault, faults.Offline) and self._has_network():
            self._pacing.shorten(self._pacing.between(0.0, _BACK_S))
            fault = None
        counts = self._outbox.counts()
        quiet = SyncState.WAITING if counts.pending else SyncState.IDLE
        self._show(quiet if fault is None else state_of(fault), fault, counts=counts)
        return self._pacing.pause_s if fault is None else self._looks_again_s(fault)

    def _held_up(self, fault: HealthHelperError) -> float:
        """It stands against everything."""
        _tell_of_sending(fault)
        if isinstance(fault, VaultFault):
            self._pacing.pause(self._pacing.between(*_NO_KEY_S))
        elif isinstance(fault, faults.CloudFault):
            with contextlib.suppress(StoreFault):
                self._note(fault)
            self._unsure = True
            self._look = self._look or isinstance(fault, faults.NotEnrolled)  # the key store says otherwise
            if fault.retry:
                self._pacing.failed(fault.retry_after_s)
            else:
                self._pacing.pause(self._pacing.between(*_IDLE_S))
        else:
            self._to_recover = True
            self._pacing.failed()
            if isinstance(fault, StoreRenewed):
                self._let_go()  # whoever opens the store anew may send
        state = state_of(fault)
        log.event("sync_held_up", stopped=self._stopped.is_set(), retry=fault.retry)
        with contextlib.suppress(StoreFault):
            self._show(state, fault)
            return self._looks_again_s(fault)
        self._slot.set(SyncStatus(state, self.status.counts, fault, self.status.last_success_utc, None))
        return self._pacing.pause_s

    def _looks_again_s(self, fault: HealthHelperError) -> float:
        wait_s = self._pacing.pause_s
        return min(wait_s, self._pacing.between(*_NETWORK_S)) if isinstance(fault, faults.Offline) else wait_s

    def _show(
        self, state: SyncState, fault: HealthHelperError | None = None, *, counts: Counts | None = None
    ) -> None:
        found = self._outbox.counts() if counts is None else counts
        last_utc = self.status.last_success_utc
        if last_utc is None and not self._has_looked:
            last_utc, self._has_looked = self._outbox.last_sent_at(), True
        self._slot.set(SyncStatus(state, found, fault, last_utc, None))

    # Whom for, and whether it is this program's turn

    def _enrolled(self) -> Mapping[str, Any] | None:
        """What the store says. Where that is new, the key store is asked too, and counts: it is what requests are signed with."""
        facts: Mapping[str, Any] | None = self._outbox.enrolled()
        if not self._look and facts == self._verified:
            return facts
        try:
            entry = self._enrolment()
        except VaultFault:
            if facts is not None:
                raise
            entry = None
        if entry is not None and (facts is None or entry["device_id"] != facts.get("device_id")):
            self._outbox.set_enrolled(entry)
            facts = dict(entry)
        if facts != self._verified:
            if self._verified is not None:
                self._pacing.clear()
            self._unsure, self._verified = True, facts
            self._config_due_s = self._beat_due_s = self._clock.now_s()
        self._look = False
        return facts

    def _holds(self) -> bool:
        """Whether the lock is this program's."""
        from filelock import FileLock, Timeout

        if self._lock is not None:
            return True
        lock = FileLock(self._lock_path, mode=0o600, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:  # the latter: a file system without locks (filelock)
            raise fault_of(error, self._lock_path) from None
        self._lock, self._to_recover = lock, True
        return True

    def _let_go(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def _connected(self) -> CloudPort:
        with self._guard:
            if self._stopped.is_set():
                raise faults.Closed
            if self._connection is None:
                self._connection = self._connect()
            cloud = self._connection.cloud
        cloud.device_id = None if self._verified is None else self._verified["device_id"]
        return cloud

    def _keep_in_touch(self, cloud: CloudPort) -> None:
        """Ask for the settings where they are old, or where it is not known whether anything passes; say how this device is."""
        now_s = self._clock.now_s()
        if self._unsure or now_s >= self._config_due_s:
            self._config_due_s = now_s + self._pacing.between(0.9 * DAY_S, 1.1 * DAY_S)
            config = self._asked(cloud.config)
            if config is not None:
                self._check_clinic(config)
                self._max_batch = min(wire.MAX_OBSERVATIONS, config.max_batch)
                self._limit = min(self._limit, self._max_batch)
            self._unsure = False
        if now_s >= self._beat_due_s and self._pacing.pause_s == 0.0:
            self._beat_due_s = now_s + self._pacing.between(*_HEARTBEAT_S)
            self._beat(cloud)

    def _check_clinic(self, config: wire.Config) -> None:
        """What was claimed for one clinic does not go to another: some other program has enrolled this device anew, just now."""
        assert self._verified is not None
        if config.clinic_id != self._verified["clinic_id"]:
            self._look = True
            raise faults.AnswerUnreadable("Config.clinic_id", scope="all")

    def _asked(self, ask: Callable[[], wire.Config]) -> wire.Config | None:
        """None where only this is refused: sending does not wait for it."""
        try:
            found = ask()
        except faults.CloudFault as fault:
            if fault.scope == "all":
                raise
            self._pacing.failed(fault.retry_after_s)
            self._note(fault)
            return None
        self._pacing.passed()
        self._note(None)
        return found

    def _note(self, fault: faults.CloudFault | None) -> None:
        """For whoever looks without a network. That there is none is no news: an outage writes nothing."""
        if fault is None:
            self._outbox.note_contact(self._clock.utc())
        elif state_of(fault) is not SyncState.OFFLINE:
            self._outbox.note_contact(self._clock.utc(), fault.code, getattr(fault, "status", None))

    def _beat(self, cloud: CloudPort) -> None:
        counts = self._outbox.counts()
        oldest = counts.oldest_made_at
        with self._guard:
            scans, shown = self._scans, self._scans_shown
        beat = wire.Heartbeat(
            software_version=as_label(self._version),
            system=as_label(self._system),
            waiting=counts.pending + counts.sending,
            parked=counts.parked,
            oldest_waiting_s=None
            if oldest is None
            else max(0.0, (self._clock.utc() - oldest).total_seconds()),
            clock_offset_s=cloud.clock_offset_s,
            scans=scans,
            scans_shown=shown,
        )
        try:
            cloud.heartbeat(beat)
        except faults.CloudFault as fault:
            if fault.scope == "all":
                raise
            self._pacing.failed(fault.retry_after_s)
            return
        with self._guard:
            self._scans, self._scans_shown = self._scans - scans, self._scans_shown - shown

    # What is owed

    @contextlib.contextmanager
    def _claimed(self, items: Sequence[Item]) -> Iterator[None]:
        """Whatever ends the block, none of them stays claimed: each was acknowledged or parked in it, or is pending again."""
        ids = [item.id for item in items]
        try:
            if (
                self._outbox.enrolled() != self._verified
            ):  # meanwhile, by another process: these are of that clinic
                raise faults.NotEnrolled  # noqa: TRY301 (put back as whatever is not sent)
            yield
        except faults.Closed:
            self._outbox.put_back(ids, None, tried=False)
            raise
        except faults.CloudFault as fault:
            self._outbox.put_back(ids, reason_of(fault), tried=fault.reached)
            raise
        except VaultFault:
            self._outbox.put_back(ids, None, tried=False)
            raise
        except BaseException as met:
            self._to_recover = True
            if not isinstance(met, StoreFault):  # a bug that one of them meets: the others go first
                for item in items:
                    self._pacing.rest_after(item.id, item.tries, None)
            with contextlib.suppress(StoreFault):
                self._outbox.put_back(ids, None)
            raise

    def _acknowledge(self, ids: Sequence[str]) -> None:
        self._pacing.passed()
        if ids:
            self._outbox.acknowledge(ids, now=self._clock.utc())
            self._suspects.difference_update(ids)
            self._slot.set(replace(self.status, last_success_utc=self._clock.utc()))

    def _park(self, item: Item, reason: str) -> None:
        self._outbox.park([item.id], reason)
        self._suspects.discard(item.id)
        log.event("sync_parked", tries=item.tries)

    def _failed(self, item: Item, fault: faults.CloudFault) -> None:
        """It fails by itself: for good, or for now."""
        if fault.retry:
            self._rest(item, reason_of(fault), fault.retry_after_s)
        else:
            self._park(item, reason_of(fault))

    def _rest(self, item: Item, reason: str, retry_after_s: float | None = None) -> None:
        self._outbox.put_back([item.id], reason)
        self._pacing.rest_after(item.id, item.tries, retry_after_s)
        self._pacing.failed()

    # Observations

    def _send_observations(self, cloud: CloudPort) -> bool:
        resting = self._pacing.resting()
        items = self._outbox.claim(ItemKind.OBSERVATION, self._limit, but=resting | self._suspects)
        if not items and self._suspects:
            items = self._outbox.claim(ItemKind.OBSERVATION, 1, but=resting)
        if not items:
            return False
        with self._claimed(items):
            self._show(SyncState.SENDING)
            sent, kept = self._batch(items)
            if not sent:
                return True
            batch = wire.ObservationBatch(tuple(one for _, one in sent))
            these = [item for item, _ in sent]
            try:
                result = cloud.send_observations(batch)
            except faults.CloudFault as fault:
                if fault.scope == "all" or (
                    isinstance(fault, faults.Refused) and fault.status not in _ABOUT_ITEMS
                ):
                    raise
                self._batch_failed(these, fault)
                return True
            self._settle(these, kept, result)
        return True

    def _batch(
        self, items: Sequence[Item]
    ) -> tuple[list[tuple[Item, wire.Observation]], Mapping[str, Observation]]:
        """What of them goes into one request, converted, and as it is kept. What can't be converted is parked, each by itself; what is
        not there any more, and what is too much for one request, is put back.
        """
        kept = {one.line.id: one for one in self._observations.wholes([item.id for item in items])}
        sent: list[tuple[Item, wire.Observation]] = []
        back, left_bytes, full = [], _BODY_BYTES, False
        for item in items:
            if full or item.id not in kept:
                back.append(item.id)
                continue
            made = self._converted(item, kept[item.id])
            if made is None:
                continue
            length_bytes = 1 + len(
                json.dumps(made.to_json(), ensure_ascii=False, separators=(",", ":")).encode()
            )
            if length_bytes > _BODY_BYTES:
                self._park(item, wire.Code.TOO_LARGE)
            elif length_bytes > left_bytes:
                full = True
                back.append(item.id)
            else:
                left_bytes -= length_bytes
                sent.append((item, made))
        if back:
            self._outbox.put_back(back, None, tried=False)
        return sent, kept

    def _converted(self, item: Item, kept: Observation) -> wire.Observation | None:
        try:
            return to_wire(kept, patient_id=item.patient)
        except BadInput:
            self._park(item, "other_version")
        except Unfit:
            self._park(item, "unreadable")
        except Exception as bug:  # noqa: BLE001 (a bug that one of them meets must not keep the others here)
            self.bug = bug
            self._park(item, "unreadable")
        return None

    def _batch_failed(self, sent: Sequence[Item], fault: faults.CloudFault) -> None:
        """One of them may be the reason. Half as many are tried next, until it is alone; then it rests, or is parked, by itself."""
        if len(sent) > 1:
            self._limit = max(1, len(sent) // 2)
            self._outbox.put_back([item.id for item in sent], reason_of(fault))
            self._pacing.failed(fault.retry_after_s)
            return
        self._suspects.add(sent[0].id)
        self._failed(sent[0], fault)
        self._limit = min(2 * self._limit, self._max_batch)

    def _settle(
        self, sent: Sequence[Item], kept: Mapping[str, Observation], result: wire.BatchResult
    ) -> None:
        """Each by its place in the batch."""
        became = {one.at: one.status for one in result.results}
        spent = [item for at, item in enumerate(sent) if became[at] in _SPENT]
        for item in spent:
            self._told(kept[item.id])
        self._acknowledge([item.id for item in spent])
        for at, item in enumerate(sent):
            if became[at] in _FOR_GOOD:
                self._park(item, became[at])
            elif became[at] not in _SPENT:  # a word of a newer server
                self._suspects.add(item.id)
                self._rest(item, faults.AnswerUnreadable.code)
        self._limit = min(max(2 * self._limit, 1), self._max_batch)

    def _told(self, kept: Observation) -> None:
        try:
            self._before_acknowledged(kept)
        except StoreFault:
            raise
        except HealthHelperError:  # no letters for a report, say: the cloud has the observation all the same
            log.event("sync_report_failed")
        except Exception as bug:  # noqa: BLE001 (as above)
            self.bug = bug

    # Erasures

    def _send_erasure(self, cloud: CloudPort) -> bool:
        items = self._outbox.claim(ItemKind.ERASURE, 1, but=self._pacing.resting())
        if not items:
            return False
        [item] = items
        with self._claimed(items):
            self._show(SyncState.SENDING)
            try:
                cloud.erase(item.patient)
            except faults.PatientErased:
                pass
            except faults.CloudFault as fault:
                # 503 says that some copies are not gone yet, and nothing of the server as a whole.
                if fault.scope == "all" and not isinstance(fault, faults.ServerBusy):
                    raise
                self._failed(item, fault)
                return True
            self._acknowledge([item.id])
        return True

    # Files

    def _send_document(self, cloud: CloudPort) -> bool:
        items = self._outbox.claim(ItemKind.DOCUMENT, 1, but=self._pacing.resting())
        if not items:
            return False
        [item] = items
        self._cancelled = None
        with self._claimed(items):
            document = self._documents.get(item.id)
            if document is None:  # deleted just now
                self._outbox.put_back([item.id], None, tried=False)
                return True
            try:
                self._send_file(cloud, item, document)
            except _Cancelled:
                self._park(item, "cancelled")
            except (_PutOff, BadInput):  # BadInput: deleted while it was sent
                self._outbox.put_back([item.id], None, tried=False)
            except Unfit:  # of a newer version
                self._park(item, "other_version")
            except DocumentDamaged as damaged:
                self._park(item, damaged.code)
            except _Unreadable:  # its disk, or who may read it: the others need not wait for that
                self._rest(item, "unreadable")
            except faults.CloudFault as fault:
                if fault.scope == "all":
                    raise
                self._failed(item, fault)
        return True

    def _send_file(self, cloud: CloudPort, item: Item, document: Document) -> None:
        self._show_progress(document, 0)
        place = cloud.announce(_announced(item, document))
        if place.url is not None:
            cloud.put(place, self._chunks(document), document.length_bytes)
        try:
            found = cloud.complete(document.id)
        except faults.Refused as refused:
            if refused.status in {404, 409}:  # it has not arrived, or nobody knows of it: from the beginning
                self._rest(item, reason_of(refused))
                return
            raise
        self._documents.set_cloud_state(document.id, found.state, found.reason)
        if found.state == wire.UploadState.QUARANTINED:
            self._park(item, found.state)
        elif found.state in _THERE:
            self._rest(item, found.state)
        else:
            self._acknowledge([item.id])

    def _chunks(self, document: Document) -> Iterator[bytes]:
        sent_bytes = 0
        for chunk in _read(self._documents.read(document.id)):
            if self._interrupted.is_set():
                raise _PutOff
            if self._cancelled == document.id:
                raise _Cancelled
            yield chunk
            sent_bytes += len(chunk)
            self._show_progress(document, sent_bytes)

    def _show_progress(self, document: Document, sent_bytes: int) -> None:
        progress = Sending(document.id, sent_bytes, document.length_bytes)
        if sent_bytes == 0:
            self._show(SyncState.SENDING)
        self._slot.set(replace(self.status, progress=progress))

    def _look_after_one(self, cloud: CloudPort) -> bool:
        """Ask what became of a file that was sent; the server looks into each."""
        resting = self._pacing.resting()
        for id_ in self._documents.waiting_for_cloud():
            if _look(id_) in resting:
                continue
            self._look_later(id_)  # one of an earlier run of this program is asked for at once
            document = self._documents.get(id_)
            if document is None:
                return True
            try:
                ask = cloud.complete if document.cloud_state == wire.UploadState.FAILED else cloud.upload
                found = ask(id_)
            except faults.CloudFault as fault:
                if fault.scope == "all":
                    raise
                if not fault.retry:
                    self._pacing.rest(_look(id_), DAY_S)
                self._pacing.failed(fault.retry_after_s)
                return True
            self._pacing.passed()
            self._documents.set_cloud_state(id_, found.state, found.reason)
            if found.state in SETTLED:
                self._looks.pop(id_, None)
            return True
        return False

    def _look_later(self, id_: str) -> None:
        seconds = min(2.0 * self._looks.get(id_, _LOOK_FIRST_S / 2.0), _LOOK_AT_MOST_S)
        self._looks[id_] = seconds
        self._pacing.rest(_look(id_), self._pacing.between(seconds, 2.0 * seconds))


def _read(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Raises _Unreadable for what stands against reading this one file."""
    try:
        yield from chunks
    except DocumentDamaged:
        raise
    except StoreFault:
        raise _Unreadable from None


def _look(id_: str) -> str:
    """Resting is its state's asking, not itself."""
    return f"look {id_}"


def _announced(item: Item, document: Document) -> wire.NewUpload:
    """Raises Unfit for what only a newer version knows."""
    try:
        purpose, media_type = wire.Purpose(document.purpose), wire.MediaType(document.media_type)
    except ValueError:
        raise Unfit("a purpose and a media type") from None
    new = wire.NewUpload(
        id=document.id,
        patient_id=item.patient,
        purpose=purpose,
        media_type=media_type,
        length_bytes=document.length_bytes,
        sha256=document.sha256,
    )
    new.to_json()
    return new


_OF_SENDING: Mapping[type[HealthHelperError], tuple[str, str]] = {
    VaultLocked: (
        marked("The key store of this system is locked, so nothing can be sent"),
        marked("Unlock it (log in to the desktop). What is measured is kept, and sent by itself then."),
    ),
    VaultMissing: (
        marked("This system has no key store, so nothing can be sent"),
        marked("Start one (GNOME Keyring, KWallet). What is measured is kept, and sent by itself then."),
    ),
    DiskFull: (
        marked("The disk is full, so nothing can be sent"),
        marked("Free some space. What was kept is safe, and is sent by itself then."),
    ),
    StoreRenewed: (
        marked("Another program has renewed the store on this device, so nothing can be sent from here"),
        marked("Close Health Helper and open it again. What was kept is safe, and is sent then."),
    ),
}


def _tell_of_sending(fault: HealthHelperError) -> None:
    """What stands against keeping something stands here against sending: nothing that is to be kept was refused."""
    words = _OF_SENDING.get(type(fault))
    if words is not None:
        fault.title, fault.remedy = map(said, words)


def _failed() -> EnvironmentFault:
    return EnvironmentFault(
        title=said("Sending has failed, by a bug of Health Helper's own"),
        remedy=said(
            "Nothing is lost. It is tried again by itself; install the newest version if this stays."
        ),
        retry=True,
    )


class SyncThread:
    """Sends in a thread of its own, named "upload", and does once a day what the store needs.

    What hangs there (a name that is looked up, a key store that asks for a password) never keeps the program from ending.
    """

    FIRST_CHORES_S = 5.0
    """After its start: the first page comes before them."""

    def __init__(self, uploader: Uploader, clock: Clock, chores: Callable[[], None]) -> None:
        """chores: raises StoreFault."""
        self.uploader = uploader
        self._clock = clock
        self._chores = chores
        self._chores_due_s = 0.0
        self._woken = threading.Event()
        self._ended = threading.Event()
        self._shown: set[tuple[str, int]] = set()
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)

    @property
    def status(self) -> SyncStatus:
        """How it stands, without waiting for anything."""
        return self.uploader.status

    def start(self) -> None:
        """Once."""
        self._thread.start()

    def wake(self) -> None:
        """There is something new. A pause after failures is kept: see `try_now`."""
        self._woken.set()

    def try_now(self) -> None:
        """Somebody wants it tried now, whatever it waits for."""
        self.uploader.try_now()
        self._woken.set()

    def cancel(self, item: str) -> None:
        """Of the file that is being sent: not now."""
        self.uploader.cancel(item)

    def end(self, timeout_s: float) -> bool:
        """Send nothing any more; what is under way is pending again. Whether the thread ended in time. May be called before `start`, and
        again, which waits no more.
        """
        was_ended = self._ended.is_set()
        self._ended.set()
        self.uploader.stop()
        self._woken.set()
        if self._thread.ident is None:
            return True
        self._thread.join(0.0 if was_ended else timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._chores_due_s = self._clock.now_s() + self.FIRST_CHORES_S
        try:
            while not self._ended.is_set():
                wait_s = self.uploader.step()
                self._show(self.uploader.bug)
                if self._clock.now_s() >= self._chores_due_s and not self._ended.is_set():
                    self._chores_due_s = self._clock.now_s() + DAY_S
                    self._do_chores()
                self._woken.wait(max(0.0, min(wait_s, self._chores_due_s - self._clock.now_s())))
                self._woken.clear()
        finally:
            self.uploader.close()

    def _do_chores(self) -> None:
        try:
            self._chores()
        except StoreFault:
            log.event("chores_failed")  # what is kept can be used all the same; tomorrow is another day
        except Exception as bug:  # noqa: BLE001 (shown; sending goes on)
            self._show(bug)

    def _show(self, bug: BaseException | None) -> None:
        """Each bug of ours once, as those of any other thread; none at the end, when the store may be closed under it."""
        if bug is None or bug.__traceback__ is None or self._ended.is_set():
            return
        last = bug.__traceback__
        while last.tb_next is not None:
            last = last.tb_next
        place = (last.tb_frame.f_code.co_filename, last.tb_lineno)
        if place not in self._shown:
            self._shown.add(place)
            threading.excepthook(
                threading.ExceptHookArgs((type(bug), bug, bug.__traceback__, threading.current_thread()))
            )
