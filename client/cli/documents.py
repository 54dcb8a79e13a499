"""`health-helper documents`: files of people: added, listed, removed, saved as a copy.

Exit status: 0 done · 2 bad input or usage, or nobody could be asked · 4 the store can't be opened, or a file can't be read or written ·
130 the question was answered with no. Standard output has the ID of each file that was handed in, and nothing else.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.cli.people import (
    ConfirmOption,
    guest_agrees,
    note_what_is_on_paper,
    person_named,
    right_person,
    sure,
)
from client.errors import BadInput, HealthHelperError
from client.language import said
from client.parts import Kept, Parts
from client.pipeline.sharing import of_the_copy
from client.reports.files import check_free
from client.store.documents import Document, DocumentDamaged, Purpose
from client.store.observations import Person

if TYPE_CHECKING:
    from client.intake.accepting import Accepted

PersonOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Whose (see: health-helper people). Default: the guest's.")
]


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the commands."""
    documents = typer.Typer(help="Files of people: reports, letters, pictures of them.", no_args_is_help=True)
    app.add_typer(documents, name="documents")

    @documents.command(name="add")
    def add_files(
        files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="PDF, PNG or JPEG.")],
        person: PersonOption = None,
        share: Annotated[
            bool,
            typer.Option("--share", help="Of a guest who agrees: it is sent to the clinic too."),
        ] = False,
        again: Annotated[
            bool, typer.Option("--again", help="Keep a second copy of what is kept for them already.")
        ] = False,
        confirm: ConfirmOption = None,
    ) -> None:
        """Keep files, encrypted. They are looked through first; a picture keeps its pixels and nothing else. Prints the ID of each."""
        from client.intake import accept

        if share and person is not None:
            raise BadInput(
                title=said("--share is for a guest"),
                remedy=said("A person agrees with: people --share NAME yes."),
            )
        failed: HealthHelperError | None = None
        with parts.store() as kept:
            whose = None if person is None else person_named(kept, person)
            agrees = guest_agrees(kept, share=share, show=True)
            right_person(kept, whose, confirm)
            if whose is not None:
                note_what_is_on_paper(kept, whose, parts.clock)
            for at, file in enumerate(files, 1):
                try:
                    accepted = accept(file)
                except HealthHelperError as fault:
                    print(f"Not added: {file.name}. {fault.title}. {fault.remedy}", file=sys.stderr)
                    failed = fault
                    continue
                what = _described(accepted, f"file {at} of {len(files)}", whose)
                # A guest who agrees now is another one, and theirs is sent under another number.
                copy = None if again or share else _kept_already(kept, accepted, whose)
                if copy is not None:
                    print(
                        f"Not added: {what} is kept already, since {copy.added_at:%Y-%m-%d %H:%M} UTC. For a second copy: --again.",
                        file=sys.stderr,
                    )
                    print(copy.id)
                    continue
                made = kept.documents.add(
                    accepted.chunks(),
                    person=None if whose is None else whose.id,
                    purpose=Purpose.MEDICAL_REPORT,
                    media_type=accepted.media_type,
                    title=accepted.title,
                    pages=accepted.pages,
                    now=parts.clock.utc(),
                    guest_agrees=agrees,
                )
                for note in accepted.notes:
                    print(f"{file.name}: {note}", file=sys.stderr)
                print(f"Added: {what}. Its ID:", file=sys.stderr, flush=True)
                print(made.id, flush=True)
        if failed is not None:
            raise typer.Exit(failed.exit_status)

    @documents.command(name="list")
    def list_files(person: PersonOption = None) -> None:
        """The files of one person, the newest first."""
        with parts.store() as kept:
            found = kept.documents.list(None if person is None else person_named(kept, person).id)
            ids = {one.id for one in found}
            sent = kept.outbox.sent(ids)
            waiting = {item.id: item.state for item in kept.outbox.items(limit=_ALL) if item.id in ids}
            for one in found:
                print(
                    f"{one.id}  {one.added_at:%Y-%m-%d}  {one.media_type}  {one.length_bytes} bytes  {_state(one, waiting, sent)}  {one.title}"
                )
            if not found:
                print("No file is kept.")

    @documents.command()
    def remove(
        document: Annotated[str, typer.Argument(metavar="ID", help="See: documents list.")],
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ) -> None:
        """Delete a file; in the window it can be put back for a while."""
        with parts.store() as kept:
            found = _found(kept, document)
            guest = found.person is None
            sure(
                f"Delete {found.title}? It can be put back in the window for {kept.policy.keep_deleted_days} days.",
                yes=yes,
            )
            kept.documents.delete(document, parts.clock.utc())
            print(
                f"Deleted. It can be put back in the window for {kept.policy.keep_deleted_days} days.",
                file=sys.stderr,
            )
            if kept.outbox.sent([document]):
                print(of_the_copy(guest=guest), file=sys.stderr)

    @documents.command()
    def save(
        document: Annotated[str, typer.Argument(metavar="ID", help="See: documents list.")],
        file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy.")],
        force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there already.")] = False,
        confirm: ConfirmOption = None,
    ) -> None:
        """Write a copy of a file. It is not encrypted: keep it safe."""
        from client.pipeline.handing_on import write_copy

        if file.is_dir():
            raise BadInput(
                title=said("{name} is a folder", name=file.name or file), remedy=said("Give another name.")
            )
        if not force:
            check_free(file)
        with parts.store() as kept:
            right_person(kept, _found(kept, document).person, confirm)
            write_copy(kept.documents.read(document), file)
        print(f"Written: {file.name}. It is not encrypted.", file=sys.stderr)


