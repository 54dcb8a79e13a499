"""The commands, as an operator types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import backend_lambda.planning
from backend_lambda.planning import __main__ as planning
from backend_lambda.planning import availability, cost, readme, targets, told
from backend_lambda.planning.demand import SIZES, Demand
from backend_lambda.planning.tables import Table

ROOT = Path(__file__).resolve().parents[3]
TOLD = (["cost"], ["cost", "--sizes"], ["availability"], ["targets"], ["prices"])


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert planning.main(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", TOLD, ids=" ".join)
def test_every_command_says_a_table(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "───" in said(capsys, *command)


@pytest.mark.parametrize("command", TOLD, ids=" ".join)
def test_markdown_has_as_many_cells_in_each_row(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tables: list[list[str]] = [[]]
    for line in said(capsys, *command, "--markdown").splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    assert tables[0]
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) <= 1


@pytest.mark.parametrize("command", TOLD, ids=" ".join)
def test_json_is_json(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(said(capsys, *command, "--json"))


def test_the_bill_is_that_of_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(
        said(
            capsys,
            "cost",
            "--people",
            "500",
            "--turns",
            "3",
            "--model",
            "nova-lite",
            "--second-region",
            "--json",
        )
    )
    demand = Demand(people=500, turns_per_scan=3.0)
    wanted = cost.estimate(demand, cost.Options(model="nova-lite", second_region=True))
    assert found["usd"] == pytest.approx(wanted.usd)
    assert sum(line["usd"] for line in found["lines"]) == pytest.approx(wanted.usd)
    assert found["demand"]["turns_per_scan"] == 3.0


def test_every_flag_reaches_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        *("--stage", "dev", "--region", "eu-central-1", "--model", "sonnet-5", "--residency", "global"),
        *(
            "--thinking-tokens",
            "7",
            "--database",
            "db.t4g.large",
            "--disk",
            "33",
            "--multi-az",
            "--nat-gateways",
            "0",
        ),
        *("--endpoints", "--waf", "--edge", "--no-knowledge-base", "--replica"),
        *("--second-region", "--guardrail", "--malware-scan", "--text-recognition", "--medical-entities"),
        *("--vitals-stream", "--health-lake", "--connect", "--speech-to-text", "deepgram"),
        *("--text-to-speech", "cartesia", "--cache", "node", "--free-tiers"),
    ]
    found = json.loads(said(capsys, "cost", *flags, "--json"))["options"]
    usual = cost.Options()
    assert [name for name in found if found[name] == getattr(usual, name)] == []


def test_a_budget_says_how_many_questions(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "cost", "--budget", "800")
    turns = cost.turns_that_fit(SIZES["10000"], cost.Options(), 800.0)
    assert f"$800 pay for {turns:.2f} questions a scan." in found


def test_another_region_marks_prices_that_are_not_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert "* priced as in us-east-1" in said(capsys, "cost", "--region", "eu-central-1")
    assert "* priced as in" not in said(capsys, "cost")


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["cost", "--people", "0"],
        ["cost", "--people", "many"],
        ["cost", "--turns", "-1"],
        ["cost", "--turns", "nan"],
        ["cost", "--spoken", "2"],
        ["cost", "--model", "gpt"],
        ["cost", "--markdown", "--json"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_ends_with_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        planning.main(wrong)
    assert ended.value.code == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--people", "many"], "--people: must be a whole number, 1 or more: 'many'"),
        (["--disk", "-5"], "--disk: must be a whole number, 0 or more: '-5'"),
        (["--nat-gateways", "1.5"], "--nat-gateways: must be a whole number, 0 or more: '1.5'"),
        (["--turns", "abc"], "--turns: must be a number, 0 or more: 'abc'"),
        (["--uploads", "inf"], "--uploads: must be a number, 0 or more: 'inf'"),
        (["--spoken", "x"], "--spoken: must be a number, 0 to 1: 'x'"),
    ],
)
def test_what_is_wrong_with_a_number_is_said(
    wrong: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        planning.main(["cost", *wrong])
    assert capsys.readouterr().err.rstrip().endswith(told)


def test_a_bill_of_what_the_template_refuses_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "refuses" in said(capsys, "cost", "--residency", "global")
    assert "refuses" not in said(capsys, "cost", "--residency", "global", "--stage", "dev")


def test_plots_that_cannot_be_written_are_refused_before_the_simulation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from backend_lambda.planning import simulation

    def run(*_: object) -> None:
        raise AssertionError("it simulates")

    monkeypatch.setattr(simulation, "run", run)
    file = tmp_path / "a file"
    file.write_text("mine")
    for folder in (file, file / "below"):
        assert planning.main(["simulate", "--out", str(folder)]) == 2
        assert f"{folder} cannot be written: " in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert planning.main(["simulate", "--scenario", "checks", "--out", str(tmp_path)]) == 2
    assert "--scenario" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["simulate"], ["capacity"]], ids=" ".join)
def test_without_its_libraries_the_simulation_says_what_to_install(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "simpy", None)
    for name in ("simulation", "capacity"):
        monkeypatch.delitem(sys.modules, f"backend_lambda.planning.{name}", raising=False)
        monkeypatch.delattr(backend_lambda.planning, name, raising=False)
    assert planning.main(command) == 3
    told = capsys.readouterr().err
    assert "simpy is not installed; `make setup` brings it" in told
    assert ".venv/bin/python -m backend_lambda.planning" in told


def test_the_rest_needs_the_standard_library_alone() -> None:
    probe = (
        "import sys; from backend_lambda.planning.__main__ import main; main(['cost', '--sizes']); main(['targets']); "
        "assert not {'numpy', 'simpy', 'matplotlib', 'pydantic', 'botocore', 'psycopg'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", probe], cwd=ROOT, check=True, capture_output=True, timeout=60)


# --- The operators' guide


def test_the_picture_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert "RDS Proxy" in said(capsys, "picture")


def test_the_guide_is_filled_in_its_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = tmp_path / "README.md"
    places = "".join(f"<!-- {name} -->\nold\n<!-- /{name} -->\n" for name in ("cost", "availability"))
    guide.write_text(f"before\n{places}after\n")
    monkeypatch.setattr(readme, "README", guide)
    monkeypatch.setattr(
        readme, "parts", lambda: {"cost": cost.markdown, "availability": availability.markdown}
    )
    assert planning.main(["readme"]) == 0
    text = guide.read_text()
    assert text.startswith("before\n") and text.endswith("after\n")
    assert "\nold\n" not in text
    assert "**The three sizes" in text and "**One region" in text


def test_line_by_line_adds_up() -> None:
    table = told.lines_table()
    for at, size in enumerate(cost.PROMISED.values()):
        cells = {(row[0], row[1]): row[2 + at] for row in table.rows}
        whole = cost.estimate(size.demand, size.options).usd
        assert cells["all", "together"] == f"{whole:,.0f}"
        listed = [
            float(cell.replace(",", ""))
            for (_, line), cell in cells.items()
            if line != "together" and cell != "–"
        ]
        assert sum(listed) == pytest.approx(whole, abs=0.5 * len(listed))


# --- Targets


def test_every_promise_of_the_document_is_spoken_of() -> None:
    wanted = " ".join(target.wanted for target in targets.targets())
    promises = (
        "200 ms",
        "2 s",
        "100 ms",
        "50 ms",
        "10 ms",
        "99.99 %",
        "10,000 users",
        "100 scan streams",
        "100,000 queries/s",
        "$50 to 100",
        "$500 to 800",
        "$3,000 to 5,000",
    )
    assert [promise for promise in promises if promise not in wanted] == []
    assert all(target.found and target.source for target in targets.targets())


def test_what_is_not_met_is_said() -> None:
    states = {target.wanted: target.state for target in targets.targets()}
    assert states["99.99 % (4.4 min a month)"] is targets.State.MISSED
    assert states["100,000 queries/s"] is targets.State.MISSED


def test_queries_of_ten_thousand_people_by_hand() -> None:
    # 4,000 scans on a clinic day, 760 in its busiest hour, 12 calls each: 2.53 a second, of 8 statements
    assert targets.calls_per_s(SIZES["10000"]) == pytest.approx(2.533, abs=0.001)
    assert targets.queries_per_s(SIZES["10000"]) == pytest.approx(20.27, abs=0.01)


def test_a_cache_pays_for_millions_by_hand() -> None:
    # 1,700 transactions, two of a call: 850 calls/s, where 10,000 people make 2.53
    assert targets.cache_pays_calls_per_s() == 850.0
    assert targets.cache_pays_people() == pytest.approx(3.355e6, rel=1e-3)


def test_the_busiest_hour_is_the_simulations() -> None:
    import numpy as np

    from backend_lambda.planning import simulation

    demand = SIZES["10000"]
    times_s = np.linspace(simulation.OPENS_S, simulation.CLOSES_S - 1.0, 5_000)
    peak_per_hour = 3_600.0 * float(simulation.scans_per_s(demand)(times_s).max())
    a_day = demand.people * demand.scans_per_person_week / simulation.CLINIC_DAYS_PER_WEEK
    assert peak_per_hour / a_day == pytest.approx(targets.BUSIEST_HOUR, abs=0.01)


# --- Tables


def test_words_are_broken_and_numbers_never() -> None:
    table = Table("T", ("words", "number"), (("one two three four five six seven", "1,234,567.89"),))
    lines = table.text(40).splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert sum("1,234,567.89" in line for line in lines) == 1
    assert " ".join(" ".join(line.split()) for line in lines).count("seven") == 1


def test_a_bar_in_a_cell_is_escaped() -> None:
    assert "a\\|b" in Table("T", ("x",), (("a|b",),)).markdown()


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(1.0, "100"), (0.9975, "99.75"), (0.9995, "99.950"), (0.99999, "99.9990"), (1 - 1e-12, "> 99.99999")],
)
def test_nines_are_not_rounded_away(value: float, wanted: str) -> None:
    assert told.percent(value) == wanted
