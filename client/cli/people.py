"""`health-helper people`: who is on this device, added, renamed, deleted, and what they have agreed to.

Exit status: 0 done · 2 bad input or usage, or nobody could be asked · 4 the store can't be opened · 130 the question was answered with no.
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
from client.pipeline.right_person import must_read_number, whose_number
from client.pipeline.sharing import ON_PAPER_VERSION, assistant_question, question, server_of
from client.store.consents import ASSISTANT_VERSION, CLOUD_VERSION, Subject
from client.store.observations import Person, name_key

_DECISIONS = {"yes": True, "no": False}
LANGUAGE = "en"
"""Of what the terminal shows."""

ConfirmOption = Annotated[
    str | None,
    typer.Option(
        "--confirm-record-number",
        metavar="N",
        help="The person's record number, read back. Where the policy of this computer wants it, it is asked for otherwise.",
    ),
]


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
    """Ask, unless it was answered beforehand. Raises Interrupted for anything but yes, and BadInput where nobody can answer."""
    try:
        agreed = yes or typer.confirm(asked, err=True)
    except typer.Abort:
        print(file=sys.stderr)
        if not _somebody_is_there():
            raise BadInput(
                title=said("This has to be confirmed, and nobody can be asked here"),
                remedy=said("Run it in a terminal, or add --yes. Everything is as it was before."),
            ) from None
        agreed = False
    if not agreed:
        raise _nothing_done()


def right_person(kept: Kept, person: str | Person | None, typed: str | None) -> None:
    """Before something is kept for somebody or handed on: whether it is them, by their record number, where the policy wants that read back.

    person: an identifier, None for a guest. typed: the number as an option has it, which counts in any case; None: it is asked for. Raises
    BadInput where it is another's or nobody's, or nobody can be asked, and Interrupted.
    """
    people = kept.observations.people()
    expected = next((one for one in people if one.id == person), None) if isinstance(person, str) else person
    if typed is None:
        if not must_read_number(expected, wanted=kept.policy.confirm_record_number):
            return
        assert expected is not None
        typed = _number_read_back(expected)
    found = whose_number(typed, people)
    if found is None:
        raise BadInput(
            title=said("Nobody on this device has this record number"),
            remedy=said("Nothing was done. Check the number, and for whom this is."),
        )
    if expected is None or found.id != expected.id:
        raise BadInput(
            title=said("This record number belongs to somebody else on this device"),
            remedy=said("Nothing was done. Check the number, and for whom this is."),
        )


def _number_read_back(person: Person) -> str:
    # The library would print the last sign of a question on standard output, where programs read a result.
    print(f"Record number of {person.name}, typed or scanned: ", end="", file=sys.stderr, flush=True)
    try:
        return str(typer.prompt("", default="", show_default=False, prompt_suffix="", err=True))
    except typer.Abort:
        print(file=sys.stderr)
        if _somebody_is_there():
            raise _nothing_done() from None
        raise BadInput(
            title=said("On this computer a person's record number has to be read back first"),
            remedy=said("Add --confirm-record-number N, or run it in a terminal. Nothing was done."),
        ) from None


def _somebody_is_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _nothing_done() -> Interrupted:
    return Interrupted(title=said("Nothing was done"), remedy=said("Everything is as it was before."))


def record_sharing(kept: Kept, person: Person, clock: Clock, *, given: bool, yes: bool = True) -> None:
    """Show what is agreed to or not, and note the decision. yes: it was said beforehand that they agree; else it is asked. Raises BadInput
    where there is no clinic to agree to, and what `sure` does.
    """
    enrolled = kept.outbox.enrolled()
    if given:
        to = kept.policy.fhir_url if enrolled is None else str(enrolled["url"])
        if to is None:
            raise not_enrolled()
        _show_question(person.name, to)
        sure(f"Does {person.name} agree?", yes=yes)
    kept.consents.record(person.id, Subject.CLOUD, CLOUD_VERSION, given, LANGUAGE, clock.utc())
    if given:
        print(f"{person.name} agrees: what is kept of them from now on is sent.", file=sys.stderr)
    else:
        print(
            f"{person.name} does not agree: nothing more of them is sent. What was sent before stays at the clinic until they are "
            "deleted for ever.",
            file=sys.stderr,
        )


def record_assistant(kept: Kept, person: Person, clock: Clock, *, given: bool, yes: bool = True) -> None:
    """The same for what is said to the assistant and asked. A window that is open asks the clinic nothing more once this is kept."""
    if given:
        if kept.outbox.enrolled() is None:
            raise not_enrolled()
        for words in assistant_question():
            print(words, file=sys.stderr)
        sure(f"Does {person.name} agree?", yes=yes)
    kept.consents.record(person.id, Subject.ASSISTANT, ASSISTANT_VERSION, given, LANGUAGE, clock.utc())
    if given:
        once = (
            ""
            if kept.policy.assistant
            else " once the policy of this device lets the assistant ask the clinic"
        )
        print(
            f"{person.name} agrees: what they say to the assistant and ask it is sent{once}.", file=sys.stderr
        )
    else:
        print(
            f"{person.name} does not agree: nothing more that they say to the assistant or ask it is sent.",
            file=sys.stderr,
        )


def note_what_is_on_paper(kept: Kept, person: Person, clock: Clock) -> None:
    """Where the policy says that nobody is asked, because it is agreed in writing: that this is so, once."""
    if kept.policy.ask_for_consent or kept.outbox.enrolled() is None:
        return
    if kept.consents.newest(person.id, Subject.CLOUD) is None:
        kept.consents.record(person.id, Subject.CLOUD, ON_PAPER_VERSION, True, LANGUAGE, clock.utc())


def _show_question(name: str, url: str) -> None:
    for words in question(name, server_of(url)):
        print(words, file=sys.stderr)


def guest_agrees(kept: Kept, *, share: bool, show: bool = False) -> bool:
    """Whether what is saved for a guest now is sent. share: they were asked and agree. show: what they agree to. Raises BadInput where
    there is nobody to send to.
    """
    enrolled = kept.outbox.enrolled()
    if share and enrolled is None:
        raise not_enrolled()
    if share and show and enrolled is not None:
        _show_question("", str(enrolled["url"]))
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
            typer.Option(
                "--record-number",
                metavar="N",
                help='With --add or --person: that the clinic knows them by. "": none any more.',
            ),
        ] = None,
        rename: Annotated[
            tuple[str, str] | None,
            typer.Option("--rename", metavar="NAME NEW", help="Give somebody another name."),
        ] = None,
        person: Annotated[
            str | None,
            typer.Option(
                "--person", metavar="NAME", help="With --record-number: whose is changed, or given to them."
            ),
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
        yes: Annotated[
            bool,
            typer.Option(
                "--yes",
                help="Do not ask: with --delete; with --share and --share-assistant: they were asked and agree.",
            ),
        ] = False,
        share: Annotated[
            tuple[str, str] | None,
            typer.Option(
                "--share", metavar="NAME yes|no", help="Whether what is kept of them is sent to the clinic."
            ),
        ] = None,
        share_assistant: Annotated[
            tuple[str, str] | None,
            typer.Option(
                "--share-assistant",
                metavar="NAME yes|no",
                help="Whether what they say to the assistant and ask it is sent to the clinic.",
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
        confirm: ConfirmOption = None,
    ) -> None:
        """The people for whom scans are kept on this device; add, rename, delete, and what they have agreed to."""
        _check(
            [new, rename, person, delete, share, share_assistant, send_earlier],
            with_delete=forever and delete is None,
            with_question=yes and delete is None and share is None and share_assistant is None,
            with_number=(record_number is not None and new is None and person is None)
            or (person is not None and record_number is None),
            with_sharing=confirm is not None
            and all(one is None for one in (share, share_assistant, send_earlier)),
        )
        with parts.store() as kept:
            if new is not None:
                made = kept.observations.add_person(new, now=parts.clock.utc(), record_number=record_number)
                print(f"Added: {made.name}", file=sys.stderr)
            elif rename is not None:
                kept.observations.rename_person(person_named(kept, rename[0]).id, rename[1])
                print("Renamed.", file=sys.stderr)
            elif person is not None:
                whose = person_named(kept, person)
                kept.observations.set_record_number(whose.id, record_number or None)
                became = "has another record number now" if record_number else "has no record number any more"
                print(f"{whose.name} {became}.", file=sys.stderr)
            elif delete is not None:
                _delete(kept, person_named(kept, delete), parts.clock, forever=forever, yes=yes)
            elif share is not None or share_assistant is not None:
                name, decision = share or share_assistant or ("", "")
                given, whose = _decision(decision), person_named(kept, name)
                if given or confirm is not None:  # to take it back is never made difficult
                    right_person(kept, whose, confirm)
                record = record_sharing if share is not None else record_assistant
                record(kept, whose, parts.clock, given=given, yes=yes)
            elif send_earlier is not None:
                whose = person_named(kept, send_earlier)
                right_person(kept, whose, confirm)
                _send_earlier(kept, whose, parts.clock)
            _list(kept)
            remind(kept)


def _decision(typed: str) -> bool:
    if typed.lower() not in _DECISIONS:
        raise BadInput(
            title=said("It is not clear whether they agree"),
            remedy=said("Say yes or no: people --share NAME yes."),
        )
    return _DECISIONS[typed.lower()]


def _check(actions: Sequence[object], **misplaced: bool) -> None:
    """misplaced: options without what they go with."""
    if sum(action is not None for action in actions) > 1 or any(misplaced.values()):
        raise BadInput(
            title=said("These options do not go together"),
            remedy=said(
                "Give one of --add, --rename, --person, --delete, --share, --share-assistant and --send-earlier; --record-number goes with --add "
                "and --person, --forever with --delete, --yes with --delete, --share and --share-assistant, --confirm-record-number with "
                "--share, --share-assistant and --send-earlier."
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
    told = ""
    for subject, what in (
        (Subject.CLOUD, "it is sent"),
        (Subject.ASSISTANT, "the assistant asks the clinic"),
    ):
        newest = kept.consents.newest(person.id, subject)
        if newest is not None:
            told += f", {'agrees' if newest.given else 'does not agree'} that {what}"
    return told


def _list(kept: Kept) -> None:
    found = kept.observations.people()
    for person in found:
        print(f"{person.name}  ({kept.observations.count(person.id)} kept{_agreement(kept, person)})")
    if not found:
        print('Nobody has been added yet: scans are for the guest. Add somebody: people --add "NAME".')
