"""`health-helper doctor`: is this machine ready? One line each: ok, warn or fail, and what to do.

fail: no scan works until it is mended (status 4). warn: a scan works, but something is missing or doubtful;
having no camera is a warning, for files, streams and the demo need none; so is having no microphone, for only the assistant to
come will listen.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client import config
from client.cli.by_hand import by_hand
from client.cli.people import sure
from client.clock import Clock, lies_ahead
from client.errors import BadInput, EnvironmentFault
from client.language import said
from client.parts import CameraTruth, Parts
from client.pipeline.trouble import trouble
from client.store.backups import newest_at
from client.store.database import FILE_NAME, Database
from client.vault import SystemVault

READY = 0
NOT_READY = 4
OLDEST_PYTHON = (3, 11)
BUILT_IN = 2026
"""A clock that shows an earlier year is wrong: this program did not exist."""
LAST_PLAUSIBLE = BUILT_IN + 30
ENOUGH_FREE_MB = 500.0
LOW_FPS = 15.0
LONG_GAP_S = 0.5
LONG_WAIT_S = 86_400.0
"""Of something that is to be sent."""
_MAX_CLOCK_GAP_S = 0.05
SCHEMA = "health-helper/doctor/1"
REPAIR_SCHEMA = "health-helper/repair/1"


class State(StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line. says: what was found. remedy: what to do; empty only where all is well."""

    name: str
    state: State
    says: str
    remedy: str = ""


