"""Every statement of the store finds its rows by an index, with 50,000 rows in every table.

PostgreSQL itself says how it ran each one, also those inside functions and those of foreign keys (auto_explain, as notices).
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

import backend_lambda.store
from backend_lambda import wire
from backend_lambda.store import (
    admission,
    audit,
    clinics,
    devices,
    observations,
    sessions,
    shares,
    uploads,
    usage,
)
from backend_lambda.store.database import Connection, Database, Transaction
from backend_lambda.store.observations import Cursor
from tests.backend_lambda.store.making import KEY, NOW, StillClock, entry, observation, sha, upload
from tests.stand_ins.postgres import Postgres, Urls

pytestmark = pytest.mark.slow  # to fill the tables
ROWS = 50_000
READS_ALL = {"audit.heads"}
"""Gives back every row there is."""
MAY_BE_PASSED_OVER = 25
"""Rows that are read and not wanted: a page's worth, not a table's."""
BY_BLOCK = {"observations.received": 2_000}
"""Finds blocks, not rows, for it is asked for once a night: a few blocks' worth of others' rows are passed over."""

# A clinic's 2,500 rows are 1 in 20. The thing numbered 1 is clinic 1's.
FILLED = """
CREATE FUNCTION made(kind text, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$ SELECT md5(kind || n)::uuid $$;
CREATE FUNCTION clinic_of(n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$ SELECT made('clinic', n % 20) $$;
CREATE FUNCTION hash_of(kind text, n bigint) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$ SELECT sha256((kind || n)::bytea) $$;
SET LOCAL session_replication_role = replica;
INSERT INTO clinic SELECT made('clinic', n), 'Clinic', now(), '{{}}' FROM generate_series(0, {rows}) AS n;
INSERT INTO device (clinic_id, id, name, thumbprint, public_key, software_version, enrolled_at)
    SELECT clinic_of(n), made('device', n), '', 't', '{{}}', '1', '2026-01-01'::timestamptz + n * interval '1 s'
    FROM generate_series(1, {rows}) AS n;
INSERT INTO enrolment_code SELECT hash_of('code', n), clinic_of(n), '', '', '2026-12-31', NULL FROM generate_series(1, {rows}) AS n;
INSERT INTO refresh_token (token_hash, clinic_id, device_id, family, issued_at, expires_at, successor)
    SELECT hash_of('token', n), clinic_of(n), made('device', n), made('family', n), '2026-01-01', '2026-12-31',
    CASE WHEN n / 20 % 2 = 1 THEN hash_of('token', n - 20) END FROM generate_series(1, {rows}) AS n;
INSERT INTO proof_seen SELECT hash_of('proof', n), '2026-11-27 10:00+00'::timestamptz + n * interval '0.2 s'
    FROM generate_series(1, {rows}) AS n;
INSERT INTO rate_window SELECT clinic_of(n), made('device', n), '2026-11-27 12:00+00', 1 FROM generate_series(1, {rows}) AS n;
INSERT INTO observation SELECT clinic_of(n), made('observation', n), made('patient', n % 1000), made('device', n),
    '2026-01-01'::timestamptz + n * interval '1 min', '2026-11-01'::timestamptz + n * interval '1 min', hash_of('x', n), '{body}' FROM generate_series(1, {rows}) AS n;
INSERT INTO erased_patient SELECT clinic_of(n), hash_of('gone', n), now() FROM generate_series(1, {rows}) AS n;
INSERT INTO upload (clinic_id, id, patient_id, device_id, purpose, media_type, length_bytes, sha256, state, created_at, object_key)
    SELECT clinic_of(n), made('upload', n), made('patient', n % 5000), made('device', n), 'medical_report', 'application/pdf', 1000,
    hash_of('x', n), 'awaiting', now(), 'c' FROM generate_series(1, {rows}) AS n;
INSERT INTO share SELECT clinic_of(n), made('share', n), made('upload', n), made('device', n), hash_of('secret', n), now(),
    '2027-01-01', NULL, NULL
    FROM generate_series(1, {rows}) AS n;
INSERT INTO usage_day SELECT clinic_of(n), '2020-01-01'::date + (n / 20)::integer, 1, 1, 1, 1 FROM generate_series(1, {rows}) AS n;
INSERT INTO audit SELECT clinic_of(n), (n + 19) / 20, now(), '', '', '', '', '', '', '', hash_of('x', n), hash_of('x', n + 1)
    FROM generate_series(1, {rows}) AS n;
INSERT INTO audit_head SELECT made('clinic', n), 2500, hash_of('x', n) FROM generate_series(0, {rows}) AS n;
"""


class Watched(Database):
    """Keeps the plans that the server tells."""

    def __init__(self, url: str) -> None:
        super().__init__(url, clock=StillClock())
        self.plans: list[Mapping[str, Any]] = []

    def _connect(self) -> Connection:
        connection = super()._connect()
        connection.add_notice_handler(self._keep)
        return connection

    def _keep(self, notice: psycopg.errors.Diagnostic) -> None:
        _, plan, text = (notice.message_primary or "").partition("plan:\n")
        if plan:
            self.plans.append(json.loads(text))


@pytest.fixture(scope="module")
def large(postgres: Postgres) -> Iterator[Urls]:
    made = postgres.migrated()
    name = made.api.rpartition("/")[2]
    body = observations.canonical(observation(uuid4()))
    with psycopg.connect(made.superuser) as connection:
        connection.execute(FILLED.format(rows=ROWS, body=body).encode())
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
        for setting, value in {
            "session_preload_libraries": "auto_explain",
            "auto_explain.log_min_duration": "0",
            "auto_explain.log_nested_statements": "on",
            "auto_explain.log_triggers": "on",
            "auto_explain.log_analyze": "on",
            "auto_explain.log_format": "json",
            "auto_explain.log_level": "notice",
        }.items():
            connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())
    yield made
    postgres.drop(name)


def made(kind: str, n: int) -> UUID:
    return UUID(hashlib.md5(f"{kind}{n}".encode()).hexdigest())


CLINIC, DEVICE, PATIENT, UPLOAD = made("clinic", 1), made("device", 1), made("patient", 1), made("upload", 1)
LATER = NOW + timedelta(days=1)
CALLS: dict[str, Callable[[Transaction], object]] = {
    "admission.admit": lambda tx: admission.admit(
        tx, clinic_id=CLINIC, device_id=DEVICE, proof=sha(uuid4()), now=NOW, limit_per_minute=9
    ),
    "admission.count": lambda tx: admission.count(
        tx, clinic_id=CLINIC, asker_id=DEVICE, now=NOW, limit_per_minute=0
    ),
    "admission.standing": lambda tx: admission.standing(
        tx, clinic_id=CLINIC, device_id=DEVICE, proof=sha(uuid4())
    ),
    "admission.seen_proof": lambda tx: admission.seen_proof(tx, sha(uuid4()), NOW),
    "clinics.add": lambda tx: clinics.add(tx, CLINIC, "Clinic", NOW),
    "clinics.get": lambda tx: clinics.get(tx, CLINIC),
    "devices.add_code": lambda tx: devices.add_code(
        tx, code_hash=sha(uuid4()), expires_at=NOW, created_by="", device_name=""
    ),
    "devices.take_code": lambda tx: devices.take_code(tx, sha("code1"), NOW),
    "devices.add": lambda tx: devices.add(
        tx, device_id=uuid4(), name="", thumbprint="", public_key=KEY, software_version="", now=NOW
    ),
    "devices.listed": devices.listed,
    "devices.get": lambda tx: devices.get(tx, DEVICE),
    "devices.revoke": lambda tx: devices.revoke(tx, DEVICE, NOW),
    "devices.seen": lambda tx: devices.seen(tx, DEVICE, NOW, "", 0, 0, None, None),
    "sessions.find": lambda tx: sessions.find(tx, sha("token1")),
    "sessions.issue": lambda tx: sessions.issue(
        tx, device_id=DEVICE, family=uuid4(), token_hash=sha(uuid4()), expires_at=NOW, now=NOW
    ),
    "sessions.rotate": lambda tx: sessions.rotate(
        tx,
        old_hash=sha("token1"),
        new_hash=sha(uuid4()),
        salt=bytes(32),
        used_for=None,
        expires_at=LATER,
        now=NOW,
    ),
    "sessions.revoke_family": lambda tx: sessions.revoke_family(tx, made("family", 1), NOW),
    "observations.add_many": lambda tx: observations.add_many(
        tx,
        DEVICE,
        [
            *(observation(PATIENT) for _ in range(50)),
            observation(PATIENT, id=made("observation", 1)),
            *(observation(uuid4()) for _ in range(49)),
        ],
        NOW,
    ),
    "observations.page": lambda tx: [
        observations.page(tx, PATIENT, None, 10),
        observations.page(tx, PATIENT, Cursor(NOW - timedelta(days=300), uuid4()), 10),
    ],
    "observations.every": lambda tx: list(observations.every(tx, PATIENT)),
    "observations.received": lambda tx: [
        observations.received(tx, NOW, NOW + timedelta(hours=2), limit=3),
        observations.received(tx, NOW, NOW + timedelta(hours=2), (NOW + timedelta(minutes=30), uuid4()), 3),
    ],
    "observations.erase_patient": lambda tx: observations.erase_patient(tx, PATIENT, NOW),
    "uploads.add": lambda tx: [
        uploads.add(tx, upload(PATIENT, DEVICE, id=id_, sha256=sha("x1").hex())) for id_ in (uuid4(), UPLOAD)
    ],
    "uploads.get": lambda tx: uploads.get(tx, UPLOAD),
    "uploads.of_patient": lambda tx: uploads.of_patient(tx, PATIENT),
    "uploads.set_state": lambda tx: uploads.set_state(tx, UPLOAD, state=wire.UploadState.READY),
    "uploads.add_crash": lambda tx: uploads.add_crash(tx, UPLOAD),
    "uploads.forget_patient": lambda tx: uploads.forget_patient(tx, PATIENT),
    "shares.add": lambda tx: shares.add(
        tx, id=uuid4(), upload_id=UPLOAD, device_id=DEVICE, secret_hash=sha(uuid4()), expires_at=NOW, now=NOW
    ),
    "shares.withdraw": lambda tx: shares.withdraw(tx, made("share", 1), NOW),
    "shares.open_once": lambda tx: shares.open_once(tx, made("share", 1), sha("secret1"), NOW),
    "usage.add": lambda tx: usage.add(tx, day=NOW.date(), input_tokens=1, output_tokens=1),
    "usage.correct": lambda tx: usage.correct(tx, day=NOW.date(), input_tokens=1, output_tokens=1),
    "usage.used_this_month": lambda tx: usage.used_this_month(tx, NOW),
    "usage.add_speech": lambda tx: usage.add_speech(tx, day=NOW.date(), characters=1, streams=1),
    "usage.correct_speech": lambda tx: usage.correct_speech(tx, day=NOW.date(), characters=1, streams=1),
    "usage.speech_this_month": lambda tx: usage.speech_this_month(tx, NOW),
    "audit.append": lambda tx: audit.append(tx, entry(), NOW),
    "audit.append_import": lambda tx: audit.append_import(tx, NOW.date(), "job", "request", NOW),
    "audit.page": lambda tx: audit.page(tx, 100, 10),
    "audit.heads": audit.heads,
}
MET_NOTHING: tuple[object, ...] = (None, False, 0, [])


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def faults(plans: list[Mapping[str, Any]], may_be_passed_over: int = MAY_BE_PASSED_OVER) -> list[str]:
    """What does not find its rows by an index, or reads many to want few."""
    return [
        f"{node['Node Type']} on {node['Relation Name']}: {plan['Query Text']}"
        for plan in plans
        for node in nodes(plan["Plan"])
        if "Relation Name" in node and node["Node Type"] != "ModifyTable"
        if node["Node Type"] == "Seq Scan"
        or node.get("Rows Removed by Filter", 0)
        + node.get("Rows Removed by Index Recheck", 0)
        + (node.get("Rows Removed by Join Filter", 0))
        > may_be_passed_over
    ]


AS_CHAT = frozenset({"usage.add", "usage.correct"})
AS_PROCESSING = frozenset({"uploads.add_crash"})
AS_EXPORT = frozenset({"audit.append_import"})


@pytest.fixture
def watched_for(large: Urls) -> Iterator[Callable[[str], Watched]]:
    """`watched_for("usage.add")`: as a function that may do this."""
    with (
        closing(Watched(large.api)) as api,
        closing(Watched(large.chat)) as chat,
        closing(Watched(large.processing)) as processing,
        closing(Watched(large.export)) as export,
    ):
        others = {AS_CHAT: chat, AS_PROCESSING: processing, AS_EXPORT: export}
        yield lambda name: next((who for names, who in others.items() if name in names), api)


def run(watched: Watched, name: str) -> object:
    """In a transaction that is rolled back; the plans are of this call only."""
    outside = "tx_outside" in inspect.signature(_function(name)).parameters
    result: object = None
    with suppress(_Undo), watched.outside() if outside else watched.clinic(CLINIC) as tx:
        tx.ask("SELECT 1")
        watched.plans.clear()
        result = CALLS[name](tx)
        raise _Undo
    return result


class _Undo(Exception):
    pass


def _function(name: str) -> Callable[..., object]:
    module, function = name.split(".")
    found: Callable[..., object] = getattr(
        importlib.import_module(f"backend_lambda.store.{module}"), function
    )
    return found


def test_every_function_of_the_store_is_called_here() -> None:
    """A new one has to be added above."""
    there = set()
    for info in pkgutil.iter_modules(backend_lambda.store.__path__):
        module = importlib.import_module(f"backend_lambda.store.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            takes = set(inspect.signature(function).parameters)
            if function.__module__ == module.__name__ and takes & {"tx", "tx_outside"} and name[0] != "_":
                there.add(f"{info.name}.{name}")
    assert there == set(CALLS)


@pytest.mark.parametrize("name", sorted(set(CALLS) - READS_ALL))
def test_by_index(watched_for: Callable[[str], Watched], name: str) -> None:
    watched = watched_for(name)
    result = run(watched, name)
    assert watched.plans, "the server has told no plan"
    if _function(name).__annotations__["return"] != "None" and name != "admission.seen_proof":
        assert result not in MET_NOTHING, "a call that meets no row shows little"
    assert faults(watched.plans, BY_BLOCK.get(name, MAY_BE_PASSED_OVER)) == []


def test_verify(large: Urls) -> None:
    with closing(Watched(large.auditor)) as watched:
        assert len(audit.verify(watched, CLINIC)) >= 2500, "made-up hashes"
        assert any("FROM audit WHERE seq" in plan["Query Text"] for plan in watched.plans)
        assert faults(watched.plans) == []


def test_by_the_chat_and_processing_functions_too(large: Urls) -> None:
    with closing(Watched(large.chat)) as watched:
        for name in (
            "admission.admit",
            "admission.count",
            "usage.add",
            "usage.used_this_month",
            "uploads.get",
            "audit.append",
        ):
            run(watched, name)
            assert watched.plans
            assert faults(watched.plans) == []
    with closing(Watched(large.processing)) as watched:
        for name in ("uploads.set_state", "uploads.get", "audit.append"):
            run(watched, name)
            assert watched.plans
            assert faults(watched.plans) == []


@pytest.mark.parametrize(
    "index, name",
    [
        ("observation_by_time", "observations.page"),
        ("observation_by_time", "observations.erase_patient"),
        ("observation_by_arrival", "observations.received"),
        ("upload_by_patient", "uploads.of_patient"),
        ("share_by_upload", "uploads.forget_patient"),
        ("share_by_id", "shares.open_once"),
        ("refresh_token_by_family", "sessions.rotate"),
        ("refresh_token_by_device", "devices.revoke"),
        ("proof_seen_by_age", "admission.admit"),
    ],
)
def test_a_missing_index_would_be_found(large: Urls, index: str, name: str) -> None:
    with psycopg.connect(large.superuser, autocommit=True) as connection:
        ((definition,),) = connection.execute("SELECT pg_get_indexdef(%s::regclass)", (index,)).fetchall()
        connection.execute(f"DROP INDEX {index}".encode())
        try:
            with closing(Watched(large.api)) as watched:
                run(watched, name)
                assert faults(watched.plans) != []
        finally:
            connection.execute(definition.encode())


def test_no_index_is_there_for_nothing(large: Urls, watched_for: Callable[[str], Watched]) -> None:
    """Each was used by something above, or keeps something unique."""
    used = set()
    for name in CALLS:
        run(watched_for(name), name)
        used |= {
            node["Index Name"]
            for plan in watched_for(name).plans
            for node in nodes(plan["Plan"])
            if "Index Name" in node
        }
    with psycopg.connect(large.superuser) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE NOT indisunique AND relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert {name for (name,) in found} - used == set()
