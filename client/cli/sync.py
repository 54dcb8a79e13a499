"""`health-helper sync`: send what is owed to the clinic, see what waits and why, try again, take out what was refused.

Exit status: 0 all is sent, or shown · 2 bad input or usage · 3 something waits or was refused · 4 it can't be sent now (no network,
not enrolled …), or the store can't be opened · 130 ended by Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from client.cli.by_hand import by_hand
from client.clock import Clock, lies_ahead
from client.cloud.faults import CloudFault
from client.errors import BadInput, EnvironmentFault, HealthHelperError, Interrupted
from client.language import said
from client.parts import Kept, Parts
from client.pipeline.sync import NOTHING, SyncState, SyncStatus, state_of
from client.pipeline.trouble import trouble
from client.store.database import StoreRenewed
from client.store.outbox import PAGE, Item, ItemKind, ItemState

SCHEMA = "health-helper/sync/1"
WAITS = 3
_PATIENCE_S = 5.0
"""So long in all `--once` waits for what may pass a moment later."""
_LOOK_EVERY_S = 0.25
_FINE = {SyncState.IDLE, SyncState.SENDING, SyncState.WAITING}


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the command."""

    @app.command()
    def sync(
        once: Annotated[bool, typer.Option("--once", help="Send all that can be sent now, and end.")] = False,
        watch: Annotated[bool, typer.Option("--watch", help="Send whatever comes, until Ctrl-C.")] = False,
        status: Annotated[
            bool, typer.Option("--status", help="Show what waits and what was refused. Asks no network.")
        ] = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON object on standard output; names nobody.")
        ] = False,
        retry: Annotated[
            bool,
            typer.Option("--retry", help="What was refused waits again: all of it, or the one with this ID."),
        ] = False,
        item: Annotated[
            str | None, typer.Argument(metavar="[ID]", help="With --retry: which (see: sync --status).")
        ] = None,
        export: Annotated[
            Path | None,
            typer.Option("--export", metavar="FOLDER", help="Write what was refused into a new folder."),
        ] = None,
    ) -> None:
        """Send what is owed to the clinic, or look at it."""
        wanted = [once, watch, status, retry, export is not None]
        if sum(wanted) > 1 or (item is not None and not retry) or (as_json and (watch or retry or export)):
            raise BadInput(
                title=said("These options do not go together"),
                remedy=said(
                    "Give one of --once, --watch, --status, --retry [ID] and --export FOLDER; --json goes with --once and --status."
                ),
            )
        with parts.store() as kept:
            if retry:
                ended = _retried(kept, item)
            elif export is not None:
                ended = _exported(kept, export)
            elif watch:
                ended = _watched(kept)
            elif once:
                ended = _sent(kept, parts.clock, as_json=as_json)
            else:
                _show(kept, parts.clock, _without_network(kept), as_json=as_json)
                ended = 0
        raise typer.Exit(ended)


# --- Sending -----------------------------------------------------------------------------------------


def _sent(kept: Kept, clock: Clock, *, as_json: bool) -> int:
    uploader, patience_s, before = kept.sync.uploader, _PATIENCE_S, ""
    uploader.try_now()
    try:
        while True:
            wait_s = uploader.step()
            if uploader.bug is not None:
                raise uploader.bug
            found = uploader.status
            line = _progress(found)
            if line != before:
                print(line, file=sys.stderr)
                before = line
            if wait_s and (found.state not in _FINE or not found.counts.pending or wait_s > patience_s):
                break
            patience_s -= wait_s
            wait(wait_s)
    except KeyboardInterrupt:
        raise Interrupted(
            title=said("Stopped before the end"), remedy=said("What waits is sent the next time.")
        ) from None
    if as_json:
        _show(kept, clock, found, as_json=True)
    if found.fault is not None or found.state not in _FINE:
        fault = found.fault or _why(found.state)
        print(f"Not sent. {fault.title}. {by_hand(fault.remedy)}", file=sys.stderr)
        return EnvironmentFault.exit_status
    if found.last_success_utc is not None and not lies_ahead(found.last_success_utc, clock.utc()):
        print(f"Last sent: {found.last_success_utc:%Y-%m-%d %H:%M} UTC.", file=sys.stderr)
    met = trouble(kept.outbox.contact())  # with the clinic's settings, say: all else is sent without them
    words = ["Something waits still."] if found.counts.pending else []
    if met is not None:
        words.append(f"{met.title}. {by_hand(met.remedy)}")
    elif words:
        words.append("Run this command again after a while.")
    if words:
        print(*words, file=sys.stderr)
    return WAITS if found.counts.pending or found.counts.parked else 0


