"""What the commands and the window need of the rest of the application. `client.app` fills it with the real things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from client.clock import Clock
from client.devices.ports import Compression, FrameSource, LevelSource, Manner, SourceFacts
from client.pipeline.run import Engine
from client.pipeline.session import Goal
from client.pipeline.sync import SyncThread
from client.policy import Policy
from client.store.backups import Healed
from client.store.consents import Consents
from client.store.documents import Documents
from client.store.forgetting import Forgetting
from client.store.observations import Observations
from client.store.outbox import Outbox
from client.store.tasks import Tasks
from edge_models.types import ByteArray, Frame

if TYPE_CHECKING:  # what a conversation needs takes a while to load
    from client.pipeline.asking import Line
    from client.pipeline.talk_state import Talking


class DemoScene(StrEnum):
    """What the simulator can put in front of its camera."""

    PERSON = "person"
    PHOTOGRAPH = "photograph"
    MOVED_PHOTOGRAPH = "moved_photograph"
    EMPTY_ROOM = "empty_room"
    LEAVES = "leaves"


@dataclass(frozen=True, slots=True)
class CameraEntry:
    """A camera of this machine. id: what `--camera` takes. name: as the system calls it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CameraTruth:
    """What a camera was found to do in a few seconds.

    fps: measured frames per second. longest_gap_s: between two frames. exposure, white_balance: "held",
    "refused", "absent" (no such control) or "pending" (not found out).
    """

    fps: float
    longest_gap_s: float
    frames: int
    exposure: str
    white_balance: str
    facts: SourceFacts


