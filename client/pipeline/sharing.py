"""What somebody is told of the clinic's copy, and asked before there is any."""

from __future__ import annotations

from client.language import said

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
