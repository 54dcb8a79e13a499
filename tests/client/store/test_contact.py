"""What is written down of the tries to reach the cloud: only what is news."""

from __future__ import annotations

from datetime import timedelta

from client.store.database import Database
from client.store.outbox import HEARD_EVERY, Contact, Outbox
from tests.client.store.conftest import NOW

CLINIC = {"url": "https://cloud.example", "clinic_id": "clinic", "device_id": "device"}


def test_only_news_is_written(database: Database) -> None:
    outbox = Outbox(database)

    def writes() -> int:
        return int(database.ask("SELECT total_changes()")[0][0])

    outbox.note_contact(NOW)
    assert outbox.contact() == Contact(None, None, None, None)  # enrolled with nobody: of no interest
    outbox.set_enrolled(CLINIC)
    outbox.note_contact(NOW)
    assert outbox.contact() == Contact(NOW, None, None, None)
    before, soon = writes(), NOW + HEARD_EVERY / 2
    outbox.note_contact(soon)
    assert writes() == before
    outbox.note_contact(NOW + HEARD_EVERY)
    assert outbox.contact().reached_at == NOW + HEARD_EVERY and writes() > before

    outbox.note_contact(soon, "server_busy", 503)
    stands = Contact(NOW + HEARD_EVERY, "server_busy", 503, soon)
    assert outbox.contact() == stands
    before = writes()
    for days in range(1, 100):  # a long time without a server
        outbox.note_contact(NOW + timedelta(days=days), "server_busy", 503)
    assert outbox.contact() == stands and writes() == before
    outbox.note_contact(NOW, "server_busy", 500)
    assert outbox.contact().status == 500
    outbox.note_contact(NOW)
    assert outbox.contact() == Contact(NOW, None, None, None)


def test_it_goes_with_the_enrolment(database: Database) -> None:
    outbox = Outbox(database)
    for facts in (CLINIC, {**CLINIC, "device_id": "another"}, None):
        outbox.set_enrolled(CLINIC)
        outbox.note_contact(NOW, "device_revoked")
        outbox.set_enrolled(facts)
        assert outbox.contact() == Contact(None, None, None, None)
