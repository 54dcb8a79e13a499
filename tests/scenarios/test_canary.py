"""Nothing personal and no secret is anywhere but where it belongs: random words stand in every field, and all that is left is searched.

A full run by real processes, in a home of its own, with the whole cloud on the loopback: people, scans, an entry, documents, sending, a
mailed link, reports and exports, the window, bugs, and every kind of fault of store and cloud. Then one person is deleted for ever, and
another one stays. What belongs where is said beside each place.
"""

from __future__ import annotations

import ast
import base64
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from fpdf import FPDF

from backend_lambda.services.uploads import folder_of
from client.cloud.credentials import Entry
from client.cloud.faults import CloudFault
from client.policy import Policy
from client.store.database import FILE_NAME, StoreFault, backups_folder, connect
from client.store.documents import DocumentDamaged
from client.store.opening import VAULT_ENTRY
from client.store.recovery import RecoveryKey
from client.vault import VaultFault
from edge_models.types import ByteArray, Frame
from tests.client.intake.making import encoded, scene, segment
from tests.scenarios.canaries import (
    NOTES_WRITING,
    PAGE_BYTES,
    Canary,
    Finder,
    decrypted,
    entropy_bits,
    forms,
    journal_in_the_clear,
    kinds_below,
    text_canary,
)
from tests.stand_ins.clips import write_clip

pytestmark = pytest.mark.timeout(240)
ROOT = Path(__file__).resolve().parents[2]
HOMES = (
    "HOME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
)
OF_A = ("name_a", "number_a", "note_a", "title_a", "content_a", "picture_a", "exif_a", "source_a")
OF_B = ("name_b", "number_b", "note_b", "title_b", "content_b", "camera_b")
OF_C = ("name_c", "number_c", "note_c", "title_c", "content_c")
"""Of the other home, in which everything goes wrong."""
SECRETS_TYPED = ("proxy_password", "fhir_token", "email")


@dataclass(frozen=True)
class Place:
    """Something that is left of the run. belongs: canaries that may be in it."""

    where: str
    data: bytes
    belongs: frozenset[str] = frozenset()


@dataclass
class Home:
    """What the application has of this machine. keys: the key store, which is no part of it."""

    folder: Path
    keys: Path
    policy: Path
    written: Path
    said: list[Place] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / "health-helper" / "store"

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **dict.fromkeys(HOMES, str(self.folder)),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONPATH": os.pathsep.join([str(self.written.parent), str(ROOT)]),
            "PYTHON_KEYRING_BACKEND": "tests.stand_ins.file_keyring.FileKeyring",
            "KEYS_OF_THE_TEST": str(self.keys),
            "HEALTH_HELPER_POLICY": str(self.policy),
            "PYTHONUTF8": "1",
        }

    def run(self, *arguments: str, shows: Iterable[str] = (), given: str = "", ends: int = 0) -> str:
        """`health-helper` with these arguments. Returns what it printed. shows: what may be seen in its output."""
        return self._ran(["-m", "client", *arguments], " ".join(arguments[:2]), shows, given, ends)

    def do(self, name: str, *arguments: str, shows: Iterable[str] = (), ends: int = 0) -> str:
        """A function of `canaries`, in a process of its own."""
        words = f"import sys; from tests.scenarios import canaries; canaries.{name}(*sys.argv[1:])"
        return self._ran(["-c", words, *arguments], name, shows, "", ends)

    def all_of(self, *commands: Sequence[str], shows: Iterable[str] = ()) -> None:
        """Several commands in one process."""
        self.do("several", json.dumps(commands), shows=shows)

    def _ran(self, words: list[str], what: str, shows: Iterable[str], given: str, ends: int) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            env=self.environment(),
            cwd=self.policy.parent,
            input=given.encode(),
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == ends, (what, done.returncode, done.stdout[-2000:], done.stderr[-4000:])
        self._keep(what, done.stdout, done.stderr, shows)
        return done.stdout.decode()

    def _keep(self, what: str, out: bytes, err: bytes, shows: Iterable[str]) -> None:
        is_log = [line.startswith(b'{"event"') for line in err.splitlines()]
        log, rest = (
            b"\n".join(line for line, one in zip(err.splitlines(), is_log, strict=True) if one is wanted)
            for wanted in (True, False)
        )
        at = len(self.said)
        self.said += [
            Place(f"{at} {what}: output", out, frozenset(shows)),
            Place(f"{at} {what}: messages", rest, frozenset(shows)),
            Place(f"{at} {what}: log", log),
        ]

    def secret(self, name: str) -> bytes:
        """Of the key store."""
        return bytes.fromhex(json.loads(self.keys.read_text())[f"health-helper {name}"])

    def ask(self, sql: str) -> list[Any]:
        with closing(connect(self.store / FILE_NAME, self.secret(VAULT_ENTRY))) as opened:
            return list(opened.execute(sql))

    def files(self) -> list[Place]:
        """All that is below, with its name."""
        found = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        names = [os.fsencode(path.relative_to(self.folder)) for path in found]
        return [
            Place(f"file {os.fsdecode(name)}", name + b"\n" + path.read_bytes())
            for path, name in zip(found, names, strict=True)
        ]


