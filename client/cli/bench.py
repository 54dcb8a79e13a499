"""`health-helper bench`: how Health Helper compares, measured here and now.

`bench cost`: what measuring one clip takes, beside other packages in the same run. `bench install-peers`: those
packages, each in an environment of its own.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from client.cli.parts import Demo, DemoScene, Parts
from client.errors import BadInput, Interrupted
from edge_models.types import Frame

CLIP_S = 40.0
TRUE_BPM = 72.0
MAX_RUNS = 100


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the commands."""
    bench = typer.Typer(help="Measure how Health Helper compares with others.", no_args_is_help=True)
    app.add_typer(bench, name="bench")

    @bench.command()
    def cost(
        peers: Annotated[
            bool,
            typer.Option("--peers", help="Beside other packages (first: health-helper bench install-peers)."),
        ] = False,
        clip: Annotated[
            Path | None,
            typer.Option(
                metavar="FILE",
                help="Measure this video (default: a simulated person, 640×480, 30 fps, 40 s).",
            ),
        ] = None,
        runs: Annotated[int, typer.Option(metavar="N", help="How often each is run, in turn.")] = 5,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON object on standard output.")
        ] = False,
    ) -> None:
        """Processor time, memory and time on the wall of whole processes, and where ours goes."""
        from client.evaluation.cost import Comparison, OwnScan, PeerTool, Run, Tool, in_turn
        from client.evaluation.peers import known

        if not 1 <= runs <= MAX_RUNS:
            raise BadInput(title=f"--runs {runs} is too few or too many", remedy=f"Give 1 to {MAX_RUNS}.")
        if clip is not None and not clip.is_file():
            raise BadInput(title=f"{clip.name} is no file", remedy="Check the name given with --clip.")
        tools: list[Tool] = [OwnScan(), *(PeerTool(peer) for peer in known() if peers)]
        for tool in tools:
            tool.command(Path("clip"))  # says what is missing before a minute goes into the clip
        err = Console(stderr=True, highlight=False)
        done: list[Run] = []
        with _stopped_cleanly(), tempfile.TemporaryDirectory(prefix="health-helper-") as folder:
            video = _simulated(parts, Path(folder), err) if clip is None else clip.resolve()
            with err.status("", spinner="line") as status:
                ended = in_turn(tools, video, runs, parts.clock)
                for number in range(runs * len(tools)):
                    status.update(f"{number + 1} of {runs * len(tools)}: {tools[number % len(tools)].name}")
                    run = next(ended)
                    done.append(run)
                    err.print(
                        f"{number + 1} of {runs * len(tools)}  {run.tool}: {run.cpu_s:.2f} s of processor time, "
                        f"{run.wall_s:.1f} s on the wall"
                    )
        comparison = Comparison(
            clip=f"simulated person, 640×480, 30 fps, {CLIP_S:g} s, {video.suffix[1:]}"
            if clip is None
            else clip.name,
            truth_bpm=TRUE_BPM if clip is None else None,
            runs=tuple(done),
        )
        if as_json:
            print(json.dumps(comparison.to_json(), ensure_ascii=True))
        else:
            _show(comparison.rows(), comparison.clip)

    @bench.command("install-peers")
    def install_peers() -> None:
        """Install the packages that we are compared with into .cache/peers, outside our own environment."""
        from client.evaluation.peers import known

        err = Console(stderr=True, highlight=False)
        for peer in known():
            with _stopped_cleanly(), err.status(f"Installing {peer.name} (about 130 MB to download)"):
                fresh = peer.install(parts.clock)
            print(f"{peer.name}: {'installed' if fresh else 'is installed already'}", file=sys.stderr)
            if missing := peer.missing_program():
                print(f"  It also needs {missing}: run 'apt-get install ffmpeg' as root.", file=sys.stderr)


def _simulated(parts: Parts, folder: Path, err: Console) -> Path:
    """A clip of the simulated person in the folder."""
    source = parts.demo(Demo(DemoScene.PERSON, TRUE_BPM, CLIP_S, real_time=False))
    try:
        fps = source.open().header_fps
        assert fps is not None  # the demo knows its rate
        with err.status("Simulating a clip", spinner="line") as status:

            def frames() -> Iterator[Frame]:
                while (frame := source.read()) is not None:
                    status.update(f"Simulating a clip: {frame.t_s:.0f} of {CLIP_S:g} s")
                    yield frame

            return parts.write_clip(folder, frames(), fps)
    finally:
        source.close()


@contextmanager
def _stopped_cleanly() -> Iterator[None]:
    """Ctrl-C and a polite kill end what is running, and are told as `Interrupted`."""
    on_main = threading.current_thread() is threading.main_thread()  # only there may handlers be set
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if on_main else None
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            title="Stopped before the end", remedy="Nothing was kept; start it again."
        ) from None
    finally:
        if on_main:
            signal.signal(signal.SIGTERM, before)


def _show(rows: list[tuple[str, ...]], title: str) -> None:
    """The table as Markdown, on standard output: fit for a terminal and for a README."""
    table = Table(box=box.MARKDOWN)
    heading, *body = rows
    for number, name in enumerate(heading):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in body:
        table.add_row(*row)
    out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    out.print(f"Clip: {title}")
    out.print(table)
