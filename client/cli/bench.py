"""`health-helper bench`: how well Health Helper measures and how it compares, measured here and now.

Alone: the simulated grids, the real recordings and whole data sets, as tables. `bench cost`: what measuring one clip
takes, beside other packages in the same run. `bench install-peers`: those packages, each in an environment of its
own. `bench coach`: whether faults of the picture are found and said. `bench confidence`: whether the heart rate's
confidence is true, and its weights fitted again. `bench store`: how fast a full store is. `bench reconnect`: whether devices that come back at once are a storm. `bench assistant`: whether the
assistant notices emergencies, is led astray, hears people and lets itself be interrupted. `bench teach`: triage's second reader,
from sentences. `bench worker`: what the first starts several of.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from client.errors import BadInput, EnvironmentFault, Interrupted
from client.parts import Demo, DemoScene, Parts
from edge_models.types import Frame

if TYPE_CHECKING:  # what a scan does not need is loaded by the commands that do
    from client.evaluation.cases import Workshop
    from client.evaluation.ledger import Ledger, Line
    from client.evaluation.report import Run as BenchRun
    from client.evaluation.selection import Selection
    from client.evaluation.workers import Task

CLIP_S = 40.0
TRUE_BPM = 72.0
MAX_RUNS = 100
WORSE = 1
"""Exit status where a cell of the small fixed part is worse than the committed table, or a target is missed."""
RESULTS = Path("health-helper-bench")
RECORDINGS = Path("..") / "shared" / "data"
_TELL_EVERY_S = 20.0


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the commands."""
    bench = typer.Typer(help="Measure how well Health Helper measures, and how it compares with others.")
    app.add_typer(bench, name="bench")
    _add_grids(bench, parts)
    _add_worker(bench, parts)
    _add_coach(bench, parts)
    _add_confidence(bench, parts)
    _add_store(bench, parts)
    _add_reconnect(bench)
    _add_assistant(bench, parts)
    _add_teaching(bench)

    @bench.command()
    def cost(
        peers: Annotated[
            bool,
            typer.Option("--peers", help="Beside vitallens POS (first: health-helper bench install-peers)."),
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
        from client.evaluation.peers import yardstick

        if not 1 <= runs <= MAX_RUNS:
            raise BadInput(title=f"--runs {runs} is too few or too many", remedy=f"Give 1 to {MAX_RUNS}.")
        if clip is not None and not clip.is_file():
            raise BadInput(title=f"{clip.name} is no file", remedy="Check the name given with --clip.")
        tools: list[Tool] = [OwnScan(), *([PeerTool(yardstick())] if peers else [])]
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
        for peer in {peer.folder: peer for peer in known()}.values():
            with _stopped_cleanly(), err.status(f"Installing {peer.package} (100 to 400 MB to download)"):
                fresh = peer.install(parts.clock)
            print(f"{peer.package}: {'installed' if fresh else 'is installed already'}", file=sys.stderr)
            if missing := peer.missing_program():
                print(f"  It also needs {missing}: run 'apt-get install ffmpeg' as root.", file=sys.stderr)


def _add_reconnect(bench: typer.Typer) -> None:
    @bench.command()
    def reconnect(
        devices: Annotated[
            int, typer.Option(metavar="N", min=1, max=100_000, help="How many come back.")
        ] = 10_000,
        seed: Annotated[int, typer.Option(metavar="S", help="Of all chance.")] = 1,
        out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = RESULTS,
        plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw arrivals.png.")] = True,
    ) -> None:
        """How thousands of devices come back at once: the real uploader against a simulated service, in a minute or two.

        Writes reconnect.md, reconnect.json and arrivals.png.
        """
        from client.evaluation import reconnect as simulation

        _make(out)
        err = Console(stderr=True, highlight=False)
        done = []
        with _stopped_cleanly(), err.status("", spinner="line") as status:
            for name in simulation.MORNINGS:
                status.update(name)
                done.append(simulation.morning(name, devices, seed=seed))
                err.print(f"{name}: {done[-1].asked:,} requests")
        if plots:
            from client.evaluation.plots import draw_arrivals

            arrived = {one.name: list(one.arrived) for one in done}
            draw_arrivals(arrived, simulation.TOKENS_PER_S, out / "arrivals.png")
        written = json.dumps(simulation.to_json(done)) + "\n"
        _write_texts({"reconnect.md": simulation.markdown(done), "reconnect.json": written}, out, err)


def _add_assistant(bench: typer.Typer, parts: Parts) -> None:
    @bench.command()
    def assistant(
        part: Annotated[
            str | None,
            typer.Option(metavar="NAME", help="Only this: triage, answers, injections, voice or echo."),
        ] = None,
        as_json: Annotated[
            Path | None, typer.Option("--json", metavar="FILE", help="Write all figures to this file.")
        ] = None,
        plots: Annotated[
            Path | None, typer.Option(metavar="FOLDER", help="Draw what is heard and interrupted, as PNG.")
        ] = None,
        recordings: Annotated[
            Path, typer.Option(metavar="FOLDER", help="Speech in WAV files, heard where it is there.")
        ] = RECORDINGS / "speech",
        trials: Annotated[
            int, typer.Option(metavar="N", min=1, max=10_000, help="Of interrupting our voice.")
        ] = 200,
        turn: Annotated[
            Path | None,
            typer.Option(
                metavar="FILE",
                help="Only judge these figures of whole turns: what tests/scenarios/test_assistant_story.py writes to the file that "
                "HH_ASSISTANT_STORY_JSON names.",
            ),
        ] = None,
    ) -> None:
        """Whether the assistant notices emergencies, is led astray by models and documents, hears people, and can be interrupted.

        Exit status 1 where a target is missed.
        """
        from client.evaluation import assistant as measuring

        if turn is not None:
            text, missed = measuring.turn(turn)
            print(f"{text}\n\nTargets missed: {'; '.join(missed) or 'none'}.")
            if missed:
                raise typer.Exit(WORSE)
            return
        if part is not None and part not in set(measuring.Part):
            raise BadInput(
                title=f"There is no part {part}", remedy=f"Choose one of {', '.join(measuring.Part)}."
            )
        if plots is not None:
            _make(plots, "--plots")
        err = Console(stderr=True, highlight=False)
        found = []
        with _stopped_cleanly(), err.status("", spinner="line") as status:
            for one in measuring.Part if part is None else [measuring.Part(part)]:
                found.append(measuring.measured(one, recordings, trials, parts.clock, status.update))
                err.print(f"{one}: {'; '.join(found[-1].misses) or 'no target missed'}", markup=False)
        if plots is not None:
            from client.evaluation.plots import draw_assistant

            for told in found:
                draw_assistant(told.heard, told.trials, plots)
        print(measuring.markdown(found), end="")
        if as_json is not None:
            written = json.dumps(measuring.to_json(found), ensure_ascii=False, indent=1, allow_nan=False)
            try:
                as_json.write_text(written + "\n", encoding="utf-8")
            except OSError as error:
                raise EnvironmentFault(
                    title=f"{as_json.name} could not be written ({error.strerror})",
                    remedy="Choose another file with --json.",
                ) from error
        if any(told.misses for told in found):
            raise typer.Exit(WORSE)


def _add_teaching(bench: typer.Typer) -> None:
    @bench.command(name="teach")
    def teach(
        sets: Annotated[
            Path,
            typer.Option(
                metavar="FOLDER", help="With development.jsonl, validation.jsonl and teaching/LANGUAGE.jsonl."
            ),
        ] = Path("assets/benchmark/assistant/triage"),
        out: Annotated[
            Path, typer.Option("--out", metavar="FOLDER", help="Where the weights are written.")
        ] = Path("assets/triage"),
    ) -> None:
        """Teach the second reader of triage anew, from sentences (in a checkout). A quarter of an hour.

        Says of each language how good rules and reader are together, on sentences that they were not taught with: those of validation.jsonl, on
        which also the threshold is chosen. They are learned from in the end too.
        """
        from client.assistant.triage import shipped
        from client.evaluation.second_reader_fit import teach as taught_with

        with _stopped_cleanly():
            with typer.progressbar(length=100, label="Learning", file=sys.stderr) as bar:
                taught = taught_with(
                    shipped(), sets, lambda share: bar.update(max(0, int(100 * share) - bar.pos))
                )
            for name, content in taught.files.items():
                try:
                    (out / name).write_bytes(content)
                except OSError as error:
                    raise EnvironmentFault(
                        title=f"{name} could not be written ({error.strerror})",
                        remedy="Choose another folder with --out.",
                    ) from error
            for one, count in taught.sentences.items():
                print(
                    f"{one}: {count} sentences; of those not yet learned from, {taught.recall[one]:.1%} of the emergencies are found and "
                    f"{taught.false_alarms[one]:.1%} of the harmless taken for one"
                )


def _add_store(bench: typer.Typer, parts: Parts) -> None:
    @bench.command()
    def store(
        scans: Annotated[int, typer.Option(metavar="N", min=1_000, help="How many are in it.")] = 100_000,
        place: Annotated[
            Path | None,
            typer.Option(metavar="FOLDER", help="On which disk (default: that for temporary files)."),
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON object on standard output.")
        ] = False,
    ) -> None:
        """How fast the store saves, lists and opens when it is full, beside plain SQLite. Takes about 16 kB of disk a scan."""
        from client.evaluation import store_speed

        if place is not None and not place.is_dir():
            raise BadInput(
                title=f"{place.name} is no folder", remedy="Give one on the disk that is asked about."
            )
        err = Console(stderr=True, highlight=False)
        with (
            _stopped_cleanly(),
            tempfile.TemporaryDirectory(prefix="health-helper-", dir=place) as folder,
            err.status("", spinner="line") as status,
        ):
            found = store_speed.measure(Path(folder), scans, parts.clock, status.update)
        if as_json:
            print(json.dumps(store_speed.to_json(scans, found)))
        else:
            print(store_speed.markdown(scans, found))


def _add_coach(bench: typer.Typer, parts: Parts) -> None:
    @bench.command()
    def coach(
        part: Annotated[
            str, typer.Option(metavar="NAME", help="judge, or tune: what the thresholds were set on.")
        ] = "judge",
        out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = RESULTS,
    ) -> None:
        """Whether each of fifteen faults is found and said in time, and good pictures are left in peace.

        Clips are simulated. Writes coach.json and coach.md.
        """
        from client.evaluation import coach_grid, coach_measuring

        if part not in set(coach_grid.Part):
            raise BadInput(
                title=f"There is no part {part}", remedy=f"Choose one of {', '.join(coach_grid.Part)}."
            )
        chosen = coach_grid.Part(part)
        _make(out)
        err = Console(stderr=True, highlight=False)
        outcomes: list[coach_measuring.Seen] = []
        whole = coach_grid.CLIPS_PER_FAULT * len(coach_grid.FAULTS) + coach_grid.GOOD_CLIPS
        told_s = parts.clock.now_s()
        with _stopped_cleanly(), err.status("", spinner="line") as status:
            for outcome in coach_measuring.measured(chosen, parts.portrait(), parts.engine):
                outcomes.append(outcome)
                done = f"{len(outcomes)} of {whole} clips"
                status.update(f"{done}: {outcome.clip.name}")
                if not err.is_terminal and parts.clock.now_s() - told_s > _TELL_EVERY_S:
                    told_s = parts.clock.now_s()
                    err.print(done)
        text = coach_measuring.markdown(chosen, outcomes)
        written = json.dumps(coach_measuring.to_json(chosen, outcomes), ensure_ascii=False, indent=1)
        _write_texts({"coach.md": text, "coach.json": written + "\n"}, out, err)


def _add_confidence(bench: typer.Typer, parts: Parts) -> None:
    @bench.command()
    def confidence(
        scans: Annotated[
            int,
            typer.Option(metavar="N", min=1, help="N people and N nobodies to fit on, as many to judge."),
        ] = 150,
        out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = RESULTS,
    ) -> None:
        """Fit the weights of the heart rate's confidence again, and ask how true those in use are.

        Scans are simulated, without pictures. Writes confidence.json and confidence.md.
        """
        from client.evaluation import confidence_fit

        _make(out)
        err = Console(stderr=True, highlight=False)
        to_fit: list[confidence_fit.Reading] = []
        to_judge: list[confidence_fit.Reading] = []
        done, whole = 0, 4 * scans
        told_s = parts.clock.now_s()
        with _stopped_cleanly(), err.status("", spinner="line") as status:
            for kept, first in (
                (to_fit, confidence_fit.FIT_FROM),
                (to_judge, confidence_fit.JUDGE_FROM),
            ):
                for readings in confidence_fit.measured(first, scans):
                    kept += readings
                    done += 1
                    status.update(f"{done} of {whole} scans")
                    if not err.is_terminal and parts.clock.now_s() - told_s > _TELL_EVERY_S:
                        told_s = parts.clock.now_s()
                        err.print(f"{done} of {whole} scans")
            made = confidence_fit.study(scans, to_fit, to_judge)
        written = json.dumps(confidence_fit.to_json(made), ensure_ascii=False, indent=1, allow_nan=False)
        texts = {"confidence.md": confidence_fit.markdown(made), "confidence.json": written + "\n"}
        _write_texts(texts, out, err)


def _make(out: Path, option: str = "--out") -> None:
    """The folder, before minutes go into what shall lie in it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(
            title=f"{out.name} could not be made ({error.strerror})",
            remedy=f"Choose another folder with {option}.",
        ) from error


def _write_texts(texts: dict[str, str], out: Path, err: Console) -> None:
    """Write these files, print the first, and say where they are."""
    try:
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentFault(
            title=f"The results could not be written ({error.strerror})",
            remedy="Free some space or choose another folder with --out.",
        ) from error
    print(next(iter(texts.values())), end="")
    err.print(f"Written: {', '.join(texts)} in {out}", markup=False, soft_wrap=True)


def _add_grids(bench: typer.Typer, parts: Parts) -> None:
    """The benchmark itself: `bench` without a further word."""

    @bench.callback(invoke_without_command=True)
    def measure(
        context: typer.Context,
        grid: Annotated[
            str, typer.Option(metavar="NAME", help="Simulated clips: traces, video, ci, all or none.")
        ] = "all",
        subset: Annotated[
            int | None, typer.Option(metavar="N", min=1, help="Only N clips of each group.")
        ] = None,
        every: Annotated[
            int | None, typer.Option(metavar="K", min=1, help="Only one in K clips of each group.")
        ] = None,
        only: Annotated[
            str | None, typer.Option(metavar="TEXT", help="Only clips with TEXT in GROUP/NAME.")
        ] = None,
        workers: Annotated[
            int | None, typer.Option(metavar="N", min=1, help="Processes at once (default: one per core).")
        ] = None,
        peers: Annotated[
            bool,
            typer.Option("--peers", help="Beside other packages (first: health-helper bench install-peers)."),
        ] = False,
        data: Annotated[
            Path | None, typer.Option(metavar="FOLDER", help="Measure this data set too.")
        ] = None,
        layout: Annotated[
            str | None, typer.Option(metavar="NAME", help="How FOLDER is laid out (see --layout list).")
        ] = None,
        recordings: Annotated[
            Path, typer.Option(metavar="FOLDER", help="Real recordings, measured where they are there.")
        ] = RECORDINGS,
        out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results go.")] = RESULTS,
        fresh: Annotated[bool, typer.Option("--fresh", help="Measure everything anew.")] = False,
        keep: Annotated[
            bool, typer.Option("--keep", help="Keep the rendered clips for the next run.")
        ] = False,
        plots: Annotated[
            bool | None,
            typer.Option("--plots/--no-plots", help="Draw plots (default: where 'make bench' was run)."),
        ] = None,
        accept: Annotated[
            bool, typer.Option("--accept", help="With --grid ci: write the committed table anew.")
        ] = False,
    ) -> None:
        """Measure simulated clips and recordings whose truth is known; write results.json and tables.md.

        What is done is kept: the same command goes on where it was stopped. A changed engine is measured anew.
        With --grid ci the result is compared with the committed table, and a cell that got worse ends it with 1.
        """
        if context.invoked_subcommand is not None:
            return
        from client.evaluation import layouts
        from client.evaluation.selection import Grid, Selection

        if layout == "list":
            print(layouts.described())
            return
        if grid not in set(Grid):
            raise BadInput(title=f"There is no grid {grid}", remedy=f"Choose one of {', '.join(Grid)}.")
        selection = Selection(
            grid=Grid(grid),
            subset=subset,
            every=every,
            only=only,
            recordings=recordings.resolve() if recordings.is_dir() else None,
            data=None if data is None else data.resolve(),
            layout=layout,
        )
        err = Console(stderr=True, highlight=False)
        run = _measure_all(
            selection, parts, err, out, workers or os.cpu_count() or 1, peers=peers, fresh=fresh, keep=keep
        )
        _write_all(run, out, err, plots=plots)
        if selection.grid is Grid.CI:
            _against_table(run, accept=accept)


def _measure_all(
    selection: Selection,
    parts: Parts,
    err: Console,
    out: Path,
    workers: int,
    *,
    peers: bool,
    fresh: bool,
    keep: bool,
) -> BenchRun:
    """Measure what is not measured yet; everything that was selected."""
    from client.evaluation.ledger import Ledger, engine_digest, simulator_digest
    from client.evaluation.peers import known
    from client.evaluation.report import Run as BenchRun
    from client.evaluation.selection import collect, tasks, without_done

    compared = known() if peers else ()
    for peer in compared:
        peer.command(Path("clip"))  # says what is missing before anything is measured
    wanted = tasks(collect(selection), compared)
    keys = {(task.case.group, task.case.name, job): key for task in wanted for job, key in task.keys.items()}
    _make(out)
    ledger = Ledger(out / "clips.jsonl")
    if fresh:
        ledger.forget()
    engine, measured_with = engine_digest(), {peer.digest() for peer in known()}
    done = ledger.done(
        # Lines that this run does not want stay, as long as they were measured with what there is now.
        lambda line: (
            keys[line.place] == line.key
            if line.place in keys
            else any(version in line.key for version in {engine, *measured_with})
        )
    )
    lines = {place: line for place, line in done.items() if place in keys}
    left = without_done(wanted, lines)
    if lines:
        err.print(f"{len(lines)} of {len(keys)} are measured already.")
    if left:
        _measure_left(selection, parts, err, ledger, left, lines, workers, keep=keep)
    return BenchRun(
        tuple(outcome for line in lines.values() for outcome in line.outcomes),
        engine,
        simulator_digest(),
        {**selection.told(), "peers": peers},
    )


def _measure_left(
    selection: Selection,
    parts: Parts,
    err: Console,
    ledger: Ledger,
    left: Sequence[Task],
    lines: dict[tuple[str, str, str], Line],
    workers: int,
    *,
    keep: bool,
) -> None:
    """Measure these, put each down at once, and show how far it is."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from client.evaluation.peers import ROOT
    from client.evaluation.workers import measured, own_command

    jobs = sum(len(task.keys) for task in left)
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    )
    cache = ROOT / ".cache" / "bench"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(prefix="work-", dir=cache, ignore_cleanup_errors=True)
    except OSError as error:
        raise EnvironmentFault(
            title=f"Rendered clips could not be kept in .cache/bench ({error.strerror})",
            remedy="Free some space and try again.",
        ) from error
    arguments = [
        "bench",
        "worker",
        "--folder",
        work.name,
        *(["--keep", str(cache / "clips")] if keep else []),
    ]
    command = own_command(*arguments, "--selection", selection.to_text())
    begun_s = told_s = parts.clock.now_s()
    efforts = {(task.case.group, task.case.name): task.case.effort / len(task.keys) for task in left}
    whole, gone, count = sum(task.case.effort for task in left), 0.0, 0
    with work, _stopped_cleanly("The same command goes on from there."), shown:
        bar = shown.add_task(f"0 of {jobs}", total=whole)
        with closing(measured(left, command=command, workers=workers)) as answers:
            for line in answers:
                ledger.add(line)
                lines[line.place] = line
                count += 1
                gone += efforts[line.place[:2]]
                shown.update(bar, completed=gone, description=f"{count} of {jobs}")
                now_s = parts.clock.now_s()
                if not err.is_terminal and now_s - told_s > _TELL_EVERY_S:
                    told_s = now_s
                    minutes = (now_s - begun_s) * (whole - gone) / gone / 60
                    err.print(f"{count} of {jobs} measured, about {minutes:.0f} min left")
    if not keep:
        shutil.rmtree(cache / "clips", ignore_errors=True)


def _write_all(run: BenchRun, out: Path, err: Console, *, plots: bool | None) -> None:
    from client.evaluation import report

    written = report.write(run, out)
    if plots is None:
        plots = find_spec("matplotlib") is not None
        if not plots:
            err.print("No plots are drawn: 'make bench' brings what they need.")
    if plots:
        from client.evaluation.plots import draw

        written += draw(run, out)
    failed = [outcome for outcome in run.outcomes if outcome.failed is not None]
    for outcome in failed[:5]:
        err.print(f"Failed: {outcome.group}/{outcome.case}, {outcome.tool}: {outcome.failed}", markup=False)
    if failed:
        err.print(f"{len(failed)} measurements failed; they count as not shown.")
    print(report.markdown(run) if not sys.stdout.isatty() else report.markdown(run).split("\n## ", 2)[1])
    err.print(f"Written: {', '.join(path.name for path in written)} in {out}", markup=False, soft_wrap=True)


def _against_table(run: BenchRun, *, accept: bool) -> None:
    """Compare the small fixed part with the committed table, or write that anew."""
    from client.evaluation import regression

    if accept:
        regression.accept(run)
        return
    worse = regression.compare(run)
    for sentence in worse:
        print(f"Worse: {sentence}", file=sys.stderr)
    if worse:
        raise typer.Exit(WORSE)
    print(f"No cell is worse than in {regression.TABLE.name}.", file=sys.stderr)


def _add_worker(bench: typer.Typer, parts: Parts) -> None:
    @bench.command(hidden=True)
    def worker(
        folder: Annotated[Path, typer.Option()],
        selection: Annotated[str, typer.Option()],
        keep: Annotated[Path | None, typer.Option()] = None,
    ) -> None:
        """Measure the cases that standard input names, one JSON line each."""
        from client.evaluation.selection import Selection, collect
        from client.evaluation.workers import serve

        def say(text: str) -> None:
            print(text, flush=True)

        with _stopped_cleanly():
            serve(collect(Selection.from_text(selection)), workshop(parts, folder, keep), sys.stdin, say)


def workshop(parts: Parts, folder: Path, kept: Path | None) -> Workshop:
    """What measuring needs, out of the application's parts."""
    from client.evaluation.cases import Workshop
    from client.evaluation.cost import OwnScan
    from client.evaluation.peers import known

    return Workshop(
        folder=folder,
        kept=kept,
        clock=parts.clock,
        engine=parts.engine,
        video=parts.video,
        write_clip=parts.write_clip,
        portrait=parts.portrait,
        command=OwnScan().command,
        peers={peer.name: peer for peer in known()},
    )


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

            return parts.write_clip(folder, frames(), fps, None)
    finally:
        source.close()


@contextmanager
def _stopped_cleanly(remedy: str = "Nothing was kept; start it again.") -> Iterator[None]:
    """Ctrl-C and a polite kill end what is running, and are told as `Interrupted`."""
    on_main = threading.current_thread() is threading.main_thread()  # only there may handlers be set
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if on_main else None
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(title="Stopped before the end", remedy=remedy) from None
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
