"""The functions' logins: what each may, that making them again changes nothing, and that the owner keeps its own sign-in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import errors

from backend_lambda.__main__ import main
from backend_lambda.store.logins import BY_IAM, LOGINS, LoginsRefused, make_logins
from backend_lambda.store.migrate import as_owner, migrate
from tests.stand_ins.postgres import Postgres, Urls

Rows = list[tuple[object, ...]]


@pytest.fixture(scope="module")
def server(postgres: Postgres) -> Iterator[Postgres]:
    """Of this module alone, for roles belong to a whole server."""
    with Postgres() as made:
        yield made


@pytest.fixture
def urls(server: Postgres) -> Iterator[Urls]:
    """A migrated database, on a server where nobody has made the logins."""
    made = server.migrated()
    yield made
    with psycopg.connect(made.superuser) as connection:
        for name in (*LOGINS, BY_IAM, "stranger"):
            connection.execute(f"DROP ROLE IF EXISTS {name}".encode())
    server.drop(made.api.rpartition("/")[2])


def as_superuser(urls: Urls, *statements: str) -> Rows:
    """The rows of the last one."""
    with psycopg.connect(urls.superuser, autocommit=True) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def groups(urls: Urls) -> dict[str, list[str]]:
    found = as_superuser(
        urls,
        "SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members WHERE NOT admin_option ORDER BY 1, 2",
    )
    return {login: [str(group) for member, group in found if member == login] for login in LOGINS}


def iam(urls: Urls) -> None:
    """As on RDS: the role is there, and the owner may grant it. From PostgreSQL 16 on that takes a right to it."""
    as_superuser(urls, f"CREATE ROLE {BY_IAM}")
    if version(urls) >= 16:
        as_superuser(urls, f"GRANT {BY_IAM} TO owner_login WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")


def version(urls: Urls) -> int:
    return int(str(as_superuser(urls, "SHOW server_version_num")[0][0])) // 10_000


def test_each_is_in_its_group_and_may_nothing_else(urls: Urls) -> None:
    assert make_logins(urls.owner) == list(LOGINS)
    assert groups(urls) == {login: [group] for login, group in LOGINS.items()}
    found = as_superuser(
        urls,
        "SELECT rolname::text, rolcanlogin AND rolinherit, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls,"
        " rolpassword IS NULL, rolconnlimit, rolvaliduntil IS NULL FROM pg_authid"
        f" WHERE rolname IN ({', '.join(repr(name) for name in LOGINS)})",
    )
    assert sorted(found) == [(name, True, False, True, -1, True) for name in sorted(LOGINS)]
    owned = "SELECT member::regrole FROM pg_auth_members WHERE roleid IN (SELECT oid FROM pg_roles WHERE rolname = "
    for login in LOGINS:
        assert as_superuser(urls, f"{owned}'{login}')") == [], "nobody is a member of one"
    assert as_superuser(urls, "SELECT FROM pg_roles WHERE rolname LIKE 'hh\\_maker%'") == []
    assert as_superuser(urls, "SELECT FROM pg_db_role_setting") == []


@pytest.mark.parametrize("login", LOGINS)
def test_it_can_do_what_its_group_may_and_not_more(urls: Urls, login: str) -> None:
    make_logins(urls.owner)
    group = LOGINS[login]
    rights = (
        "SELECT count(*) FILTER (WHERE has_table_privilege('{0}', oid, 'SELECT')),"
        " count(*) FILTER (WHERE has_table_privilege('{0}', oid, 'INSERT')),"
        " count(*) FILTER (WHERE has_table_privilege('{0}', oid, 'UPDATE, DELETE, TRUNCATE')),"
        " has_database_privilege('{0}', current_database(), 'CONNECT')"
        " FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    granted = f"GRANT CONNECT ON DATABASE {urls.api.rpartition('/')[2]} TO {group}"  # copies lack what is the database's
    assert as_superuser(urls, granted, rights.format(login)) == as_superuser(urls, rights.format(group))
    with psycopg.connect(urls.superuser) as connection:
        connection.execute(f"SET SESSION AUTHORIZATION {login}".encode())
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("UPDATE audit SET result = 'ok'")


def test_again_it_changes_nothing(urls: Urls) -> None:
    iam(urls)
    make_logins(urls.owner)
    state = (
        "SELECT json_agg(r)::text, (SELECT json_agg(m ORDER BY roleid, member)::text FROM pg_auth_members AS m)"
        " FROM (SELECT * FROM pg_roles ORDER BY oid) AS r"
    )
    before = as_superuser(urls, state)
    assert make_logins(urls.owner) == []
    assert as_superuser(urls, state) == before


def test_one_that_came_later_is_added(urls: Urls) -> None:
    few = {"api": "hh_api"}
    assert make_logins(urls.owner, few) == ["api"]
    assert make_logins(urls.owner) == [name for name in LOGINS if name != "api"]


def test_on_rds_they_sign_in_by_iam(urls: Urls) -> None:
    make_logins(urls.owner)
    iam(urls)
    assert make_logins(urls.owner) == []
    assert groups(urls) == {login: [group, BY_IAM] for login, group in LOGINS.items()}


def test_the_owner_s_own_sign_in_is_as_it_was(server: Postgres, urls: Urls) -> None:
    """RDS sends whoever is a member of rds_iam, over however many steps, to IAM: here such a sign-in is refused."""
    make_logins(urls.owner)
    as_superuser(urls, f"CREATE ROLE {BY_IAM}", *(f"GRANT {BY_IAM} TO {login}" for login in LOGINS))
    rules = server.folder / "data" / "pg_hba.conf"
    usual = rules.read_text(encoding="utf-8")
    try:
        rules.write_text(f"host all +{BY_IAM} all reject\n{usual}", encoding="utf-8")
        as_superuser(urls, "SELECT pg_reload_conf()", "SELECT pg_sleep(0.2)")
        with pytest.raises(psycopg.OperationalError, match="rejects connection"):
            psycopg.connect(urls.owner.replace("owner_login", "api"))
        psycopg.connect(urls.owner).close()
    finally:
        rules.write_text(usual, encoding="utf-8")
        as_superuser(urls, "SELECT pg_reload_conf()", "SELECT pg_sleep(0.2)")


def test_what_would_take_the_owner_s_sign_in_away_is_refused(urls: Urls) -> None:
    """A login that the owner made by hand, and is a member of. From 16 on the stand-in's owner cannot even begin with it."""
    as_superuser(urls, f"CREATE ROLE {BY_IAM}", "CREATE ROLE api LOGIN", "GRANT api TO owner_login")
    with pytest.raises(
        (LoginsRefused, errors.InsufficientPrivilege), match=r"owner is a member|permission denied"
    ):
        make_logins(urls.owner)
    assert as_superuser(urls, "SELECT FROM pg_roles WHERE rolname = 'chat'") == []
    assert groups(urls)["api"] == []
    psycopg.connect(urls.owner).close()


