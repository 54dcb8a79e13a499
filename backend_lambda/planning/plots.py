"""The plots of the simulation: PNG, light, in colours that colour-blind people tell apart (Okabe & Ito).

matplotlib is loaded when they are drawn; it comes with the dependency group bench.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backend_lambda.planning import queueing, simulation
from backend_lambda.planning.simulation import HOUR_S, Population, Result, Service

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _RED, _GREEN, _PINK, _YELLOW, _SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
_GREY = "#666666"
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
}
_MINUTE_S = 60.0


def draw(result: Result, folder: Path) -> list[Path]:
    """Every plot, each a file in `folder`, which is made where it is missing. Raises ModuleNotFoundError without matplotlib."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with mpl.rc_context(_STYLE):
        for name, plot in _PLOTS.items():
            figure = Figure(figsize=(7.2, 4.4), layout="constrained")
            plot(figure, result)
            path = folder / f"{name}.png"
            figure.savefig(path, dpi=130, metadata={"Software": None})
            written.append(path)
    return written


def _arrivals(figure: Figure, result: Result) -> None:
    """Of the day, in five minutes, with the rate that they were drawn from."""
    scenario, axes = result.ordinary, figure.add_subplot()
    width_s = 5 * _MINUTE_S
    turns_s = scenario.first_s.get(simulation.TURN, np.empty(0))
    calls_s = np.concatenate([times for kind, times in scenario.first_s.items() if kind != simulation.TURN])
    for times_s, colour, label in (
        (calls_s, _BLUE, "calls of the API"),
        (turns_s, _RED, "turns of the chat"),
        (scenario.scans_s, _GREEN, "scans"),
    ):
        edges, per_s = scenario.per_s(times_s, width_s)
        axes.step(edges / HOUR_S, 60.0 * per_s, where="post", color=colour, linewidth=1.2, label=label)
    times_s = np.arange(simulation.OPENS_S, simulation.CLOSES_S, _MINUTE_S)
    rate = 60.0 * simulation.scans_per_s(result.demand)(times_s)
    axes.plot(
        times_s / HOUR_S,
        rate,
        color="black",
        linestyle=":",
        linewidth=1.2,
        label="the rate that scans are drawn from",
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel("per minute")
    _clock(axes)
    _title(
        axes,
        f"A clinic day of {result.demand.people:,} people: {scenario.scans_s.size:,} scans, {calls_s.size:,} calls, {turns_s.size:,} turns",
    )
    axes.legend(ncols=2, fontsize=8, loc="lower center")


def _concurrency(figure: Figure, result: Result) -> None:
    """The most of every five minutes, the mean, and the mean by the closed form."""
    scenario, panels = result.ordinary, figure.subplots(2, 1, sharex=True)
    demand, who, service = result.demand, Population(), Service()
    at_s = np.arange(scenario.from_s, scenario.to_s, 0.5)
    width = round(5 * _MINUTE_S / 0.5)
    edges_s = at_s[::width]
    stay_s = simulation.chat_stay_s(demand, service)
    formula = queueing.infinite_servers(
        simulation.chat_turns_per_s(demand, who, service),
        lambda u: np.exp(-u / stay_s),
        edges_s + 2.5 * _MINUTE_S,
        longest_s=20.0 * stay_s,
        step_s=stay_s / 50.0,
    )
    for axes, name, colour in zip(panels, ("chat", "API"), (_RED, _BLUE), strict=True):
        found = scenario.concurrency(name, at_s)[: edges_s.size * width].reshape(edges_s.size, width)
        axes.step(
            edges_s / HOUR_S,
            found.max(axis=1),
            where="post",
            color=colour,
            linewidth=1.2,
            label=f"{name}: most in 5 min, seen twice a second",
        )
        axes.step(
            edges_s / HOUR_S, found.mean(axis=1), where="post", color=_GREY, linewidth=1.0, label="mean"
        )
        if name == "chat":
            axes.plot(
                edges_s / HOUR_S,
                formula,
                color="black",
                linestyle=":",
                linewidth=1.4,
                label="mean by the closed form (Mt/G/∞)",
            )
        axes.set_ylabel("requests at work")
        axes.set_ylim(0, 1.3 * found.max())
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=8, loc="upper right", ncols=3)
    _clock(panels[-1])
    _title(
        panels[0],
        f"Concurrency of a clinic day, {demand.people:,} people (quota of an account: {scenario.limits.account_concurrency:,})",
    )