class Cloud:
    """The local cloud in a process of its own: what it prints, logs and measures is its file `log`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        words = f"from tests.scenarios import canaries; canaries.cloud({str(folder)!r})"
        self._log: IO[bytes] = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-c", words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=folder,
            text=True,
        )
        self.url = self.clinic_id = ""

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, (self.folder / "log").read_text()[-4000:]
        return line

    def ready(self) -> None:
        facts = json.loads(self._answer())
        self.url, self.clinic_id = facts["url"], facts["clinic_id"]

    def ask(self, what: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


@dataclass
class Run:
    """canaries: by name. before, after: places before and after one person is deleted for ever. in_the_clear: those of the store's files
    afterwards, read with the key; days_later: once as many backups were made as are kept.
    """

    home: Home
    other: Home
    canaries: dict[str, Canary]
    before: list[Place]
    after: list[Place]
    store_before: list[Place]
    clear_before: list[Place]
    in_the_clear: list[Place]
    days_later: list[Place]
    met: dict[str, set[str]]
    taken: Path

    def strays(self, places: Iterable[Place], names: Iterable[str] | None = None) -> dict[str, set[str]]:
        """What was found where it does not belong, by place. names: those that are looked for; None: all."""
        wanted = [one for name, one in self.canaries.items() if names is None or name in names]
        finder = Finder(wanted)
        found = {place.where: finder(place.data) - place.belongs for place in places}
        return {where: names for where, names in found.items() if names}


# --- The full run ----------------------------------------------------------------------------------


def _report(word: str) -> bytes:
    made = FPDF()
    made.set_compression(False)
    made.add_page()
    made.set_font("helvetica", size=12)
    made.cell(0, 8, f"Finding {word}")
    return bytes(made.output())


def _picture(canary: Canary) -> bytes:
    """With the canary as comment, as text of EXIF and of XMP, and behind its end; a smooth picture says nothing."""
    text = canary.text.encode()
    plain = encoded(scene(), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95)
    tiff = (
        b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x0e\x00\x02"
        + len(text).to_bytes(4, "big")
        + b"\x00\x00\x00\x1a"
    )
    notes = segment(0xE1, b"Exif\x00\x00" + tiff + bytes(4) + text)
    notes += segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00<x exif:GPSLatitude='" + text + b"'/>")
    notes += segment(0xFE, text)
    return plain[:2] + notes + plain[2:] + text


def _canaries() -> dict[str, Canary]:
    chance = random.Random(secrets.token_bytes(16))
    plain = {"content_a", "content_b", "content_c", *SECRETS_TYPED}
    names = (*OF_A, *OF_B, *OF_C, "folder", *SECRETS_TYPED)
    return {name: text_canary(name, chance, plain=name in plain) for name in names}


@pytest.fixture(scope="module")
def display() -> Iterator[None]:
    """Of this module's window; without Xvfb Qt draws into its memory."""
    before = {name: os.environ.get(name) for name in ("DISPLAY", "QT_QPA_PLATFORM")}
    process = None
    if sys.platform.startswith("linux") and shutil.which("Xvfb"):
        end, begin = os.pipe()
        process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(begin), "-screen", "0", "1600x1400x24", "-nolisten", "tcp"],
            pass_fds=(begin,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(begin)
        with os.fdopen(end) as answer:
            os.environ.update(DISPLAY=f":{answer.readline().strip()}", QT_QPA_PLATFORM="xcb")
    else:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    yield
    if process is not None:
        process.terminate()
        process.wait()
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="module")
def full_run(tmp_path_factory: pytest.TempPathFactory, display: None, person: list[Frame]) -> Iterator[Run]:
    top = tmp_path_factory.mktemp("canary")
    cloud = Cloud(top / "cloud")
    try:
        yield _run(top, cloud, person)
    finally:
        cloud.close()


