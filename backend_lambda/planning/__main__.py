"""What the service costs, carries and promises; `python -m backend_lambda.planning --help`.

Exit status: 0 done; 2 the command line is wrong; 3 a library is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from backend_lambda.planning import availability, cost, targets, told
from backend_lambda.planning.cost import PROMISED, Estimate, Options
from backend_lambda.planning.demand import SIZES, WEEKS_PER_MONTH, Demand
from backend_lambda.planning.tables import Table, usd

WRONG, MISSING = 2, 3
_OF_SIMULATION = ("numpy", "simpy", "matplotlib")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        status: int = given.run(given)
    except ValueError as error:
        return _fail(WRONG, str(error))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _OF_SIMULATION:
            raise
        again = ".venv/bin/python -m backend_lambda.planning"
        return _fail(MISSING, f"{error.name} is not installed; `make setup` brings it, then run {again} …")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend_lambda.planning", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _cost_parser(commands.add_parser("cost", help="a month's bill, line by line"))
    simple = {
        "availability": (_availability, "how much of a month each thing works, in one region and in two"),
        "targets": (_targets, "what was promised, and how it is met, measured or bounded"),
        "prices": (_prices, "every unit price and agreement, and where it was found"),
    }
    for name, (run, help_text) in simple.items():
        command = commands.add_parser(name, help=help_text)
        _how(command)
        command.set_defaults(run=run)
    picture = commands.add_parser("picture", help="the architecture, read out of the templates, in Mermaid")
    picture.set_defaults(run=_picture)
    guide = commands.add_parser("readme", help="put all of it into the operators' guide anew")
    guide.set_defaults(run=_readme)
    capacity = commands.add_parser("capacity", help="what has to be raised for so many people")
    capacity.add_argument(
        "--formulas-only", action="store_true", help="leave the simulation's numbers out: quick"
    )
    capacity.add_argument("--seed", type=int, help="of the simulation")
    capacity.set_defaults(run=_capacity)
    simulate = commands.add_parser("simulate", help="a clinic day, the hour after an outage, and a crowd")
    simulate.add_argument("--people", type=_positive, default=10_000, help="who are scanned")
    simulate.add_argument("--seed", type=int)
    simulate.add_argument("--out", type=Path, metavar="FOLDER", help="for plots")
    simulate.add_argument(
        "--scenario",
        choices=["all", "day", "back-off", "checks"],
        default="all",
        help="day: a clinic day's counts and what a month of them costs; back-off: what decides how an outage ends; "
        "checks: against the closed forms",
    )
    simulate.set_defaults(run=_simulate)
    return parser


def _how(command: argparse.ArgumentParser) -> None:
    how = command.add_mutually_exclusive_group()
    how.add_argument("--markdown", action="store_true", help="for a README")
    how.add_argument("--json", action="store_true", help="for programs")


def _cost_parser(command: argparse.ArgumentParser) -> None:
    flag = argparse.BooleanOptionalAction
    command.add_argument(
        "--sizes", action="store_true", help="the three sizes that were promised, and what fits"
    )
    command.add_argument("--people", type=_positive, default=10_000, help="who are scanned")
    command.add_argument("--scans", type=_not_negative, metavar="N", help="per person and week")
    command.add_argument(
        "--turns", type=_not_negative, metavar="N", help="questions to the assistant per scan"
    )
    command.add_argument("--uploads", type=_not_negative, metavar="N", help="documents per scan")
    command.add_argument("--spoken", type=_share, metavar="SHARE", help="of the answers, spoken by the cloud")
    command.add_argument("--heard", type=_share, metavar="SHARE", help="of the questions, heard by the cloud")
    command.add_argument("--stage", choices=["dev", "production"], default="production")
    command.add_argument("--region", default=cost.HOME, choices=[cost.HOME, *cost.elsewhere()])
    command.add_argument("--model", choices=list(cost.models()), default=Options().model)
    command.add_argument(
        "--residency", choices=["regional", "global"], default="regional", help="where the model may run"
    )
    command.add_argument("--thinking-tokens", type=_count, default=0, metavar="N", help="of an answer")
    command.add_argument("--database", choices=list(cost.VCPUS), metavar="CLASS", help=", ".join(cost.VCPUS))
    command.add_argument("--disk", type=_count, metavar="GB")
    command.add_argument("--multi-az", action=flag, help="PostgreSQL in two zones")
    command.add_argument("--nat-gateways", type=_count, metavar="N")
    command.add_argument("--endpoints", action=flag, help="interface endpoints")
    command.add_argument("--waf", action=flag)
    command.add_argument("--edge", action=flag, help="the stack of downloads")
    command.add_argument("--knowledge-base", action=flag, default=True)
    switches = (
        *("replica", "second-region", "guardrail", "malware-scan", "text-recognition", "medical-entities"),
        *("vitals-stream", "health-lake", "connect"),
    )
    for switch in switches:
        command.add_argument(f"--{switch}", action="store_true")
    command.add_argument("--speech-to-text", choices=["transcribe", "deepgram"], default="transcribe")
    command.add_argument(
        "--text-to-speech", choices=["polly-neural", "polly-standard", "cartesia"], default="polly-neural"
    )
    command.add_argument("--cache", choices=["", "serverless", "node"], default="")
    command.add_argument(
        "--free-tiers", action="store_true", help="count what AWS gives away every month, for ever"
    )
    command.add_argument(
        "--budget", type=_not_negative, metavar="USD", help="say how many questions it pays for"
    )
    _how(command)
    command.set_defaults(run=_cost)


def _whole(text: str, least: int, words: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be a whole number, {words}: {text!r}")
    return value


def _positive(text: str) -> int:
    return _whole(text, 1, "1 or more")


def _count(text: str) -> int:
    return _whole(text, 0, "0 or more")


def _number(text: str, most: float, words: str) -> float:
    """Raises argparse.ArgumentTypeError for what is none, for NaN and beyond 0 to most."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= most:
        raise argparse.ArgumentTypeError(f"must be a number, {words}: {text!r}")
    return value


