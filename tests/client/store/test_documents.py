"""Documents: the file and its row together, or neither; what is read is what was added, or it is told."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO

import pytest

from client.errors import BadInput, Interrupted
from client.store import documents as module
from client.store import journal
from client.store.database import FILE_NAME, Database, DiskFull, StoreFault
from client.store.documents import LONGEST_TITLE, Document, DocumentDamaged, Documents, title_of
from client.store.observations import Observations
from client.store.outbox import Outbox
from client.store.sealing import CHUNK_BYTES
from tests.client.store.conftest import KEY, NOW
from tests.client.store.test_outbox import ENROLLED, agree, scan, states

PLAIN = bytes(range(256)) * 1000


@pytest.fixture
def documents(database: Database) -> Documents:
    return Documents(database)


def add(
    documents: Documents,
    plain: bytes = PLAIN,
    *,
    person: str | None = None,
    title: str = "letter.pdf",
    observation: str | None = None,
) -> Document:
    return documents.add(
        [plain],
        person=person,
        purpose="medical_report",
        media_type="application/pdf",
        title=title,
        pages=2,
        now=NOW,
        observation=observation,
    )


def files(documents: Documents) -> list[str]:
    folder = documents.path_of("x").parent
    return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []


def test_what_is_added_is_read_again_and_lies_sealed(documents: Documents, tmp_path: Path) -> None:
    made = add(documents)
    assert made.length_bytes == len(PLAIN) and made.sha256 == hashlib.sha256(PLAIN).hexdigest()
    assert b"".join(documents.read(made.id)) == PLAIN
    assert documents.get(made.id) == made and documents.list(None) == [made]
    assert files(documents) == [f"{made.id}.sealed"]
    sealed = documents.path_of(made.id)
    if os.name == "posix":
        assert sealed.stat().st_mode & 0o077 == 0 and sealed.parent.stat().st_mode & 0o077 == 0
    for file in (one for one in tmp_path.rglob("*") if one.is_file()):
        assert PLAIN[:64] not in file.read_bytes() and b"letter" not in file.read_bytes()


def test_each_has_a_key_of_its_own_that_nothing_else_says(documents: Documents, database: Database) -> None:
    one, other = add(documents), add(documents)
    keys = [row[0] for row in database.ask("SELECT key FROM document")]
    assert len(set(keys)) == 2
    assert keys[0].hex() not in repr(one) and "letter" not in repr(other)
    # The file of one is no file of another: its id is sealed in.
    documents.path_of(one.id).write_bytes(documents.path_of(other.id).read_bytes())
    with pytest.raises(DocumentDamaged):
        list(documents.read(one.id))


def test_lists_are_of_one_person_the_newest_first(documents: Documents, store: Observations) -> None:
    ada = store.add_person("Ada", now=NOW).id
    made = [
        documents.add(
            [b"x"], person=ada, purpose="medical_report", media_type="image/png", title="t", pages=None,
            now=NOW + timedelta(minutes=k),
        )
        for k in (1, 3, 2)
    ]  # fmt: skip
    add(documents)
    assert documents.list(ada) == [made[1], made[2], made[0]]
    assert documents.delete(made[1].id, NOW) and not documents.delete(made[1].id, NOW)
    assert documents.get(made[1].id) is None and documents.list(ada) == [made[2], made[0]]
    assert documents.deleted(NOW) == [(NOW, made[1])]
    with pytest.raises(BadInput):
        documents.read(made[1].id)
    assert documents.restore(made[1].id) and not documents.restore(made[1].id)
    assert documents.get(made[1].id) == made[1] and documents.deleted(NOW) == []


def test_it_is_for_somebody_who_is_here(documents: Documents, store: Observations) -> None:
    ada, ben = store.add_person("Ada", now=NOW).id, store.add_person("Ben", now=NOW).id
    of_ada, gone = scan(ada), scan(ada)
    store.save_all([of_ada, gone])
    store.delete(gone.line.id, now=NOW)
    store.delete_person(ben, now=NOW)
    for person, observation in (
        (ben, None),
        ("x", None),
        (None, of_ada.line.id),
        (ada, gone.line.id),
        (ada, "x"),
    ):
        with pytest.raises(BadInput):
            add(documents, person=person, observation=observation)
    assert files(documents) == []
    add(documents, person=ada, observation=of_ada.line.id)


def test_an_empty_file_is_refused(documents: Documents) -> None:
    for chunks in ([], [b"", b""]):
        with pytest.raises(BadInput, match="empty"):
            documents.add(chunks, person=None, purpose="p", media_type="a/b", title="t", pages=None, now=NOW)
    assert files(documents) == [] and documents.list(None) == []


@pytest.mark.parametrize("media_type, pages", [("pdf", 1), ("text/html; charset=x", 1), ("a/b", 0)])
def test_facts_that_cannot_be_are_our_bug(documents: Documents, media_type: str, pages: int) -> None:
    with pytest.raises(ValueError):
        documents.add(
            [b"x"], person=None, purpose="p", media_type=media_type, title="t", pages=pages, now=NOW
        )
    assert files(documents) == []


@pytest.mark.parametrize(
    "name, title",
    [
        ("/home/ada/Röntgen  Knie.pdf", "Ro\u0308ntgen Knie.pdf"),
        ("C:\\Users\\ada\\scan.pdf", "scan.pdf"),
        ("a\r\nb\x00c\u202efdp.exe", "a b c fdp.exe"),
        ("\x00\x1b", "Document"),
        ("", "Document"),
        ("folder/", "Document"),
        ("x" * 300, "x" * LONGEST_TITLE),
        ("پری\u200cسا.pdf", "پری\u200cسا.pdf"),
    ],
)
def test_a_title_is_one_line_that_can_be_seen(documents: Documents, name: str, title: str) -> None:
    assert title_of(name) == title.replace("o\u0308", "\u00f6")
    assert add(documents, title=name).title == title_of(name)


def test_whoever_adds_is_told_how_far_it_is_and_may_cancel(documents: Documents) -> None:
    told: list[int] = []

    def chunks() -> Iterator[bytes]:
        for _ in range(10):
            yield bytes(50_000)

    def try_(after: int) -> None:
        documents.add(
            chunks(), person=None, purpose="p", media_type="a/b", title="t", pages=None, now=NOW,
            cancelled=lambda: len(told) >= after, progress=told.append,
        )  # fmt: skip

    try_(99)
    assert told == [50_000 * k for k in range(1, 11)]
    for after in (0, 4, 10):  # before the first, in the middle, after the last and before it is kept
        told.clear()
        with pytest.raises(Interrupted):
            try_(after)
        assert len(told) == after and len(files(documents)) == 1 and len(documents.list(None)) == 1


def test_what_the_source_raises_is_passed_on_and_nothing_is_left(documents: Documents) -> None:
    def chunks() -> Iterator[bytes]:
        yield bytes(200_000)
        raise FileNotFoundError("the stick was pulled")

    with pytest.raises(FileNotFoundError, match="stick"):
        documents.add(chunks(), person=None, purpose="p", media_type="a/b", title="t", pages=None, now=NOW)
    assert files(documents) == []


class _Full:
    """A file on a disk with room for `free` bytes."""

    def __init__(self, file: IO[bytes], free: int) -> None:
        self._file, self._free = file, free

    def write(self, data: bytes) -> int:
        self._free -= len(data)
        if self._free < 0:
            raise OSError(errno.ENOSPC, "no space")
        return self._file.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.mark.parametrize("free", [0, 100_000, len(PLAIN)])
def test_a_full_disk_is_told_and_nothing_is_left(
    documents: Documents, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    monkeypatch.setattr(module, "private", lambda path, real=journal.private: _Full(real(path), free))
    with pytest.raises(DiskFull):
        add(documents)
    assert files(documents) == [] and documents.list(None) == []


@pytest.mark.parametrize("step", ["flush", "flush_folder"])
def test_a_disk_that_fails_in_the_last_steps_leaves_nothing(
    documents: Documents, database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "the disk")

    monkeypatch.setattr(module, step, fails)
    with pytest.raises(StoreFault):
        add(documents)
    assert files(documents) == [] and database.ask("SELECT count(*) FROM document") == [(0,)]
    monkeypatch.undo()
    made = add(documents)
    assert documents.list(None) == [made]


def test_a_file_of_any_length_is_never_in_the_memory_as_a_whole(documents: Documents) -> None:
    megabytes = 24
    piece = os.urandom(100_000)
    tracemalloc.start()
    try:
        made = documents.add(
            (piece for _ in range(megabytes * 10)), person=None, purpose="p", media_type="a/b", title="t", pages=None, now=NOW
        )  # fmt: skip
        length = sum(len(chunk) for chunk in documents.read(made.id))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert length == made.length_bytes == megabytes * 1_000_000
    assert peak < 3_000_000


@pytest.mark.parametrize("damage", ["cut", "cut_between", "turned", "empty", "missing", "longer"])
def test_a_damaged_file_is_told(documents: Documents, damage: str) -> None:
    made = add(documents, bytes(3 * CHUNK_BYTES))
    path = documents.path_of(made.id)
    sealed = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(sealed[:-1])
        case "cut_between":
            path.write_bytes(sealed[: 7 + 2 * (CHUNK_BYTES + 16)])
        case "turned":
            path.write_bytes(sealed[:-20] + bytes([sealed[-20] ^ 1]) + sealed[-19:])
        case "empty":
            path.write_bytes(b"")
        case "longer":
            path.write_bytes(sealed + b"\0")
        case _:
            path.unlink()
    with pytest.raises(DocumentDamaged) as told:
        list(documents.read(made.id))
    assert told.value.code == "document_damaged"


def test_what_the_cloud_says_is_kept_and_asked_for_until_it_is_settled(documents: Documents) -> None:
    made = [add(documents).id for _ in range(6)]
    for id_, state in zip(
        made, [None, "awaiting", "processing", "failed", "ready", "quarantined"], strict=True
    ):
        documents.set_cloud_state(id_, state, "code" if state == "failed" else None)
    assert sorted(documents.waiting_for_cloud()) == sorted(made[1:4])
    documents.set_cloud_state(made[1], "examining")  # of a newer version
    documents.delete(made[2], NOW)
    assert sorted(documents.waiting_for_cloud()) == sorted([made[1], made[3]])
    failed = documents.get(made[3])
    assert failed is not None and (failed.cloud_state, failed.cloud_reason) == ("failed", "code")


def test_a_document_and_what_is_owed_for_it_are_one_transaction(
    documents: Documents, database: Database, store: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(database)
    outbox.set_enrolled(ENROLLED)
    ada = store.add_person("Ada", now=NOW).id
    agree(database, ada)
    made = add(documents, person=ada)
    assert states(outbox) == {made.id: "pending"}

    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(module, "flush_folder", fails)
    with pytest.raises(DiskFull):
        add(documents, person=ada)
    assert states(outbox) == {made.id: "pending"} and files(documents) == [f"{made.id}.sealed"]


def test_what_the_dead_left_is_tidied_and_what_is_being_written_is_not(
    documents: Documents, database: Database, tmp_path: Path
) -> None:
    kept = add(documents)
    folder = documents.path_of("x").parent
    (folder / "orphan.sealed").write_bytes(b"renamed, and its row was never committed")
    (folder / "dead.part").write_bytes(b"half")
    (folder / "dead.adding").touch()
    reached, go_on = threading.Event(), threading.Event()
    made: list[Document] = []

    def slowly() -> Iterator[bytes]:
        yield bytes(100_000)
        reached.set()
        assert go_on.wait(30)
        yield b"end"

    def adding() -> None:
        other = Database(tmp_path / FILE_NAME, KEY)
        made.append(
            Documents(other).add(
                slowly(), person=None, purpose="p", media_type="a/b", title="t", pages=None, now=NOW
            )
        )
        other.close()

    thread = threading.Thread(target=adding)
    thread.start()
    assert reached.wait(30)
    assert documents.tidy() == 2
    go_on.set()
    thread.join()
    assert documents.tidy() == 0
    assert files(documents) == sorted(f"{one.id}.sealed" for one in (kept, *made))
    assert b"".join(documents.read(made[0].id)) == bytes(100_000) + b"end"


def test_files_without_a_row_stay_while_their_keys_may_be_in_a_damaged_database(
    documents: Documents, tmp_path: Path
) -> None:
    assert documents.tidy() == 0  # there is no folder yet
    add(documents)
    orphan = documents.path_of("orphan")
    orphan.write_bytes(b"x")
    aside = tmp_path / "damaged-1.db"
    aside.write_bytes(b"x")
    assert documents.tidy() == 0 and orphan.exists()
    aside.unlink()
    assert documents.tidy() == 1 and not orphan.exists()


_VICTIM = """
import os, sys
from pathlib import Path
from client.store import documents
from client.store.database import FILE_NAME, Database
from tests.client.store.conftest import KEY, NOW

