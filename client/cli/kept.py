"""What is kept on this device, in the terminal: `history`, `export`, `report`, `send-fhir`, `tasks`, `recovery-key`, `rotate-key`, `backup`.

Exit status: 0 done · 2 bad input or usage, or nobody could be asked · 4 the store can't be opened, or an export lacks what could not be
read any more · 130 the question was answered with no.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from client.cli.people import ConfirmOption, person_named, remind, right_person, sure
from client.errors import BadInput, EnvironmentFault, Interrupted
from client.language import said
from client.parts import Kept, Parts
from client.reports.files import check_free, check_target, write_report
from client.reports.wording import interval_text
from client.store.observations import Kind, Line

GUEST = "guest"
SHOWN_LINES = 20
WIDTH_WITH_IDS = 120
"""An identifier is to be copied whole: on a narrower terminal the line runs over."""

PersonOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Whose (see: health-helper people). Default: the guest's.")
]

ForceOption = Annotated[bool, typer.Option("--force", help="Replace FILE if it is there already.")]


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the commands."""

    @app.command()
    def history(
        person: PersonOption = None,
        limit: Annotated[
            int, typer.Option(metavar="N", min=1, help="So many, the newest first.")
        ] = SHOWN_LINES,
        ids: Annotated[
            bool, typer.Option("--ids", help="Show each one's ID too (for: health-helper report --id).")
        ] = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON array on standard output.")
        ] = False,
    ) -> None:
        """What is kept on this device, the newest first."""
        from client.store.export import row

        with parts.store() as kept:
            lines = kept.observations.lines(_whose(kept, person), limit=limit)
            if as_json:
                print(json.dumps([row(line) for line in lines]))
                return
            if lines:
                console = Console(highlight=False, markup=False)
                console.width = max(console.width, WIDTH_WITH_IDS if ids else 0)
                console.print(_table(kept, lines, ids=ids), crop=False)
            else:
                print(_nothing(kept, person))
            remind(kept)

    @app.command()
    def export(
        file: Annotated[
            Path,
            typer.Argument(
                metavar="FILE",
                help="A .zip (everything, with the documents), .json, .fhir.json (FHIR R4B), .pdf (an overview) or .csv (the numbers).",
            ),
        ],
        person: PersonOption = None,
        force: ForceOption = False,
        confirm: ConfirmOption = None,
    ) -> None:
        """Write all that is kept of one person into a file. It is not encrypted: keep it safe.

        In a .json each scan has its pulse wave: the second of its first sample, the seconds between two, and its values.
        """
        from client.pipeline import handing_on
        from client.reports import exports

        exports.check(file)
        if not force:
            check_free(file)
        with parts.store() as kept:
            whose = _whose(kept, person)
            right_person(kept, whose, confirm)
            name = _name_of(kept, whose)
            every = handing_on.everything(
                kept.observations, kept.documents, kept.consents, kept.tasks, whose, now=parts.clock.utc()
            )
            page = handing_on.report_of(kept.observations, whose, language="en", name=name)
            done = exports.write(every, file, language="en", report=page)
        with_documents = exports.kind_of(file) == ".zip"
        in_it = len(every.documents) - len(done.left_out) if with_documents else 0
        print(
            f"Written: {file.name}, {_many(every.count, 'observation')} and {_many(in_it, 'document')} ({name or GUEST}). "
            "It is not encrypted.",
            file=sys.stderr,
        )
        if every.documents and not with_documents:
            print(
                f"{_many(len(every.documents), 'document')} are kept beside that: only a .zip has them.",
                file=sys.stderr,
            )
        for title in done.left_out:
            print(f"Left out, for it cannot be read any more: {title}", file=sys.stderr)
        if done.left_out:
            raise typer.Exit(EnvironmentFault.exit_status)

    @app.command("send-fhir")
    def send_fhir(
        person: PersonOption = None,
        named: Annotated[
            bool,
            typer.Option("--named", help="With name and record number, for a server of the clinic's own."),
        ] = False,
        token: Annotated[
            bool,
            typer.Option("--token", help="Type in the token that the server wants, once; nothing is sent."),
        ] = False,
        confirm: ConfirmOption = None,
    ) -> None:
        """Send what is kept of one person to the clinic's own FHIR server, which the policy of this computer names (fhir_url).

        Sent again, it replaces what was sent before.
        """
        from client.pipeline import handing_on
        from client.reports import fhir
        from client.store.consents import Subject

        with parts.store() as kept:
            if token:
                kept.keep_fhir_token(
                    typer.prompt(
                        "Token (empty: forget it)", default="", hide_input=True, err=True, show_default=False
                    )
                )
                print("Kept in the key store of this system.", file=sys.stderr)
                return
            if person is None:
                raise BadInput(
                    title=said(
                        "A guest has no record at a clinic, so nothing can be sent to its FHIR server"
                    ),
                    remedy=said("Say whose it is: --person NAME."),
                )
            whose = _whose(kept, person)
            right_person(kept, whose, confirm)
            agreed = kept.consents.newest(whose, Subject.CLOUD)
            if agreed is None or not agreed.given:
                raise BadInput(
                    title=said("This person has not agreed that what is kept of them is sent to the clinic"),
                    remedy=said("Ask them, then: health-helper people --share NAME yes."),
                )
            every = handing_on.everything(
                kept.observations, kept.documents, kept.consents, kept.tasks, whose, now=parts.clock.utc()
            )
            made = fhir.transaction(every.person, every.scans(), every.entries(), named=named)
            count = kept.send_fhir(made)
        print(f"The server has taken {count} resources.", file=sys.stderr)

    @app.command()
    def report(
        file: Annotated[Path, typer.Argument(metavar="FILE", help="A .pdf or a .json file.")],
        scan_id: Annotated[
            str | None,
            typer.Option("--id", metavar="ID", help="Which scan (see: history --ids). Default: the newest."),
        ] = None,
        person: PersonOption = None,
        force: ForceOption = False,
        confirm: ConfirmOption = None,
    ) -> None:
        """Write the report of a scan that was kept."""
        from client.pipeline import handing_on
        from client.store.scans import taken_at_local, to_record

        check_target(file)
        if not force:
            check_free(file)
        if scan_id is not None and person is not None:
            raise BadInput(
                title=said("--id and --person are two ways to choose a scan"),
                remedy=said("Give one of them."),
            )
        with parts.store() as kept:
            wanted = scan_id or _newest_scan(kept, person)
            found = kept.observations.get(wanted)
            if found is None or found.line.kind != Kind.SCAN:
                raise BadInput(
                    title=said("There is no such scan on this device"),
                    remedy=said("See 'health-helper history --ids' for what is kept."),
                )
            record, whose = to_record(found), found.line.person
            right_person(kept, whose, confirm)
            name = _name_of(kept, whose)
            write_report(
                record,
                file,
                language="en",
                name=name,
                utc_offset_min=found.line.utc_offset_min,
                history=handing_on.history(kept.observations, whose, record.taken_at),
                scan_id=wanted,
                record_number=handing_on.record_number(kept.observations, whose),
            )
        when = f"{taken_at_local(found.line):%Y-%m-%d %H:%M}"
        print(f"Report written: {file.name} ({name or GUEST}, scan of {when})", file=sys.stderr)

    @app.command(name="recovery-key")
    def recovery_key(
        restore: Annotated[
            bool,
            typer.Option(
                "--restore", help="Open a store of which this system has no key, with its recovery key."
            ),
        ] = False,
    ) -> None:
        """Print a new recovery key of the store, or use one. Once you say that it is written down, an older key opens only older copies
        of the store's folder.
        """
        if restore:
            typed = typer.prompt("Recovery key", hide_input=True, err=True)
            with parts.restore_store(typed) as kept:
                print(f"The store is open again. People: {len(kept.observations.people())}.", file=sys.stderr)
            return
        with parts.store() as kept:
            print(kept.new_recovery_key())
            print(
                "Write it down and keep it away from this computer. It opens the store when this system's key store is lost, "
                "and on another computer. It is shown only now.",
                file=sys.stderr,
            )
            sys.stdout.flush()
            if not _written_down():
                raise Interrupted(
                    title=said("The new recovery key is not in force"),
                    remedy=said("Throw it away; an older one stays valid."),
                )
            kept.confirm_recovery_key()
            print("It is in force now, instead of any older one.", file=sys.stderr)

    @app.command(name="rotate-key")
    def rotate_key(
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ) -> None:
        """Lock the store with a new key, with its backups: where somebody may have got hold of the old one."""
        with parts.store() as kept:
            sure(
                "Lock the store with a new key? The recovery key on paper opens it no more, and other windows of Health Helper have to be "
                "opened anew.",
                yes=yes,
            )
            kept.rotate_key()
        print(
            "The store has a new key. Throw the old recovery key away, and make a new one: health-helper recovery-key.",
            file=sys.stderr,
        )

    @app.command()
    def backup() -> None:
        """Make a backup of the database now, beside it and encrypted like it. One is made by itself each day."""
        with parts.store() as kept:
            kept.back_up()
        print("A backup has been made.", file=sys.stderr)

    _add_tasks(app, parts)


