"""`health-helper window`: the application in a window."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client import log
from client.cli.scan import MAX_SECONDS, MIN_SECONDS, too_many_sources
from client.devices.ports import FrameSource
from client.parts import Demo, DemoScene, Parts, WindowChoice
from client.pipeline.session import Goal


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the command."""

    @app.command()
    def window(
        camera: Annotated[
            str | None,
            typer.Option(metavar="ID", help="Measure with this camera, whatever the settings say."),
        ] = None,
        video: Annotated[Path | None, typer.Option(metavar="FILE", help="Measure a video file.")] = None,
        url: Annotated[
            str | None, typer.Option(metavar="URL", help="Measure an MJPEG stream over HTTP.")
        ] = None,
        demo: Annotated[bool, typer.Option("--demo", help="Measure a simulated person.")] = False,
        demo_bpm: Annotated[
            float, typer.Option(metavar="BPM", min=30.0, max=220.0, help="Their true heart rate.")
        ] = 72.0,
        seconds: Annotated[
            float | None,
            typer.Option(
                metavar="N", min=MIN_SECONDS, max=MAX_SECONDS, help="How long a scan is (see: scan --help)."
            ),
        ] = None,
        full_screen: Annotated[
            bool, typer.Option("--full-screen", help="Fill the screen, as on a kiosk.")
        ] = False,
        begin: Annotated[bool, typer.Option("--begin", help="Start a scan at once.")] = False,
        end_after_result: Annotated[
            bool,
            typer.Option(
                "--end-after-result",
                help="Print the result as JSON and end, with the exit status of scan: to try an installation.",
            ),
        ] = False,
        verbose: Annotated[
            bool, typer.Option("--verbose", help="Log to standard error; names nobody and no file.")
        ] = False,
    ) -> None:
        """Open the window: scan, see, keep, print."""
        log.start(verbose=verbose)
        named = [
            name
            for name, given in (
                ("--camera", camera),
                ("--video", video),
                ("--url", url),
                ("--demo", demo or None),
            )
            if given is not None
        ]
        if len(named) > 1:
            raise too_many_sources(named)

        def source() -> FrameSource:
            if video is not None:
                return parts.video(video)
            if url is not None:
                return parts.url(url)
            if camera is not None:
                return parts.camera(camera)
            return parts.demo(Demo(DemoScene.PERSON, demo_bpm, seconds or _DEMO_S, real_time=True))

        choice = WindowChoice(
            source=source if named else None,
            goal=_goal(seconds or (_DEMO_S if demo else None), ends=video is not None or demo),
            simulated=demo,
            begin=begin,
            end_after_result=end_after_result,
            full_screen=full_screen,
        )
        raise typer.Exit(parts.window(parts, choice))


def _goal(seconds: float | None, *, ends: bool) -> Goal | None:
    """ends: whether the source does by itself. None: as the settings say."""
    if ends:
        return Goal(at_most_s=seconds)
    return None if seconds is None else Goal.live(seconds)


_DEMO_S = 40.0
