"""The composition root: the only module that knows the concrete things behind the ports.

Everything heavy (cv2, onnxruntime, httpx, sounddevice) is imported when a command asks for it, not before.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, TextIO, cast

import typer

from client import config, log, weights
from client.cli import commands
from client.clock import Clock, SystemClock
from client.devices.ports import Compression, FrameSource, LevelSource, Manner
from client.errors import EnvironmentFault, HealthHelperError, Interrupted
from client.language import said
from client.parts import (
    CameraEntry,
    CameraTruth,
    Demo,
    Kept,
    MicrophoneEntry,
    Parts,
    Reader,
    VoiceEntry,
    WeightsEntry,
    WindowChoice,
    nothing_kept,
)
from client.pipeline.run import Engine
from client.policy import Policy
from client.policy import load as load_policy
from client.store.database import StoreFault
from client.vault import SystemVault, Vault
from edge_models.types import ByteArray, Frame

if TYPE_CHECKING:
    from client.assistant.knowledge import Knowledge
    from client.assistant.triage import Triage
    from client.devices.ports import Recogniser
    from client.pipeline.talk import Talk
    from client.store.opening import Opened

FACE_NET = "face_rfb_320"
SPEECH_NET = "speech_silero"
DEMO_FACE = "astronaut"
DEMO_FPS = 30.0
_SYNC_END_S = 2.0
"""What is under way to the cloud then is sent again the next time."""


def real_parts(clock: Clock) -> Parts:
    """The application as it is shipped."""
    policy = cache(load_policy)  # once: what holds for a program holds until it ends
    return Parts(
        clock=clock,
        started_s=clock.now_s(),
        cameras=_cameras,
        camera=_camera,
        page_camera=_page_camera,
        examine_camera=_examine_camera,
        microphones=_microphones,
        microphone_level=lambda wanted: _microphone_level(wanted, clock),
        video=_video,
        url=_url,
        demo=_demo,
        engine=_engine,
        weights=_weights,
        write_clip=_write_clip,
        portrait=_portrait,
        store=lambda: _store(clock, policy()),
        restore_store=lambda typed: _restore_store(typed, clock, policy()),
        begin_store_anew=lambda: _begin_store_anew(clock, policy()),
        talk=partial(_talk, clock, policy),
        voices=_voices,
        reader=lambda language, manner: _reader(language, manner, clock),
        window=_window,
    )


PIPE_CLOSED = 141
"""What shells show for a program whose reader went away (128 + SIGPIPE)."""


def run(parts: Parts, arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. The world's fault becomes one line; our bugs go on to the caller.

    That includes standard output and standard error: a full disk behind them is the world's fault (4), said
    where it still can be; a reader that went away ends it quietly (141).
    """
    with _watched_outputs() as outputs:
        try:
            if sys.stdout is None:  # the shell's >&-
                return _output_failed(errno.EBADF)
            status = _status(parts, arguments)
            for output in outputs:
                output.flush()
        except OSError as error:
            if not any(output.failed for output in outputs):
                raise  # not of these streams: a bug of ours
            for output in outputs:
                output.let_go_if_failed()
            return PIPE_CLOSED if error.errno == errno.EPIPE else _output_failed(error.errno or 0)
        return status


def _output_failed(number: int) -> int:
    with contextlib.suppress(OSError):
        typer.echo(
            f"Error: The output could not be written ({os.strerror(number)}). "
            "Free some space, or send it somewhere else.",
            err=True,
        )
    return EnvironmentFault.exit_status


class _Output:
    """Standard output or standard error, and whether writing to it has failed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self.failed = True
            raise

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self.failed = True
            raise

    def let_go_if_failed(self) -> None:
        """What is still buffered goes nowhere; otherwise the interpreter would complain of it at its end."""
        if self.failed:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())


@contextmanager
def _watched_outputs() -> Iterator[list[_Output]]:
    """Both streams (those that are there) watched while a command runs."""
    before = sys.stdout, sys.stderr
    outputs = [None if stream is None else _Output(stream) for stream in before]
    sys.stdout, sys.stderr = cast("list[TextIO]", outputs)
    try:
        yield [output for output in outputs if output is not None]
    finally:
        sys.stdout, sys.stderr = before


def _status(parts: Parts, arguments: Sequence[str] | None) -> int:
    command = typer.main.get_command(commands(parts))
    try:
        command.main(args=None if arguments is None else list(arguments), prog_name="health-helper")
    except Interrupted as stopped:
        typer.echo(f"{stopped.title}. {stopped.remedy}", err=True)
        return stopped.exit_status
    except HealthHelperError as error:
        typer.echo(f"Error: {error.title}. {error.remedy}", err=True)
        return error.exit_status
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # which the library would end with 1, as a bug
            raise ended.__context__ from None
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def main() -> int:
    """The command `health-helper`. Whatever is not the world's fault is shown redacted and ends with 1."""
    sys.excepthook, threading.excepthook = log.show_bug, log.show_bug_of_thread
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a poor terminal shows "?" where a name has other letters
    return run(real_parts(SystemClock()))