def test_without_a_group_nothing_is_made(urls: Urls) -> None:
    with pytest.raises(LoginsRefused, match="there is no role hh_nobody, hh_nothing: the migrations make it"):
        make_logins(urls.owner, {**LOGINS, "nothing": "hh_nothing", "nobody": "hh_nobody"})
    assert as_superuser(urls, "SELECT FROM pg_roles WHERE rolname IN ('api', 'nobody')") == []


@pytest.mark.parametrize(
    "attributes, said",
    [
        ("LOGIN SUPERUSER", "api is a superuser"),
        ("LOGIN CREATEROLE", "api may make roles"),
        ("LOGIN CREATEDB", "api may make databases"),
        ("LOGIN REPLICATION", "api may replicate"),
        ("LOGIN BYPASSRLS", "api passes by row-level security"),
        ("NOLOGIN", "api may not sign in"),
        ("LOGIN NOINHERIT", "api does not inherit"),
    ],
)
def test_one_that_may_more_or_less_is_refused(urls: Urls, attributes: str, said: str) -> None:
    as_superuser(urls, f"CREATE ROLE api {attributes}")
    with pytest.raises(LoginsRefused, match=said):
        make_logins(urls.owner)
    assert as_superuser(urls, "SELECT FROM pg_roles WHERE rolname = 'chat'") == []


