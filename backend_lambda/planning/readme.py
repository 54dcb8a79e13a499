"""Puts what the other modules work out into the README's places: `<!-- cost -->` … `<!-- /cost -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def filled(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """The text with each part's place filled anew. Raises ValueError where a place is missing or is there twice."""
    for name, made in parts.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if len(place.findall(text)) != 1:
            raise ValueError(f"the README has no single place for {name}")
        inside = made().strip("\n") + "\n"
        found = place.search(text)
        if found is not None:
            text = f"{text[: found.end(1)]}{inside}{text[found.start(2) :]}"
    return text


def parts() -> dict[str, Callable[[], str]]:
    """By the names of their places; each is worked out when it is called, the simulation in some ten seconds."""
    from backend_lambda.planning import availability, capacity, cost, picture, simulation, targets

    return {
        "picture": picture.text,
        "cost": cost.markdown,
        "capacity": lambda: capacity.text(capacity.table(simulated=False)),
        "simulation": lambda: simulation.text(simulation.run()),
        "availability": availability.markdown,
        "targets": targets.markdown,
    }
