"""What somebody is told of the clinic's copy, and asked before there is any."""

from __future__ import annotations

from client.language import said
from client.policy import Policy
from client.store.consents import ASSISTANT_VERSION, Consent

ON_PAPER_VERSION = 0
"""Of a consent that whoever manages this computer has in writing: no text of ours was shown."""


def server_of(url: str) -> str:
    """The name in an address, as a person reads it."""
    return url.partition("//")[2].partition("/")[0] or url


def clinic_of(url: str, clinic_id: str) -> str:
    """Which clinic a device belongs to, as it is told and can be compared: one server may have many."""
    return said("Clinic: {clinic}, at {server}.", clinic=clinic_id or "-", server=server_of(url))


def of_the_copy(*, guest: bool) -> str:
    """What becomes of the clinic's copy of one thing that was deleted here."""
    if guest:
        return said("It was sent: the clinic's copy is erased once this can't be put back any more.")
    return said("It was sent: the clinic keeps its copy until all of this person is deleted for ever.")


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
        said("What is never sent: your name, your record number, and what the camera sees in a scan."),
        said("It is sent encrypted. You can take this back at any time: Settings, “Sharing…”.")
        if name
        else said("It is sent encrypted, under a new random number. A guest is asked each time."),
    )


def assistant_question() -> tuple[str, ...]:
    """ASSISTANT_VERSION of what is asked before the assistant asks the clinic, paragraph by paragraph; the first is the question. Whoever
    changes a word that matters raises the version.
    """
    return (
        said("May what you say to the assistant and ask it be sent to the clinic?"),
        said(
            "What is sent: what you say, as sound, to be written down; what you say and type, as text; the last measurements; the documents that "
            "you agreed to send; and your age as a range of years."
        ),
        said("What is never sent: your name, your record number, and the pictures of a scan."),
        said(
            "If you say no, you type or are understood on this device only, and the answers come from this device."
        ),
        said(
            "What may be an emergency is noticed on this device in any case. You can take this back at any time: at the assistant, “What is sent…”, "
            "or in the settings, “Sharing…”."
        ),
    )


def assistant_agreed(newest: Consent | None, policy: Policy) -> bool | None:
    """Whether the assistant may ask the clinic for a person, or None where they have to be asked. newest: what they have decided."""
    if newest is None:
        return None if policy.ask_for_consent else True  # in writing
    return newest.given if newest.version == ASSISTANT_VERSION or not newest.given else None
