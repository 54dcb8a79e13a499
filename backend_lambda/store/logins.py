"""The functions' logins: one for each, with the rights of its group and nothing else. They have no password; on RDS they sign in by IAM.

Whoever creates a role is a member of it from PostgreSQL 16 on, and cannot leave it; RDS takes a password from nobody who is, over
however many steps, a member of `rds_iam`. An owner that made these logins itself would therefore lose its own sign-in. So a role
makes them that lives for this transaction only. From 16 on they then belong to nobody: the owner can give and take their groups,
not change or drop them.

Whether somebody gave one a password cannot be seen by the owner; it is of no use to a member of `rds_iam`.
There is no limit of connections, for how many there can be is a matter of the server's size and of the proxy before it; and no
settings, for each transaction brings its own (`database`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from psycopg import errors, sql

from backend_lambda.store.migrate import Connection, as_owner

LOGINS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "api": "hh_api",
        "chat": "hh_chat",
        "processing": "hh_processing",
        "auditor": "hh_auditor",
        "export": "hh_export",
    }
)
"""Login → its group, which the migrations make."""
BY_IAM: Final = "rds_iam"
"""Of RDS alone: its members sign in by IAM."""
_ATTEMPTS: Final = 4
_AT_THE_SAME_TIME = (errors.UniqueViolation, errors.DuplicateObject, errors.InternalError_)
"""What one of two is told that make the same roles from two databases of one server, where no lock can stand between them."""


class LoginsRefused(Exception):
    """The logins cannot be as they must be; nothing was changed. Names roles and nothing else."""


def make_logins(
    url: str,
    logins: Mapping[str, str] = LOGINS,
    *,
    password: Callable[[], str] | None = None,
    may_take_s: float | None = None,
) -> list[str]:
    """Names of those that were made now; the others are brought to what they should be. url, password, may_take_s: see `as_owner`.

    Raises LoginsRefused: a group is missing, a login may more than it should, or the owner would lose its sign-in; psycopg.Error.
    """
    attempts = 1
    while True:
        try:
            with as_owner(url, password=password, may_take_s=may_take_s) as connection:
                made = _make(connection, logins)
        except _AT_THE_SAME_TIME:
            if attempts == _ATTEMPTS:
                raise
            attempts += 1
        else:
            return made


def _make(connection: Connection, logins: Mapping[str, str]) -> list[str]:
    known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
    missing = sorted(set(logins.values()) - known)
    if missing:
        raise LoginsRefused(f"there is no role {', '.join(missing)}: the migrations make it")
    by_iam = BY_IAM in known
    owner_by_iam = by_iam and _owner_is_in(connection, BY_IAM)
    new = [login for login in logins if login not in known]
    if new:
        _create(connection, new)
    for login, group in logins.items():
        groups = [group, BY_IAM] if by_iam else [group]
        for other in _groups(connection, login):
            if other not in groups:
                _take_away(connection, login, other)
        for one in groups:
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(one), sql.Identifier(login)))
        _refuse_more(connection, login, groups)
    if by_iam and not owner_by_iam and _owner_is_in(connection, BY_IAM):
        raise LoginsRefused(
            f"the owner is a member of a login, and would be one of {BY_IAM}: drop that login"
        )
    return new


def _create(connection: Connection, new: list[str]) -> None:
    maker = sql.Identifier(f"hh_maker_{secrets.token_hex(4)}")
    connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN CREATEROLE").format(maker))
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(maker))
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(maker))
    for login in new:
        connection.execute(
            sql.SQL(
                "CREATE ROLE {} LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD NULL"
            ).format(sql.Identifier(login))
        )
    connection.execute("SET LOCAL ROLE NONE")
    connection.execute(sql.SQL("DROP ROLE {}").format(maker))


def _owner_is_in(connection: Connection, role: str) -> bool:
    """Directly or not."""
    found = connection.execute("SELECT pg_has_role(current_user, %s, 'MEMBER')", (role,)).fetchall()
    return found == [(True,)]


def _groups(connection: Connection, login: str) -> list[str]:
    """That it is a direct member of."""
    found = connection.execute(
        "SELECT DISTINCT role.rolname FROM pg_auth_members AS member"
        " JOIN pg_roles AS role ON role.oid = member.roleid JOIN pg_roles AS login ON login.oid = member.member"
        " WHERE login.rolname = %s ORDER BY 1",
        (login,),
    )
    return [name for (name,) in found.fetchall()]


def _take_away(connection: Connection, login: str, group: str) -> None:
    try:
        connection.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(group), sql.Identifier(login)))
    except errors.InsufficientPrivilege:
        raise LoginsRefused(f"{login} is in {group}, which the owner cannot take away") from None


def _refuse_more(connection: Connection, login: str, groups: list[str]) -> None:
    """What cannot be put right here, or was not: an attribute, a group that somebody else gave, the right to hand one on."""
    found = connection.execute(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, NOT rolcanlogin, NOT rolinherit,"
        " NOT pg_has_role(oid, %s, 'USAGE'),"
        " EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid AND admin_option)"
        " FROM pg_roles WHERE rolname = %s",
        (groups[0], login),
    ).fetchall()
    names = (
        "is a superuser",
        "may make roles",
        "may make databases",
        "may replicate",
        "passes by row-level security",
        "may not sign in",
        "does not inherit",
        "has not the rights of its group",
        "may hand on a group",
    )
    wrong = [name for name, is_so in zip(names, found[0], strict=True) if is_so]
    wrong += [f"is in {group}" for group in _groups(connection, login) if group not in groups]
    if wrong:
        raise LoginsRefused(f"{login} {', '.join(wrong)}")
