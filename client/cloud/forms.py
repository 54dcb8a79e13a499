"""What may stand in a single field of the wire format, for what is sent and for what comes; and JSON, read strictly.

A form takes a value and gives it back as it is used here, or raises Unfit. It never says what the value was: in an answer there may be
what a person said, in a request what a person typed.
"""

from __future__ import annotations

import ipaddress
import json
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Never, TypeVar

T = TypeVar("T")
Form = Callable[[Any], T]

MANY = 2**53
"""What every program that reads JSON can count to (RFC 8259 §6)."""
URL_CHARACTERS = 8192
"""A signed URL of AWS has 2,000 to 3,000."""
_INTEGER_CHARACTERS = 100
"""Python reads longer ones in quadratic time, and refuses those beyond 4,300 with another error."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_URL = re.compile(
    r"(?P<scheme>[a-z]+)://(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*)?"
)
"""Of RFC 3986 without user names and passwords: what stands ahead of an '@' looks like a host and is none.
A query or fragment has a path before it, as all of the server's have."""
_NOT_IN_LABEL = re.compile(r"[^A-Za-z0-9_ .,:+/()%°-]+")
_LABEL_CHARACTERS = 80


class Unfit(ValueError):
    """A value that cannot stand there. Of something to be sent: our bug, or typed in and not checked before.

    what: the form. place: the names of the fields that lead there, as we call them, joined by '.'.
    """

    def __init__(self, what: str, place: str = "") -> None:
        super().__init__(f"{place}: not {what}" if place else f"not {what}")
        self.what = what
        self.place = place


# --- JSON --------------------------------------------------------------------------------------------


def parsed(data: bytes, most_bytes: int) -> Any:
    """JSON in UTF-8. Raises Unfit for anything else, and for a name that occurs twice, NaN, Infinity or a nesting without end."""
    if len(data) <= most_bytes:
        try:
            return json.loads(
                data.decode("utf-8"),
                object_pairs_hook=_unique,
                parse_constant=_no_constant,
                parse_int=_integer,
            )
        except (ValueError, RecursionError):
            pass  # the error holds the text; the one below is raised when it is gone
    raise Unfit(f"JSON of at most {most_bytes} bytes")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unfit("JSON with each name once")
    return found


def _no_constant(_: str) -> Never:
    raise Unfit("JSON: NaN or Infinity")


def _integer(text: str) -> int:
    if len(text) > _INTEGER_CHARACTERS:
        raise Unfit("an integer of a usual length")
    return int(text)


class Fields:
    """The fields of an object. Those that nobody asks for may be of a newer version and are not looked at."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise Unfit("an object")
        self._given: dict[str, Any] = value

    def get(self, name: str, form: Form[T]) -> T:
        """The field, which has to be there. Raises Unfit, with its place."""
        if name not in self._given:
            raise Unfit("there", name)
        try:
            return form(self._given[name])
        except Unfit as unfit:
            raise Unfit(unfit.what, f"{name}.{unfit.place}" if unfit.place else name) from None

    def get_or(self, name: str, form: Form[T], default: T) -> T:
        """The field, or what the server means where it leaves it out."""
        return self.get(name, form) if name in self._given else default


# --- Forms of forms ----------------------------------------------------------------------------------


def inside(of: Callable[[Fields], T]) -> Form[T]:
    """An object."""
    return lambda value: of(Fields(value))


def maybe(form: Form[T]) -> Form[T | None]:
    """Or null."""
    return lambda value: None if value is None else form(value)


def many(form: Form[T], *, most: int, least: int = 0) -> Form[tuple[T, ...]]:
    """A list."""

    def read(value: Any) -> tuple[T, ...]:
        if not isinstance(value, (list, tuple)) or not least <= len(value) <= most:
            raise Unfit(f"a list of {least} to {most}")
        return tuple(form(one) for one in value)

    return read


def table(name: Form[str], form: Form[T], *, most: int) -> Form[dict[str, T]]:
    """An object whose names are not fixed."""

    def read(value: Any) -> dict[str, T]:
        if not isinstance(value, Mapping) or len(value) > most:
            raise Unfit(f"an object of at most {most}")
        return {name(key): form(one) for key, one in value.items()}

    return read


def one_of(kinds: type[StrEnum]) -> Form[str]:
    """To be sent: one that this version knows."""
    known = set(map(str, kinds))

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise Unfit(f"a {kinds.__name__}")
        return str(value)

    return read


def text(most: int, *, least: int = 0) -> Form[str]:
    """Unicode: half a surrogate pair, which JSON can hold, is no sign."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not least <= len(value) <= most or _SURROGATE.search(value):
            raise Unfit(f"a text of {least} to {most} characters")
        return value

    return read


