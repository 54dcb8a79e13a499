"""`health-helper people`: who is on this device, added, deleted, and what they have agreed to.

Exit status: 0 done · 2 bad input or usage · 4 the store can't be opened · 130 the question was answered with no.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from client.clock import Clock
from client.errors import BadInput, Interrupted
from client.language import said
from client.parts import Kept, Parts
from client.pipeline.sharing import ON_PAPER_VERSION, question, server_of
from client.store.consents import CLOUD_VERSION, Subject
from client.store.observations import Person, name_key

_DECISIONS = {"yes": True, "no": False}
LANGUAGE = "en"
"""Of what the terminal shows."""


def person_named(kept: Kept, name: str) -> Person:
    """The person of this name on this device. Raises BadInput where there is none."""
    for person in kept.observations.people():
        if name_key(person.name) == name_key(name):
            return person
    raise BadInput(
        title=said("There is nobody of this name on this device"),
        remedy=said('Add them first: health-helper people --add "NAME".'),
    )


def sure(asked: str, *, yes: bool) -> None:
    """Ask, unless it was answered beforehand. Raises Interrupted for anything but yes, and where nobody can answer."""
    try:
        agreed = yes or typer.confirm(asked, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise Interrupted(title=said("Nothing was done"), remedy=said("Everything is as it was before."))


def record_sharing(kept: Kept, person: Person, clock: Clock, *, given: bool) -> None:
    """Show what is agreed to or not, and note the decision. Raises BadInput where there is no clinic to agree to."""
    enrolled = kept.outbox.enrolled()
    if given:
        to = kept.policy.fhir_url if enrolled is None else str(enrolled["url"])
        if to is None:
            raise not_enrolled()
        for words in question(person.name, server_of(to)):
            print(words, file=sys.stderr)
    kept.consents.record(person.id, Subject.CLOUD, CLOUD_VERSION, given, LANGUAGE, clock.utc())
    if given:
        print(f"{person.name} agrees: what is kept of them from now on is sent.", file=sys.stderr)
    else:
        print(
            f"{person.name} does not agree: nothing more of them is sent. What was sent before stays at the clinic until they are "
            "deleted for ever.",
            file=sys.stderr,
        )


def note_what_is_on_paper(kept: Kept, person: Person, clock: Clock) -> None:
    """Where the policy says that nobody is asked, because it is agreed in writing: that this is so, once."""
    if kept.policy.ask_for_consent or kept.outbox.enrolled() is None:
        return
    if kept.consents.newest(person.id, Subject.CLOUD) is None:
        kept.consents.record(person.id, Subject.CLOUD, ON_PAPER_VERSION, True, LANGUAGE, clock.utc())


def guest_agrees(kept: Kept, *, share: bool) -> bool:
    """Whether what is saved for a guest now is sent. share: they were asked and agree. Raises BadInput where there is nobody to send to."""
    enrolled = kept.outbox.enrolled()
    if share and enrolled is None:
        raise not_enrolled()
    return share or (enrolled is not None and not kept.policy.ask_for_consent)


def not_enrolled() -> BadInput:
    """There is no clinic to send anything to."""
    return BadInput(
        title=said("This device is not enrolled with a clinic, so nothing can be sent"),
        remedy=said("Ask the clinic's administrator for a code: health-helper enrol CODE."),
    )


def remind(kept: Kept) -> None:
    """Of what nobody has done yet."""
    if kept.needs_recovery_key:
        print(
            "This store has no recovery key on paper yet: run 'health-helper recovery-key' and write it down.",
            file=sys.stderr,
        )


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the command."""

    @app.command()
    def people(
        new: Annotated[
            str | None, typer.Option("--add", metavar="NAME", help="Add somebody of this name.")
        ] = None,
        record_number: Annotated[
            str | None,
            typer.Option("--record-number", metavar="N", help="With --add: that the clinic knows them by."),
        ] = None,
        delete: Annotated[
            str | None,
            typer.Option(
                "--delete",
                metavar="NAME",
                help="Delete somebody; in the window it can be undone for a while.",
            ),
        ] = None,
        forever: Annotated[
            bool,
            typer.Option(
                "--forever",
                help="With --delete: at once, for good, and at the clinic too. It can't be undone.",
            ),
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", help="With --delete: do not ask.")] = False,
        share: Annotated[
            tuple[str, str] | None,
            typer.Option(
                "--share", metavar="NAME yes|no", help="Whether what is kept of them is sent to the clinic."
            ),
        ] = None,
        send_earlier: Annotated[
            str | None,
            typer.Option(
                "--send-earlier",
                metavar="NAME",
                help="Send what was kept of somebody before they agreed, too.",
            ),
        ] = None,
    ) -> None:
        """The people for whom scans are kept on this device; add, delete, and what they have agreed to."""
        _check(
            [new, delete, share, send_earlier], record_number=record_number, forever=forever, yes=yes, new=new
        )
        with parts.store() as kept:
            if new is not None:
                person = kept.observations.add_person(new, now=parts.clock.utc(), record_number=record_number)
                print(f"Added: {person.name}", file=sys.stderr)
            elif delete is not None:
                _delete(kept, person_named(kept, delete), parts.clock, forever=forever, yes=yes)
            elif share is not None:
                name, decision = share
                if decision.lower() not in _DECISIONS:
                    raise BadInput(
                        title=said("It is not clear whether they agree"),
                        remedy=said("Say yes or no: people --share NAME yes."),
                    )
                record_sharing(
                    kept, person_named(kept, name), parts.clock, given=_DECISIONS[decision.lower()]
                )
            elif send_earlier is not None:
                _send_earlier(kept, person_named(kept, send_earlier), parts.clock)
            _list(kept)
            remind(kept)


def _check(
    actions: Sequence[object], *, record_number: str | None, forever: bool, yes: bool, new: str | None
) -> None:
    deletes = actions[1] is not None
    if (
        sum(action is not None for action in actions) > 1
        or (record_number is not None and new is None)
        or ((forever or yes) and not deletes)
    ):
        raise BadInput(
            title=said("These options do not go together"),
            remedy=said(
                "Give one of --add, --delete, --share and --send-earlier; --record-number goes with --add, --forever and --yes with --delete."
            ),
        )


def _delete(kept: Kept, person: Person, clock: Clock, *, forever: bool, yes: bool) -> None:
    days = kept.policy.keep_deleted_days
    if forever:
        sure(f"Delete {person.name} and all that is kept of them, here and at the clinic, for ever?", yes=yes)
        kept.forgetting.forget_person(person.id, clock.utc())
        print(
            "Deleted for ever. What the clinic has of them is erased the next time something is sent.",
            file=sys.stderr,
        )
    else:
        sure(
            f"Delete {person.name} and all that is kept of them? It can be put back for {days} days.", yes=yes
        )
        kept.observations.delete_person(person.id, now=clock.utc())
        print(f"Deleted. It can be put back in the window for {days} days.", file=sys.stderr)


def _send_earlier(kept: Kept, person: Person, clock: Clock) -> None:
    if kept.outbox.enrolled() is None:
        raise not_enrolled()
    newest = kept.consents.newest(person.id, Subject.CLOUD)
    if newest is None or not newest.given:
        raise BadInput(
            title=said("This person has not agreed that anything is sent"),
            remedy=said("Ask them first: people --share NAME yes."),
        )
    found = kept.outbox.offer_earlier(person.id, now=clock.utc())
    print(f"{found} more are to be sent. Send them: health-helper sync --once.", file=sys.stderr)


def _agreement(kept: Kept, person: Person) -> str:
    newest = kept.consents.newest(person.id, Subject.CLOUD)
    if newest is None:
        return ""
    return ", agrees that it is sent" if newest.given else ", does not agree that it is sent"


def _list(kept: Kept) -> None:
    found = kept.observations.people()
    for person in found:
        print(f"{person.name}  ({kept.observations.count(person.id)} kept{_agreement(kept, person)})")
    if not found:
        print('Nobody has been added yet: scans are for the guest. Add somebody: people --add "NAME".')
