"""What whoever manages this computer has decided for it: a TOML file that the person who uses it cannot change.

    cloud_url = "https://api.example.org"
    proxy = "http://proxy.example.org:3128"
    ca_file = "our-authority.pem"
    keep_days = 365

Where there is no such file, the defaults hold. A file with a mistake stops the program: half a policy is none. So does one that is named
and gone, and one that everybody on this computer may change: its proxy and authorities would be theirs.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from client import config
from client.errors import EnvironmentFault
from client.language import said

_MAX_BYTES = 100_000
_WEB = re.compile(r"https?://[!-~]+")
_SAFE = re.compile(
    r"(https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?"
    r"(/[A-Za-z0-9._~:/@!$&'()*+,;=%-]*)?"
)
"""Without a user name, which looks like a host and is none, and without a query."""


@dataclass(frozen=True, slots=True)
class Policy:
    """cloud_url: the only server that this device may be enrolled with. proxy: on the way to it, instead of the environment's.

    ca_file: certificates (PEM) that are trusted beside the system's. keep_days: how long what was acknowledged by the server stays here;
    None: for ever. keep_deleted_days: how long a deletion can be undone. backup_every_hours, backups_kept: of the store.
    confirm_record_number: a scan begins once the record number was read back. ask_for_consent: before anything is sent; where False, whoever
    manages the computer has it in writing. fhir_url: where an export as FHIR is sent. send_scan_reports: the PDF of each scan too.
    country: where this computer stands (ISO 3166-1, such as "PT"): whose emergency numbers are named. assistant: the clinic's cloud may be
    asked, by whoever agrees to it. cloud_voice: and may read answers aloud. recogniser_folder: of a model that makes text of speech here.
    """

    cloud_url: str | None = None
    proxy: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    keep_days: int | None = None
    keep_deleted_days: int = 30
    backup_every_hours: int = 24
    backups_kept: int = 3
    confirm_record_number: bool = False
    ask_for_consent: bool = True
    fhir_url: str | None = None
    send_scan_reports: bool = False
    country: str | None = None
    assistant: bool = True
    cloud_voice: bool = False
    recogniser_folder: Path | None = None


def load() -> Policy:
    """Of this installation. Raises EnvironmentFault, which names the key that is wrong."""
    file = config.policy_file()
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        if not os.path.lexists(file) and file != config.named_policy_file():
            return Policy()
        raise _unreadable(error) from None
    except OSError as error:
        raise _unreadable(error) from None
    found = read(data, file.parent)
    if any(
        _is_everybodys(one)
        for one in (file, file.parent, found.ca_file, found.recogniser_folder)
        if one is not None
    ):
        raise _fault(said("The policy of this computer can be changed by everybody who uses it"))
    return found


def _unreadable(error: OSError) -> EnvironmentFault:
    return _fault(said("The policy of this computer cannot be read ({kind})", kind=type(error).__name__))


def _is_everybodys(path: Path) -> bool:
    """Whether anybody may write to it, or put another in its place (not in a folder like /tmp: in it each has their own). Under Windows
    the mode says nothing of that.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # certificates that are not there are told when they are needed
    own = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
    return os.name == "posix" and bool(mode & stat.S_IWOTH) and not own


def read(data: bytes, folder: Path) -> Policy:
    """Of a file's content. folder: what a path in it starts from. Raises EnvironmentFault."""
    try:
        given = tomllib.loads(data.decode("utf-8-sig")) if len(data) <= _MAX_BYTES else None
    except (ValueError, RecursionError):  # TOMLDecodeError and UnicodeDecodeError are of the first kind
        given = None
    if given is None:
        raise _fault(said("The policy of this computer is no TOML"))
    known = {one.name for one in fields(Policy)}
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise _fault(
                said("The policy of this computer has a key that is not known: {key}", key=_shown(key))
            )
        try:
            found[key] = _FORMS[key](value)
        except ValueError as error:
            raise _fault(
                said("The policy of this computer is wrong: {key} is not {form}", key=key, form=str(error))
            ) from None
    for name in ("ca_file", "recogniser_folder"):
        if found.get(name) is not None:
            found[name] = folder / found[name]
    return Policy(**found)


def _shown(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "?", key)[:60]


def _fault(title: str) -> EnvironmentFault:
    return EnvironmentFault(
        title=title,
        remedy=said(
            "Ask whoever manages this computer to correct the file {file}.", file=config.policy_file()
        ),
    )


def _count(least: int, most: int) -> Callable[[Any], int]:
    def form(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(said("a whole number from {least} to {most}", least=least, most=most))
        return value

    return form


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(said("true or false"))  # noqa: TRY004 (one kind for every form)
    return value


def _web_address(value: Any) -> str:
    if not isinstance(value, str) or not _WEB.fullmatch(value):
        raise ValueError(said("an address that begins with https:// or http://"))
    return value


def _safe_address(value: Any) -> str:
    if not isinstance(value, str) or not _SAFE.fullmatch(value):
        raise ValueError(said("an address that begins with https://"))
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(said("the path of a file"))
    return Path(value)


def _country(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{2}", value):
        raise ValueError(said("the code of a country such as PT"))
    return value


_FORMS: dict[str, Callable[[Any], Any]] = {
    "cloud_url": _safe_address,
    "proxy": _web_address,
    "ca_file": _path,
    "keep_days": _count(1, 36_500),
    "keep_deleted_days": _count(0, 3_650),
    "backup_every_hours": _count(1, 8_760),
    "backups_kept": _count(1, 100),
    "confirm_record_number": _flag,
    "ask_for_consent": _flag,
    "fhir_url": _safe_address,
    "send_scan_reports": _flag,
    "country": _country,
    "assistant": _flag,
    "cloud_voice": _flag,
    "recogniser_folder": _path,
}
