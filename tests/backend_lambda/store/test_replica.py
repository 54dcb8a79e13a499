"""Reads that may be late, on a real streaming replica: which of the two answers, what it hides, and what happens when it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import cast
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from backend_lambda import app
from backend_lambda.app import Backend
from backend_lambda.errors import Code, Refusal
from backend_lambda.principals import Admin, AdminRole
from backend_lambda.routes import Services
from backend_lambda.services.audit import Audit, Finding
from backend_lambda.services.enrolment import Enrolment
from backend_lambda.store import audit, clinics, devices
from backend_lambda.store.database import Database, StoreFault
from backend_lambda.store.replica import FRESH_FOR_S, LEFT_ALONE_S, LateReads
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import Fakes
from tests.backend_lambda.store.making import device, entry
from tests.backend_lambda.world import settings
from tests.stand_ins.postgres import Postgres, Replica

BEHIND_S = 0.2


@pytest.fixture(scope="module")
def primary(postgres: Postgres) -> Iterator[Postgres]:
    """Of this module alone. Whether there is a server program at all, the session's own has found out."""
    with Postgres() as server:
        server.migrated("followed")
        yield server


@pytest.fixture(scope="module")
def _standby(primary: Postgres) -> Iterator[Replica]:
    with Replica(primary) as made:
        yield made


@pytest.fixture
def replica(_standby: Replica) -> Iterator[Replica]:
    """One that runs and follows; is left so by whatever a test does to it, but for what only `own_replica` may be used for."""
    _standby.catch_up()
    yield _standby
    _standby.start()
    _standby.resume()


@pytest.fixture
def own_replica(primary: Postgres) -> Iterator[Replica]:
    """For what cannot be taken back."""
    with Replica(primary) as made:
        made.catch_up()
        yield made


class Room:
    """One clinic on the primary, and services that read from the replica what may be late."""

    def __init__(
        self,
        primary: Postgres,
        replica: Replica,
        clock: SetClock,
        connected: Callable[[str], Database],
        *,
        may_be_behind_s: float = 60.0,
    ) -> None:
        self.replica, self.clock, self.fakes = replica, clock, Fakes(clock)
        self.urls, self.late_urls = primary.urls("followed"), replica.urls("followed")
        self.api, self.late_api = connected(self.urls.api), connected(self.late_urls.api)
        self.late = self._reads(self.api, self.late_api, may_be_behind_s)
        parts = (self.fakes.ports(), settings())
        self.enrolment = Enrolment(self.api, *parts, self.late)
        self.audit = Audit(self.api, *parts, self.late)
        auditor = connected(self.urls.auditor)
        self.verifier = Audit(
            auditor, *parts, self._reads(auditor, connected(self.late_urls.auditor), may_be_behind_s)
        )
        self.clinic_id = uuid4()
        with self.api.clinic(self.clinic_id) as tx:
            assert clinics.add(tx, self.clinic_id, "Clinic", clock.utc())
        self.replica.catch_up()

    def _reads(self, primary: Database, replica: Database, may_be_behind_s: float) -> LateReads:
        return LateReads(primary, replica, self.clock, self.fakes.measures, may_be_behind_s=may_be_behind_s)

    def came_from_the_replica(self) -> bool:
        def question(database: Database) -> bool:
            with database.outside() as tx:
                return tx.ask("SELECT pg_is_in_recovery()") == [(True,)]

        return self.late.by(question)

    def device(self) -> UUID:
        with self.api.clinic(self.clinic_id) as tx:
            return device(tx)

    def listed(self) -> set[UUID]:
        admin = Admin("adam", AdminRole.CLINIC_ADMIN, self.clinic_id)
        return {one.id for one in self.enrolment.devices(admin, self.clinic_id, "r").devices}

    def page(self) -> list[str]:
        auditor = Admin("anna", AdminRole.AUDITOR, self.clinic_id)
        return [one.action for one in self.audit.page(auditor, None, 100, "r").entries]

    def on_the_primary(self) -> list[str]:
        with self.api.clinic(self.clinic_id) as tx:
            return [one.action for one in audit.page(tx, 0, 1000)]

    def measured(self) -> list[str]:
        return [
            name for name, value, unit, clinic in self.fakes.measures.added if value == 1.0 and not clinic
        ]

    def add_audit(self, count: int) -> None:
        for _ in range(count):
            with self.api.clinic(self.clinic_id) as tx:
                audit.append(tx, entry(action="thing.do"), self.clock.utc())

    def flaws(self) -> list[tuple[int, str]]:
        found = self.verifier.verify(self.clinic_id)
        return [(flaw.seq, str(flaw.kind)) for one in found if isinstance(one, Finding) for flaw in one.flaws]


@pytest.fixture
def room(primary: Postgres, replica: Replica, clock: SetClock, connected: Callable[[str], Database]) -> Room:
    return Room(primary, replica, clock, connected)