def _home(top: Path, name: str, folder: str) -> Home:
    place = top / name
    (place / "notes").mkdir(parents=True)
    home = Home(place / folder, place / "keys.json", place / "policy.toml", place / "notes" / "written")
    home.folder.mkdir(mode=0o700)
    (home.folder / "tmp").mkdir()
    (place / "notes" / "sitecustomize.py").write_text(NOTES_WRITING.format(file=str(home.written)))
    home.policy.write_text("send_scan_reports = true\n")
    return home


def _troubled(
    other: Home, word: Mapping[str, str], report: Path, scratch: Path, url: str, codes: Sequence[str]
) -> tuple[dict[str, Path], bytes]:
    """The other home, where everything goes wrong. Returns files that name the kinds of faults that were met, and the device's key."""
    name = word["name_c"]
    other.all_of(
        ["people", "--add", name, "--record-number", word["number_c"]],
        ["enrol", codes[0], "--url", url],
        ["people", "--share", name, "yes", "--yes"],
        shows={"name_c"},
    )
    other.do("enter", name, word["note_c"])
    added = other.run("documents", "add", str(report), "--person", name).split()
    entry = Entry.read(other.secret("device"))
    assert entry is not None
    met = {kind: scratch / f"met-{kind}" for kind in ("store", "cloud")}
    # Where a name is taken it is shown in the list of people; what is found to be damaged is told with its title.
    other.do("store_faults", str(met["store"]), str(scratch), name, added[0], shows={"name_c", "title_c"})
    words, policy = " ".join(word.values()), scratch / "policy.toml"
    other.do(
        "cloud_faults",
        *(str(met["cloud"]), words, word["proxy_password"], codes[1], str(policy), name, str(report)),
    )
    return met, entry.key


