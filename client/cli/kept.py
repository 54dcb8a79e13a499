"""What is kept on this device, in the terminal: `people`, `history`, `export`, `report`, `recovery-key`.

Exit status: 0 done · 2 bad input or usage · 4 the store can't be opened.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from client.cli.parts import Kept, Parts
from client.errors import BadInput
from client.reports.files import check_target, write_report, write_table
from client.reports.wording import interval_text
from client.store.observations import COLUMNS, Kind, Line, Person

SHOWN_LINES = 20

PersonOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Whose (see: health-helper people). Default: the guest's.")
]


def person_named(kept: Kept, name: str) -> Person:
    """The person of this name on this device. Raises BadInput where there is none."""
    wanted = " ".join(name.split()).casefold()
    for person in kept.observations.people():
        if person.name.casefold() == wanted:
            return person
    raise BadInput(
        title="There is nobody of this name on this device",
        remedy='Add them first: health-helper people --add "NAME".',
    )


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the commands."""

    @app.command()
    def people(
        new: Annotated[
            str | None, typer.Option("--add", metavar="NAME", help="Add somebody of this name.")
        ] = None,
    ) -> None:
        """The people for whom scans are kept on this device, or one more of them."""
        with parts.store() as kept:
            if new is not None:
                person = kept.observations.add_person(new, now=parts.clock.utc())
                print(f"Added: {person.name}", file=sys.stderr)
            for person in kept.observations.people():
                print(f"{person.name}  ({kept.observations.count(person.id)} kept)")
            _remind(kept)

    @app.command()
    def history(
        person: PersonOption = None,
        limit: Annotated[
            int, typer.Option(metavar="N", min=1, help="So many, the newest first.")
        ] = SHOWN_LINES,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON array on standard output.")
        ] = False,
    ) -> None:
        """What is kept on this device, the newest first."""
        with parts.store() as kept:
            lines = kept.observations.lines(_whose(kept, person), limit=limit)
            if as_json:
                print(json.dumps([_row(line) for line in lines]))
                return
            Console(highlight=False).print(_table(lines) if lines else "Nothing is kept yet.")
            _remind(kept)

    @app.command()
    def export(
        file: Annotated[
            Path, typer.Argument(metavar="FILE", help="A .json (everything) or a .csv (the numbers).")
        ],
        person: PersonOption = None,
    ) -> None:
        """Write all that is kept of one person into a file. It is not encrypted: keep it safe."""
        with parts.store() as kept:
            found = kept.observations.between(_whose(kept, person), None, None)
            rows = [_row(line) for line in found]
            if file.suffix.lower() == ".json":
                for row, line in zip(rows, found, strict=True):
                    whole = kept.observations.get(line.id)
                    row["body"] = None if whole is None else whole.body
            write_table(rows, _COLUMNS, file)
        print(f"Written: {file.name}, {len(rows)} kept. It is not encrypted.", file=sys.stderr)

    @app.command()
    def report(
        file: Annotated[Path, typer.Argument(metavar="FILE", help="A .pdf or a .json file.")],
        scan_id: Annotated[
            str | None,
            typer.Option("--id", metavar="ID", help="Which scan (see: history --json). Default: the newest."),
        ] = None,
        person: PersonOption = None,
    ) -> None:
        """Write the report of a scan that was kept."""
        from client.store.scans import to_record

        check_target(file)
        if scan_id is not None and person is not None:
            raise BadInput(
                title="--id and --person are two ways to choose a scan", remedy="Give one of them."
            )
        with parts.store() as kept:
            wanted = scan_id or _newest_scan(kept, person)
            found = kept.observations.get(wanted)
            if found is None or found.line.kind != Kind.SCAN:
                raise BadInput(
                    title="There is no such scan on this device",
                    remedy="See 'health-helper history --json' for what is kept.",
                )
            write_report(to_record(found), file)
        print(f"Report written: {file.name}", file=sys.stderr)

    @app.command(name="recovery-key")
    def recovery_key(
        restore: Annotated[
            bool,
            typer.Option(
                "--restore", help="Open a store of which this system has no key, with its recovery key."
            ),
        ] = False,
    ) -> None:
        """Print a new recovery key of the store, or use one. An older key opens only older copies of the store's folder."""
        if restore:
            typed = typer.prompt("Recovery key", hide_input=True, err=True)
            with parts.restore_store(typed) as kept:
                print(f"The store is open again: {len(kept.observations.people())} people.", file=sys.stderr)
            return
        with parts.store() as kept:
            print(kept.new_recovery_key())
            print(
                "Write it down and keep it away from this computer. It opens the store when this system's key store is lost, "
                "and on another computer. It is shown only now.",
                file=sys.stderr,
            )
            sys.stdout.flush()
            kept.confirm_recovery_key()
            print("It is in force now, instead of any older one.", file=sys.stderr)


_COLUMNS = tuple(name for name in COLUMNS if name != "person")  # all lines are of one person


def _row(line: Line) -> dict[str, object]:
    return {
        "id": line.id,
        "kind": str(line.kind),
        "taken_at": line.taken_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "utc_offset_min": line.utc_offset_min,
        **asdict(line.numbers),
        "simulated": line.simulated,
    }


def _table(lines: list[Line]) -> Table:
    from client.store.scans import taken_at_local

    table = Table(box=None, pad_edge=False)
    for title in ("When", "Heart rate, /min", "Breathing, /min", "RMSSD, ms", "SDNN, ms"):
        table.add_column(title, justify="left" if title == "When" else "right")
    for line in lines:
        n = line.numbers
        table.add_row(
            f"{taken_at_local(line):%Y-%m-%d %H:%M}",
            _shown(n.heart_rate, interval_text(n.heart_rate_low, n.heart_rate_high)),
            _shown(n.respiratory_rate),
            _shown(n.rmssd),
            _shown(n.sdnn),
        )
    return table


def _shown(value: float | None, beside: str | None = None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" + (f" ({beside})" if beside else "")


def _whose(kept: Kept, name: str | None) -> str | None:
    return None if name is None else person_named(kept, name).id


def _newest_scan(kept: Kept, person: str | None) -> str:
    for line in kept.observations.lines(_whose(kept, person)):
        if line.kind == Kind.SCAN:
            return line.id
    raise BadInput(title="No scan is kept yet", remedy="Measure first: health-helper scan.")


def _remind(kept: Kept) -> None:
    if kept.needs_recovery_key:
        print(
            "This store has no recovery key on paper yet: run 'health-helper recovery-key' and write it down.",
            file=sys.stderr,
        )