def _waits(figure: Figure, result: Result) -> None:
    """What share of the waits is longer, by scenario: of the answers, and of the database's."""
    panels = figure.subplots(1, 2, sharey=True)
    styles = ((_BLUE, "-"), (_GREEN, "-"), (_RED, "-"), (_SKY, "-"), (_YELLOW, "--"), (_PINK, "--"))
    for scenario, (colour, line) in zip(result.scenarios(), styles, strict=True):
        calls = [took for kind, took in scenario.took_s.items() if kind != simulation.TURN]
        both = (np.concatenate(calls), scenario.waits_s["the database's processor"])
        for axes, seconds in zip(panels, both, strict=True):
            there = np.sort(seconds)
            kept = np.unique(
                np.geomspace(1, there.size, 400).astype(int)
            )  # a line of 400 points, denser at its thin end
            longer = 100.0 * kept / there.size
            axes.plot(
                np.maximum(there[-kept], 1e-9),
                longer,
                color=colour,
                linestyle=line,
                linewidth=1.4,
                label=scenario.name,
            )
    panels[0].set_xlabel("a call, from its first try to its answer")
    panels[1].set_xlabel("a transaction, until it has a processor")
    panels[0].set_ylabel("longer than that, %")
    for axes, low_s in zip(panels, (0.01, 1e-5), strict=True):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(left=low_s)
        axes.set_ylim(1e-2, 130.0)
        axes.yaxis.set_major_formatter("{x:g}")
    ticks = (
        (0.01, "10 ms"),
        (0.1, "0.1 s"),
        (1.0, "1 s"),
        (10.0, "10 s"),
        (60.0, "1 min"),
        (600.0, "10 min"),
        (HOUR_S, "1 h"),
        (8 * HOUR_S, "8 h"),
    )
    panels[0].set_xticks([at for at, _ in ticks], [name for _, name in ticks], rotation=45)
    small = (1e-5, "10 µs"), (1e-4, "0.1 ms"), (1e-3, "1 ms"), (1e-2, "10 ms"), (0.1, "0.1 s")
    panels[1].set_xticks([at for at, _ in small], [name for _, name in small], rotation=45)
    for axes in panels:
        axes.minorticks_off()
    panels[0].axvline(0.2, color="black", linestyle=":", linewidth=1.0)
    panels[0].annotate("200 ms", (0.2, 0.012), xytext=(3, 2), textcoords="offset points", fontsize=8)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=8)


def _reconnect(figure: Figure, result: Result) -> None:
    """Attempts a second after the return, and the closed form of the first."""
    figure.set_figheight(5.6)
    panels = figure.subplots(3, 1, sharex=True)
    devices = result.demand.people * (1.0 + 1.0 / Population().people_per_kiosk)
    shown = ((result.unlimited, _SKY), (result.jitter, _GREEN), (result.lockstep, _RED))
    for axes, (scenario, colour) in zip(panels, shown, strict=True):
        edges, per_s = scenario.per_s(scenario.tried_s)
        refused = scenario.per_s(np.concatenate([*scenario.refused_s.values(), np.empty(0)]))[1]
        axes.step(
            edges,
            per_s,
            where="post",
            color=colour,
            linewidth=1.0,
            label=f"{scenario.name}: at most {per_s.max():,.0f}/s",
        )
        if refused.any():
            axes.step(
                edges,
                refused,
                where="post",
                color="black",
                linewidth=0.8,
                label=f"refused: {refused.sum():,.0f} in all",
            )
        axes.set_ylabel("attempts/s")
        axes.set_ylim(0, 1.35 * per_s.max())
    after_s = np.arange(0.0, 300.0, 1.0)
    tried_s = result.unlimited.tried_s
    calls = tried_s[tried_s < 300.0].size / devices
    expected = [calls * queueing.reconnects_per_s(devices, 300.0, s) for s in after_s]
    panels[0].plot(
        after_s,
        expected,
        color="black",
        linestyle=":",
        linewidth=1.4,
        label=f"closed form, {calls:.1f} calls a device",
    )
    panels[-1].set_xlim(0, 1000)
    panels[-1].set_xlabel("seconds after the cloud is back")
    for axes in panels:
        axes.legend(fontsize=8, loc="upper right", ncols=2)
    _title(panels[0], f"{devices:,.0f} devices come back after four hours (back-off from 1 s up to 300 s)")