def _add_tasks(app: typer.Typer, parts: Parts) -> None:
    tasks = typer.Typer(help="Readings that the clinic's staff should look at.", no_args_is_help=True)
    app.add_typer(tasks, name="tasks")

    @tasks.command(name="list")
    def list_tasks() -> None:
        """Those that nobody has looked at, the newest first."""
        from client.store.tasks import sentence

        with parts.store() as kept:
            found = kept.tasks.open()
            names = {person.id: person.name for person in kept.observations.people()}
            for task in found:
                whose = GUEST if task.person is None else names.get(task.person, "somebody")
                print(f"{task.id}  {task.taken_at:%Y-%m-%d %H:%M} UTC  {whose}: {sentence(task.reason)}")
            if not found:
                print("Nothing has to be looked at.")

    @tasks.command()
    def done(task: Annotated[str, typer.Argument(metavar="ID", help="See: tasks list.")]) -> None:
        """Somebody has looked at it."""
        with parts.store() as kept:
            if not kept.tasks.done(task, parts.clock.utc()):
                raise BadInput(
                    title=said("There is no such task, or somebody has looked at it already"),
                    remedy=said("See 'health-helper tasks list' for those that are open."),
                )
        print("Done.", file=sys.stderr)


def _written_down() -> bool:
    """Asked before an older key on paper is worth nothing; where nobody can answer, it is not."""
    try:
        return typer.confirm("Have you written it down?", err=True)
    except typer.Abort:
        return False


