"""No clinic sees or writes another's rows, in any table there is, whoever asks."""

# ruff: noqa: PT012  (what raises is a whole transaction)
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors, sql

from backend_lambda.store.database import Database
from tests.backend_lambda.store.making import StillClock, fill
from tests.stand_ins.postgres import Postgres, Urls

WITHOUT_A_CLINIC = {"schema_migration", "proof_seen"}
"""schema_migration: names of files; nobody but the owner has a right to it. proof_seen: hashes; hh_gate alone sees them."""
ROLES = ("owner", "api", "chat", "processing", "auditor", "export")
Two = tuple[Urls, UUID, UUID]

UNGUARDED = """
    SELECT relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND relkind IN ('r', 'p', 'f', 'v', 'm')
    AND NOT (
        relkind IN ('r', 'p') AND relrowsecurity AND relforcerowsecurity
        AND (relname = 'proof_seen' OR EXISTS (
            SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = 'own_clinic' AND polcmd = '*' AND polroles = '{0}'
            AND pg_get_expr(polqual, polrelid) = pg_get_expr(polwithcheck, polrelid)
            AND pg_get_expr(polqual, polrelid)
                = '(clinic_id = (NULLIF(current_setting(''app.clinic_id''::text, true), ''''::text))::uuid)'
        ))
    )
"""
GUARDED = (
    "CREATE TABLE later (clinic_id uuid); ALTER TABLE later ENABLE ROW LEVEL SECURITY;"
    " ALTER TABLE later FORCE ROW LEVEL SECURITY;"
)
TABLES = """
    SELECT relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND relkind IN ('r', 'p') ORDER BY 1
"""


@pytest.fixture(scope="module")
def two(postgres: Postgres) -> Iterator[Two]:
    """A database with rows of two clinics in every table."""
    made = postgres.migrated()
    one, other = uuid4(), uuid4()
    with (
        closing(Database(made.api, clock=StillClock())) as api,
        closing(Database(made.chat, clock=StillClock())) as chat,
    ):
        for clinic_id in (one, other):
            fill(api, chat, clinic_id)
    yield made, one, other
    postgres.drop(made.api.rpartition("/")[2])


def tables(urls: Urls) -> list[str]:
    with psycopg.connect(urls.superuser) as connection:
        return [name for (name,) in connection.execute(TABLES)]


def within(connection: psycopg.Connection[tuple[object, ...]], clinic_id: UUID | str) -> None:
    connection.execute("SELECT set_config('app.clinic_id', %s, true)", (str(clinic_id),))


def test_every_table_is_guarded_also_from_its_owner(two: Two) -> None:
    with psycopg.connect(two[0].superuser) as connection:
        assert connection.execute(UNGUARDED).fetchall() == [("schema_migration",)]


@pytest.mark.parametrize(
    "mistake",
    [
        "CREATE TABLE later (clinic_id uuid)",
        "CREATE TABLE later (clinic_id uuid); ALTER TABLE later ENABLE ROW LEVEL SECURITY",
        GUARDED,
        GUARDED + "CREATE POLICY own_clinic ON later USING (true)",
        "CREATE VIEW later AS SELECT * FROM observation",
        "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.later (clinic_id uuid)",
    ],
)
def test_a_table_without_a_guard_would_be_named(two: Two, mistake: str) -> None:
    with psycopg.connect(two[0].superuser) as connection:
        connection.execute(mistake)
        found = connection.execute(UNGUARDED).fetchall()
        connection.rollback()
    assert sorted(found) == [("later",), ("schema_migration",)]


def test_only_the_gates_functions_look_past_the_clinic(two: Two) -> None:
    with psycopg.connect(two[0].superuser) as connection:
        found = connection.execute(
            "SELECT relname, polcmd::text, polroles::regrole[]::text FROM pg_policy"
            " JOIN pg_class ON pg_class.oid = polrelid WHERE polname <> 'own_clinic' ORDER BY 1"
        ).fetchall()
    assert found == [
        ("audit_head", "r", "{hh_gate}"),
        ("clinic", "*", "{hh_gate}"),
        ("device", "r", "{hh_gate}"),
        ("enrolment_code", "*", "{hh_gate}"),
        ("proof_seen", "*", "{hh_gate}"),
        ("rate_window", "*", "{hh_gate}"),
        ("refresh_token", "*", "{hh_gate}"),
        ("share", "*", "{hh_gate}"),
    ]


