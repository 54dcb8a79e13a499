"""The composition root: the only module that knows the concrete things behind the ports.

Everything heavy (cv2, onnxruntime, httpx) is imported when a command asks for it, not before.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

import typer

from client import log, weights
from client.cli import commands
from client.cli.parts import CameraEntry, CameraTruth, Demo, Parts, WeightsEntry
from client.clock import Clock, SystemClock
from client.devices.ports import FrameSource
from client.errors import HealthHelperError, Interrupted
from client.pipeline.run import Engine
from edge_models.types import ByteArray, Frame

FACE_NET = "face_rfb_320"
DEMO_FACE = "astronaut"
DEMO_FPS = 30.0


def real_parts(clock: Clock) -> Parts:
    """The application as it is shipped."""
    return Parts(
        clock=clock,
        started_s=clock.now_s(),
        cameras=_cameras,
        camera=_camera,
        examine_camera=_examine_camera,
        video=_video,
        url=_url,
        demo=_demo,
        engine=_engine,
        weights=_weights,
        write_clip=_write_clip,
    )


def run(parts: Parts, arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. The world's fault becomes one line; our bugs go on to the caller."""
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
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def main() -> int:
    """The command `health-helper`. Whatever is not the world's fault is shown redacted and ends with 1."""
    sys.excepthook = log.show_bug
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
    from client.devices.opencv import prepare_opencv

    prepare_opencv()
    import cv2
    import numpy as np

    from edge_models.simulate.scene import Scene, SceneKind, render

    picture = np.frombuffer(weights.load(DEMO_FACE), dtype=np.uint8)
    face = cast("ByteArray", cv2.imdecode(picture, cv2.IMREAD_COLOR))
    scene = Scene(
        kind=SceneKind(demo.scene.value),
        heart_rate_bpm=demo.heart_rate_bpm,
        duration_s=demo.duration_s,
        fps=DEMO_FPS,
    )
    yield from render(scene, face)


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


def _write_clip(folder: Path, frames: Iterable[Frame], fps: float) -> Path:
    from client.devices.clip_writer import write_clip

    return write_clip(folder, frames, fps)