@pytest.fixture
def strict(
    primary: Postgres, replica: Replica, clock: SetClock, connected: Callable[[str], Database]
) -> Room:
    """As room; a replica that is behind for longer than BEHIND_S is not asked."""
    return Room(primary, replica, clock, connected, may_be_behind_s=BEHIND_S)


def test_it_answers(room: Room) -> None:
    assert room.came_from_the_replica()
    assert room.measured() == []


def test_lists_for_people_come_from_it_and_are_noted_on_the_primary(room: Room) -> None:
    first = room.device()
    room.replica.catch_up()
    room.replica.pause()
    room.device()
    assert room.listed() == {first}, "as it was when the replica stood still"
    assert room.page() == []
    assert room.on_the_primary() == ["devices.read", "audit.read"]
    room.replica.resume()
    room.replica.catch_up()
    assert len(room.listed()) == 2
    room.replica.catch_up()
    assert room.page() == ["devices.read", "audit.read", "devices.read"]


def test_nothing_is_shown_that_was_not_noted(room: Room, connected: Callable[[str], Database]) -> None:
    gone = connected("postgresql://api_login:x@127.0.0.1:1/followed")
    parts = (gone, room.fakes.ports(), settings())
    reads = LateReads(gone, room.late_api, room.clock, room.fakes.measures)
    admin = Admin("adam", AdminRole.CLINIC_ADMIN, room.clinic_id)
    auditor = Admin("anna", AdminRole.AUDITOR, room.clinic_id)
    for read in (
        lambda: Enrolment(*parts, reads).devices(admin, room.clinic_id, "r"),
        lambda: Audit(*parts, reads).page(auditor, None, 10, "r"),
    ):
        with pytest.raises(Refusal) as refused:
            read()
        assert refused.value.status == 503
    assert room.measured() == []


def test_clinics_are_kept_apart_on_it_too(room: Room) -> None:
    room.device()
    room.add_audit(1)
    room.replica.catch_up()
    for database, clinic_id, wanted in (
        (room.late_api, room.clinic_id, 1),
        (room.late_api, uuid4(), 0),
        (room.late_api, None, 0),
    ):
        with database.outside() as tx:
            if clinic_id is not None:
                tx.enter(clinic_id)
            assert tx.ask("SELECT count(*) FROM device") == [(wanted,)]
            assert tx.ask("SELECT count(*) FROM audit") == [(wanted,)]
    with psycopg.connect(room.late_urls.owner) as connection:
        assert connection.execute("SELECT count(*) FROM device").fetchall() == [(0,)]


def test_nothing_can_be_written_there_and_unlogged_tables_cannot_be_read(room: Room) -> None:
    """Why what a device is let in by is never asked of it."""
    with pytest.raises(StoreFault) as refused, room.late_api.clinic(room.clinic_id) as tx:
        device(tx)
    assert refused.value.sqlstate == "25006"
    for table in ("proof_seen", "rate_window"):
        with (
            psycopg.connect(room.late_urls.superuser) as connection,
            pytest.raises(errors.FeatureNotSupported),
        ):
            connection.execute(f"SELECT * FROM {table}".encode())


def test_a_replica_that_does_not_answer_is_left_alone_for_a_while(room: Room) -> None:
    made = room.device()
    room.replica.stop()
    assert room.listed() == {made}
    assert room.page() == ["devices.read"]
    assert room.measured() == ["replica_failed"], "asked once, not for each read"
    room.replica.start()
    room.replica.catch_up()
    assert not room.came_from_the_replica()
    room.clock.go(LEFT_ALONE_S)
    assert room.came_from_the_replica()
    assert room.measured() == ["replica_failed"]


def test_a_replica_that_fails_in_the_middle_is_replaced_by_the_primary(room: Room) -> None:
    assert room.came_from_the_replica()
    room.replica.stop(crash=True)
    assert not room.came_from_the_replica(), "it was known to keep up, for a second"
    assert room.measured() == ["replica_failed"]


def test_what_the_replica_refuses_is_asked_of_the_primary(room: Room) -> None:
    """A question that writes stands for one that uses a column which has not come to the replica yet."""

    def question(database: Database) -> UUID:
        with database.clinic(room.clinic_id) as tx:
            return device(tx)

    made = room.late.by(question)
    with room.api.clinic(room.clinic_id) as tx:
        assert [row.id for row in devices.listed(tx)] == [made]
    assert room.measured() == ["replica_failed"]


def test_a_refusal_of_the_question_itself_is_no_failure(room: Room) -> None:
    asked: list[Database] = []

    def question(database: Database) -> None:
        asked.append(database)
        raise Refusal(404, Code.NOT_FOUND, "There is none.")

    with pytest.raises(Refusal) as refused:
        room.late.by(question)
    assert refused.value.status == 404
    assert asked == [room.late_api]
    assert room.measured() == []