def _table(kept: Kept, lines: list[Line], *, ids: bool) -> Table:
    from client.store.scans import taken_at_local

    table = Table(box=None, pad_edge=False)
    numbers = ("Heart rate, /min", "Breathing, /min", "RMSSD, ms", "SDNN, ms")
    for title in ("When", "What", *numbers, *(["ID"] if ids else [])):
        table.add_column(
            title,
            justify="right" if title in numbers else "left",
            no_wrap=title in {"When", "ID"},
        )
    for line in lines:
        n = line.numbers
        table.add_row(
            f"{taken_at_local(line):%Y-%m-%d %H:%M}",
            _what(kept, line),
            _shown(n.heart_rate, interval_text(n.heart_rate_low, n.heart_rate_high)),
            _shown(n.respiratory_rate),
            _shown(n.rmssd),
            _shown(n.sdnn),
            *([line.id] if ids else []),
        )
    return table


def _what(kept: Kept, line: Line) -> str:
    """The kind and, of what was typed in, its values."""
    from client.store.entries import VALUES, values_of

    name = line.kind.replace("_", " ") + (" (simulated)" if line.simulated else "")
    units = {value.name: value.unit for kind, of in VALUES.items() if kind == line.kind for value in of}
    whole = kept.observations.get(line.id) if units else None
    if whole is None:
        return name
    try:
        values = values_of(whole)
    except BadInput:  # of another version
        return name
    shown: dict[str, list[str]] = {}  # 121/79 mmHg, 64 /min
    for value, number in values.items():
        shown.setdefault(units[value], []).append(f"{number:g}")
    return f"{name} " + ", ".join(
        [*(f"{'/'.join(numbers)} {unit}" for unit, numbers in shown.items()), "typed in"]
    )


def _nothing(kept: Kept, name: str | None) -> str:
    if name is not None:
        return f"Nothing is kept for {person_named(kept, name).name} yet."
    others = [person for person in kept.observations.people() if kept.observations.count(person.id)]
    if not others:
        return "Nothing is kept yet."
    return "Nothing is kept for the guest. Other people have entries: health-helper history --person NAME (see: health-helper people)."


def _shown(value: float | None, beside: str | None = None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" + (f" ({beside})" if beside else "")


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _whose(kept: Kept, name: str | None) -> str | None:
    return None if name is None else person_named(kept, name).id


def _name_of(kept: Kept, person: str | None) -> str | None:
    return next((one.name for one in kept.observations.people() if one.id == person), None)


def _newest_scan(kept: Kept, person: str | None) -> str:
    newest = kept.observations.newest(_whose(kept, person), Kind.SCAN)
    if newest is None:
        raise BadInput(title=said("No scan is kept yet"), remedy=said("Measure first: health-helper scan."))
    return newest.id
