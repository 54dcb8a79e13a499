"""From what is kept on this device to what reports and exports take of it. Here, because the store and the reports do not know each
other. Scans of a newer version, which this one cannot read, are in .json and .csv only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from client import config
from client.errors import BadInput, EnvironmentFault
from client.language import said
from client.reports.contents import Consent, Document, Dot, Entry, Everything, Person, Scan
from client.store import entries, export, scans
from client.store.consents import Consent as KeptConsent
from client.store.consents import Consents
from client.store.documents import Document as Kept
from client.store.documents import Documents
from client.store.observations import Kind, Line, Observation, Observations, new_id, utc_offset_min
from client.store.tasks import Tasks
from client.whole_file import whole_file

_AT_ONCE: Final = 50
"""Observations that are in memory: one of them has some 100 kB."""


def history(kept: Observations, person: str | None, until: datetime) -> list[Dot]:
    """For the report of a scan: the person's scans with a heart rate in the REPORT_DAYS up to that moment, with their intervals. Of a guest
    none: who the other guests were nobody knows.
    """
    if person is None:
        return []
    lines = kept.between(person, until - timedelta(days=scans.REPORT_DAYS), until + timedelta(seconds=1))
    return [
        (line.taken_at, numbers.heart_rate, numbers.heart_rate_low, numbers.heart_rate_high)
        for line in lines
        if line.kind == Kind.SCAN and (numbers := line.numbers).heart_rate is not None
    ]


def record_number(kept: Observations, person: str | None) -> str | None:
    """That the clinic knows somebody by, for what names them; None where it is not known, and of a guest."""
    return next((one.record_number for one in kept.people() if one.id == person), None)


def to_scan(kept: Observation) -> Scan:
    """Raises BadInput for what is no scan that this version can read."""
    return Scan(kept.line.id, scans.to_record(kept), kept.line.utc_offset_min)


def to_entry(kept: Observation) -> Entry:
    """Raises BadInput for what is no entry that this version can read."""
    values = entries.values_of(kept)
    units = {value.name: value.unit for value in entries.VALUES[Kind(kept.line.kind)]}
    return Entry(
        kept.line.id, str(kept.line.kind), kept.line.taken_at, kept.line.utc_offset_min, values, units
    )


def everything(
    kept: Observations,
    documents: Documents,
    consents: Consents,
    tasks: Tasks,
    person: str | None,
    *,
    now: datetime,
) -> Everything:
    """All of one person; person None: of whoever used this device as a guest. It is good as long as the store is open: things are read
    when they are asked for. Raises BadInput where there is no such person.
    """
    known = next((one for one in kept.people() if one.id == person), None)
    if person is not None and known is None:
        raise BadInput(title=said("This person is not on this device"), remedy=said("Choose another one."))
    lines = kept.between(person, None, None)

    def wholes(wanted: Sequence[Line]) -> Iterator[Observation]:
        for begin in range(0, len(wanted), _AT_ONCE):
            ids = [line.id for line in wanted[begin : begin + _AT_ONCE]]
            found = {one.line.id: one for one in kept.wholes(ids)}
            yield from (found[each] for each in ids if each in found)  # unless it was deleted meanwhile

    def all_scans() -> Iterator[Scan]:
        for one in wholes([line for line in lines if line.kind == Kind.SCAN]):
            with suppress(BadInput):
                yield to_scan(one)

    def all_entries() -> Iterator[Entry]:
        for one in wholes([line for line in lines if line.kind in entries.VALUES]):
            with suppress(BadInput):
                yield to_entry(one)

    return Everything(
        person=Person(new_id()) if known is None else Person(known.id, known.name, known.record_number),
        scans=all_scans,
        entries=all_entries,
        documents=tuple(_document(documents, one) for one in reversed(documents.list(person))),
        consents=tuple(_consent(one) for one in consents.all(person)),
        whole=lambda: export.everything(kept, documents, consents, tasks, person),
        rows=lambda: iter(export.rows(kept, person, whole=False)),
        columns=export.COLUMNS,
        count=len(lines),
        made_at=now,
        utc_offset_min=utc_offset_min(now),
        version=config.version(),
    )


def report_of(
    kept: Observations, person: str | None, *, language: str, name: str | None
) -> Callable[[Scan], bytes]:
    """What makes the page of one of their scans, as client.reports.pdf.render.

    name: None for a page that names nobody, as it leaves this device: then there is neither their record number nor the source's name, nor any
    other scan, for not all of them need have been agreed to.
    """
    number = None if name is None else record_number(kept, person)

    def page(scan: Scan) -> bytes:
        from client.reports.pdf import render  # fpdf2 takes most of a second to import

        return render(
            scan.record,
            language=language,
            name=name,
            utc_offset_min=scan.utc_offset_min,
            history=None if name is None else history(kept, person, scan.record.taken_at),
            scan_id=scan.id,
            own=name is not None,
            record_number=number,
        )

    return page


def write_copy(chunks: Iterable[bytes], path: Path) -> None:
    """A copy of a document in a file, not encrypted, for its owner only; whole or not at all: what was there before stays until then.

    chunks: what they raise (a damaged document) is passed on. Raises EnvironmentFault where it cannot be written.
    """
    try:
        with whole_file(path) as file:
            file.writelines(chunks)
    except OSError as error:
        raise EnvironmentFault(
            title=said(
                "{name} could not be written ({why})",
                name=path.name,
                why=error.strerror or type(error).__name__,
            ),
            remedy=said("Choose another folder, or make room on its disk."),
        ) from error


def _document(documents: Documents, one: Kept) -> Document:
    return Document(
        one.id,
        one.title,
        one.purpose,
        one.media_type,
        one.length_bytes,
        one.sha256,
        one.added_at,
        one.utc_offset_min,
        lambda: documents.read(one.id),
    )


def _consent(one: KeptConsent) -> Consent:
    return Consent(one.id, one.subject, one.version, one.given, one.language, one.at, one.utc_offset_min)