def _run(top: Path, cloud: Cloud, person: list[Frame]) -> Run:
    canaries = _canaries()
    word = {name: canary.text for name, canary in canaries.items()}
    given, taken, scratch = (top / name for name in ("given", "taken", "scratch"))
    for folder in (given, taken, scratch):
        folder.mkdir()
    report_a, report_b, report_c = (given / f"{word[f'title_{who}']}.pdf" for who in "abc")
    picture, clip = given / f"{word['picture_a']}.jpg", given / f"{word['source_a']}.mkv"
    for who, path in (("a", report_a), ("b", report_b), ("c", report_c)):
        path.write_bytes(_report(word[f"content_{who}"]))
    picture.write_bytes(_picture(canaries["exif_a"]))
    images: list[ByteArray] = [np.asarray(frame.image) for frame in person]
    write_clip(top / "clip.mkv", images, fps=30.0).replace(clip)
    home, other = _home(top, "one", word["folder"]), _home(top, "other", word["folder"])
    cloud.ready()
    codes = [cloud.ask("code") for _ in range(3)]
    keys: list[bytes] = []
    with ThreadPoolExecutor(1) as beside:
        troubled = beside.submit(_troubled, other, word, report_c, scratch, cloud.url, codes[1:])
        recovery = _used(home, word, given, taken, cloud.url, codes[0], keys)
    met, other_key = troubled.result()
    home.run("sync", "--once")
    keys.append(home.secret(VAULT_ENTRY))
    entry = Entry.read(home.secret("device"))
    assert entry is not None
    canaries |= _made(
        cloud, (entry.key, other_key), (*keys, other.secret(VAULT_ENTRY)), recovery, codes, _email(word)
    )
    a, b = word["name_a"], word["name_b"]
    ids = {name: id_ for id_, name in home.ask("SELECT id, name FROM person")}
    for who, name in (("a", a), ("b", b)):
        canaries[f"patient_{who}"] = _of_uuids(f"patient_{who}", [ids[name]])
        things = [
            row[0]
            for table in ("observation", "document")
            for row in home.ask(f"SELECT id FROM {table} WHERE person = '{ids[name]}'")
        ]
        canaries[f"things_{who}"] = _of_uuids(f"things_{who}", things)

    [[of_c]] = other.ask("SELECT id FROM person")
    patients = {"a": ids[a], "b": ids[b], "c": of_c}
    had = Path(cloud.ask("dump"))
    store_before, clear_before = _raw(home), _clear(home, keys)
    before = [
        *home.said,
        *other.said,
        *home.files(),
        *other.files(),
        *_of_cloud(cloud, had, patients),
    ]
    home.run("people", "--delete", a, "--forever", "--yes", shows={"name_a", "name_b"})
    home.run("sync", "--once")
    had, clear_after = Path(cloud.ask("dump")), _clear(home, keys)
    home.all_of(*[["backup"]] * Policy().backups_kept)
    return Run(
        home,
        other,
        canaries,
        before,
        [*_raw(home), *home.files(), *_of_cloud(cloud, had, patients)],
        store_before,
        clear_before,
        clear_after,
        _clear(home, keys),
        {name: set(path.read_text().split()) for name, path in met.items()},
        taken,
    )


def _used(
    home: Home, word: Mapping[str, str], given: Path, taken: Path, url: str, code: str, keys: list[bytes]
) -> str:
    """All that people do with it. keys: gets the database's first key. Returns the recovery key."""
    a, b = word["name_a"], word["name_b"]
    names = {"name_a", "name_b"}
    home.run("people", "--add", a, "--record-number", word["number_a"], shows=names)
    home.run("enrol", code, "--url", url)
    home.all_of(
        ["people", "--add", b, "--record-number", word["number_b"]],
        ["people", "--share", a, "yes", "--yes"],
        ["people", "--share", b, "yes", "--yes"],
        shows=names,
    )
    for name, note in ((a, "note_a"), (b, "note_b")):
        home.do("enter", name, word[note])
    picture, clip = given / f"{word['picture_a']}.jpg", given / f"{word['source_a']}.mkv"
    report_a, report_b = (given / f"{word[f'title_{who}']}.pdf" for who in "ab")
    home.run("scan", "--video", str(clip), "--person", a, "--json", "--verbose", shows={"source_a"})
    home.do("scan_with_camera", word["camera_b"], str(clip), b, shows={"camera_b"})
    home.run("documents", "add", str(report_a), str(picture), "--person", a, shows={"title_a", "picture_a"})
    missing = given / f"{word['title_b']}.docx"
    home.run("documents", "add", str(report_b), str(missing), "--person", b, shows={"title_b"}, ends=2)
    home.run("sync", "--once")
    home.do("share", _email(word), word["fhir_token"])

    keys.append(home.secret(VAULT_ENTRY))
    recovery = home.run("recovery-key", given="y\n", shows={"recovery_key"}, ends=0).splitlines()[0]
    home.all_of(["rotate-key", "--yes"], ["backup"])
    home.run("people", shows=names)
    home.all_of(["history", "--ids", "--person", a], ["history", "--json", "--person", a], shows={"name_a"})
    listed = home.run("documents", "list", "--person", a, shows={"title_a", "picture_a"})
    document = next(line.split()[0] for line in listed.splitlines() if word["title_a"] in line)
    home.run("documents", "save", document, str(taken / "copy.pdf"))
    home.all_of(
        *(["export", str(taken / name), "--person", a] for name in ("all.json", "all.csv")),
        ["report", str(taken / "report.pdf"), "--person", a],
        shows={"name_a"},
    )
    home.run("tasks", "list", shows=names)
    home.all_of(
        ["sync", "--status"], ["sync", "--status", "--json"], ["doctor", "--json"], ["doctor", "--repair"]
    )

    personal = json.dumps([*word.values(), home.secret("device").decode(), home.secret(VAULT_ENTRY).hex()])
    home.do("window", a, str(clip), str(report_a), personal)
    home.do("bug", personal, ends=1)
    home.do("bug_in_a_thread", personal)
    return recovery


