"""Each login may do what its function needs and nothing else: all rights are listed, so a new one has to be written down here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from backend_lambda.store import audit
from backend_lambda.store.database import Database, StoreFault
from tests.backend_lambda.store.making import NOW, entry
from tests.stand_ins.postgres import Urls

HEARTBEAT = "clock_offset_s,last_seen_at,oldest_waiting_s,parked,revoked_at,software_version,waiting"
TABLE_RIGHTS = {
    ("hh_api", "audit"): "SELECT",
    ("hh_api", "clinic"): "SELECT",
    ("hh_api", "device"): "INSERT SELECT",
    ("hh_api", "enrolment_code"): "INSERT",
    ("hh_api", "erased_patient"): "INSERT SELECT",
    ("hh_api", "observation"): "DELETE INSERT SELECT",
    ("hh_api", "refresh_token"): "DELETE INSERT SELECT",
    ("hh_api", "share"): "INSERT SELECT",
    ("hh_api", "upload"): "DELETE INSERT SELECT",
    ("hh_api", "usage_day"): "SELECT",
    ("hh_auditor", "audit"): "SELECT",
    ("hh_auditor", "audit_head"): "SELECT",
    ("hh_chat", "clinic"): "SELECT",
    ("hh_chat", "upload"): "SELECT",
    ("hh_chat", "usage_day"): "SELECT",
    ("hh_export", "observation"): "SELECT",
    ("hh_gate", "audit"): "INSERT",
    ("hh_gate", "audit_head"): "INSERT SELECT UPDATE",
    ("hh_gate", "clinic"): "INSERT SELECT",
    ("hh_gate", "device"): "SELECT",
    ("hh_gate", "enrolment_code"): "SELECT",
    ("hh_gate", "proof_seen"): "DELETE INSERT SELECT",
    ("hh_gate", "rate_window"): "INSERT SELECT UPDATE",
    ("hh_gate", "refresh_token"): "SELECT",
    ("hh_gate", "share"): "SELECT",
    ("hh_processing", "upload"): "SELECT",
}
COLUMN_RIGHTS = {
    ("hh_api", "device", "UPDATE"): HEARTBEAT,
    ("hh_api", "refresh_token", "UPDATE"): "revoked_at,salt,successor,used_at,used_for",
    ("hh_api", "share", "UPDATE"): "withdrawn_at",
    ("hh_api", "usage_day", "INSERT"): "clinic_id,day,synthesised_characters,transcription_streams",
    ("hh_api", "usage_day", "UPDATE"): "synthesised_characters,transcription_streams",
    ("hh_api", "upload", "UPDATE"): "pages,processing_since,reason,state,text_key,version_id",
    ("hh_chat", "usage_day", "INSERT"): "clinic_id,day,input_tokens,output_tokens",
    ("hh_chat", "usage_day", "UPDATE"): "input_tokens,output_tokens",
    ("hh_gate", "clinic", "UPDATE"): "allows,token_budget",
    ("hh_gate", "enrolment_code", "UPDATE"): "used_at",
    ("hh_gate", "refresh_token", "UPDATE"): "used_at",
    ("hh_gate", "share", "UPDATE"): "opened_at",
    ("hh_processing", "upload", "UPDATE"): "crashes,pages,processing_since,reason,state,text_key,version_id",
}
BEFORE_A_CLINIC = [
    "hh_add_clinic",
    "hh_admit",
    "hh_audit",
    "hh_audit_heads",
    "hh_count",
    "hh_find_refresh",
    "hh_open_share",
    "hh_proof_seen",
    "hh_standing",
    "hh_take_code",
]
BY_THE_EXPORT = ["hh_audit_import"]
WITHIN_A_CLINIC = [
    "hh_add_observations",
    "hh_erase_patient",
    "hh_hold_patient",
    "hh_lock_of",
    "hh_patient_erased",
    "hh_tombstone",
]
FUNCTION_RIGHTS = {
    "hh_api": sorted(BEFORE_A_CLINIC + WITHIN_A_CLINIC),
    "hh_auditor": ["hh_audit_heads"],
    "hh_chat": ["hh_admit", "hh_audit", "hh_count", "hh_standing"],
    "hh_export": BY_THE_EXPORT,
    "hh_processing": ["hh_audit", "hh_audit_heads"],
}
Rows = list[tuple[object, ...]]


def catalog(urls: Urls, query: str) -> Rows:
    with psycopg.connect(urls.superuser) as connection:
        return connection.execute(query.encode()).fetchall()


def test_tables(urls: Urls) -> None:
    found = catalog(
        urls,
        "SELECT coalesce(nullif(grantee, 0)::regrole::text, 'PUBLIC'), relname, string_agg(privilege_type, ' ')"
        " FROM (SELECT relname, relowner, (aclexplode(relacl)).* FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace) AS acl WHERE grantee <> relowner GROUP BY 1, 2",
    )
    fixed = {(role, table): " ".join(sorted(str(rights).split())) for role, table, rights in found}
    assert fixed == TABLE_RIGHTS


def test_columns(urls: Urls) -> None:
    found = catalog(
        urls,
        "SELECT coalesce(nullif(grantee, 0)::regrole::text, 'PUBLIC'), relname, privilege_type, string_agg(attname, ',' ORDER BY attname)"
        " FROM (SELECT relname, attname, (aclexplode(attacl)).* FROM pg_attribute"
        " JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace) AS acl GROUP BY 1, 2, 3",
    )
    assert {(role, table, right): columns for role, table, right, columns in found} == COLUMN_RIGHTS


def test_functions(urls: Urls) -> None:
    found = catalog(
        urls,
        "SELECT coalesce(nullif(grantee, 0)::regrole::text, 'PUBLIC'), array_agg(proname::text ORDER BY proname)"
        " FROM (SELECT proname, proowner, (aclexplode(proacl)).* FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace) AS acl WHERE grantee <> proowner GROUP BY 1 ORDER BY 1",
    )
    assert found == sorted(FUNCTION_RIGHTS.items())
    unset = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proacl IS NULL"
    assert catalog(urls, unset) == [], "without a list, everybody may call it"


def test_functions_that_borrow_rights_are_the_gates_and_trust_no_search_path(urls: Urls) -> None:
    found = catalog(
        urls,
        "SELECT proname, proowner::regrole::text, proconfig FROM pg_proc"
        " WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY 1",
    )
    pinned = ["search_path=pg_catalog, public, pg_temp"]
    assert found == [(name, "hh_gate", pinned) for name in sorted(BEFORE_A_CLINIC + BY_THE_EXPORT)]


def test_nobody_may_make_things_where_functions_look(urls: Urls) -> None:
    for role in ("api", "chat", "processing", "auditor", "export"):
        for attempt in (
            "CREATE TABLE public.mine (a int)",
            "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ):
            with (
                psycopg.connect(getattr(urls, role)) as connection,
                pytest.raises(errors.InsufficientPrivilege),
            ):
                connection.execute(attempt.encode())
    found = catalog(
        urls,
        "SELECT rolname FROM pg_roles WHERE has_schema_privilege(rolname, 'public', 'CREATE') AND NOT rolsuper ORDER BY 1",
    )
    assert found == [("owner_login",), ("pg_database_owner",)]


def test_temporary_tables_and_strangers_are_refused(postgres_migrated_first: Urls) -> None:
    with (
        psycopg.connect(postgres_migrated_first.api) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TEMPORARY TABLE observation (a int)")
    with psycopg.connect(postgres_migrated_first.superuser) as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
        found = connection.execute(
            "SELECT has_database_privilege('stranger', current_database(), 'CONNECT'),"
            " has_schema_privilege('stranger', 'public', 'USAGE')"
        ).fetchall()
        connection.rollback()
    assert found == [(False, False)]


@pytest.fixture
def postgres_migrated_first(urls: Urls) -> Urls:
    """The database that the migrations themselves have made: copies do not have its rights of the database as such."""
    return Urls(*(f"{getattr(urls, name).rpartition('/')[0]}/migrated" for name in Urls.__slots__))


def test_roles(urls: Urls) -> None:
    found = catalog(
        urls,
        "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolreplication OR rolbypassrls FROM pg_roles"
        " WHERE rolname LIKE 'hh\\_%' ORDER BY 1",
    )
    assert found == [
        (f"hh_{name}", False) for name in ("api", "auditor", "chat", "export", "gate", "processing")
    ]
    # From PostgreSQL 16 on its maker stays a member that may hand it on, without its rights
    having = "SELECT FROM pg_auth_members WHERE roleid = 'hh_gate'::regrole AND pg_has_role(member, roleid, 'USAGE')"
    assert catalog(urls, having) == []


def test_a_refused_statement_tells_no_value(chat: Database) -> None:
    with pytest.raises(StoreFault) as raised, chat.clinic(uuid4()) as tx:
        tx.ask("SELECT * FROM observation WHERE id = %s", (UUID(int=4711),))
    assert raised.value.sqlstate == "42501"
    assert "4711" not in str(raised.value) + repr(raised.value.__cause__)


# --- What the lists above mean, tried -----------------------------------------------------------------


@pytest.mark.parametrize("role", ["api", "chat", "processing", "auditor", "export"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET result = 'ok'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "INSERT INTO audit SELECT * FROM audit",
        "UPDATE audit_head SET seq = 0",
        "DELETE FROM audit_head",
        "SELECT * FROM proof_seen",
        "SELECT * FROM rate_window",
        "SELECT code_hash FROM enrolment_code",
        "ALTER TABLE observation DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own_clinic ON observation",
        "SET ROLE hh_gate",
        "SET ROLE owner_login",
    ],
)
def test_refused(urls: Urls, clinic_id: UUID, role: str, statement: str) -> None:
    with psycopg.connect(getattr(urls, role)) as connection:
        connection.execute("SELECT set_config('app.clinic_id', %s, true)", (str(clinic_id),))
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET result = 'ok'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "DELETE FROM audit_head",  # its UPDATE is how a chain goes on; `verify` finds one that is not
        "TRUNCATE audit_head",
    ],
)
@pytest.mark.parametrize("in_clinic", [True, False])
def test_audit_is_only_ever_added_to_by_its_owner_too(
    urls: Urls, api: Database, clinic_id: UUID, statement: str, *, in_clinic: bool
) -> None:
    with api.clinic(clinic_id) as tx:
        audit.append(tx, entry(), NOW)
    for url in (urls.owner, urls.superuser):
        with psycopg.connect(url) as connection:
            if in_clinic:
                connection.execute("SELECT set_config('app.clinic_id', %s, true)", (str(clinic_id),))
            with pytest.raises(errors.InsufficientPrivilege, match="only ever added"):
                connection.execute(statement.encode())


def test_an_audit_row_needs_a_clinic(api: Database) -> None:
    with pytest.raises(StoreFault) as raised, api.outside() as tx:
        audit.append(tx, entry(), NOW)
    assert raised.value.sqlstate == "42501"


def test_a_device_s_key_and_a_file_s_facts_cannot_be_exchanged(urls: Urls, clinic_id: UUID) -> None:
    """What was decided when they came in stays decided, whatever the API function is made to do."""
    with psycopg.connect(urls.api) as connection:
        for statement in (
            "UPDATE device SET thumbprint = 'x'",
            "UPDATE device SET public_key = '{}'",
            "UPDATE upload SET sha256 = sha256",
            "UPDATE upload SET object_key = 'x'",
            "UPDATE observation SET body = '{}'",
            "UPDATE share SET expires_at = now()",
            "UPDATE refresh_token SET expires_at = now()",
            "DELETE FROM erased_patient",
        ):
            connection.execute("SELECT set_config('app.clinic_id', %s, true)", (str(clinic_id),))
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())
            connection.rollback()


@pytest.mark.parametrize(
    "role, statement",
    [
        ("api", "UPDATE usage_day SET input_tokens = 0"),
        ("api", "UPDATE usage_day SET output_tokens = 0"),
        ("chat", "UPDATE usage_day SET synthesised_characters = 0"),
        ("chat", "UPDATE usage_day SET transcription_streams = 0"),
        ("api", "DELETE FROM usage_day"),
        ("chat", "DELETE FROM usage_day"),
    ],
)
def test_no_function_takes_off_what_another_has_counted(
    urls: Urls, clinic_id: UUID, role: str, statement: str
) -> None:
    with psycopg.connect(getattr(urls, role)) as connection:
        connection.execute("SELECT set_config('app.clinic_id', %s, true)", (str(clinic_id),))
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_what_is_counted_names_nobody(urls: Urls) -> None:
    found = catalog(
        urls,
        "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = 'usage_day'::regclass AND attnum > 0 ORDER BY attnum",
    )
    assert found == [
        ("clinic_id", "uuid"),
        ("day", "date"),
        ("input_tokens", "bigint"),
        ("output_tokens", "bigint"),
        ("synthesised_characters", "bigint"),
        ("transcription_streams", "bigint"),
    ]


def test_the_export_writes_into_the_audit_what_it_did_and_nothing_else(
    urls: Urls, api: Database, connected: Callable[[str], Database], clinic_id: UUID
) -> None:
    export = connected(urls.export)
    with pytest.raises(StoreFault) as raised, export.clinic(clinic_id) as tx:
        audit.append(tx, entry(actor_kind="device", action="observations.read"), NOW)
    assert raised.value.sqlstate == "42501"
    with export.clinic(clinic_id) as tx:
        audit.append_import(tx, date(2026, 11, 26), "job-1", "request-1", NOW)
    with pytest.raises(StoreFault) as raised, export.outside() as tx:
        audit.append_import(tx, date(2026, 11, 26), "job-1", "request-1", NOW)
    assert raised.value.sqlstate == "42501", "an audit row belongs to a clinic"
    with api.clinic(clinic_id) as tx:
        row = audit.page(tx, 0, 10)[-1]
    said = (
        row.actor_kind,
        row.actor_id,
        row.action,
        row.object_kind,
        row.object_id,
        row.result,
        row.request_id,
    )
    assert said == (
        *("service", "health_lake", "observations.import"),
        *("day", "2026-11-26", "job-1", "request-1"),
    )


def test_what_the_export_wrote_is_a_link_of_the_chain(
    urls: Urls, api: Database, connected: Callable[[str], Database], clinic_id: UUID
) -> None:
    for _ in range(2):
        with api.clinic(clinic_id) as tx:
            audit.append(tx, entry(), NOW)
        with connected(urls.export).clinic(clinic_id) as tx:
            audit.append_import(tx, date(2026, 11, 26), 'jöb "1"', "r", NOW)
    assert audit.verify(connected(urls.auditor), clinic_id) == []


@pytest.mark.parametrize("role", ["api", "chat", "processing", "auditor"])
def test_nobody_else_writes_in_the_export_s_name_through_its_function(
    urls: Urls, connected: Callable[[str], Database], clinic_id: UUID, role: str
) -> None:
    with pytest.raises(StoreFault) as raised, connected(getattr(urls, role)).clinic(clinic_id) as tx:
        audit.append_import(tx, date(2026, 11, 26), "job-1", "r", NOW)
    assert raised.value.sqlstate == "42501"