def add(app: typer.Typer, parts: Parts) -> None:
    """Register the command."""

    @app.command()
    def doctor(
        as_json: Annotated[
            bool, typer.Option("--json", help="Print one JSON object on standard output.")
        ] = False,
        repair: Annotated[
            bool,
            typer.Option("--repair", help="Look at every byte of what is kept, and mend what is damaged."),
        ] = False,
        begin_anew: Annotated[
            bool,
            typer.Option(
                "--begin-anew",
                help="With --repair: where nobody has a key of the store any more, set it aside under today's date and begin a new one.",
            ),
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", help="With --begin-anew: do not ask.")] = False,
    ) -> None:
        """Check camera, microphone, weights, keyring, store, clinic, disk and clock; a line each, with a remedy. Asks no network.

        Exit status: 0 a scan would work, 4 it would not; with --repair: 0 all that is kept is whole now, 4 some of it is not.
        """
        if begin_anew and not repair:
            raise BadInput(title=said("--begin-anew stands alone"), remedy=said("Write it behind --repair."))
        if begin_anew:
            _begin_anew(parts, yes=yes)
        if repair:
            raise typer.Exit(_repaired(as_json=as_json))
        checks: list[Check] = []
        if as_json:
            checks = list(examine(parts))
            print(json.dumps(_as_json(checks)))
        else:
            console = Console(highlight=False)
            for check in examine(parts):
                checks.append(check)
                console.print(_line(check))
            console.print(_verdict(checks))
        raise typer.Exit(NOT_READY if _broken(checks) else READY)


def _begin_anew(parts: Parts, *, yes: bool) -> None:
    from client.store.opening import tell_set_aside

    sure("Set the store aside if nothing opens it, and begin a new, empty one? Nothing is deleted.", yes=yes)
    with closing(parts.begin_store_anew()) as kept:
        words = (
            tell_set_aside(kept.set_aside) if kept.set_aside else "The store opens; nothing was set aside."
        )
    print(words, file=sys.stderr)


def _repaired(*, as_json: bool) -> int:
    from client.store.opening import repair

    found = repair(config.store_folder(), SystemVault(), _damaged_documents)
    if as_json:
        print(json.dumps({"schema": REPAIR_SCHEMA, "whole": found.whole, "lines": list(found.lines)}))
    else:
        for line in found.lines:
            print(line)
    return READY if found.whole else NOT_READY


def _damaged_documents(database: Database) -> list[str]:
    """The titles of the files, of everybody, that can't be read to their end."""
    from client.store.documents import DocumentDamaged, Documents
    from client.store.observations import Observations

    documents, found = Documents(database), []
    for person in (None, *(one.id for one in Observations(database).people())):
        for document in documents.list(person):
            try:
                for _ in documents.read(document.id):
                    pass
            except DocumentDamaged:
                found.append(document.title)
    return found


def examine(parts: Parts) -> Iterator[Check]:
    """Every check, in the order in which they are shown; each is made when it is asked for."""
    yield check_system()
    yield check_weights(parts)
    yield check_engine(parts)
    yield check_camera(parts)
    yield check_microphone(parts)
    yield check_keyring()
    yield check_store(parts, config.store_folder() / FILE_NAME)
    yield check_clinic(parts, config.store_folder() / FILE_NAME)
    yield check_disk(config.data_folder())
    yield check_clock(parts.clock)


def check_system() -> Check:
    """The interpreter and the operating system."""
    says = f"Health Helper {config.version()}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check("system", State.FAIL, says, "Install Python 3.11 or newer and run the set-up again.")
    return Check("system", State.OK, says)


def check_weights(parts: Parts) -> Check:
    """Are the third-party files there, byte for byte the listed ones?"""
    try:
        entries = parts.weights()
    except EnvironmentFault as fault:
        return Check("weights", State.FAIL, fault.title, fault.remedy)
    bad = [entry for entry in entries if entry.state != "good"]
    if not bad:
        return Check(
            "weights", State.OK, f"{', '.join(entry.file_name for entry in entries)}: hash as listed"
        )
    says = ", ".join(f"{entry.file_name} ({entry.purpose}) {entry.state}" for entry in bad)
    return Check("weights", State.WARN, says, config.repair())


def check_engine(parts: Parts) -> Check:
    """Can a scan be made: libraries, weights, ONNX session?"""
    try:
        parts.engine()
    except EnvironmentFault as fault:
        return Check("engine", State.FAIL, fault.title, fault.remedy)
    except ImportError as error:
        return Check("engine", State.FAIL, f"{error.name or 'a library'} cannot be loaded", config.repair())
    return Check("engine", State.OK, "loads and is ready to measure")


def check_camera(parts: Parts) -> Check:
    """The first camera: its true frame rate, and whether exposure and white balance can be held still."""
    try:
        found = parts.cameras()
        if not found:
            return Check(
                "camera",
                State.WARN,
                "none was found",
                "Plug one in and allow this terminal to use it; files, streams and the demo work without.",
            )
        entry = found[0]
        return _judge_camera(f"{entry.id} ({entry.name})", parts.examine_camera(entry.id))
    except (EnvironmentFault, BadInput) as fault:
        return Check("camera", State.WARN, fault.title, fault.remedy)


def _judge_camera(name: str, truth: CameraTruth) -> Check:
    if truth.frames < 3:
        return Check(
            "camera", State.WARN, f"{name} opened but gave hardly a frame", "Close programs that use it."
        )
    facts = truth.facts
    claim = f" ({facts.header_fps:.0f} claimed)" if facts.header_fps else ""
    says = (
        f"{name}: {facts.width_px}x{facts.height_px}, {truth.fps:.1f} frames/s{claim}, "
        f"exposure {_HOLDS[truth.exposure]}, white balance {_HOLDS[truth.white_balance]}"
    )
    if truth.fps < LOW_FPS:
        return Check("camera", State.WARN, says, "Use more light: most cameras slow down in the dark.")
    if truth.longest_gap_s > LONG_GAP_S:
        return Check(
            "camera",
            State.WARN,
            f"{says}, once {truth.longest_gap_s:.1f} s without a frame",
            "Use another USB port or cable, and close other programs.",
        )
    if truth.exposure != "held":
        return Check(
            "camera",
            State.WARN,
            says,
            "A scan works; steady light helps, for this camera regulates by itself.",
        )
    return Check("camera", State.OK, says)


def check_microphone(parts: Parts) -> Check:
    """Which microphones are there. None is opened: whether one hears is shown in the window, to whoever asks for it."""
    later = "A scan needs none; the assistant to come will."
    try:
        found = parts.microphones()
    except EnvironmentFault as fault:
        return Check("microphone", State.WARN, fault.title, f"{fault.remedy} {later}")
    if not found:
        return Check("microphone", State.WARN, "none was found", f"Plug one in. {later}")
    names = ", ".join(entry.name for entry in found)
    return Check("microphone", State.OK, f"{names} (listed, not opened; try it in the window's settings)")


_HOLDS = {
    "held": "locked",
    "refused": "not locked (the driver refused)",
    "absent": "not locked (no such control)",
    "pending": "not found out",
}


def check_keyring() -> Check:
    """Is there a key store that takes a secret, gives it back and forgets it? Found by doing just that."""
    later = "A scan works without it; nothing can be kept."
    try:
        import keyring
        from keyring.errors import InitError, KeyringError, KeyringLocked, NoKeyringError, PasswordDeleteError
    except ImportError:
        return Check("keyring", State.WARN, "the library 'keyring' cannot be loaded", config.repair())
    backend = type(keyring.get_keyring())
    name = f"{backend.__module__.rpartition('.')[2]} ({backend.__name__})"
    service, user, secret = f"{config.APPLICATION}-doctor", secrets.token_hex(8), secrets.token_hex(16)
    try:
        keyring.set_password(service, user, secret)
        returned = keyring.get_password(service, user)
        keyring.delete_password(service, user)
    except NoKeyringError:
        return Check(
            "keyring", State.WARN, "none was found", f"Start a key store (GNOME Keyring, KWallet). {later}"
        )
    except (KeyringLocked, InitError):
        return Check(
            "keyring", State.WARN, f"{name} is locked", f"Unlock it (log in to the desktop). {later}"
        )
    except PasswordDeleteError:
        return Check("keyring", State.WARN, f"{name} does not forget what it was told", f"Repair it. {later}")
    except KeyringError as error:
        return Check("keyring", State.WARN, f"{name} fails ({type(error).__name__})", f"Repair it. {later}")
    if returned != secret:
        return Check(
            "keyring", State.WARN, f"{name} does not give back what it was told", f"Repair it. {later}"
        )
    return Check("keyring", State.OK, f"{name} keeps and forgets a secret")


def check_store(parts: Parts, path: Path) -> Check:
    """Does what is kept on this device open? Nothing is made where there is none yet."""
    try:
        path.stat()
    except FileNotFoundError:
        return Check("store", State.OK, "nothing is kept on this device yet")
    except OSError as error:
        return Check(
            "store",
            State.WARN,
            f"its folder cannot be looked into ({_why(error)})",
            "Mend the rights of the folder. A scan works without it; nothing can be kept.",
        )
    try:
        with parts.store() as kept:
            people = len(kept.observations.people())
            if kept.needs_recovery_key:
                return Check(
                    "store",
                    State.WARN,
                    "opens, and has no recovery key on paper",
                    "Run 'health-helper recovery-key' and write it down.",
                )
    except EnvironmentFault as fault:
        return Check("store", State.WARN, fault.title, fault.remedy)
    newest = newest_at(path)
    backed_up = f"last backup {newest:%Y-%m-%d %H:%M} UTC" if newest else "no backup yet"
    return Check("store", State.OK, f"opens; {people} people besides the guest; {backed_up}")


def check_clinic(parts: Parts, path: Path) -> Check:
    """Whose this device is, when the clinic's server was last reached and took something, and what waits. Asks no network."""
    nowhere = Check("clinic", State.OK, "enrolled with none: nothing is sent")
    try:
        path.stat()
        with closing(parts.store()) as kept:
            enrolled, counts, contact = kept.outbox.enrolled(), kept.outbox.counts(), kept.outbox.contact()
            sent_at = kept.outbox.last_sent_at()
    except FileNotFoundError:
        return nowhere
    except (OSError, EnvironmentFault):
        return Check("clinic", State.WARN, "not known, for the store does not open", "See the line above.")
    if enrolled is None:
        return nowhere
    now = parts.clock.utc()
    says = (
        f"{enrolled['clinic_id']} at {enrolled['url']}; reached {_when(contact.reached_at, now)}, sent {_when(sent_at, now)}; "
        f"{counts.pending + counts.sending} wait, {counts.parked} refused"
    )
    met = trouble(contact)
    if met is not None:
        remedy = by_hand(met.remedy, "Run 'health-helper sync --once'")
        return Check("clinic", State.WARN, f"{says}. {met.title}", remedy)
    oldest = counts.oldest_made_at
    if counts.parked:
        return Check("clinic", State.WARN, says, "See which, and why: health-helper sync --status.")
    if oldest is not None and (parts.clock.utc() - oldest).total_seconds() > LONG_WAIT_S:
        return Check(
            "clinic", State.WARN, says, "Send it, to see what hinders it: health-helper sync --once."
        )
    return Check("clinic", State.OK, says)


def _when(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    return "at an unknown time" if lies_ahead(moment, now) else f"{moment:%Y-%m-%d %H:%M} UTC"


def check_disk(folder: Path) -> Check:
    """May the data folder be written to (or made), and is there room? Leaves nothing behind."""
    shown = f"~/{folder.relative_to(Path.home())}" if folder.is_relative_to(Path.home()) else str(folder)
    later = "A scan works without it; reports go where --report says."
    try:
        place = _nearest(folder)
        free_mb = shutil.disk_usage(place).free / 1e6
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"\0" * 65536)
            probe.flush()
    except OSError as error:
        return Check(
            "disk",
            State.WARN,
            f"{shown} cannot be written to ({_why(error)})",
            f"Free it or mend its rights. {later}",
        )
    says = f"{shown}, {free_mb / 1000.0:.1f} GB free"
    if free_mb < ENOUGH_FREE_MB:
        return Check("disk", State.WARN, says, f"Free some space. {later}")
    return Check("disk", State.OK, says)


def _nearest(folder: Path) -> Path:
    """The folder, or what is there of the way to it. Raises OSError where that may not be asked: Path.exists() does so only before Python 3.14."""
    for place in (folder, *folder.parents):
        try:
            place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        return place
    return folder


def _why(error: OSError) -> str:
    return error.strerror or "no permission"


def check_clock(clock: Clock, pause: Callable[[float], object] | None = None) -> Check:
    """Does the wall clock show a plausible year, and run as fast as the monotonic one?"""
    utc, now_s = clock.utc(), clock.now_s()
    (pause or threading.Event().wait)(0.2)
    gap_s = abs((clock.utc() - utc).total_seconds() - (clock.now_s() - now_s))
    says = f"{utc:%Y-%m-%d %H:%M} UTC"
    if not BUILT_IN <= utc.year <= LAST_PLAUSIBLE:
        return Check(
            "clock", State.WARN, f"{says}: this year cannot be right", "Set the clock of this machine."
        )
    if gap_s > _MAX_CLOCK_GAP_S:
        return Check(
            "clock",
            State.WARN,
            f"{says}: it stepped by {gap_s:.2f} s while it was watched",
            "Wait until the time service has set it. Measuring is not affected: it uses the monotonic clock.",
        )
    return Check("clock", State.OK, f"{says}, runs evenly")


def _broken(checks: Sequence[Check]) -> bool:
    return any(check.state is State.FAIL for check in checks)


def _line(check: Check) -> Table:
    colour = {State.OK: "green", State.WARN: "yellow", State.FAIL: "bold red"}[check.state]
    table = Table.grid(padding=(0, 2))
    table.add_column(width=4)
    table.add_column(width=10)
    table.add_column()
    words = Text(check.says)
    if check.remedy:
        words.append(f"\n{check.remedy}", style="yellow" if check.state is State.WARN else "red")
    table.add_row(Text(str(check.state), style=colour), Text(check.name, style="bold"), words)
    return table


def _verdict(checks: Sequence[Check]) -> Text:
    if _broken(checks):
        return Text("\nNot ready: no scan works until the lines marked fail are mended.", style="bold red")
    if any(check.state is State.WARN for check in checks):
        return Text("\nReady to scan; the lines marked warn say what is missing.", style="bold")
    return Text("\nReady to scan.", style="bold green")


def _as_json(checks: Sequence[Check]) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "ready": not _broken(checks),
        "checks": [
            {"name": check.name, "state": str(check.state), "says": check.says, "remedy": check.remedy}
            for check in checks
        ],
    }
