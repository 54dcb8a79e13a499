"""What is done on the page about sending: tried again, exported, sent later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from client.language import said
from client.parts import Kept
from client.reports.files import write_table
from client.store.export import COLUMNS, row
from client.store.moments import text_of
from client.store.outbox import PAGE, Item, ItemKind, ItemState
from client.ui.pages.files import Files
from client.ui.pages.job import Job


class Resending(Job):
    """With the outbox of this device."""

    def retry(self, ids: Sequence[str] | None) -> None:
        """These, or all that were refused: as if they had never been tried."""

        def done(count: int) -> None:
            self.shelf.try_sync_now()
            self.notice.tell(
                said("To be tried again: {count}.", count=count)
                if count
                else said("What waits is tried now.")
            )

        self.shelf.change(lambda kept: kept.outbox.retry(ids), done, self.tell_fault)

    def offer_earlier(self) -> None:
        """What was kept before this device could send, of everybody who has agreed."""
        question = said(
            "Send also what was kept on this device before it could be sent? Only of people who have agreed to it, and nothing of guests."
        )
        if not self.confirmed(said("Send earlier ones"), question, said("Send it")):
            return
        now = self.clock.utc()

        def offer(kept: Kept) -> int:
            return sum(kept.outbox.offer_earlier(one.id, now=now) for one in kept.observations.people())

        def done(count: int) -> None:
            self.notice.tell(
                said("Waiting to be sent now, of what was kept earlier: {count}.", count=count)
                if count
                else said("There is nothing earlier that could be sent of people who have agreed.")
            )

        self.shelf.change(offer, done, self.tell_fault)

    def export(self, files: Files) -> None:
        """What was refused, into a file: the readings whole, of a document what is known of it."""
        path = files.ask_path(
            "health-helper-refused.json", said("Data (*.json);;Table (*.csv)"), said("Save what was refused")
        )
        if path is None:
            return

        def write(kept: Kept) -> int:
            found = _refused(kept, whole=path.suffix.lower() == ".json")
            write_table(found, ("since", "tries", "reason", *COLUMNS), path)
            return len(found)

        def written(count: int) -> None:
            self.notice.tell(
                said(
                    "Written: {name}, {count} kept, in the folder {folder}. It is not encrypted.",
                    name=path.name,
                    count=count,
                    folder=Path(path.parent),
                )
            )

        self.shelf.ask_kept(write, written, self.tell_fault)


def _refused(kept: Kept, *, whole: bool) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    after_seq = 0
    while items := kept.outbox.items(PAGE, after_seq):
        after_seq = items[-1].seq
        found += [_plain(kept, one, whole=whole) for one in items if one.state == ItemState.PARKED]
    return found


def _plain(kept: Kept, item: Item, *, whole: bool) -> dict[str, object]:
    facts: dict[str, object] = {
        "id": item.id,
        "kind": item.kind,
        "since": text_of(item.made_at),
        "tries": item.tries,
        "reason": item.reason,
    }
    if item.kind == ItemKind.OBSERVATION:
        observation = kept.observations.get(item.id)
        if observation is not None:
            facts |= row(observation.line)
            if whole:
                facts["body"] = observation.body
    elif item.kind == ItemKind.DOCUMENT:
        document = kept.documents.get(item.id)
        if document is not None:
            facts |= {"media_type": document.media_type, "sha256": document.sha256}
    return facts
