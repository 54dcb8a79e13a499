"""What a person is asked before anything of theirs is sent to a clinic, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from client.language import said
from client.policy import Policy
from client.store.consents import CLOUD_VERSION, Consent

ON_PAPER_VERSION = 0
"""Of a consent that whoever manages this computer has in writing: no text of ours was shown."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with sending what is kept of somebody.

    clinic: the server that this device is enrolled with; "" where it is with none. ask: whether the person has to be asked first.
    on_paper: nobody is asked, and their consent is to be noted as given. sends: what holds without a question.
    """

    clinic: str
    ask: bool
    on_paper: bool
    sends: bool


def standing(
    enrolled: Mapping[str, Any] | None, newest: Consent | None, policy: Policy, *, guest: bool
) -> Standing:
    """enrolled: what this device is enrolled with. newest: what holds for the person; of a guest nothing does from one save to the next.

    A refusal holds as long as the text that was shown is the one of today.
    """
    if enrolled is None:
        return Standing("", ask=False, on_paper=False, sends=False)
    clinic = server_of(str(enrolled.get("url", "")))
    if guest:
        asks = policy.ask_for_consent
        return Standing(clinic, ask=asks, on_paper=False, sends=not asks)
    known = newest is not None and newest.version in (CLOUD_VERSION, ON_PAPER_VERSION)
    given = newest is not None and newest.given
    if policy.ask_for_consent:
        return Standing(clinic, ask=not known, on_paper=False, sends=known and given)
    return Standing(clinic, ask=False, on_paper=newest is None, sends=newest is None or given)


def server_of(url: str) -> str:
    """The name in an address, as a person reads it."""
    return url.partition("//")[2].partition("/")[0] or url


def question(name: str, clinic: str) -> tuple[str, ...]:
    """CLOUD_VERSION of what is asked, paragraph by paragraph. name: of the person; "" for a guest. Whoever changes a word that matters
    raises the version.
    """
    who = (
        said("May what is kept of {name} be sent to the clinic at {clinic}?", name=name, clinic=clinic)
        if name
        else said("May this also be sent to the clinic at {clinic}?", clinic=clinic)
    )
    return (
        who,
        said(
            "What is sent: the measured or typed-in numbers with their intervals, or the reasons why a number is not shown; when and how "
            "long was measured; and files that you add yourself."
        ),
        said("What is never sent: your name, your record number, pictures and video."),
        said("It is sent encrypted. You can take this back at any time: Settings, “Sharing…”.")
        if name
        else said("It is sent encrypted, under a new random number. A guest is asked each time."),
    )


def holds(newest: Consent | None) -> str:
    """What a person has decided, for the settings."""
    if newest is None:
        return said("Not asked yet. Nothing is sent.")
    when = f"{newest.at.astimezone():%Y-%m-%d %H:%M}"
    if newest.version == ON_PAPER_VERSION and newest.given:
        return said("Agreed in writing, noted on {when}. What is kept is sent.", when=when)
    if newest.given:
        return said("Agreed on {when}. What is kept is sent.", when=when)
    return said("Not agreed ({when}). Nothing is sent.", when=when)