def _email(word: Mapping[str, str]) -> str:
    return f"{word['email']}@example.org"


def _of_uuids(name: str, ids: Sequence[str]) -> Canary:
    return Canary(name, tuple(form for id_ in ids for form in (id_, uuid.UUID(id_).bytes)))


def _made(
    cloud: Cloud,
    private: Sequence[bytes],
    keys: Sequence[bytes],
    recovery: str,
    codes: Sequence[str],
    email: str,
) -> dict[str, Canary]:
    """What was made in the run, as canaries."""
    answers = cloud.lines("tokens")
    refresh = [answer["refresh_token"] for answer in answers]
    access = [answer["access_token"].split(".")[-1] for answer in answers if "access_token" in answer]
    plain_codes = [code.replace("-", "") for code in codes]
    return {
        one.name: one
        for one in (
            Canary("refresh_token", tuple(refresh)),
            Canary("access_token", tuple(access)),
            Canary("private_key", tuple(private)),
            Canary("database_key", tuple(keys)),
            Canary(
                "recovery_key", (recovery, recovery.replace("-", ""), RecoveryKey.from_text(recovery).secret)
            ),
            Canary("enrolment_code", (*codes, *plain_codes)),
            Canary("email", (email,)),
        )
    }


def _raw(home: Home) -> list[Place]:
    return [Place(place.where, place.data) for place in home.files() if "store/" in place.where]


def _clear(home: Home, keys: Sequence[bytes]) -> list[Place]:
    """Databases, their logs and journals, read with every key that there ever was."""
    found = []
    folders = (home.store, backups_folder(home.store / FILE_NAME))
    for path in sorted(path for folder in folders for path in folder.glob("*") if path.is_file()):
        where = str(path.relative_to(home.store))
        if ".journal" in path.name:
            found.append(Place(where, b"".join(journal_in_the_clear(path, key) for key in keys)))
        elif ".db" in path.name and not path.name.endswith("-shm"):
            found.append(Place(where, b"".join(decrypted(path, key) for key in keys)))
    return found


def _of_cloud(cloud: Cloud, had: Path, patients: Mapping[str, str]) -> list[Place]:
    """What the cloud got, keeps, logs and measures. patients: the pseudonyms."""
    found = [
        Place("cloud: log lines and measures", (cloud.folder / "log").read_bytes()),
        Place("cloud: PostgreSQL's log", (had / "postgres-log").read_bytes()),
        Place("cloud: mails", (had / "mails").read_bytes(), frozenset({"email"})),
    ]
    for number, request in enumerate(cloud.lines("requests")):
        line, headers = request["line"], dict(request["headers"])
        names = {name.lower(): value for name, value in headers.items()}
        where = f"cloud: request {number} {line.split('?')[0][:80]}"
        signed_in = names.pop("authorization", "") if request["to"].endswith("api_gateway") else ""
        # The API erases and reads by the pseudonym and the ids of things, which are random and name nobody.
        known = {"patient_a", "patient_b", "things_a", "things_b"}
        found += [
            Place(f"{where}: URL", line.encode(), frozenset(known)),
            Place(f"{where}: headers", json.dumps(names, ensure_ascii=False).encode()),
            Place(f"{where}: sign-in", signed_in.encode(), frozenset({"access_token"})),
        ]
    pseudonyms = frozenset({"patient_a", "patient_b", "things_a", "things_b"})
    keep = {"observation", "upload", "audit", "share"}
    for path in sorted(had.glob("table-*")):
        table = path.name.removeprefix("table-")
        found.append(
            Place(f"cloud: table {table}", path.read_bytes(), pseudonyms if table in keep else frozenset())
        )
    folders = {
        folder_of(uuid.UUID(cloud.clinic_id), uuid.UUID(patient)): f"content_{who}"
        for who, patient in patients.items()
    }
    for name, bucket, key, version, headers, tags, is_marker in json.loads((had / "objects").read_text()):
        theirs = {canary for folder, canary in folders.items() if f"/{folder}/" in key}
        facts = json.dumps([bucket, key, version, headers, tags, is_marker], ensure_ascii=False).encode()
        things = frozenset({"things_a", "things_b"})
        audit = pseudonyms if bucket == "audit" else frozenset()
        found += [
            Place(f"cloud: object {key}, its facts", facts, things),
            Place(f"cloud: object {key}", (had / name).read_bytes(), frozenset(theirs) | audit),
        ]
    return found


