"""The report of each scan that was sent goes to the clinic too, where whoever manages this computer wants that."""

from __future__ import annotations

from collections.abc import Callable

from client.clock import Clock
from client.errors import BadInput
from client.language import said
from client.pipeline.handing_on import report_of, to_scan
from client.store.documents import Documents, Purpose
from client.store.observations import Kind, Observation, Observations

_PDF = "application/pdf"


def scan_reports(
    observations: Observations, documents: Documents, clock: Clock
) -> Callable[[Observation], None]:
    """What adds the report of one scan, without a name, to the documents of the person; once, however often it is called. Raises StoreFault."""

    def add(kept: Observation) -> None:
        line = kept.line
        if line.kind != Kind.SCAN or line.simulated:
            return
        if any(
            one.observation == line.id and one.purpose == Purpose.SCAN_REPORT
            for one in documents.list(line.person)
        ):
            return
        try:
            page = report_of(observations, line.person, language="en", name=None)(to_scan(kept))
        except BadInput:  # of a version that this one cannot read
            return
        documents.add(
            [page],
            person=line.person,
            purpose=Purpose.SCAN_REPORT,
            media_type=_PDF,
            title=said("Report of a scan"),
            pages=None,
            now=clock.utc(),
            observation=line.id,
            guest_agrees=True,  # the scan itself was sent
        )

    return add
