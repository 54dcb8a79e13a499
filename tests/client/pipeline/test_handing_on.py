"""From a real store to reports and exports."""

from __future__ import annotations

import json
import zipfile
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pypdfium2
import pytest

from client.errors import BadInput
from client.language import Sentence
from client.pipeline.handing_on import everything, history, report_of, to_entry, to_scan
from client.reports.contents import Everything
from client.reports.exports import write
from client.reports.proof import digest, digest_of_row
from client.store import entries
from client.store.consents import Consents
from client.store.database import Database
from client.store.documents import Documents
from client.store.observations import Kind, Observations
from client.store.scans import to_observation
from client.store.tasks import Tasks
from tests.client.cli.test_card import RECORD
from tests.client.store.conftest import database as database  # noqa: PLC0414 (a fixture)

WHOLE = b"%PDF-1.7 a letter" * 9999


def filled(database: Database) -> tuple[Everything, Observations, str]:
    """A person with three scans (one of a newer version), an entry, a document and a consent; a guest with one."""
    kept, now = Observations(database), RECORD.taken_at + timedelta(days=9)
    documents, consents = Documents(database), Consents(database)
    person = kept.add_person("Ada Łukasz", now=now, record_number="R-0815").id
    for day in range(3):
        made = to_observation(replace(RECORD, taken_at=RECORD.taken_at + timedelta(days=day)), person=person)
        newer = {"schema": "health-helper/kept-scan/9"}
        kept.save(replace(made, body=newer) if day == 2 else made)
    pressure = {"systolic": 121.0, "diastolic": 79.0, "pulse": None}
    kept.save(entries.to_observation(Kind.BLOOD_PRESSURE, pressure, RECORD.taken_at, person))
    kept.save(to_observation(RECORD, person=None))
    documents.add(
        [WHOLE],
        person=person,
        purpose="medical_report",
        media_type="application/pdf",
        title="Letter",
        pages=1,
        now=now,
    )
    consents.record(person, "measuring", 1, True, "en", now)
    return everything(kept, documents, consents, Tasks(database), person, now=now), kept, person


def test_all_of_a_person_and_of_nobody_else(database: Database) -> None:
    found, _, person = filled(database)
    assert (found.person.id, found.person.name, found.person.record_number) == (
        person,
        "Ada Łukasz",
        "R-0815",
    )
    assert [one.record.taken_at for one in found.scans()] == [
        RECORD.taken_at + timedelta(days=d) for d in (0, 1)
    ]
    assert len(list(found.scans())) == 2, "it can be read again"
    (entry,) = found.entries()
    assert entry.values == {"systolic": 121.0, "diastolic": 79.0} and entry.units["systolic"] == "mmHg"
    assert [b"".join(one.read()) for one in found.documents] == [WHOLE]
    assert [one.subject for one in found.consents] == ["measuring"]
    assert found.count == len(list(found.rows())) == 4, "what a newer version has written is in the rows"


@pytest.mark.parametrize("ending", [".json", ".csv", ".fhir.json", ".pdf", ".zip"])
def test_every_kind_of_file_can_be_made_of_it(database: Database, tmp_path: Path, ending: str) -> None:
    found, kept, person = filled(database)
    page = report_of(kept, person, language="en", name="Ada")
    assert write(found, tmp_path / f"all{ending}", report=page).left_out == ()
    assert (tmp_path / f"all{ending}").stat().st_size > 100


def test_a_folder_of_it_has_the_letter_and_hashes_that_fit_the_reports(
    database: Database, tmp_path: Path
) -> None:
    found, kept, person = filled(database)
    write(found, tmp_path / "all.zip", report=report_of(kept, person, language="en", name="Ada"))
    with zipfile.ZipFile(tmp_path / "all.zip") as folder:
        assert folder.read("health-helper/documents/001 Letter.pdf") == WHOLE
        whole = json.loads(folder.read("health-helper/everything.json"))
        bundle = folder.read("health-helper/everything.fhir.json").decode()
    assert whole["person"]["record_number"] == "R-0815"
    scans = [row for row in whole["observations"] if row["kind"] == "scan" and "scan" in row["body"]]
    assert [digest_of_row(row) for row in scans] == [digest(one.record) for one in found.scans()]
    assert all(digest_of_row(row) in bundle for row in scans)
    assert bundle.count('"presentedForm"') == 2