_ALL = 1_000_000


def _described(accepted: Accepted, number: str, whose: Person | None) -> str:
    """Which file, how much of it, and for whom: by name where somebody looks at it, and not where it is redirected, into a log perhaps."""
    seen = sys.stderr.isatty()
    title = accepted.title if seen else number
    name = "the guest" if whose is None else whose.name if seen else "the person named"
    pages = f"{accepted.pages} page" + ("s" if accepted.pages != 1 else "")
    return f"{title} ({pages}, {_size(accepted.length_bytes)}) for {name}"


def _size(length_bytes: int) -> str:
    for unit, unit_bytes in (("MB", 1_000_000), ("kB", 1_000)):
        if length_bytes >= unit_bytes:
            return f"{length_bytes / unit_bytes:.1f} {unit}"
    return f"{length_bytes} bytes"


def _kept_already(kept: Kept, accepted: Accepted, whose: Person | None) -> Document | None:
    """The newest whole copy, byte for byte; the store takes any number of them."""
    digest = hashlib.sha256(accepted.data).hexdigest()
    for one in kept.documents.list(None if whose is None else whose.id):
        if one.sha256 == digest and one.purpose == Purpose.MEDICAL_REPORT and _is_whole(kept, one):
            return one
    return None


def _is_whole(kept: Kept, document: Document) -> bool:
    """One that is damaged is to be added again from where it came from."""
    try:
        for _ in kept.documents.read(document.id):
            pass
    except DocumentDamaged:
        return False
    return True


def _found(kept: Kept, document: str) -> Document:
    found = kept.documents.get(document)
    if found is None:
        raise BadInput(
            title=said("There is no such file on this device"),
            remedy=said("See 'health-helper documents list' for what is kept."),
        )
    return found


def _state(one: Document, waiting: dict[str, str], sent: set[str]) -> str:
    if one.id in waiting:
        return {"pending": "waits", "sending": "being sent", "parked": "refused"}.get(
            waiting[one.id], "held back"
        )
    if one.cloud_state is not None:
        return f"sent, {one.cloud_state}" + (f" ({one.cloud_reason})" if one.cloud_reason else "")
    return "sent" if one.id in sent else "kept here"
