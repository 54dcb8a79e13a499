"""`health-helper enrol`: this device comes to a clinic, or leaves it.

Exit status: 0 done · 2 bad input or usage · 4 the code is refused, the server can't be reached, or the store can't be opened.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from client.errors import BadInput
from client.language import said
from client.parts import Parts
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
            found = kept.enrol(code, url)
            print(f"Enrolled with the clinic {found['clinic_id']} at {found['url']}.", file=sys.stderr)
            print(
                "What is kept of people who have agreed is sent from now on: health-helper people --share NAME yes, "
                "then health-helper sync --once.",
                file=sys.stderr,
            )
