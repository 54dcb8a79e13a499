"""When a person is asked whether anything of theirs may be sent to a clinic, and what holds (the question: client.pipeline.sharing)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from client.language import said
from client.pipeline.sharing import ON_PAPER_VERSION, assistant_agreed, server_of
from client.policy import Policy
from client.store.consents import CLOUD_VERSION, Consent


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


def assistant_holds(newest: Consent | None, policy: Policy) -> str:
    """What a person has decided of the assistant, for the settings."""
    agreed = assistant_agreed(newest, policy)
    if newest is None:
        return (
            said("Assistant: agreed in writing. What is said to it and asked is sent.")
            if agreed
            else said("Assistant: not asked yet. Nothing that is said to it or asked is sent.")
        )
    when = f"{newest.at.astimezone():%Y-%m-%d %H:%M}"
    if agreed:
        return said("Assistant: agreed on {when}. What is said to it and asked is sent.", when=when)
    return said("Assistant: not agreed ({when}). Nothing that is said to it or asked is sent.", when=when)
