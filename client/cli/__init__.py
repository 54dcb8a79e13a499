"""The commands of `health-helper`, one module each."""

from __future__ import annotations

import sys
from dataclasses import replace

import typer

from client.cli import bench, cameras, doctor, documents, enrol, kept, people, scan, sync, triage, window
from client.config import version
from client.parts import Kept, Parts
from client.store.opening import tell


def commands(parts: Parts) -> typer.Typer:
    """Every command, wired to these parts. Adding one: a module with `add(app, parts)` and a line here."""
    app = typer.Typer(
        name="health-helper",
        help="Heart rate, pulse-rate variability and breathing from an ordinary webcam, on this device. "
        "Not a medical device.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def show_version(wanted: bool) -> None:
        if wanted:
            typer.echo(f"health-helper {version()}")
            raise typer.Exit

    @app.callback()
    def root(
        _version: bool = typer.Option(
            False, "--version", callback=show_version, is_eager=True, help="Print the version and end."
        ),
    ) -> None:
        pass

    window.add(app, parts)  # it tells by itself what became of its store
    here = replace(parts, store=lambda: _told(parts.store()))
    for module in (scan, people, kept, documents, enrol, sync, triage, cameras, doctor, bench):
        module.add(app, here)
    return app


def _told(kept: Kept) -> Kept:
    """A store that was damaged has been mended: the person should know."""
    if kept.healed is not None:
        print(tell(kept.healed), file=sys.stderr)
    return kept