def _cameras() -> Sequence[CameraEntry]:
    from client.devices.camera import cameras

    return [CameraEntry(id=entry.id, name=entry.name) for entry in cameras()]


def _camera(camera_id: str) -> FrameSource:
    from client.devices.camera import Camera

    return Camera(camera_id)


def _page_camera(camera_id: str) -> FrameSource:
    from client.devices.camera import PAGE, Camera

    return Camera(camera_id, wanted=PAGE)


def _examine_camera(camera_id: str) -> CameraTruth:
    from client.devices.camera import Camera, examine

    found = examine(Camera(camera_id))
    return CameraTruth(
        fps=found.fps,
        longest_gap_s=found.longest_gap_s,
        frames=found.frames,
        exposure=found.controls.exposure.name.lower(),
        white_balance=found.controls.white_balance.name.lower(),
        facts=found.facts,
    )


def _microphones() -> Sequence[MicrophoneEntry]:
    from client.devices.microphones import microphones

    return [MicrophoneEntry(id=entry.id, name=entry.name) for entry in microphones()]


def _microphone_level(wanted: str, clock: Clock) -> LevelSource:
    from client.devices.microphones import Microphone

    return Microphone(wanted, clock=clock)


def _video(path: Path) -> FrameSource:
    from client.devices.video_file import VideoFile

    return VideoFile(path)


def _url(url: str) -> FrameSource:
    from client.devices.http_mjpeg import HttpMjpeg

    return HttpMjpeg(url)


def _demo(demo: Demo) -> FrameSource:
    from client.devices.simulated import Simulated

    return Simulated(
        _demo_frames(demo),
        name=f"demo ({demo.scene.replace('_', ' ')}, {demo.heart_rate_bpm:g} /min)",
        header_fps=DEMO_FPS,
        paced=demo.real_time,
    )


def _demo_frames(demo: Demo) -> Iterator[Frame]:
    """The simulated pictures, computed one by one in the thread that reads them."""
    from edge_models.simulate.scene import Scene, SceneKind, render

    face = _portrait()
    scene = Scene(
        kind=SceneKind(demo.scene.value),
        heart_rate_bpm=demo.heart_rate_bpm,
        duration_s=demo.duration_s,
        fps=DEMO_FPS,
    )
    yield from render(scene, face)


def _portrait() -> ByteArray:
    """The picture that the first simulator puts before its camera."""
    from client.devices.opencv import prepare_opencv

    prepare_opencv()
    import cv2
    import numpy as np

    picture = np.frombuffer(weights.load(DEMO_FACE), dtype=np.uint8)
    return cast("ByteArray", cv2.imdecode(picture, cv2.IMREAD_COLOR))


def _engine() -> Engine:
    from client.devices.opencv import prepare_opencv

    face_net = weights.load(FACE_NET)
    prepare_opencv()
    import cv2

    from edge_models.scan import Scan

    cv2.setNumThreads(1)  # as fast on our small pictures, and it leaves the other cores to the person

    return Scan(face_net)


def _weights() -> Sequence[WeightsEntry]:
    return [
        WeightsEntry(file_name=entry.file_name, purpose=entry.purpose, state=str(state))
        for entry, state in weights.states()
    ]


def _write_clip(folder: Path, frames: Iterable[Frame], fps: float, compression: Compression | None) -> Path:
    from client.devices.clip_writer import write_clip

    return write_clip(folder, frames, fps, compression)