def test_the_rows_to_be_kept_apart_are_there(two: Two) -> None:
    """Otherwise the tests below would see nothing because there is nothing."""
    urls, one, other = two
    with psycopg.connect(urls.superuser) as connection:
        for table in set(tables(urls)) - WITHOUT_A_CLINIC:
            found = connection.execute(
                sql.SQL("SELECT DISTINCT clinic_id FROM {}").format(sql.Identifier(table))
            ).fetchall()
            assert {clinic_id for (clinic_id,) in found} == {one, other}, table


@pytest.mark.parametrize("role", ROLES)
def test_reading(two: Two, role: str) -> None:
    urls, one, other = two
    read = 0
    with psycopg.connect(getattr(urls, role)) as connection:
        for table in tables(urls):
            ((may,),) = connection.execute("SELECT has_table_privilege(%s, 'SELECT')", (table,)).fetchall()
            if not may or table == "schema_migration":
                continue
            read += 1
            count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            assert connection.execute(count).fetchall() == [(0,)], f"{table} without a clinic"
            connection.rollback()
            within(connection, one)
            if table in WITHOUT_A_CLINIC:
                assert connection.execute(count).fetchall() == [(0,)], table
            else:
                seen = connection.execute(
                    sql.SQL("SELECT DISTINCT clinic_id FROM {}").format(sql.Identifier(table))
                )
                assert seen.fetchall() == [(one,)], table
                theirs = sql.SQL("SELECT count(*) FROM {} WHERE clinic_id = %s").format(sql.Identifier(table))
                assert connection.execute(theirs, (other,)).fetchall() == [(0,)], f"{table}: forged clinic"
            connection.rollback()
            within(connection, uuid4())
            assert connection.execute(count).fetchall() == [(0,)], f"{table} in a clinic that is not"
            connection.rollback()
            # What one transaction was, the next one on the same connection is not
            assert connection.execute(count).fetchall() == [(0,)], f"{table} afterwards"
            connection.rollback()
            if table in WITHOUT_A_CLINIC:
                continue
            within(connection, "' OR true --")
            with pytest.raises(errors.InvalidTextRepresentation):
                connection.execute(count)
            connection.rollback()
    assert read >= {"owner": 13, "api": 9, "chat": 2, "processing": 1, "auditor": 2, "export": 1}[role]


def test_writing_into_another_clinic_is_refused_to_the_owner_too(two: Two) -> None:
    """The owner has every right, so nothing but the policies stands in the way."""
    urls, one, other = two
    with psycopg.connect(urls.owner) as connection:
        for table in sorted(set(tables(urls)) - WITHOUT_A_CLINIC):
            name = sql.Identifier(table)
            forged = sql.SQL(
                "INSERT INTO {0} SELECT (jsonb_populate_record({0}, jsonb_build_object('clinic_id', %s::text))).* FROM {0} LIMIT 1"
            ).format(name)
            within(connection, one)
            with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
                connection.execute(forged, (other,))
            connection.rollback()
            with pytest.raises(errors.InsufficientPrivilege, match=r"row-level security|only ever added"):
                within(connection, one)
                connection.execute(sql.SQL("UPDATE {} SET clinic_id = %s").format(name), (other,))
            connection.rollback()
            if table in {"audit", "audit_head"}:
                continue  # refused altogether: test_rights
            for tenant in (one, ""):
                within(connection, tenant)
                gone = connection.execute(
                    sql.SQL("DELETE FROM {} WHERE clinic_id = %s").format(name), (other,)
                )
                assert gone.rowcount == 0, table
                touched = connection.execute(
                    sql.SQL("UPDATE {} SET clinic_id = clinic_id WHERE clinic_id = %s").format(name), (other,)
                )
                assert touched.rowcount == 0, table
                connection.rollback()


def test_a_transaction_of_the_store_leaves_no_clinic_behind(
    two: Two, connected: Callable[[str], Database]
) -> None:
    urls, one, other = two
    api = connected(urls.api)
    for clinic_id, seen in ((one, one), (other, other)):
        with api.clinic(clinic_id) as tx:
            assert tx.ask("SELECT DISTINCT clinic_id FROM observation") == [(seen,)]
        with api.outside() as tx:
            assert tx.ask("SELECT clinic_id FROM observation") == []
        with pytest.raises(ZeroDivisionError), api.clinic(clinic_id) as tx:
            tx.ask("SELECT 1")
            raise ZeroDivisionError
        with api.outside() as tx:
            assert tx.ask("SELECT clinic_id FROM observation") == []
