"""The tables of cost, availability and targets, for the terminal and the operators' guide."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

from backend_lambda.planning import availability, cost, targets
from backend_lambda.planning.cost import PROMISED, Estimate, Line, Options
from backend_lambda.planning.tables import Table, amount, usd

FOUND = {
    "own": "the seller's own page",
    "list": "AWS's price list, as public documents and programs wrote it down",
    "third": "an article or somebody's code",
    "memory": "from memory",
}
"""What `Price.found` means."""


def bill_table(bill: Estimate, title: str, notes: tuple[str, ...] = ()) -> Table:
    """Line by line, the dearest first within what stands and what is used; what is below a cent together."""
    rows: list[tuple[str, ...]] = []
    small = 0.0
    for group, named in (("standing", "stands there"), ("use", "by use")):
        lines = sorted((line for line in bill.lines if line.group == group), key=lambda line: -line.usd)
        for line in lines:
            if line.usd < 0.01:
                small += line.usd
            else:
                rows.append(
                    (named, line.name, amount(line.quantity), _unit(line), usd(line.usd), _mark(line))
                )
        rows.append((named, "together", "", "", usd(sum(line.usd for line in lines)), ""))
    rows.append(("all", "together", "", "", usd(bill.usd), ""))
    kinds: Counter[str] = Counter(line.price.found for line in bill.lines)
    told = [
        f"The model's tokens are {bill.model_share:.0%}. Lines below a cent: {usd(small)} together. "
        + (
            "What is free for ever is taken off." if bill.options.free_tiers else "Nothing free is taken off."
        ),
        (
            f"Price from: {', '.join(f'{name}: {FOUND[name]}, {_lines(kinds[name])}' for name in FOUND if kinds[name])}. "
            f"Not checked: {usd(bill.unchecked_usd)} of it."
        ),
    ]
    if any(not line.own_region for line in bill.lines):
        told.append(f"* priced as in {cost.HOME}: the region's own price was not found.")
    if bill.options.residency == "global" and bill.options.stage == "production":
        told.append(
            "The template refuses this: in production the model stays in its region's part of the world."
        )
    head = ("", "line", "quantity", "unit", "USD", "price from")
    return Table(title, head, tuple(rows), frozenset({0, 1, 3, 5}), (*told, *notes))


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _unit(line: Line) -> str:
    return f"{line.price.per} at {line.usd_per_unit:.10f}".rstrip("0").rstrip(".")


def _mark(line: Line) -> str:
    return line.price.found + ("" if line.own_region else " *")


_CHANGES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("what is free for ever taken off", {"free_tiers": True}, {}),
    ("no interface endpoints, only NAT", {"endpoints": False}, {}),
    ("one NAT gateway", {"nat_gateways": 1}, {}),
    ("no stack of downloads", {"edge": False}, {}),
    ("the model anywhere in the world (refused in production)", {"residency": "global"}, {}),
    ("a read replica", {"replica": True}, {}),
    ("a second region, waiting", {"second_region": True}, {}),
    ("guardrail", {"guardrail": True}, {}),
    ("malware scan of documents", {"malware_scan": True}, {}),
    ("text of pictures (Textract)", {"text_recognition": True}, {}),
    ("medical words (Comprehend Medical)", {"medical_entities": True}, {}),
    ("every question heard by Transcribe", {}, {"transcribed": 1.0}),
    ("every question heard by Deepgram", {"speech_to_text": "deepgram"}, {"transcribed": 1.0}),
    ("every answer spoken by Polly, neural", {}, {"synthesised": 1.0}),
    ("every answer spoken by Polly, standard", {"text_to_speech": "polly-standard"}, {"synthesised": 1.0}),
    ("every answer spoken by Cartesia", {"text_to_speech": "cartesia"}, {"synthesised": 1.0}),
    ("vitals stream (Kinesis)", {"vitals_stream": True}, {}),
    ("HealthLake", {"health_lake": True}, {}),
    ("Connect for urgent cases", {"connect": True}, {}),
    ("cache, serverless", {"cache": "serverless"}, {}),
    ("cache, a node", {"cache": "node"}, {}),
)
"""What somebody may want otherwise: of the options, of the demand."""


def lines_table() -> Table:
    """The three sizes line by line, the dearest for 10,000 people first; what is below ten cents everywhere is put together."""
    bills = {name: cost.estimate(size.demand, size.options) for name, size in PROMISED.items()}
    groups = {line.name: (line.group, line.price.found) for bill in bills.values() for line in bill.lines}
    costs = {
        line_name: [sum(line.usd for line in bill.lines if line.name == line_name) for bill in bills.values()]
        for line_name in groups
    }
    rows: list[tuple[str, ...]] = []
    for group, named in (("standing", "stands there"), ("use", "by use")):
        names = [name for name in costs if groups[name][0] == group and max(costs[name]) >= 0.1]
        names.sort(key=lambda one: (-costs[one][1], -costs[one][2]))
        rows += [
            (named, name, *(usd(one) if one else "–" for one in costs[name]), groups[name][1])
            for name in names
        ]
        small = [name for name in costs if groups[name][0] == group and max(costs[name]) < 0.1]
        rest = [sum(costs[name][at] for name in small) for at in range(len(bills))]
        rows.append((named, f"lines below ten cents: {len(small)}", *map(usd, rest), ""))
        rows.append(
            (
                named,
                "together",
                *(usd(bill.of("standing" if group == "standing" else "use")) for bill in bills.values()),
                "",
            )
        )
    rows.append(("all", "together", *(usd(bill.usd) for bill in bills.values()), ""))
    return Table(
        f"Line by line, USD a month, {Options().model}, 2 questions a scan",
        ("", "line", *(_size(name) for name in bills), "price from"),
        tuple(rows),
        frozenset({0, 1, len(bills) + 2}),
        (
            "; ".join(f"{name}: {means}" for name, means in FOUND.items()) + ".",
            "Nothing that AWS gives away is taken off.",
        ),
    )


def cost_tables() -> list[Table]:
    """All of the cost that the guide shows."""
    return [*sizes_tables(), lines_table()]


def sizes_tables() -> list[Table]:
    """What was promised, what it costs, and what fits."""
    whole, by_model, changes = [], [], []
    for name, size in PROMISED.items():
        bill = cost.estimate(size.demand, size.options)
        free = cost.estimate(size.demand, replace(size.options, free_tiers=True))
        promised = f"{size.least_usd:,.0f} to {size.most_usd:,.0f}"
        whole.append(
            (
                _size(name),
                promised,
                usd(bill.usd),
                usd(bill.of("standing")),
                usd(bill.of("use")),
                f"{bill.model_share:.0%}",
                usd(free.usd),
                "yes" if bill.usd <= size.most_usd else "no",
            )
        )
        for model in cost.models():
            options = replace(size.options, model=model)
            five = cost.estimate(replace(size.demand, turns_per_scan=5.0), options).usd
            least, most = (
                cost.turns_that_fit(size.demand, options, budget)
                for budget in (size.least_usd, size.most_usd)
            )
            two = cost.estimate(size.demand, options).usd
            by_model.append((_size(name), model, usd(two), usd(five), f"{least:.1f}", f"{most:.1f}"))
    for told, of_options, of_demand in _CHANGES:
        row = [told]
        for name in ("10000", "100000"):
            size = PROMISED[name]
            before = cost.estimate(size.demand, size.options).usd
            after = cost.estimate(replace(size.demand, **of_demand), replace(size.options, **of_options)).usd
            row.append("in it" if after == before else f"{after - before:+,.0f}")
        changes.append(tuple(row))
    model = Options().model
    thinking = cost.estimate(PROMISED["10000"].demand, Options(model="haiku-5.5", thinking_tokens=500)).usd
    return [
        Table(
            f"The three sizes, USD a month, {model}, 2 questions a scan",
            ("size", "promised", "computed", "stands there", "by use", "model", "free tiers off", "fits"),
            tuple(whole),
            notes=(
                (
                    "Development: stage dev. 10,000: production, db.t4g.medium Multi-AZ. 100,000: production, db.m7g.large Multi-AZ and a replica. "
                    "One region, no guardrail, hearing and speaking on the device."
                ),
            ),
        ),
        Table(
            "By model, USD a month, and the questions a scan that the promise pays for",
            ("size", "model", "2 questions", "5 questions", "at its least", "at its most"),
            tuple(by_model),
            frozenset({0, 1}),
            (
                (
                    "A model that stays in its part of the world (10 % more for Claude). Tokens of one question: 1,500 read and 300 written, "
                    "30 % more where the tokenizer is the newer one; nothing thought. Thinking 500 tokens for each answer makes 10,000 people "
                    f"with haiku-5.5 cost {usd(thinking)}."
                ),
            ),
        ),
        Table(
            f"What else it would cost or save, USD a month, {model}, 2 questions a scan",
            ("change", "10,000", "100,000"),
            tuple(changes),
            notes=(
                (
                    "A cache takes one of a call's two transactions (proofs and rates) off PostgreSQL. That pays where its knee is, at about "
                    f"{targets.cache_pays_calls_per_s():,.0f} calls/s: {targets.cache_pays_people() / 1e6:.1f} million people."
                ),
            ),
        ),
    ]


def _size(name: str) -> str:
    return f"{int(name):,}" if name.isdigit() else name


def availability_tables() -> list[Table]:
    """Agreements, ways, the second region, the outbox, and what needs no cloud."""
    ways, second, waits = [], [], []
    for way in availability.WAYS.values():
        one, dev = availability.of(way), availability.of(way, dev=True)
        needs = " × ".join(availability.agreements()[name].what for name in way.needs)
        weakest = min(availability.agreements()[name].availability for name in way.needs)
        ways.append(
            (
                way.what,
                percent(one),
                f"{availability.minutes_off(one):,.0f}",
                percent(weakest),
                f"{availability.minutes_off(dev):,.0f}",
                needs,
            )
        )
    record = availability.of(availability.WAYS["record"])
    for outage_s in (600.0, 3_600.0, 4 * 3_600.0):
        for both in (None, 0.05):
            failover = availability.Failover(outage_s=outage_s, both=both)
            two = availability.with_second_region(record, failover)
            longest_s = availability.longest_switch_s(record, failover)
            second.append(
                (
                    f"{outage_s / 60:,.0f}",
                    "independent" if both is None else f"{both:.0%}",
                    percent(two),
                    f"{availability.minutes_off(two):,.0f}",
                    f"{longest_s / 60:,.1f}" if longest_s else "never",
                )
            )
    for within_h in (1.0, 24.0):
        for tail in (None, 1.5):
            late = availability.late(record, 3_600.0 * within_h, 3_600.0, tail)
            waits.append(
                (
                    f"{within_h:g} h",
                    "short (exponential)" if tail is None else "some long (Pareto)",
                    percent(1 - late),
                )
            )
    switch_min = availability.Failover().switch_s / 60
    failing = availability.PROMISED
    return [
        Table(
            "One region, of a month",
            ("what", "available", "min off", "weakest part", "min off in dev", "in series"),
            tuple(ways),
            frozenset({0, 5}),
            (
                (
                    f"99.99 % are {availability.minutes_off(failing):.1f} minutes. One region in series does not keep that: no part but the "
                    "names and the keys promises so much, and five of 99.95 % are 99.75 %."
                ),
                (
                    "Agreements, not measurements; that parts fail independently is assumed. RDS Proxy and endpoints promise nothing of their "
                    "own that was found; 99.95 % was taken."
                ),
            ),
        ),
        Table(
            f"A second region, waiting, switched to within {switch_min:.0f} min: a record is accepted",
            (
                "mean outage, min",
                "second off while first is",
                "available",
                "min off",
                "99.99 % if switched within, min",
            ),
            tuple(second),
            frozenset({1}),
            (
                (
                    "The switch: 1.5 min until health checks say so, 15 for somebody to decide (promoting a replica cannot be undone), 15 to "
                    "promote it and update the stack, 1 for names: assumptions, until an exercise gives times. Outages' lengths are exponential. "
                    "Long outages are what it is for; of short ones it saves little, and 99.99 % would need a switch that nobody decides."
                ),
            ),
        ),
        Table(
            "The outbox: a record made at any moment is accepted within … (mean outage 60 min)",
            ("within", "lengths of outages", "chance, %"),
            tuple(waits),
            frozenset({0, 1}),
            (
                (
                    "Of the cloud alone; a device that itself has no network waits longer. Within the agreements an outage could not last 24 h "
                    f"at all: they allow {availability.minutes_off(record):.0f} min in a whole month. Nothing is lost by waiting."
                ),
            ),
        ),
        Table(
            "What does not multiply with the cloud: it works as often as the device does",
            ("what", "shown by"),
            tuple((one.what, one.shown_by) for one in availability.ON_THE_DEVICE),
            frozenset({0, 1}),
        ),
    ]


def percent(value: float) -> str:
    """With two digits of what is missing, so that many nines are not rounded to 100."""
    missing = 1.0 - value
    if missing <= 0.0:
        return "100"
    if missing < 1e-7:
        return "> 99.99999"
    return f"{100.0 * value:.{max(2, 1 - math.floor(math.log10(100.0 * missing) + 1e-9))}f}"


def targets_table() -> Table:
    """What was promised, and how it is kept."""
    rows = tuple((one.wanted, str(one.state), one.found, one.source) for one in targets.targets())
    return Table(
        "What was promised", ("wanted", "is", "found", "command or source"), rows, frozenset(range(4))
    )
