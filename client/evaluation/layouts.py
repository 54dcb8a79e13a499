"""Folders of videos with a contact reference, in the layouts in which the public sets are handed out."""

from __future__ import annotations

from pathlib import Path

from client.evaluation.cases import Case


def cases(folder: Path, layout: str | None) -> list[Case]:
    """Every video of a folder."""
    raise NotImplementedError


def described() -> str:
    """Every layout by name, with what lies where."""
    return ""