def _not_negative(text: str) -> float:
    return _number(text, sys.float_info.max, "0 or more")


def _share(text: str) -> float:
    return _number(text, 1.0, "0 to 1")


# --- cost


def _cost(given: argparse.Namespace) -> int:
    if given.sizes:
        return _say(given, told.cost_tables(), sizes_plain())
    options = Options(
        stage=given.stage,
        model=given.model,
        residency=given.residency,
        thinking_tokens=given.thinking_tokens,
        database_class=given.database,
        multi_az=given.multi_az,
        disk_gb=given.disk,
        replica=given.replica,
        nat_gateways=given.nat_gateways,
        endpoints=given.endpoints,
        waf=given.waf,
        edge=given.edge,
        second_region=given.second_region,
        knowledge_base=given.knowledge_base,
        guardrail=given.guardrail,
        malware_scan=given.malware_scan,
        text_recognition=given.text_recognition,
        medical_entities=given.medical_entities,
        speech_to_text=given.speech_to_text,
        text_to_speech=given.text_to_speech,
        vitals_stream=given.vitals_stream,
        health_lake=given.health_lake,
        connect=given.connect,
        cache=given.cache,
        free_tiers=given.free_tiers,
        region=given.region,
    )
    wanted = {
        "scans_per_person_week": given.scans,
        "turns_per_scan": given.turns,
        "uploads_per_scan": given.uploads,
        "synthesised": given.spoken,
        "transcribed": given.heard,
    }
    demand = replace(
        Demand(people=given.people), **{name: value for name, value in wanted.items() if value is not None}
    )
    bill = cost.estimate(demand, options)
    turns = None if given.budget is None else cost.turns_that_fit(demand, options, given.budget)
    notes = () if turns is None else (f"${given.budget:,.0f} pay for {turns:.2f} questions a scan.",)
    who = f"{demand.people:,} people, {demand.scans_per_person_week:g} scans a week, {demand.turns_per_scan:g} questions each"
    return _say(
        given,
        [told.bill_table(bill, f"A month in USD: {who}, {options.stage}", notes)],
        {**bill_plain(bill), "demand": asdict(demand), "turns_that_fit": turns},
    )


def bill_plain(bill: Estimate) -> dict[str, Any]:
    """For programs."""
    return {
        "usd": bill.usd,
        "standing_usd": bill.of("standing"),
        "use_usd": bill.of("use"),
        "model_usd": bill.model_usd,
        "unchecked_usd": bill.unchecked_usd,
        "options": asdict(bill.options),
        "lines": [
            {
                "name": line.name,
                "group": line.group,
                "price": line.price.name,
                "quantity": line.quantity,
                "unit": line.price.per,
                "usd": line.usd,
                "found": line.price.found,
                "checked": line.price.checked,
            }
            for line in bill.lines
        ],
    }


def sizes_plain() -> dict[str, Any]:
    """For programs."""
    found = {}
    for name, size in PROMISED.items():
        bill = cost.estimate(size.demand, size.options)
        found[name] = {
            **bill_plain(bill),
            "promised_usd": [size.least_usd, size.most_usd],
            "turns_that_fit": {
                model: cost.turns_that_fit(size.demand, replace(size.options, model=model), size.most_usd)
                for model in cost.models()
            },
        }
    return found


# --- availability