def matching(what: str, pattern: str) -> Form[str]:
    """A text that is the pattern from its first to its last character."""
    compiled = re.compile(pattern)

    def read(value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise Unfit(what)
        return value

    return read


def count(most: int = MANY, *, least: int = 0) -> Form[int]:
    """An integer, written as one."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Unfit(f"an integer of {least} to {most}")
        return value

    return read


def number(least: float = -sys.float_info.max, most: float = sys.float_info.max) -> Form[float]:
    """A finite number."""

    def read(value: Any) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
            raise Unfit(f"a number of {least:g} to {most:g}")
        return float(value)

    return read


# --- Forms -------------------------------------------------------------------------------------------

word = matching("a word", r"[a-z][a-z0-9_]{0,63}")
"""A code. Of a newer version perhaps: then it is kept as it is."""
label = matching("a label", rf"[A-Za-z0-9_ .,:+/()%°-]{{0,{_LABEL_CHARACTERS}}}")
"""To be sent. The server takes letters of every alphabet; ours need none."""
unit = matching("a unit", r"[A-Za-z0-9_/%°.·*^ -]{0,16}")
"""To be sent."""
language = matching("a language", r"[a-z]{2,3}(-[A-Z]{2})?")
sha256 = matching("a SHA-256 in hexadecimal", r"[0-9a-f]{64}")
base64url = matching("base64url", r"[A-Za-z0-9_-]{1,1024}")
access_token = matching("an access token", r"[A-Za-z0-9._~+/=-]{1,8192}")
"""What may stand in a header behind "DPoP " (RFC 6750 §2.1, token68)."""
cursor = matching("a cursor", r"[A-Za-z0-9_=-]{1,64}")
_uuid = matching("a UUID", r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
email = matching(
    "an e-mail address", r"[^@\s<>\"',;:\\\ud800-\udfff]{1,64}@[A-Za-z0-9.-]{1,180}\.[A-Za-z]{2,24}"
)
header_name = matching("a header's name", r"[A-Za-z0-9-]{1,64}")
header_value = matching("a header's value", r"[!-~]([ -~]{0,1022}[!-~])?")
"""One line of ASCII, so that no second header can hide in it."""
bearer = matching("a header's value", r"[!-~]([ -~]{0,4094}[!-~])?")
"""The same, with a token in it."""


def identifier(value: Any) -> str:
    """A UUID, in small letters."""
    return _uuid(value).lower()


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Unfit("true or false")
    return value


def flag_or_number(value: Any) -> bool | float:
    """A figure of a scan."""
    return value if isinstance(value, bool) else number()(value)


def moment(value: Any) -> datetime:
    """RFC 3339; in UTC, to the microsecond."""
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # 30 February; or another year in UTC than there is
    raise Unfit("a moment")


def moment_text(value: datetime) -> str:
    """As sent: RFC 3339 in UTC."""
    if value.tzinfo is None:
        raise Unfit("a moment with its zone")
    try:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise Unfit("a moment of the calendar") from None


def web_url(value: Any) -> str:
    """https; http for this machine only."""
    return _url(value, "https", "http")


def stream_url(value: Any) -> str:
    """wss; ws for this machine only."""
    return _url(value, "wss", "ws")


def as_label(text: str) -> str:
    """What of a text fits into a label: the name and version of a system, say."""
    return _NOT_IN_LABEL.sub(" ", text).strip()[:_LABEL_CHARACTERS].strip()


def _url(value: Any, secure: str, plain: str) -> str:
    if isinstance(value, str) and len(value) <= URL_CHARACTERS:
        found = _URL.fullmatch(value)
        if found and found["scheme"] in {secure, plain} and 0 < int(found["port"] or 1) < 65536:
            if found["scheme"] == secure or _is_this_machine(found["host"]):
                return value
    raise Unfit(f"a URL of {secure}")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
