"""The commands of the terminal against the whole backend on this machine: enrolled, agreed, saved, sent, forgotten."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from fpdf import FPDF

from backend_lambda import handler
from client.app import real_parts, run
from client.clock import SystemClock
from client.parts import Kept, Parts
from client.store import entries, scans
from client.store.observations import Kind, Observation
from tests.client.pipeline.test_outgoing import record
from tests.client.store.conftest import MemoryVault, kept_in
from tests.stand_ins.api_gateway import BufferedContext, proxy_event
from tests.stand_ins.local_cloud import DOCUMENTS, LocalCloud

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("local-cloud")]


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as made:
        yield made


class Kiosk:
    """A store on the disk, a key store in memory, and the commands."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.vault, self.clock, self._capsys = folder, MemoryVault(), SystemClock(), capsys

    def store(self) -> Kept:
        return kept_in(self.folder / "store", self.vault)

    def parts(self) -> Parts:
        return replace(real_parts(self.clock), store=self.store)

    def say(self, *arguments: str, status: int = 0) -> tuple[str, str]:
        """What a command writes on both outputs."""
        ended = run(self.parts(), arguments)
        said = self._capsys.readouterr()
        assert ended == status, said
        return said.out, said.err

    def status(self) -> dict[str, Any]:
        found = json.loads(self.say("sync", "--status", "--json")[0])
        assert isinstance(found, dict)
        return found

    def person(self, name: str) -> str:
        with self.store() as kept:
            return next(one.id for one in kept.observations.people() if one.name == name)

    def save(self, *made: Observation, guest_agrees: bool = False) -> list[str]:
        with self.store() as kept:
            kept.observations.save_all(made, guest_agrees=guest_agrees)
        return [one.line.id for one in made]


@pytest.fixture
def kiosk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Kiosk:
    return Kiosk(tmp_path, capsys)