def _backlog(figure: Figure, result: Result) -> None:
    """What is still waiting."""
    axes = figure.add_subplot()
    for scenario, colour in ((result.unlimited, _SKY), (result.jitter, _GREEN), (result.lockstep, _RED)):
        times_s, left = scenario.backlog
        label = (
            f"{scenario.name.removeprefix('after an outage, ')}: empty after {_spoken(scenario.drained_s)}"
        )
        axes.step(np.maximum(times_s, 1.0), left, where="post", color=colour, linewidth=1.6, label=label)
    axes.set_xscale("log")
    ticks = (
        (10.0, "10 s"),
        (60.0, "1 min"),
        (300.0, "5 min"),
        (900.0, "15 min"),
        (HOUR_S, "1 h"),
        (8 * HOUR_S, "8 h"),
    )
    axes.set_xticks([at for at, _ in ticks], [name for _, name in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("after the cloud is back")
    axes.set_ylabel("waiting: observations, documents, devices")
    axes.set_xlim(left=5.0)
    axes.set_ylim(bottom=0)
    _title(axes, "What waits after a morning of four hours without the cloud")
    figure.legend(loc="outside lower center", ncols=1)


def _spoken(seconds: float) -> str:
    return f"{seconds / HOUR_S:.1f} h" if seconds >= HOUR_S else f"{seconds / _MINUTE_S:.0f} min"


def _crowd(figure: Figure, result: Result) -> None:
    """Concurrency of a crowd with usual and raised quotas, and what the closed form says."""
    panels = figure.subplots(1, 2)
    for axes, scenario in zip(panels, (result.crowd, result.raised), strict=True):
        at_s = np.arange(0.0, scenario.to_s, 0.25)
        for name, colour in (("chat", _RED), ("API", _BLUE)):
            axes.plot(at_s, scenario.concurrency(name, at_s), color=colour, linewidth=1.4, label=name)
        turns = scenario.first_s.get(simulation.TURN, np.empty(0)).size
        axes.set_xlabel("seconds")
        axes.set_ylim(bottom=0)
        answered = turns / max(1, turns + scenario.lost)
        _title(axes, f"{scenario.name.partition(', ')[2]}: {answered:.2%} of the turns answered")
    demand, service = result.demand, Service()
    mean = demand.people / 30.0 * simulation.chat_stay_s(demand, service)
    panels[1].axhline(mean, color="black", linestyle=":", linewidth=1.4, label="chat, by Little's law")
    panels[0].set_ylabel("requests at work")
    panels[1].legend(fontsize=8, loc="center right")
    figure.suptitle(
        f"{demand.people:,} people at once, a call in 10 s and a turn in 30 s each, onto a cold cloud",
        fontsize=10,
    )


def _clock(axes: Axes) -> None:
    axes.set_xlim(simulation.OPENS_S / HOUR_S, simulation.CLOSES_S / HOUR_S)
    axes.set_xticks(range(7, 20))
    axes.set_xlabel("hour of the day")


def _title(axes: Axes, words: str) -> None:
    axes.set_title(words, fontsize=10)


_PLOTS: dict[str, Callable[[Figure, Result], None]] = {
    "arrivals": _arrivals,
    "concurrency": _concurrency,
    "waits": _waits,
    "reconnect": _reconnect,
    "backlog": _backlog,
    "crowd": _crowd,
}