def _window(parts: Parts, choice: WindowChoice) -> int:
    try:
        from client.ui.start import run_window
    except ImportError as error:
        raise EnvironmentFault(
            title=f"The window can't be loaded: {str(error).splitlines()[0]}",
            remedy="Install the library named here (under Linux its system package), or use 'health-helper scan'.",
        ) from error
    return run_window(parts, choice)


def _talk(
    clock: Clock,
    policy_of: Callable[[], Policy],
    language: str,
    kept: Callable[[], Kept | None] = nothing_kept,
    person: str | None = None,
    visit: Sequence[str] = (),
    microphone: str = "",
    manner: Callable[[], Manner] = Manner,
) -> Talk:
    """See client.parts.MakeTalk."""
    from client.assistant import phrases
    from client.assistant.conversation import Conversation
    from client.assistant.triage import region_of
    from client.devices.microphones import MicrophoneSound
    from client.devices.speakers import Loudspeaker
    from client.devices.voices import SystemVoice, decoded
    from client.pipeline.clinic_talk import clinic_of
    from client.pipeline.evidence import Careful, Gathered, gathered
    from client.pipeline.talk import Clinic, Means, Talk
    from edge_models.nets import SpeechNet

    policy = policy_of()

    def converse() -> Conversation:
        triage = _triage()
        place = triage.place_of(policy.country, [region_of(_locale())])
        return Conversation(triage, language, library=Careful(_knowledge()), place=place)

    def gather(visit: Sequence[str]) -> Gathered | None:
        store = kept()
        if store is None:
            return None
        return gathered(store.observations, store.documents, store.consents, person, visit=visit)

    def clinic() -> Clinic | str:
        store = kept()
        if store is None:
            return said("Answered on this device: the store is locked.")
        if store.outbox.enrolled() is None:
            return said("Answered on this device: it belongs to no clinic.")
        return clinic_of(store.converse, store.consents, person, policy, language, clock, decoded)

    def prepare() -> Iterator[Callable[[], object]]:
        for code in _triage().languages:
            yield partial(_triage().judge, "", code)
        for code in phrases.languages():
            yield partial(phrases.of, code)

    def call_staff() -> bool:
        store = kept()
        if store is not None:
            store.tasks.ask_for_help(person, clock.utc())
        return store is not None

    means = Means(
        converse=converse,
        microphone=lambda: MicrophoneSound(microphone, clock=clock),
        odds=lambda: SpeechNet(weights.load(SPEECH_NET)),
        loudspeaker=Loudspeaker,
        recogniser=None if policy.recogniser_folder is None else _recogniser(policy.recogniser_folder),
        voices=[SystemVoice(lambda: manner().voice)],
        clinic=clinic,
        call_staff=call_staff,
        prepare=prepare(),
        gather=gather,
        visit=visit,
    )
    return Talk(means, language, clock, rate_percent=lambda: manner().rate_percent)


def _voices(language: str) -> Sequence[VoiceEntry]:
    from client.devices.voices import SystemVoice

    return [VoiceEntry(id=one.id, name=one.name) for one in SystemVoice().offered(language)]


def _reader(language: str, manner: Callable[[], Manner], clock: Clock) -> Reader:
    from client.devices.speakers import Loudspeaker
    from client.devices.voices import SystemVoice
    from client.pipeline.reading import Reading

    return Reading(Loudspeaker, [SystemVoice(lambda: manner().voice)], language, clock, manner)


@cache
def _triage() -> Triage:
    """One for all conversations: what it has read it keeps."""
    from client.assistant.triage import shipped

    return shipped()


@cache
def _knowledge() -> Knowledge:
    from client.assistant.knowledge import shipped

    return shipped()


@cache
def _recogniser(folder: Path) -> Recogniser:
    """One: it takes seconds to load."""
    from client.devices.recognisers import LocalRecogniser

    return LocalRecogniser(folder)


def _locale() -> str | None:
    """What the system's language and place are called, such as "pt_BR.UTF-8"; None where nothing says."""
    import locale

    named = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return next((name for name in named if name), None) or locale.getlocale()[0]


def _store(clock: Clock, policy: Policy) -> Kept:
    from client.store.opening import open_store

    vault = SystemVault()
    return kept_of(open_store(config.store_folder(), vault), vault, clock, policy)


def _restore_store(typed: str, clock: Clock, policy: Policy) -> Kept:
    from client.store.opening import restore
    from client.store.recovery import RecoveryKey

    vault = SystemVault()
    return kept_of(restore(config.store_folder(), vault, RecoveryKey.from_text(typed)), vault, clock, policy)