folder, at = Path(sys.argv[1]), sys.argv[2]
database = Database(folder / FILE_NAME, KEY)
real = getattr(documents, at, None)

def dies(*values):
    if at == "flush_folder":
        real(*values)
    os._exit(9)

def chunks():
    yield b"secret" * 50_000
    if at == "chunk":
        os._exit(9)

if real:
    setattr(documents, at, dies)
if at == "journal":
    Database._set_position = dies
documents.Documents(database).add(chunks(), person=None, purpose="p", media_type="a/b", title="t", pages=None, now=NOW)
"""


@pytest.mark.parametrize("at", ["chunk", "flush", "flush_folder"])
def test_a_process_that_is_killed_leaves_neither_a_row_nor_a_secret(tmp_path: Path, at: str) -> None:
    """In the middle of the file, before it is on the disk, and after it has its name and before the row is committed."""
    ended = subprocess.run([sys.executable, "-c", _VICTIM, str(tmp_path), at], check=False, timeout=120)
    assert ended.returncode == 9
    for file in (one for one in tmp_path.rglob("*") if one.is_file()):
        assert b"secretsecret" not in file.read_bytes()
    database = Database(tmp_path / FILE_NAME, KEY)
    documents = Documents(database)
    assert documents.list(None) == [] and len(files(documents)) >= 1
    assert documents.tidy() == 1 and files(documents) == []
    database.close()


def test_a_process_that_is_killed_before_the_commit_has_kept_what_is_in_the_journal(tmp_path: Path) -> None:
    """Nobody was told; the next opening does the transaction again, and the file already has its name."""
    ended = subprocess.run(
        [sys.executable, "-c", _VICTIM, str(tmp_path), "journal"], check=False, timeout=120
    )
    assert ended.returncode == 9
    database = Database(tmp_path / FILE_NAME, KEY)
    documents = Documents(database)
    [found] = documents.list(None)
    documents.tidy()
    assert b"".join(documents.read(found.id)) == b"secret" * 50_000
    assert files(documents) == [f"{found.id}.sealed"]
    database.close()
