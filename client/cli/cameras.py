"""`health-helper cameras`: which cameras there are. Finding none is an answer, not a failure: status 0."""

from __future__ import annotations

import typer

from client.parts import Parts


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the command."""

    @app.command()
    def cameras() -> None:
        """List the cameras of this machine: ID and name."""
        found = parts.cameras()
        if not found:
            print(
                "No camera was found. Plug one in, close programs that use it, and allow this terminal to use "
                "the camera; a video file (--video), a stream (--url) and the demo (--demo) need none."
            )
        width = max((len(entry.id) for entry in found), default=0)
        for entry in found:
            print(f"{entry.id:<{width}}  {entry.name}")