@dataclass(frozen=True, slots=True)
class MicrophoneEntry:
    """A microphone of this machine. id: the same after a restart. name: for people."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class VoiceEntry:
    """A voice of this machine for a language. id: the same after a restart. name: for people."""

    id: str
    name: str


class Reader(Protocol):
    """Reads aloud what it is given, in a thread of its own. Every command returns at once; for the settings, where somebody tries a voice."""

    @property
    def reading(self) -> bool:
        """Whether anything is heard, or will be."""

    @property
    def trouble(self) -> str:
        """Why nothing is heard; "" where something is."""

    def read(self, text: str) -> None:
        """Instead of what is being read."""

    def close(self) -> None:
        """Silent, for good; waits a little."""


@dataclass(frozen=True, slots=True)
class WeightsEntry:
    """A file that the engine needs. state: "good", "missing", "altered" or "unreadable"."""

    file_name: str
    purpose: str
    state: str


@dataclass(frozen=True, slots=True)
class Demo:
    """A simulated scene. heart_rate_bpm: its true pulse, /min. real_time: at the camera's own pace."""

    scene: DemoScene
    heart_rate_bpm: float
    duration_s: float
    real_time: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """An open store. Leaving the block closes it, after the chores if nothing went wrong.

    policy: of this installation. healed: the store was damaged and has been mended by this opening. set_aside: the name of the folder
    into which this opening has put an older store that can't be opened; "" where there was none. needs_recovery_key: nobody has said to have one
    on paper. new_recovery_key: makes one to be shown, as printed; in force from confirm_recovery_key on. rotate_key: the store gets another
    key; then it has to be opened anew, and needs a new recovery key.

    sync: sends what is owed; not started yet. enrol: (code as typed, the server's address or None for the policy's) → url, clinic_id and device_id;
    asks over the network. converse: a connection of the assistant's own; opens nothing yet. leave: this device belongs to no clinic any more; what waits stays.
    chores: what is due once a day: what was deleted long ago is gone for ever, what is too old goes, a backup is made. back_up: makes one now.

    send_fhir: a transaction to the FHIR server of the policy; how many resources it has taken. keep_fhir_token: what that server wants to see.
    """

    observations: Observations
    outbox: Outbox
    documents: Documents
    consents: Consents
    tasks: Tasks
    forgetting: Forgetting
    sync: SyncThread
    policy: Policy
    healed: Healed | None
    set_aside: str
    needs_recovery_key: bool
    new_recovery_key: Callable[[], str]
    confirm_recovery_key: Callable[[], None]
    rotate_key: Callable[[], None]
    enrol: Callable[[str, str | None], Mapping[str, str]]
    converse: Callable[[], Line]
    leave: Callable[[], None]
    chores: Callable[[], None]
    back_up: Callable[[], None]
    send_fhir: Callable[[Mapping[str, object]], int]
    keep_fhir_token: Callable[[str], None]
    close: Callable[[], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.chores()
        finally:
            self.close()


def nothing_kept() -> None:
    """While the store is locked."""


class MakeTalk(Protocol):
    """Begins a conversation and waits for nothing. Whoever begins one closes it, and before the store is closed."""

    def __call__(
        self,
        language: str,
        kept: Callable[[], Kept | None] = nothing_kept,
        person: str | None = None,
        visit: Sequence[str] = (),
        microphone: str = "",
        manner: Callable[[], Manner] = Manner,
    ) -> Talking:
        """language: such as "es". kept: asked in a thread of the conversation, may wait; None while the store is locked: then nothing of
        anybody is known, and nothing leaves. person: who talks, None for a guest. visit: observations of a guest that were made at this
        visit. microphone: as Parts.microphone_level takes it. manner: how answers are read aloud, asked for each sentence.
        """


@dataclass(frozen=True, slots=True)
class WindowChoice:
    """How a window is started.

    source: makes the one source that was named, or None: the camera of the settings. goal: of its scans; None: that of the settings.
    simulated: that source films nobody, so nobody has to agree to it. begin: start a scan at once. end_after_result: say the result
    on standard output as JSON and end, with the exit status of `scan`: so that an installation can be tried. full_screen: as on a
    kiosk.
    """

    source: Callable[[], FrameSource] | None = None
    goal: Goal | None = None
    simulated: bool = False
    begin: bool = False
    end_after_result: bool = False
    full_screen: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The real things, or a test's. Calling any of the sources opens nothing yet.

    started_s: the clock's second at which the process began its work.
    page_camera: the same camera with as many pixels as it has, to photograph a page.
    examine_camera: opens it, looks for some seconds, closes it; raises BadInput or EnvironmentFault.
    microphones: may wait for the sound system; raises EnvironmentFault. microphone_level: of the one with this id, or of the
        system's own ("").
    engine: loads the weights and makes a fresh Scan; raises EnvironmentFault. weights: their state on the disk.
    write_clip: (folder, simulated frames, frames per second, compression; None: as a phone) → the video file; raises
        EnvironmentFault. portrait: the picture of the simulated person; raises EnvironmentFault.
    store: opens the encrypted store; restore_store: with its recovery key; begin_store_anew: one that nothing opens is set aside,
        and there is a new one; all raise VaultFault or StoreFault.
    window: shows the window until it is closed; the exit status.
    talk: begins a conversation with the assistant. None: there is no assistant.
    voices: of this system for a language; may wait; raises EnvironmentFault. reader: in a language, as it is wanted just then.
    """

    clock: Clock
    started_s: float
    cameras: Callable[[], Sequence[CameraEntry]]
    camera: Callable[[str], FrameSource]
    page_camera: Callable[[str], FrameSource]
    examine_camera: Callable[[str], CameraTruth]
    microphones: Callable[[], Sequence[MicrophoneEntry]]
    microphone_level: Callable[[str], LevelSource]
    video: Callable[[Path], FrameSource]
    url: Callable[[str], FrameSource]
    demo: Callable[[Demo], FrameSource]
    engine: Callable[[], Engine]
    weights: Callable[[], Sequence[WeightsEntry]]
    write_clip: Callable[[Path, Iterable[Frame], float, Compression | None], Path]
    portrait: Callable[[], ByteArray]
    store: Callable[[], Kept]
    restore_store: Callable[[str], Kept]
    begin_store_anew: Callable[[], Kept]
    window: Callable[[Parts, WindowChoice], int]
    talk: MakeTalk | None = None
    voices: Callable[[str], Sequence[VoiceEntry]] = lambda _language: ()
    reader: Callable[[str, Callable[[], Manner]], Reader] | None = None