def rows(cloud: LocalCloud, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(cloud.urls.superuser) as connection:
        return connection.execute(sql, values).fetchall()


def audited(cloud: LocalCloud, clinic_id: UUID) -> Counter[str]:
    """How often each thing was done."""
    return Counter(
        name for (name,) in rows(cloud, "SELECT action FROM audit WHERE clinic_id = %s", clinic_id)
    )


def objects(cloud: LocalCloud, upload_id: str) -> list[bytes]:
    """Every version of a file that is there."""
    return [
        version.read()
        for key, versions in cloud.aws.s3.buckets[DOCUMENTS].versions.items()
        if key.startswith("c/") and key.endswith(upload_id)
        for version in versions
        if version.content is not None
    ]


def a_pdf(text: str) -> bytes:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("helvetica", size=12)
    pdf.cell(text=text)
    return bytes(pdf.output())


def a_scan(person: str | None) -> Observation:
    return scans.to_observation(record(), person=person)


def test_what_is_kept_arrives_once_and_is_erased_with_its_person(kiosk: Kiosk, cloud: LocalCloud) -> None:
    clinic_id = cloud.add_clinic()
    code = cloud.enrolment_code(clinic_id)
    kiosk.say("people", "--add", "Ada Müller", "--record-number", "A-17")
    ada = kiosk.person("Ada Müller")
    kiosk.save(a_scan(ada))  # before: nobody has agreed, and there is nobody to send to
    said = kiosk.say("enrol", f"{code[:4]} {code[4:].lower()}", "--url", cloud.url)[1]
    assert str(clinic_id) in said
    assert "never sent: your name" in kiosk.say("people", "--share", "ada müller", "yes", "--yes")[1]
    typed = entries.to_observation(
        Kind.BLOOD_PRESSURE, {"systolic": 121, "diastolic": 79}, person=ada, taken_at=kiosk.clock.utc()
    )
    ids = kiosk.save(*[a_scan(ada) for _ in range(3)], typed)
    ids += kiosk.save(a_scan(None), guest_agrees=True)
    kiosk.save(a_scan(None))  # a guest who did not
    file = kiosk.folder / "Anna's letter.pdf"
    file.write_bytes(a_pdf("Haemoglobin 13.1 g/dl"))
    document = kiosk.say("documents", "add", str(file), "--person", "Ada Müller")[0].strip()
    waiting = kiosk.status()
    assert (waiting["pending"], waiting["state"], waiting["enrolled"]) == (6, "waiting", True)

    kiosk.say("sync", "--once")

    found = rows(
        cloud,
        "SELECT id::text, patient_id::text, body::text FROM observation WHERE clinic_id = %s",
        clinic_id,
    )
    assert sorted(one[0] for one in found) == sorted(ids)
    assert {one[1] for one in found if one[0] != ids[-1]} == {ada}
    assert not any(word in body for *_, body in found for word in ("Ada", "Müller", "A-17", "clip.mp4"))
    assert objects(cloud, document) == [file.read_bytes()]
    assert rows(cloud, "SELECT sha256, patient_id::text FROM upload WHERE id = %s", document)[0][1] == ada
    assert kiosk.status()["items"] == []

    before = audited(cloud, clinic_id)
    kiosk.say("sync", "--once")
    after = audited(cloud, clinic_id)
    assert before["observations.add"] == 2 and before["upload.begin"] == 1  # of a person and of a guest
    assert all(
        after[name] == before[name] for name in ("observations.add", "upload.begin", "upload.complete")
    )

    assert "1 more are to be sent" in kiosk.say("people", "--send-earlier", "Ada Müller")[1]
    kiosk.say("sync", "--once")
    assert len(rows(cloud, "SELECT 1 FROM observation WHERE patient_id = %s", ada)) == 5

    kiosk.say("people", "--delete", "Ada Müller", "--forever", "--yes")
    assert [item["kind"] for item in kiosk.status()["items"]] == ["erasure"]
    kiosk.say("sync", "--once")
    assert rows(cloud, "SELECT 1 FROM observation WHERE patient_id = %s", ada) == []
    assert rows(cloud, "SELECT 1 FROM upload WHERE patient_id = %s", ada) == []
    assert objects(cloud, document) == []
    assert len(rows(cloud, "SELECT 1 FROM observation WHERE clinic_id = %s", clinic_id)) == 1  # the guest's
    assert kiosk.status()["items"] == []


def test_whoever_leaves_sends_nothing_and_comes_back_with_a_new_code(kiosk: Kiosk, cloud: LocalCloud) -> None:
    clinic_id = cloud.add_clinic()
    kiosk.say("enrol", cloud.enrolment_code(clinic_id), "--url", cloud.url)
    kiosk.say("people", "--add", "Ada")
    kiosk.say("people", "--share", "Ada", "yes", "--yes")
    [one] = kiosk.save(a_scan(kiosk.person("Ada")))
    assert str(clinic_id) in kiosk.say("enrol", "--leave")[1]
    assert "not enrolled" in kiosk.say("sync", "--once", status=4)[1]
    assert kiosk.status()["held"] == 1
    kiosk.say("enrol", cloud.enrolment_code(clinic_id), "--url", cloud.url)
    kiosk.say("sync", "--once")
    assert rows(cloud, "SELECT id::text FROM observation WHERE clinic_id = %s", clinic_id) == [(one,)]


def test_a_device_that_was_sent_away_says_so_and_keeps_everything(kiosk: Kiosk, cloud: LocalCloud) -> None:
    clinic_id = cloud.add_clinic()
    kiosk.say("enrol", cloud.enrolment_code(clinic_id), "--url", cloud.url)
    kiosk.say("people", "--add", "Ada")
    kiosk.say("people", "--share", "Ada", "yes", "--yes")
    [one] = kiosk.save(a_scan(kiosk.person("Ada")))
    with kiosk.store() as kept:
        enrolled = kept.outbox.enrolled()
    assert enrolled is not None
    revoke(cloud, clinic_id, enrolled["device_id"])
    assert "ended the enrolment of this device" in kiosk.say("sync", "--once", status=4)[1]
    assert [item["id"] for item in kiosk.status()["items"]] == [one]
    assert (kiosk.status()["state"], kiosk.status()["reason"]) == ("revoked", "device_revoked")
    assert "Ask the clinic's administrator for a new code" in kiosk.say("sync", "--status")[0]


def revoke(cloud: LocalCloud, clinic_id: UUID, device_id: str) -> None:
    """As the clinic's administrator does it."""
    path = f"/v1/clinics/{clinic_id}/devices/{device_id}/revoke"
    bearer = [("Authorization", f"Bearer {cloud.admin_token('clinic_admin', clinic_id)}")]
    event = proxy_event("POST", path, bearer, b"", "127.0.0.1", "revoked")
    assert handler.lambda_handler(event, BufferedContext("revoked"))["statusCode"] == 204


def test_a_wrong_code_is_told_and_nothing_is_changed(kiosk: Kiosk, cloud: LocalCloud) -> None:
    code = cloud.enrolment_code(cloud.add_clinic())
    assert (
        "mistyped"
        in kiosk.say("enrol", code[:-1] + ("2" if code[-1] != "2" else "3"), "--url", cloud.url, status=4)[1]
    )
    assert kiosk.status()["enrolled"] is False
    kiosk.say("enrol", code, "--url", cloud.url)
    assert "mistyped, was used already" in kiosk.say("enrol", code, "--url", cloud.url, "--yes", status=4)[1]
    assert kiosk.status()["enrolled"] is True