def test_one_that_may_hand_its_group_on_is_refused(urls: Urls) -> None:
    as_superuser(urls, "CREATE ROLE api LOGIN", "GRANT hh_api TO api WITH ADMIN OPTION")
    with pytest.raises(LoginsRefused, match="api may hand on a group"):
        make_logins(urls.owner)


def test_another_group_is_taken_away(urls: Urls) -> None:
    make_logins(urls.owner)
    with psycopg.connect(urls.owner) as connection:
        connection.execute("GRANT hh_chat, hh_auditor TO api")
    assert make_logins(urls.owner) == []
    assert groups(urls)["api"] == ["hh_api"]


@pytest.mark.parametrize("other", ["hh_chat", "hh_gate", "pg_read_all_data"])
def test_another_group_that_somebody_else_gave_is_taken_away_or_refused(urls: Urls, other: str) -> None:
    """From 16 on only who gave it may take it."""
    make_logins(urls.owner)
    as_superuser(urls, f"GRANT {other} TO api")
    refused = ""
    try:
        make_logins(urls.owner)
    except LoginsRefused as error:
        refused = str(error)
    assert (f"is in {other}" in refused) != (groups(urls)["api"] == ["hh_api"])


def test_two_at_once(server: Postgres, urls: Urls) -> None:
    """In one database, and in two of the same server, where no lock stands between them."""
    other = server.migrated()
    made: list[str] = []
    start = threading.Barrier(4)

    def run(url: str) -> None:
        start.wait()
        made.extend(make_logins(url))

    threads = [threading.Thread(target=run, args=(url,)) for url in (urls.owner, other.owner) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.drop(other.api.rpartition("/")[2])
    assert sorted(made) == sorted(LOGINS)
    assert groups(urls) == {login: [group] for login, group in LOGINS.items()}


def test_a_password_that_is_asked_for_and_an_end_in_time(urls: Urls) -> None:
    parts = urlsplit(urls.owner)
    bare = parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}").geturl()
    with as_owner(urls.owner), pytest.raises(errors.QueryCanceled):
        make_logins(bare, password=lambda: str(parts.password), may_take_s=0.3)
    assert make_logins(bare, password=lambda: str(parts.password), may_take_s=10.0) == list(LOGINS)


def test_after_a_migration_of_an_empty_database(server: Postgres, urls: Urls) -> None:
    del urls  # takes the logins away at the end
    empty = server.empty("empty_for_logins")
    migrate(empty.owner)
    assert make_logins(empty.owner) == list(LOGINS)
    with psycopg.connect(empty.superuser) as connection:
        connection.execute("SET SESSION AUTHORIZATION auditor")
        assert connection.execute("SELECT count(*) FROM audit").fetchall() == [(0,)]
    server.drop("empty_for_logins")


def test_by_command(urls: Urls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HH_DATABASE_URL", urls.owner)
    assert main(["migrate"]) == 0
    assert capsys.readouterr().out == "0 applied\n"
    assert as_superuser(urls, "SELECT FROM pg_roles WHERE rolname = 'api'") == []
    assert main(["migrate", "--logins"]) == 0
    assert capsys.readouterr().out == f"0 applied\n5 logins made: {', '.join(LOGINS)}\n"
    assert main(["migrate", "--logins"]) == 0
    assert capsys.readouterr().out == "0 applied\n0 logins made\n"
    as_superuser(urls, "ALTER ROLE api CREATEDB")
    assert main(["migrate", "--logins"]) == 2
    assert capsys.readouterr().err == "api may make databases\n"