def test_what_is_deleted_meanwhile_is_left_out(database: Database) -> None:
    found, kept, _ = filled(database)
    first = next(iter(found.scans()))
    kept.delete(first.id, now=RECORD.taken_at)
    assert first.id not in [one.id for one in found.scans()]


def test_the_history_of_a_report_has_intervals_and_ends_with_it(database: Database) -> None:
    _, kept, person = filled(database)
    found = history(kept, person, RECORD.taken_at + timedelta(days=1))
    assert found == [(RECORD.taken_at + timedelta(days=d), 70.0, 68.0, 72.0) for d in (0, 1)]
    assert history(kept, person, RECORD.taken_at + timedelta(days=200)) == []


def test_of_a_newer_version_or_of_nobody_there_is_none(database: Database) -> None:
    found, kept, person = filled(database)
    newest = kept.newest(person, Kind.SCAN)
    assert newest is not None
    whole = kept.get(newest.id)
    assert whole is not None
    for read in (to_scan, to_entry):
        with pytest.raises(BadInput):
            read(whole)
    with pytest.raises(BadInput, match="This person is not on this device"):
        everything(kept, Documents(database), Consents(database), Tasks(database), "x", now=found.made_at)


def test_of_guests_there_is_no_name(database: Database) -> None:
    filled(database)
    found = everything(
        Observations(database),
        Documents(database),
        Consents(database),
        Tasks(database),
        None,
        now=RECORD.taken_at,
    )
    assert found.person.name is None and len(found.person.id) == 36 and len(list(found.scans())) == 1


def test_a_guest_has_no_history_for_the_others_were_somebody_else(database: Database) -> None:
    _, kept, _ = filled(database)
    for day in (1, 2, 3):
        kept.save(
            to_observation(replace(RECORD, taken_at=RECORD.taken_at + timedelta(days=day)), person=None)
        )
    assert history(kept, None, RECORD.taken_at + timedelta(days=4)) == []


def test_a_page_that_names_nobody_has_nothing_that_people_wrote_and_no_other_scan(database: Database) -> None:
    _, kept, person = filled(database)
    written = replace(
        RECORD,
        source="Ada at home.mp4",
        notes=(Sentence("Adas cold"),),
        taken_at=RECORD.taken_at + timedelta(days=3),
    )
    kept.save(to_observation(written, person=person))
    newest = kept.newest(person, Kind.SCAN)
    assert newest is not None
    whole = kept.get(newest.id)
    assert whole is not None
    scan = to_scan(whole)
    texts = {}
    for name in ("Ada", None):
        page = pypdfium2.PdfDocument(report_of(kept, person, language="en", name=name)(scan))
        texts[name] = page[0].get_textpage().get_text_bounded()
        page.close()
    for words in ("Ada at home.mp4", "Adas cold", "Heart rate over time"):
        assert words in texts["Ada"]
        assert words not in texts[None]
    assert "Ada" not in texts[None]
    assert digest(scan.record)[:40] in texts[None].replace("\r\n", ""), "it is the same scan's all the same"


def test_the_page_of_a_scan_has_the_record_number_only_where_it_has_the_name(database: Database) -> None:
    found, kept, person = filled(database)
    scan = next(iter(found.scans()))
    for name, there in (("Ada", True), (None, False)):
        page = report_of(kept, person, language="en", name=name)(scan)
        with closing(pypdfium2.PdfDocument(page)) as document:
            text = document[0].get_textpage().get_text_range()
        assert ("R-0815" in text) is there
