"""Notices an emergency in a person's words: rules for each language in assets/triage, before and after any model, with no network.

`Triage` judges; assets/triage/en.toml explains what such a file holds.
"""

from __future__ import annotations

from client import config
from client.assistant.triage.judging import FALLBACK, Readings, Triage
from client.assistant.triage.levels import CATEGORIES, Level, Verdict, highest
from client.assistant.triage.places import Place, region_of


def shipped() -> Triage:
    """With the data of this installation."""
    return Triage(config.assets().joinpath("triage"))


__all__ = [
    "CATEGORIES",
    "FALLBACK",
    "Level",
    "Place",
    "Readings",
    "Triage",
    "Verdict",
    "highest",
    "region_of",
    "shipped",
]