def _begin_store_anew(clock: Clock, policy: Policy) -> Kept:
    from client.store.opening import begin_anew

    vault = SystemVault()
    return kept_of(begin_anew(config.store_folder(), vault, clock.utc()), vault, clock, policy)


def _send_fhir(transaction: Mapping[str, object], vault: Vault, clock: Clock, policy: Policy) -> int:
    from client.cloud.fhir_server import FhirServer
    from client.cloud.transport import Transport

    if policy.fhir_url is None:
        raise EnvironmentFault(
            title=said("The policy of this computer names no FHIR server"),
            remedy=said(
                "Whoever manages this computer sets fhir_url in {file}.", file=str(config.policy_file())
            ),
        )
    transport = Transport(
        policy, clock, config.version()
    )  # of its own: this server's clock is not that of the cloud
    try:
        return FhirServer(transport, vault, policy.fhir_url).send(transaction)
    finally:
        transport.close()


def _keep_fhir_token(vault: Vault, token: str) -> None:
    from client.cloud.fhir_server import keep_token

    keep_token(vault, token)


def _has_network() -> bool:
    """Asked only after a request has failed, so what it needs is loaded."""
    from client.cloud.transport import has_route

    return has_route()


def kept_of(opened: Opened, vault: Vault, clock: Clock, policy: Policy) -> Kept:
    """The open store as commands and window get it. Nothing is sent yet."""
    from client.pipeline.membership import Membership
    from client.pipeline.scan_reports import scan_reports
    from client.pipeline.sync import SPREAD_S, SyncThread, Uploader
    from client.store import backups
    from client.store.consents import Consents
    from client.store.documents import Documents
    from client.store.forgetting import Forgetting
    from client.store.observations import Observations
    from client.store.opening import confirm_recovery_key, new_recovery_key, rotate_key
    from client.store.outbox import Outbox
    from client.store.tasks import Tasks

    database, folder = opened.database, opened.database.path.parent
    observations = Observations(database, policy.keep_deleted_days)
    outbox, documents = Outbox(database), Documents(database)
    forgetting = Forgetting(database, documents)
    membership = Membership(vault, outbox, clock, policy)
    uploader = Uploader(
        outbox,
        observations,
        documents,
        connect=membership.connect,
        enrolment=membership.entry,
        folder=folder,
        clock=clock,
        rng=SystemRandom(),
        version=config.version(),
        system=f"{platform.system()} {platform.release()}",
        spread_s=SPREAD_S,
        has_network=_has_network,
        before_acknowledged=scan_reports(observations, documents, clock)
        if policy.send_scan_reports
        else lambda _observation: None,
    )

    def chores() -> None:
        """What is kept can be read all the same, whatever can't be done of it."""
        now = clock.utc()
        with contextlib.suppress(StoreFault):
            forgetting.purge_old(now, policy.keep_deleted_days)
            forgetting.retention(now, policy.keep_days)
            documents.tidy()
        with contextlib.suppress(StoreFault):
            backups.make_if_due(
                database, now, every_hours=policy.backup_every_hours, kept=policy.backups_kept
            )

    sync = SyncThread(uploader, clock, chores)

    def close() -> None:
        if sync.end(_SYNC_END_S):
            uploader.close()
        database.close()

    return Kept(
        observations=observations,
        outbox=outbox,
        documents=documents,
        consents=Consents(database),
        tasks=Tasks(database),
        forgetting=forgetting,
        sync=sync,
        policy=policy,
        healed=opened.healed,
        set_aside=opened.set_aside,
        needs_recovery_key=opened.needs_recovery_key,
        new_recovery_key=lambda: new_recovery_key(folder, vault).to_text(),
        confirm_recovery_key=lambda: confirm_recovery_key(folder, database),
        rotate_key=lambda: rotate_key(folder, vault),
        enrol=lambda code, url: membership.enrol(code, url, uploader),
        converse=membership.converse,
        leave=lambda: membership.leave(uploader),
        chores=chores,
        back_up=lambda: database.back_up(kept=policy.backups_kept),
        send_fhir=lambda transaction: _send_fhir(transaction, vault, clock, policy),
        keep_fhir_token=lambda token: _keep_fhir_token(vault, token),
        close=close,
    )