# --- What is asked ---------------------------------------------------------------------------------


def test_nothing_is_anywhere_but_where_it_belongs(full_run: Run) -> None:
    """But for the ids of things, which are random: they are shown to whoever asks, and logged by the cloud."""
    strays = full_run.strays(full_run.before, full_run.canaries.keys() - {"things_a", "things_b"})
    assert not strays, "\n".join(f"{where}: {sorted(names)}" for where, names in strays.items())


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("name_a", "people: output"),
        ("title_a", "documents list: output"),
        ("title_b", "documents add: messages"),
        ("title_c", "store_faults: output"),
        ("source_a", "scan --video: output"),
        ("camera_b", "scan_with_camera: output"),
        ("recovery_key", "recovery-key: output"),
        ("access_token", "sign-in"),
        ("content_a", "cloud: object c/"),
        ("content_b", "cloud: object c/"),
        ("email", "cloud: mails"),
        ("patient_a", "cloud: table observation"),
        ("patient_a", "cloud: table upload"),
        ("patient_a", "cloud: table audit"),
        ("things_a", "URL"),
    ],
)
def test_what_belongs_somewhere_is_found_there(full_run: Run, name: str, where: str) -> None:
    finder = Finder([full_run.canaries[name]])
    assert any(finder(place.data) for place in full_run.before if where in place.where)


def test_what_somebody_took_out_has_it(full_run: Run) -> None:
    finder = Finder([full_run.canaries[name] for name in OF_A])
    assert {"source_a", "note_a"} <= finder((full_run.taken / "all.json").read_bytes())
    assert finder((full_run.taken / "copy.pdf").read_bytes()) == {"content_a"}


def test_logs_bugs_and_faults_were_there_to_be_searched(full_run: Run) -> None:
    places = {
        place.where.split(" ", 1)[1]: place.data for place in full_run.before if place.where[0].isdigit()
    }
    assert all(
        places[f"{what}: log"].count(b'"event"') for what in ("scan --video", "scan_with_camera", "window")
    )
    assert b"saved" in places["window: output"] and b"added" in places["window: output"]
    assert (
        places["bug: messages"].splitlines()[1:2] == [b"ValueError"] or b"KeyError" in places["bug: messages"]
    )
    assert places["bug_in_a_thread: messages"].count(b"Health Helper has met a bug of its own") == 2
    log = next(place.data for place in full_run.before if place.where == "cloud: log lines and measures")
    assert b'"_aws"' in log and b'"route"' in log


def test_every_kind_of_fault_was_met(full_run: Run) -> None:
    of_store = {*kinds_below(StoreFault), *kinds_below(VaultFault)}
    assert DocumentDamaged.__name__ in of_store
    assert of_store - full_run.met["store"] == set()
    assert {*kinds_below(CloudFault)} - full_run.met["cloud"] == set()