def _availability(given: argparse.Namespace) -> int:
    plain = {
        name: {
            "one_region": (one := availability.of(way)),
            "minutes_off": availability.minutes_off(one),
            "dev": availability.of(way, dev=True),
            "two_regions": availability.with_second_region(one, availability.Failover())
            if way.moves
            else None,
        }
        for name, way in availability.WAYS.items()
    }
    return _say(given, told.availability_tables(), plain)


# --- targets, prices


def _targets(given: argparse.Namespace) -> int:
    found = targets.targets()
    return _say(given, [told.targets_table()], [{**asdict(one), "state": str(one.state)} for one in found])


def _prices(given: argparse.Namespace) -> int:
    prices = list(cost.prices().values())
    agreements = list(availability.agreements().values())
    rows = tuple(
        (
            one.what,
            f"{one.usd:.10f}".rstrip("0").rstrip("."),
            one.per,
            one.found,
            str(one.as_of or ""),
            one.source,
        )
        for one in prices
    )
    promised = tuple(
        (one.what, f"{one.percent:g}", one.found, str(one.as_of or ""), one.source) for one in agreements
    )
    kinds: Counter[str] = Counter(one.found for one in prices)
    where = ", ".join(f"{means}: {kinds[name]}" for name, means in told.FOUND.items())
    tables = [
        Table(
            f"Unit prices in USD, {cost.HOME}, read {prices[0].read}",
            ("what", "USD", "per", "found", "as of", "source"),
            rows,
            frozenset({0, 2, 3, 4, 5}),
            (f"{where}. Checked: {sum(one.checked for one in prices)} of {len(prices)}.",),
        ),
        Table(
            "Agreements, percent of a month",
            ("what", "percent", "found", "as of", "source"),
            promised,
            frozenset({0, 2, 3, 4}),
        ),
    ]
    return _say(given, tables, [*map(asdict, prices), *map(asdict, agreements)])


# --- capacity, simulate: with numpy, simpy and matplotlib, which nothing above needs


def _capacity(given: argparse.Namespace) -> int:
    from backend_lambda.planning import capacity, simulation

    seed = simulation.SEED if given.seed is None else given.seed
    sys.stdout.write(capacity.text(capacity.table(seed=seed, simulated=not given.formulas_only)))
    return 0


def _simulate(given: argparse.Namespace) -> int:
    from backend_lambda.planning import checking, simulation

    seed = simulation.SEED if given.seed is None else given.seed
    if given.out is not None:
        if given.scenario != "all":
            raise ValueError("--out is for plots, which are of all scenarios: leave --scenario out")
        _must_be_writable(given.out)
    if given.scenario == "checks":
        sys.stdout.write(checking.text(checking.checks(seed)))
        return 0
    if given.scenario == "back-off":
        sys.stdout.write(simulation.sweep(replace(SIZES["10000"], people=given.people), seed))
        return 0
    demand = replace(SIZES["10000"], people=given.people)
    if given.scenario == "day":
        days = simulation.CLINIC_DAYS_PER_WEEK * WEEKS_PER_MONTH
        month = simulation.day(demand, seed=seed).counts.times(days)
    else:
        result = simulation.run(demand, seed)
        month = result.month()
        sys.stdout.write(simulation.text(result) + "\n")
        if given.out is not None:
            from backend_lambda.planning import plots

            for path in plots.draw(result, given.out):
                sys.stdout.write(f"{path}\n")
    options = Options()
    bill = cost.estimate(cost.counted(month, demand, cost.settled(options)), options)
    means = cost.estimate(demand, options).usd
    note = f"From the means of the demand, without a simulation, it is {usd(means)}."
    sys.stdout.write(told.bill_table(bill, "A month of the simulated clinic days, in USD", (note,)).text())
    return 0


def _must_be_writable(folder: Path) -> None:
    """Makes the folder where it is missing. Raises ValueError where no file can be made in it: before minutes of simulation, not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"{folder} cannot be written: {error.strerror}") from None


# --- the operators' guide


def _picture(_: argparse.Namespace) -> int:
    from backend_lambda.planning import picture

    sys.stdout.write(picture.text())
    return 0


def _readme(_: argparse.Namespace) -> int:
    from backend_lambda.planning import readme

    text = readme.README.read_text(encoding="utf-8")
    readme.README.write_text(readme.filled(text, readme.parts()), encoding="utf-8")
    return 0


# --- Out


def _say(given: argparse.Namespace, tables: Sequence[Table], plain: object) -> int:
    if given.json:
        sys.stdout.write(json.dumps(plain, indent=2, default=str) + "\n")
    else:
        sys.stdout.write("\n".join(table.markdown() if given.markdown else table.text() for table in tables))
    return 0


def _fail(status: int, why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
