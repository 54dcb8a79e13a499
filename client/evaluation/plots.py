"""The plots of the benchmark: PNG and SVG, light, in colours that colour-blind people tell apart (Okabe & Ito).

matplotlib is loaded when they are drawn; it comes with the dependency group bench.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.errors import EnvironmentFault
from client.evaluation import metrics
from client.evaluation.assistant_echo import Trial
from client.evaluation.assistant_voice import Measured
from client.evaluation.outcomes import OURS, Outcome
from client.evaluation.report import SIMULATED, Run, by_tool

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_STYLE: dict[Any, Any] = {  # its library types the keys one by one
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "axes.axisbelow": True,
    "font.size": 10,
    "legend.frameon": False,
    "svg.hashsalt": "health-helper",  # the same plot is the same file
    "svg.fonttype": "path",
}


def draw(run: Run, folder: Path) -> list[Path]:
    """Every plot for which there are outcomes, twice each. Raises EnvironmentFault without matplotlib."""
    mpl = _library()
    from matplotlib.figure import Figure

    written: list[Path] = []
    with mpl.rc_context(_STYLE):
        for group, members in run.groups().items():
            if group not in SIMULATED:
                continue
            tools = by_tool(members)
            for name, plot in _PLOTS.items():
                figure = Figure(figsize=(6.4, 4.4), layout="constrained")
                if not plot(figure.add_subplot(), tools):
                    continue
                for suffix, metadata in (
                    ("png", {"Software": None}),
                    ("svg", {"Date": None, "Creator": None}),
                ):
                    path = folder / f"{group}-{name}.{suffix}"
                    figure.savefig(path, dpi=150, metadata=metadata)
                    written.append(path)
    return written


def draw_arrivals(arrived: Mapping[str, Sequence[float]], limit_per_s: float, path: Path) -> None:
    """Requests in each second after a return, by morning, on one picture (PNG). limit_per_s: that of the service's tokens, as a line.
    Raises EnvironmentFault without matplotlib.
    """
    mpl = _library()
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 2.3 * len(arrived)), layout="constrained")
        for axes, (name, counts), colour in zip(
            figure.subplots(len(arrived), sharex=True, squeeze=False)[:, 0],
            arrived.items(),
            _COLOURS,
            strict=False,
        ):
            axes.bar(range(len(counts)), counts, width=1.0, color=colour)
            axes.axhline(limit_per_s, color="#333333", linestyle="--", linewidth=1)
            axes.set_title(f"{name}: {max(counts):,.0f} in the worst second", fontsize=10, loc="left")
            axes.set_ylabel("requests/s")
        axes.set_xlabel("seconds after the return (dashed: tokens that the service gives out in a second)")
        figure.savefig(path, dpi=150, metadata={"Software": None})


def draw_assistant(heard: Sequence[Measured], trials: Sequence[Trial], folder: Path) -> None:
    """hearing.png: the area under the ROC curve by level, a panel for each kind of speech. interrupting.png: how fast our voice was silent.
    Each where there is something to draw. Raises EnvironmentFault without matplotlib.
    """
    mpl = _library()
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        if heard:
            names = list(dict.fromkeys(one.track for one in heard))
            figure = Figure(figsize=(4.6 * len(names), 4.0), layout="constrained")
            for axes, name in zip(
                figure.subplots(1, len(names), sharey=True, squeeze=False)[0], names, strict=True
            ):
                _hearing(axes, [one for one in heard if one.track == name], name)
            figure.savefig(folder / "hearing.png", dpi=150, metadata={"Software": None})
        if trials:
            figure = Figure(figsize=(6.4, 3.6), layout="constrained")
            _interrupting(figure.add_subplot(), trials)
            figure.savefig(folder / "interrupting.png", dpi=150, metadata={"Software": None})


def _hearing(axes: Axes, heard: Sequence[Measured], name: str) -> None:
    for tool, colour in zip(dict.fromkeys(one.tool for one in heard), _COLOURS, strict=False):
        cells: dict[str, list[tuple[float, float]]] = {}
        for one in heard:
            if one.tool == tool and one.level_db is not None:
                cells.setdefault(one.noise, []).append((one.level_db, one.auc))
        for at, (noise, points) in enumerate(cells.items()):
            levels, areas = zip(*sorted(points), strict=True)
            axes.plot(
                levels,
                areas,
                color=colour,
                marker=_MARKERS[at % len(_MARKERS)],
                markersize=4,
                linewidth=1,
                linestyle=":" if noise == "babble" else "-",
                label=f"{tool}, {noise}",
            )
    axes.invert_xaxis()
    axes.set_xlabel("speech over noise, dB (dotted: other people)")
    axes.set_ylabel("area under the ROC curve")
    axes.set_title(f"{name} speech", fontsize=10, loc="left")
    axes.legend(fontsize=6, ncols=2)


def _interrupting(axes: Axes, trials: Sequence[Trial]) -> None:
    after_ms = sorted(1000 * one.after_s for one in trials if one.after_s is not None and one.after_s >= 0)
    own = sum(one.by_itself for one in trials)
    axes.step(
        after_ms,
        [100 * (at + 1) / len(trials) for at in range(len(after_ms))],
        color=_COLOURS[0],
        where="post",
    )
    axes.axvline(200.0, color="#333333", linestyle="--", linewidth=1)
    axes.set_xlabel("ms from the person's first sound until our voice is silent (dashed: 200)")
    axes.set_xlim(left=0.0)
    axes.set_ylabel("% of the trials")
    axes.set_ylim(0, 101)
    axes.set_title(f"{len(trials)} trials, interrupted by its own voice: {own}", fontsize=10, loc="left")


def _library() -> Any:
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise EnvironmentFault(
            title="matplotlib is not installed, so no plots can be drawn",
            remedy="Run 'make bench' (or python packaging/setup.py bench).",
        ) from error
    mpl.use("agg")
    return mpl


def _risk_coverage(axes: Axes, tools: Mapping[str, Sequence[Outcome]]) -> bool:
    """Mean absolute error over coverage, from the surest value to all that is shown."""
    drawn = False
    for k, (tool, members) in enumerate(tools.items()):
        curve = metrics.risk_coverage(metrics.pairs(members))
        if not curve:
            continue
        coverage, risk = zip(*curve, strict=True)
        colour, marker = _COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)]
        axes.plot(
            [100 * c for c in coverage],
            risk,
            color=colour,
            marker=marker if len(curve) == 1 else None,
            linewidth=2,
            label=tool,
        )
        if len(curve) > 1:
            axes.plot(100 * coverage[-1], risk[-1], color=colour, marker=marker)
        drawn = True
    axes.set_xlabel("shown, % of the clips with a pulse")
    axes.set_ylabel("mean absolute error of what is shown, /min")
    axes.set_title("Risk and coverage (a curve ends where the tool withholds the rest)", fontsize=10)
    axes.set_xlim(0, 101)
    axes.set_ylim(bottom=0)
    if drawn:
        axes.legend()
    return drawn


def _bland_altman(axes: Axes, tools: Mapping[str, Sequence[Outcome]]) -> bool:
    """Difference over mean of ours and the truth, with the 95 % limits of agreement."""
    shown = metrics.pairs(tools.get(OURS, ()))
    limits = metrics.limits_of_agreement(shown)
    if limits is None:
        return False
    axes.scatter((shown.said + shown.true) / 2, shown.error, s=8, alpha=0.4, color=_COLOURS[0], linewidths=0)
    for value, text in zip(limits, ("bias", "lower 95 % limit", "upper 95 % limit"), strict=True):
        axes.axhline(value, color=_COLOURS[1], linestyle="-" if text == "bias" else "--", linewidth=1)
        axes.annotate(
            f"{text} {value:+.2f}",
            (0.995, value),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=8,
        )
    axes.set_xlabel("mean of shown and true heart rate, /min")
    axes.set_ylabel("shown less true, /min")
    axes.set_title(f"Bland–Altman, {shown.said.size} shown of {shown.owed}", fontsize=10)
    return True


def _calibration(axes: Axes, tools: Mapping[str, Sequence[Outcome]]) -> bool:
    """Share right over confidence, with 95 % intervals."""
    bins = metrics.calibration(metrics.pairs(tools.get(OURS, ())))
    if not bins:
        return False
    axes.plot([0, 1], [0, 1], color="#999999", linestyle=":", linewidth=1)
    for sure, right, count in bins:
        low, high = metrics.Share(round(right * count), count).interval or (right, right)
        axes.plot([sure, sure], [low, high], color=_COLOURS[0], linewidth=1)
        axes.plot(sure, right, color=_COLOURS[0], marker="o")
        axes.annotate(
            str(count), (sure, low), textcoords="offset points", xytext=(0, -11), ha="center", fontsize=8
        )
    axes.set_xlabel("confidence")
    axes.set_ylabel("share right within 5 /min")
    axes.set_title("Calibration of what is shown (bars: 95 % intervals; numbers: clips)", fontsize=10)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(-0.08, 1.05)
    return True


def _by(axis: str) -> Callable[[Axes, Mapping[str, Sequence[Outcome]]], bool]:
    """Coverage (bars, with 95 % intervals) and error (numbers) for every level of an axis."""

    def plot(axes: Axes, tools: Mapping[str, Sequence[Outcome]]) -> bool:
        from matplotlib.figure import Figure

        alive = [outcome for outcome in tools.get(OURS, ()) if outcome.truth.has_pulse]
        cells = metrics.by_axis(alive, axis)
        if not cells:
            return False
        for place, members in enumerate(cells.values()):
            shown = metrics.pairs(members)
            low, high = shown.coverage.interval or (0.0, 0.0)
            share = shown.coverage.share or 0.0
            axes.barh(place, 100 * share, color=_COLOURS[5], height=0.7)
            axes.plot([100 * low, 100 * high], [place, place], color="#333333", linewidth=1)
            mae = metrics.mean_absolute(shown.error)
            text = "" if mae is None else f"error {mae:.2f}"
            ground = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}
            axes.annotate(text, (1.5, place), va="center", fontsize=8, bbox=ground)
        axes.set_yticks(range(len(cells)), list(cells))
        axes.invert_yaxis()
        axes.set_xlim(0, 101)
        axes.set_xlabel("shown, % (numbers: mean absolute error of what is shown, /min)")
        axes.set_title(f"By {axis.replace('_', ' ')}", fontsize=10)
        axes.grid(visible=False, axis="y")
        height = 1.6 + 0.24 * len(cells)
        figure = axes.get_figure()
        if isinstance(figure, Figure) and height > figure.get_figheight():
            figure.set_figheight(height)
        return True

    return plot


_PLOTS: dict[str, Callable[[Axes, Mapping[str, Sequence[Outcome]]], bool]] = {
    "risk-coverage": _risk_coverage,
    "bland-altman": _bland_altman,
    "calibration": _calibration,
    "by-skin-type": _by("skin_type"),
    "by-condition": _by("condition"),
}