def test_no_file_is_written_beside_the_store_not_even_for_a_moment(full_run: Run) -> None:
    for home in (full_run.home, full_run.other):
        written = {Path(line) for line in map(_path, home.written.read_text().splitlines())}
        scratch = full_run.taken.with_name("scratch")  # copies that were made to be damaged, and policies
        allowed = [
            home.store,
            scratch,
            home.keys,
            home.keys.with_suffix(".part"),
            full_run.taken,
            Path(os.devnull),
        ]
        allowed.append(home.folder / "health-helper" / "window.ini")
        # A file without a name, of random bytes: the doctor's, to see whether the disk takes one.
        written.discard(home.folder / "health-helper")
        others = [path for path in written if not any(path == one or one in path.parents for one in allowed)]
        assert not others
        assert home.store / FILE_NAME in written or any(home.store in path.parents for path in written)


def _path(line: str) -> str:
    return str(ast.literal_eval(line))


def test_the_database_holds_no_plain_text(full_run: Run) -> None:
    """Nor its log, backups and journal; and each page of it looks like chance."""
    assert not full_run.strays(full_run.store_before, full_run.canaries.keys() - {"things_a", "things_b"})
    looked_at = 0
    for place in full_run.store_before:
        if place.where.endswith((".db", "-wal")):
            for at in range(0, len(place.data) - PAGE_BYTES, PAGE_BYTES):
                assert entropy_bits(place.data[at : at + PAGE_BYTES]) > 7.8, (place.where, at)
                looked_at += 1
        elif place.where.endswith(".sealed"):
            assert len(place.data) < PAGE_BYTES or entropy_bits(place.data) > 7.8
    assert looked_at > 50
    found = full_run.strays(full_run.clear_before)
    everything = {*OF_A, *OF_B, "patient_a", "patient_b"} - {"content_a", "content_b", "exif_a"}
    assert everything <= set().union(*found.values())  # with the key it is all there: what looks does see
    assert not {"content_a", "content_b", "exif_a"} & set().union(*found.values())


def test_of_whom_is_deleted_for_ever_no_byte_is_left_on_the_device(full_run: Run) -> None:
    random_ids = {"patient_a", "things_a"}
    files = [one for one in full_run.after if one.where.startswith("file ")]
    for places, names in ((files, {*OF_A, *random_ids}), (full_run.in_the_clear, OF_A)):
        strays = full_run.strays(places, names)
        assert not strays, strays
    # The backup that was made at once knows under which random numbers the cloud still had something to erase; it goes as backups do.
    strays = full_run.strays(full_run.in_the_clear, random_ids)
    assert all(where.startswith("backups/") for where in strays), strays
    strays = full_run.strays(full_run.days_later, random_ids)
    assert not strays, strays


def test_of_whom_is_deleted_for_ever_the_cloud_has_only_that_it_was_done(full_run: Run) -> None:
    """The audit is a chain that refers to nothing: it says that this pseudonym was written and erased, and whose it was nobody knows."""
    places = [
        Place(place.where, place.data)
        for place in full_run.after
        if place.where.startswith(("cloud: table", "cloud: object")) and place.where != "cloud: table audit"
    ]
    strays = full_run.strays(places, {*OF_A, "patient_a", "things_a"})
    assert not strays, strays
    audit = next(place.data for place in full_run.after if place.where == "cloud: table audit")
    assert Finder([full_run.canaries["patient_a"]])(audit) and not full_run.strays(
        [Place("audit", audit)], OF_A
    )


def test_all_of_the_other_person_is_still_there(full_run: Run) -> None:
    found = set().union(*full_run.strays(full_run.in_the_clear, {*OF_B, "patient_b", "things_b"}).values())
    assert found == {*OF_B, "patient_b", "things_b"} - {"content_b"}
    tables = [Place(one.where, one.data) for one in full_run.after if one.where.startswith("cloud: ")]
    found_there = full_run.strays(tables, {"patient_b", "things_b", "content_b"})
    assert (
        found_there["cloud: table observation"]
        == found_there["cloud: table upload"]
        == {"patient_b", "things_b"}
    )
    assert any("content_b" in names for where, names in found_there.items() if "object c/" in where)
    [person] = full_run.home.ask("SELECT id FROM person")
    [(document,)] = full_run.home.ask("SELECT id FROM document WHERE purpose = 'medical_report'")
    copy = full_run.taken / "of-b.pdf"
    full_run.home.run("documents", "save", document, str(copy))
    assert Finder([full_run.canaries["content_b"]])(copy.read_bytes())
    sealed = list((full_run.home.store / "documents").glob("*.sealed"))
    assert person and len(sealed) == len(full_run.home.ask("SELECT 1 FROM document"))