def wait(seconds: float) -> None:
    """Do nothing for so long."""
    threading.Event().wait(seconds)


def _watched(kept: Kept) -> int:
    kept.sync.start()
    before = ""
    try:
        while True:
            found = kept.sync.status
            if found is NOTHING:  # nobody has looked yet
                wait(_LOOK_EVERY_S)
                continue
            line = _progress(found)
            if found.fault is not None:
                line += f" {found.fault.title}. {found.fault.remedy}"
            if line != before:
                print(line, file=sys.stderr, flush=True)
                before = line
            if getattr(found.fault, "code", None) == StoreRenewed.code:
                return (
                    EnvironmentFault.exit_status
                )  # whoever started this starts it anew, with the store as it is now
            wait(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        return Interrupted.exit_status


def _progress(found: SyncStatus) -> str:
    counts = found.counts
    line = (
        f"{found.state.replace('_', ' ')}: {counts.pending + counts.sending} waiting, {counts.parked} refused"
    )
    if found.progress is not None:
        line += f", a file: {found.progress.sent_bytes} of {found.progress.length_bytes} bytes"
    return line


def _why(state: SyncState) -> EnvironmentFault:
    if state is SyncState.ANOTHER_PROGRAM:
        return EnvironmentFault(
            title=said("Another program of Health Helper on this computer is sending"),
            remedy=said("Nothing has to be done; or close its window and try again."),
        )
    return EnvironmentFault(
        title=said("This device is not enrolled with a clinic"),
        remedy=said("Ask the clinic's administrator for a code: health-helper enrol CODE."),
    )


# --- Looking -----------------------------------------------------------------------------------------


def _without_network(kept: Kept) -> SyncStatus:
    """With what stood against sending when it was last tried."""
    counts, fault = kept.outbox.counts(), None
    if kept.outbox.enrolled() is None:
        state = SyncState.NOT_ENROLLED
    else:
        fault = trouble(kept.outbox.contact())
        state = SyncState.WAITING if counts.pending + counts.sending else SyncState.IDLE
        if isinstance(fault, CloudFault) and state_of(fault) is not SyncState.WAITING:
            state = state_of(fault)
    return SyncStatus(state, counts, fault, kept.outbox.last_sent_at(), None)


def _items(kept: Kept) -> list[Item]:
    found: list[Item] = []
    while page := kept.outbox.items(PAGE, found[-1].seq if found else 0):
        found += page
    return found


def _show(kept: Kept, clock: Clock, found: SyncStatus, *, as_json: bool) -> None:
    enrolled, counts = kept.outbox.enrolled(), found.counts
    oldest, last = counts.oldest_made_at, found.last_success_utc
    waiting_s = None if oldest is None else max(0.0, (clock.utc() - oldest).total_seconds())
    if as_json:
        shown = {
            "schema": SCHEMA,
            "enrolled": enrolled is not None,
            "clinic_id": None if enrolled is None else enrolled["clinic_id"],
            "pending": counts.pending,
            "sending": counts.sending,
            "parked": counts.parked,
            "held": counts.held,
            "oldest_waiting_s": waiting_s,
            "last_sent_at": None if last is None or lies_ahead(last, clock.utc()) else last.isoformat(),
            "state": str(found.state),
            "reason": None
            if found.fault is None
            else getattr(found.fault, "code", None) or kept.outbox.contact().code,
            "items": [
                {
                    "id": item.id,
                    "kind": item.kind,
                    "state": str(item.state),
                    "tries": item.tries,
                    "reason": item.reason,
                    "made_at": item.made_at.isoformat(),
                }
                for item in _items(kept)
            ],
        }
        print(json.dumps(shown))
        return
    if enrolled is None:
        print("This device is enrolled with no clinic: nothing is sent.")
    else:
        print(f"Enrolled with the clinic {enrolled['clinic_id']} at {enrolled['url']}.")
    if found.fault is not None:
        since = kept.outbox.contact().since
        when = "" if since is None else f" (since {since:%Y-%m-%d %H:%M} UTC)"
        remedy = by_hand(found.fault.remedy, "Run 'health-helper sync --once'")
        print(f"Trouble{when}: {found.fault.title}. {remedy}")
    print(
        f"{counts.pending + counts.sending} waiting, {counts.parked} refused, {counts.held} held back "
        "(deleted and can be put back, or for another clinic)."
    )
    if last is None:
        print("Nothing was sent yet.")
    elif lies_ahead(last, clock.utc()):
        print("Last sent: time unknown.")
    else:
        print(f"Last sent: {last:%Y-%m-%d %H:%M} UTC.")
    if waiting_s is not None:
        print(f"The oldest has waited for {_how_long(waiting_s)}.")
    for item in _items(kept):
        tried = f", tried {item.tries} times" if item.tries > 1 else ""
        reason = f" ({item.reason})" if item.reason else ""
        print(f"{item.id}  {item.kind}  {item.state}{reason}{tried}  since {item.made_at:%Y-%m-%d %H:%M} UTC")
    if counts.parked:
        print(
            "What was refused: try it again with 'sync --retry', or take it out with 'sync --export FOLDER'.",
            file=sys.stderr,
        )


def _how_long(seconds: float) -> str:
    for unit, unit_s in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2.0 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"


# --- What was refused --------------------------------------------------------------------------------


def _retried(kept: Kept, item: str | None) -> int:
    found = kept.outbox.retry(None if item is None else [item])
    if item is not None and not found:
        raise BadInput(
            title=said("Nothing with this ID was refused"),
            remedy=said("See 'health-helper sync --status' for what was."),
        )
    print(f"{found} wait again. Send them: health-helper sync --once.", file=sys.stderr)
    return 0


def _exported(kept: Kept, folder: Path) -> int:
    """Each as what it is: an observation as JSON, a file as it was given. An erasure has nothing to take out but whom it is for."""
    from client.pipeline.handing_on import write_copy
    from client.store.export import row

    if os.path.lexists(folder):
        raise BadInput(
            title=said("{name} is there already", name=folder.name), remedy=said("Give another name.")
        )
    parked = [item for item in _items(kept) if item.state == ItemState.PARKED]
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise EnvironmentFault(
            title=said(
                "The folder {name} can't be made ({kind})", name=folder.name, kind=type(error).__name__
            ),
            remedy=said("Choose another place, or make room on its disk."),
        ) from None
    failed: HealthHelperError | None = None
    written, index = 0, []
    for item in parked:
        name = None
        try:
            if item.kind == ItemKind.OBSERVATION and (found := kept.observations.get(item.id)) is not None:
                name = f"{item.id}.json"
                whole = {**row(found.line), "body": found.body}
                write_copy([json.dumps(whole, ensure_ascii=False).encode()], folder / name)
            elif item.kind == ItemKind.DOCUMENT and (file := kept.documents.get(item.id)) is not None:
                name = f"{item.id}{_ENDINGS.get(file.media_type, '.bin')}"
                write_copy(kept.documents.read(item.id), folder / name)
        except HealthHelperError as fault:
            name, failed = None, fault
        written += name is not None
        index.append(
            {
                "id": item.id,
                "kind": item.kind,
                "reason": item.reason,
                "patient_id": item.patient,
                "file": name,
            }
        )
    write_copy([json.dumps(index, indent=1).encode()], folder / "index.json")
    print(
        f"Written into {folder.name}: {written} of {len(parked)} that were refused, and index.json. They are not encrypted.",
        file=sys.stderr,
    )
    if failed is not None:
        raise failed
    return 0


_ENDINGS = {
    "application/pdf": ".pdf",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "application/json": ".json",
}
