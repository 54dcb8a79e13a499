"""`health-helper enrol`: this device comes to a clinic, or leaves it.

Exit status: 0 done · 2 bad input or usage, or nobody could be asked · 4 the code is refused, the server can't be reached, or the store
can't be opened · 130 the question was answered with no.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from client.cli.by_hand import by_hand
from client.cli.people import sure
from client.errors import BadInput, HealthHelperError
from client.language import said
from client.parts import Kept, Parts
from client.store.outbox import PAGE, ItemKind


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the command."""

    @app.command()
    def enrol(
        code: Annotated[
            str | None,
            typer.Argument(metavar="CODE", help="Of the clinic's administrator; good for ten minutes, once."),
        ] = None,
        url: Annotated[
            str | None,
            typer.Option(
                "--url", metavar="URL", help="The clinic's server. Default: that of this computer's policy."
            ),
        ] = None,
        leave: Annotated[
            bool, typer.Option("--leave", help="Leave the clinic: nothing is sent any more.")
        ] = False,
        yes: Annotated[
            bool, typer.Option("--yes", help="Do not ask where this device is enrolled already.")
        ] = False,
    ) -> None:
        """Enrol this device with a clinic, or leave it. Nothing is sent of anybody who has not agreed (see: people --share)."""
        if leave is (code is not None) or (leave and url is not None):
            raise BadInput(
                title=said("Either a code or --leave is needed"),
                remedy=said("Ask the clinic's administrator for a code: health-helper enrol CODE."),
            )
        with parts.store() as kept:
            if code is None:
                was = kept.outbox.enrolled()
                owed = sum(one.kind == ItemKind.ERASURE for one in kept.outbox.items(PAGE))
                kept.leave()
                if owed:
                    print(
                        f"{owed} erasures were not sent: the clinic keeps what it has of those people. Ask it to erase them, or enrol again "
                        "and send.",
                        file=sys.stderr,
                    )
                if was is None:
                    print("This device was enrolled with no clinic.", file=sys.stderr)
                else:
                    print(
                        f"This device belongs to the clinic {was['clinic_id']} no more. What waits stays here. "
                        "Its administrator should remove the device there too.",
                        file=sys.stderr,
                    )
                return
            _ask_whoever_is_enrolled(kept, yes=yes)
            try:
                found = kept.enrol(code, url)
            except HealthHelperError as fault:
                fault.remedy = by_hand(fault.remedy)
                raise
            print(
                f"Enrolled: this device belongs to the clinic {found['clinic_id']} at {found['url']} now.",
                file=sys.stderr,
            )
            print(
                "What is kept of people who have agreed is sent from now on: health-helper people --share NAME yes, "
                "then health-helper sync --once.",
                file=sys.stderr,
            )


def _ask_whoever_is_enrolled(kept: Kept, *, yes: bool) -> None:
    was = kept.outbox.enrolled()
    if was is None:
        return
    counts = kept.outbox.counts()
    waiting = counts.pending + counts.sending
    print(
        f"This device belongs to the clinic {was['clinic_id']} at {was['url']} already."
        + (f" {waiting} that wait for it are not sent to another clinic." if waiting else ""),
        file=sys.stderr,
    )
    sure("Enrol it with this code instead?", yes=yes)