# --- Whether it would be seen ----------------------------------------------------------------------

_WAYS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "UTF-16, little end first": lambda text: text.encode("utf-16-le"),
    "UTF-16, big end first": lambda text: text.encode("utf-16-be"),
    "decomposed": lambda text: unicodedata.normalize("NFD", text).encode(),
    "capitals": lambda text: text.upper().encode(),
    **{
        f"base64 from byte {before}": lambda text, before=before: base64.b64encode(  # type: ignore[misc]  # bound here
            b"x" * before + text.encode() + b"yz"
        )
        for before in range(3)
    },
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(b"?" + text.encode()),
    "hexadecimal": lambda text: text.encode().hex().upper().encode(),
    "percent signs": lambda text: quote(text).encode(),
    "percent signs, small": lambda text: quote(text).lower().encode(),
    "JSON": lambda text: json.dumps({"name": text}).encode(),
    "repr": lambda text: ascii(text).encode(),
    "HTML": lambda text: text.encode("ascii", "xmlcharrefreplace"),
}


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("which", range(3), ids=["ASCII", "accented", "Arabic"])
def test_a_canary_is_found_however_it_is_written(way: str, which: int) -> None:
    canary = text_canary("name", random.Random(5))
    word = str(canary.words[which])
    around = random.Random(6).randbytes(3_000)
    finder = Finder([canary, text_canary("other", random.Random(7))])
    for at in (0, 1, 7, 1_501, 3_000):
        assert finder(around[:at] + _WAYS[way](word) + around[at:]) == {"name"}
    assert finder(around) == set()
    assert finder(_WAYS[way](word)[1:-1]) <= {"name"}


@pytest.mark.parametrize("secret", [bytes(range(32)), b"aG9zdC1zZWNyZXQ_-abc"])
def test_a_secret_is_found_as_it_is_and_written_down(secret: bytes) -> None:
    finder = Finder([Canary("key", (secret,))])
    for written in (secret, secret.hex().encode(), *(base64.b64encode(b"%" * n + secret) for n in range(3))):
        assert finder(b"before" + written + b"behind") == {"key"}
    assert min(map(len, forms(secret))) >= 8


@pytest.mark.parametrize(
    "kind", ["output", "log", "file", "file name", "temporary file", "address", "mail", "object"]
)
def test_a_canary_in_any_kind_of_place_fails_the_run(full_run: Run, kind: str, tmp_path: Path) -> None:
    """One is put there, and what the run asserts of its places does not hold any more."""
    canary = full_run.canaries["name_a"].text
    home = Home(tmp_path / "home", tmp_path / "keys", tmp_path / "policy", tmp_path / "notes" / "written")
    (home.folder / "tmp").mkdir(parents=True)
    match kind:
        case "output":
            home._keep("backup", canary.encode(), b"", ())
        case "log":
            line = json.dumps({"event": "scan", "name": canary}).encode()
            home._keep("people", b"", b"Added\n" + line, {"name_a"})
        case "file":
            (home.folder / "notes").write_text(canary, encoding="utf-16")
        case "file name":
            (home.folder / canary).touch()
        case "temporary file":
            (home.folder / "tmp" / "x").write_text(json.dumps([canary]))
        case _:
            what = {"address": "cloud: request", "mail": "cloud: mails", "object": "cloud: object"}[kind]
            place = next(one for one in full_run.before if one.where.startswith(what))
            home.said.append(Place(place.where, place.data + quote(canary).encode(), place.belongs))
    [found] = full_run.strays([*home.said, *home.files()]).values()
    assert found == {"name_a"}
    assert not full_run.strays([Place("nothing", b"nothing")])