def test_one_that_is_too_far_behind_is_not_asked(strict: Room) -> None:
    room = strict
    room.replica.pause()
    made = room.device()
    room.clock.go(FRESH_FOR_S)
    time.sleep(2 * BEHIND_S)  # of the server's clock
    assert room.listed() == {made}
    assert room.measured() == ["replica_behind"]
    room.replica.resume()
    room.replica.catch_up()
    room.clock.go(LEFT_ALONE_S)
    assert room.came_from_the_replica()


def test_it_is_asked_again_and_again_whether_it_keeps_up(strict: Room) -> None:
    """What was known a second ago does no more."""
    room = strict
    assert room.came_from_the_replica()
    room.replica.pause()
    room.device()
    time.sleep(2 * BEHIND_S)
    assert room.came_from_the_replica()
    room.clock.go(FRESH_FOR_S)
    assert not room.came_from_the_replica()


def test_an_idle_primary_is_no_delay(strict: Room) -> None:
    room = strict
    time.sleep(2 * BEHIND_S)
    assert room.came_from_the_replica(), "the last transaction is long ago, and was shown"
    assert room.measured() == []


def test_one_that_lost_the_primary_is_behind_and_one_that_was_promoted_is_none(
    primary: Postgres, own_replica: Replica, clock: SetClock, connected: Callable[[str], Database]
) -> None:
    """The first has shown all that it was sent, and knows nothing of what it was not sent."""
    room = Room(primary, own_replica, clock, connected, may_be_behind_s=BEHIND_S)
    assert room.came_from_the_replica()
    room.replica.leave()
    made = room.device()
    time.sleep(2 * BEHIND_S)
    clock.go(FRESH_FOR_S)
    assert room.listed() == {made}
    assert room.measured() == ["replica_behind"]
    room.replica.promote()
    clock.go(LEFT_ALONE_S)
    assert room.listed() == {made}
    assert room.measured() == ["replica_behind", "replica_failed"]


def test_chains_are_verified_on_it(room: Room) -> None:
    room.add_audit(3)
    room.verifier.keep_heads()
    room.replica.catch_up()
    assert room.flaws() == []
    room.replica.pause()
    with psycopg.connect(room.urls.superuser, autocommit=True) as connection:
        connection.execute("ALTER TABLE audit DISABLE TRIGGER ALL")
        connection.execute(
            "UPDATE audit SET result = 'else' WHERE seq = 2 AND clinic_id = %s", (room.clinic_id,)
        )
        connection.execute("ALTER TABLE audit ENABLE TRIGGER ALL")
    assert room.flaws() == [], "what was done is not there yet"
    room.replica.resume()
    room.replica.catch_up()
    assert room.flaws() == [(2, "changed")]


def test_a_head_that_is_newer_than_the_replica_is_no_flaw(room: Room) -> None:
    room.add_audit(1)
    room.replica.catch_up()
    room.replica.pause()
    room.add_audit(2)
    room.verifier.keep_heads()
    assert room.flaws() == []


def test_without_one_the_primary_is_asked_and_nothing_is_measured(room: Room) -> None:
    reads = LateReads(room.api, None, room.clock, room.fakes.measures)
    assert reads.by(lambda database: database is room.api)
    assert room.measured() == []


def test_put_together_by_the_settings(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    made = room.device()
    room.replica.catch_up()
    room.replica.pause()
    room.device()
    backend = Backend(
        settings(database_url=room.urls.api, replica_url=room.late_urls.api), room.fakes.ports()
    )
    monkeypatch.setattr(app, "Api", lambda services, *_: services)
    services = cast("Services", backend.api)
    admin = Admin("adam", AdminRole.CLINIC_ADMIN, room.clinic_id)
    auditor = Admin("anna", AdminRole.AUDITOR, room.clinic_id)
    listed = services.enrolment.devices(admin, room.clinic_id, "r")
    assert [one.id for one in listed.devices] == [made]
    assert services.audit.page(auditor, None, 10, "r").entries == []
    assert backend.late_reads._replica is not None
    assert backend.late_reads._replica.ready()
    backend.close()
    assert not backend.late_reads._replica.ready()
    assert not backend.database.ready()


def test_it_signs_in_by_iam_for_its_own_host(clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    signed = Backend(
        settings(
            database_iam=True,
            database_url="postgresql://api@proxy.example.org/health",
            replica_url="postgresql://api@replica.example.org/health",
        ),
        Fakes(clock).ports(),
    )
    hosts = [
        database._password().partition("/")[0]
        for database in (signed.database, signed.late_reads._replica)
        if database is not None and database._password is not None
    ]
    assert hosts == ["proxy.example.org:5432", "replica.example.org:5432"]
