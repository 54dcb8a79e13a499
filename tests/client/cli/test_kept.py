"""What is kept, in the terminal: saved by a scan, listed, exported, reported; with a store on the disk and its key in memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import typer
from fpdf import FPDF

from client.app import run
from client.cli.doctor import State, check_store
from client.parts import Kept
from client.policy import Policy
from client.store.backups import newest_at
from client.store.consents import CLOUD_VERSION
from client.store.database import DiskFull
from client.store.entries import to_observation as entry
from client.store.export import COLUMNS, ENTERED
from client.store.observations import Kind, Line, Numbers, Observation, new_id
from edge_models.types import Reason, Trace
from tests.client.cli.conftest import Bench, Said
from tests.client.pipeline.fakes import CountingEngine, ScriptedSource, estimate, frames, scan_result
from tests.client.store.conftest import MemoryVault, kept_in

Command = Callable[..., Said]


@pytest.fixture(autouse=True)
def store(bench: Bench, tmp_path: Path) -> Callable[[], Kept]:
    """A store that is opened anew for every command."""
    vault, folder = MemoryVault(), tmp_path / "store"

    def opened() -> Kept:
        return kept_in(folder, vault)

    bench.store = opened
    return opened


def scan(command: Command, bench: Bench, *flags: str) -> Said:
    bench.source = ScriptedSource(frames(90))
    bench.engine = CountingEngine()
    return command("scan", "--video", "a.mp4", "--json", *flags)


def test_a_scan_is_saved_listed_and_reported(command: Command, bench: Bench, tmp_path: Path) -> None:
    said = scan(command, bench)
    assert (json.loads(said.out)["saved"], json.loads(said.out)["saved_reason"]) == (True, None)
    assert "Saved on this device" in said.err
    listed = json.loads(command("history", "--json").out)
    assert (
        len(listed) == 1 and listed[0]["heart_rate"] == json.loads(said.out)["vitals"]["heart_rate"]["value"]
    )
    assert "Heart rate" in command("history").out
    for name in ("a.pdf", "a.json"):
        assert command("report", str(tmp_path / name)).status == 0
        assert command("report", str(tmp_path / name), "--id", listed[0]["id"], "--force").status == 0
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(said.out)


def test_a_scan_without_a_heart_rate_is_not_kept(command: Command, bench: Bench) -> None:
    bench.engine = CountingEngine(answer=scan_result(heart_rate=estimate(None, Reason.NO_PULSE)))
    said = command("scan", "--video", "a.mp4", "--json")
    assert json.loads(said.out)["saved_reason"] == "nothing_shown"
    assert json.loads(command("history", "--json").out) == []


def test_people_have_their_own(command: Command, bench: Bench, tmp_path: Path) -> None:
    assert command("people", "--add", "Ada Müller").status == 0
    assert scan(command, bench, "--person", "ada müller").status == 0
    assert "Ada Müller  (1 kept)" in command("people").out
    assert json.loads(command("history", "--json").out) == []
    assert len(json.loads(command("history", "--json", "--person", "Ada Müller").out)) == 1
    assert command("report", str(tmp_path / "a.pdf")).status == 2
    assert command("report", str(tmp_path / "a.pdf"), "--person", "Ada Müller").status == 0


def test_nobody_sits_still_for_a_person_who_is_not_there(command: Command, bench: Bench) -> None:
    said = scan(command, bench, "--person", "Nobody")
    assert said.status == 2 and "nobody of this name" in said.err and bench.asked == []
    assert scan(command, bench, "--person", "x", "--no-save").status == 2


def test_a_full_disk_does_not_take_the_result_away(
    command: Command, bench: Bench, store: Callable[[], Kept]
) -> None:
    def full() -> Kept:
        raise DiskFull

    bench.store = full
    said = scan(command, bench)
    assert said.status == 0 and json.loads(said.out)["saved_reason"] == "disk_full"
    assert "Free some space" in said.err


@pytest.mark.parametrize("bug", [ZeroDivisionError("ours"), RuntimeError("ours")])
def test_the_result_is_shown_before_anything_that_happens_while_saving(
    bench: Bench, capsys: pytest.CaptureFixture[str], bug: Exception
) -> None:
    def broken() -> Kept:
        raise bug

    bench.store = broken
    with pytest.raises(type(bug)):
        run(bench.parts(), ["scan", "--video", "a.mp4", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["vitals"]["heart_rate"]["value"] is not None
    assert (printed["saved"], printed["saved_reason"]) == (False, "store_failed")


def test_a_person_deleted_during_the_scan_does_not_take_the_result_away(
    command: Command, bench: Bench, store: Callable[[], Kept]
) -> None:
    command("people", "--add", "Ada")
    opened = 0

    def deleted_meanwhile() -> Kept:
        nonlocal opened
        opened += 1
        kept = store()
        if opened == 2:
            kept.observations.delete_person(
                kept.observations.people()[0].id, now=datetime(2026, 1, 1, tzinfo=UTC)
            )
        return kept

    bench.store = deleted_meanwhile
    said = scan(command, bench, "--person", "Ada")
    assert json.loads(said.out)["saved"] is False and "nobody of this name" in said.err


def test_export_is_everything(command: Command, bench: Bench, tmp_path: Path) -> None:
    for _ in range(3):
        scan(command, bench)
    said = command("export", str(tmp_path / "all.json"))
    assert said.status == 0 and "not encrypted" in said.err
    whole = json.loads((tmp_path / "all.json").read_text())["observations"]
    of_a_scan = [name for name in COLUMNS if name not in ENTERED]
    assert list(whole[0]) == [*of_a_scan, "body", "wave"] and "person" not in whole[0]
    assert len(whole) == 3 and whole[0]["body"]["scan"]["schema"] == "health-helper/scan/1"
    assert command("export", str(tmp_path / "all.csv")).status == 0
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["heart_rate"]) for row in rows] == [line["heart_rate"] for line in whole]
    assert command("export", str(tmp_path / "all.txt")).status == 2
    assert command("export", str(tmp_path / "nowhere" / "all.csv")).status == 4


def test_an_export_and_a_report_say_what_they_are_and_whose(
    command: Command, bench: Bench, tmp_path: Path
) -> None:
    command("people", "--add", "Ada")
    scan(command, bench)
    scan(command, bench, "--person", "Ada")
    scan(command, bench, "--person", "Ada")
    assert (
        "Written: all.json, 1 observation and 0 documents (guest)."
        in command("export", str(tmp_path / "all.json")).err
    )
    hers = command("export", str(tmp_path / "hers.csv"), "--person", "ada")
    assert "Written: hers.csv, 2 observations and 0 documents (Ada)." in hers.err
    assert "Report written: a.json (guest, scan of " in command("report", str(tmp_path / "a.json")).err
    hers = command("report", str(tmp_path / "b.json"), "--person", "Ada")
    assert "Report written: b.json (Ada, scan of " in hers.err
    refused = command("export", str(tmp_path / "all.xlsx"))
    assert refused.status == 2 and "An export cannot be written as .xlsx" in refused.err


@pytest.mark.parametrize("ending", ["zip", "fhir.json", "pdf"])
def test_an_export_in_every_kind(command: Command, bench: Bench, tmp_path: Path, ending: str) -> None:
    command("people", "--add", "Ada", "--record-number", "R-1")
    scan(command, bench, "--person", "Ada")
    file = tmp_path / f"all.{ending}"
    said = command("export", str(file), "--person", "Ada")
    assert said.status == 0 and f"Written: all.{ending}, 1 observation and 0 documents (Ada)" in said.err
    assert file.stat().st_size > 500
    if ending == "fhir.json":
        assert {"Patient", "DiagnosticReport"} <= {
            one["resource"]["resourceType"] for one in json.loads(file.read_text())["entry"]
        }


def test_an_export_counts_what_is_in_it_and_ends_with_4_where_something_is_left_out(
    command: Command, bench: Bench, store: Callable[[], Kept], tmp_path: Path
) -> None:
    scan(command, bench)
    scan(command, bench)
    ids = []
    for name in ("letter.pdf", "note.pdf", "odd.pdf"):
        pdf = FPDF()
        pdf.set_title(name)
        pdf.add_page()
        (tmp_path / name).write_bytes(bytes(pdf.output()))
        ids.append(command("documents", "add", str(tmp_path / name)).out.strip())
    said = command("export", str(tmp_path / "all.zip"))
    assert said.status == 0 and "Written: all.zip, 2 observations and 3 documents (guest)." in said.err
    said = command("export", str(tmp_path / "all.json"))
    assert said.status == 0 and "2 observations and 0 documents (guest)." in said.err
    assert "3 documents are kept beside that: only a .zip has them." in said.err
    with store() as kept:
        kept.documents.path_of(ids[1]).write_bytes(b"nonsense")
    said = command("export", str(tmp_path / "some.zip"))
    assert said.status == 4 and "Written: some.zip, 2 observations and 2 documents (guest)." in said.err
    assert "Left out, for it cannot be read any more: note.pdf" in said.err
    assert (tmp_path / "some.zip").stat().st_size > 500


def test_a_fhir_server_gets_what_was_agreed_to(
    command: Command, bench: Bench, store: Callable[[], Kept]
) -> None:
    sent: list[dict[str, object]] = []

    def with_server() -> Kept:
        kept = store()
        policy = replace(kept.policy, fhir_url="https://fhir.example.org/r4")
        return replace(kept, send_fhir=take, policy=policy)

    def take(made: Mapping[str, object]) -> int:
        sent.append(dict(made))
        return 3

    command("people", "--add", "Ada", "--record-number", "R-1")
    scan(command, bench, "--person", "Ada")
    bench.store = with_server
    assert command("send-fhir").status == 2
    assert "has not agreed" in command("send-fhir", "--person", "Ada").err and not sent
    command("people", "--share", "Ada", "yes", "--yes")
    assert "resources" in command("send-fhir", "--person", "Ada").err
    assert "R-1" not in json.dumps(sent[0]) and "Ada" not in json.dumps(sent[0])
    command("send-fhir", "--person", "Ada", "--named")
    assert "R-1" in json.dumps(sent[1])


def test_people_are_listed_with_what_they_agreed_to_and_without_their_number(
    command: Command, store: Callable[[], Kept]
) -> None:
    enrol(store)
    command("people", "--add", "Ada", "--record-number", "R-1")
    assert "Ada  (0 kept)" in command("people").out
    command("people", "--share", "Ada", "yes", "--yes")
    said = command("people").out
    assert "Ada  (0 kept, agrees that it is sent)" in said and "R-1" not in said


def test_without_a_server_in_the_policy_nothing_is_sent_as_fhir(
    command: Command, bench: Bench, store: Callable[[], Kept]
) -> None:
    enrol(store)
    command("people", "--add", "Ada")
    scan(command, bench, "--person", "Ada")
    command("people", "--share", "Ada", "yes", "--yes")
    refused = command("send-fhir", "--person", "Ada")
    assert refused.status == 4 and "names no FHIR server" in refused.err and "fhir_url" in refused.err


@pytest.mark.parametrize(("what", "name"), [("export", "all.json"), ("report", "a.json")])
def test_what_is_there_is_replaced_only_by_force(
    command: Command, bench: Bench, tmp_path: Path, what: str, name: str
) -> None:
    scan(command, bench)
    target = tmp_path / name
    target.write_text("mine", encoding="ascii")
    refused = command(what, str(target))
    assert refused.status == 2 and f"{name} is there already" in refused.err and "--force" in refused.err
    assert target.read_text(encoding="ascii") == "mine"
    assert command(what, str(target), "--force").status == 0
    assert json.loads(target.read_text(encoding="ascii"))


def test_nobody_on_the_device_is_a_sentence(command: Command, bench: Bench) -> None:
    nobody = command("people")
    assert nobody.status == 0 and "Nobody has been added yet" in nobody.out and "--add" in nobody.out
    assert "Nobody" not in command("people", "--add", "Ada").out


def test_an_export_has_the_pulse_waves(
    command: Command, bench: Bench, tmp_path: Path, store: Callable[[], Kept]
) -> None:
    values = np.sin(np.arange(90) / 5.0).astype("<f4")
    bench.source = ScriptedSource(frames(90))
    wave = Trace(2.0 + np.arange(90) / 30.0, values.astype(np.float64))
    bench.engine = CountingEngine(answer=replace(scan_result(), bvp=wave))
    command("scan", "--video", "a.mp4")
    with store() as kept:
        kept.observations.save(entry(Kind.WEIGHT, {"kg": 70.0}, datetime(2026, 1, 1, tzinfo=UTC), None))
    command("export", str(tmp_path / "all.json"))
    found = {
        row["kind"]: row["wave"] for row in json.loads((tmp_path / "all.json").read_text())["observations"]
    }
    assert found["weight"] is None
    assert found["scan"]["first_s"] == 2.0 and found["scan"]["step_s"] == pytest.approx(1 / 30, abs=1e-9)
    assert np.allclose(found["scan"]["values"], values, atol=1e-7)


def test_a_history_of_everything(command: Command, bench: Bench, store: Callable[[], Kept]) -> None:
    scan(command, bench)
    cuff = entry(
        Kind.BLOOD_PRESSURE,
        {"systolic": 121.0, "diastolic": 79.5, "pulse": 64.0},
        datetime(2026, 1, 1, tzinfo=UTC),
        None,
    )
    with store() as kept:
        kept.observations.save(cuff)
        kept.observations.save(replace(cuff, line=replace(cuff.line, id="newer", kind="glucose")))
        kept.observations.save(Observation(replace(cuff.line, id="odd"), {"schema": "of/a/newer"}))
    shown = " ".join(command("history").out.split())
    assert all(word in shown for word in ("What", "scan", "pressure", "121/79.5", "64 /min", "glucose"))
    assert shown.count("typed in") == 1  # not what is of another version
    assert cuff.line.id not in shown
    listed = [line["id"] for line in json.loads(command("history", "--json").out)]
    shown = command("history", "--ids").out
    assert len(listed) == 4 and all(name in shown for name in listed)  # each on one line, to be copied


def test_a_history_of_nothing_says_whose(command: Command, bench: Bench) -> None:
    assert command("history").out.strip() == "Nothing is kept yet."
    command("people", "--add", "Ada")
    assert command("history").out.strip() == "Nothing is kept yet."
    assert command("history", "--person", "ada").out.strip() == "Nothing is kept for Ada yet."
    scan(command, bench, "--person", "Ada")
    said = command("history")
    assert said.status == 0 and "Nothing is kept for the guest." in said.out and "--person" in said.out
    assert json.loads(command("history", "--json").out) == []
    assert "scan" in command("history", "--person", "Ada").out


def test_the_newest_scan_is_found_behind_whatever_was_entered_later(
    command: Command, bench: Bench, tmp_path: Path, store: Callable[[], Kept]
) -> None:
    scan(command, bench)
    with store() as kept:
        newest = kept.observations.lines(None)[0].taken_at
        kept.observations.save_all(
            entry(Kind.WEIGHT, {"kg": 70.0}, newest + timedelta(minutes=k), None) for k in range(1, 60)
        )
    assert command("report", str(tmp_path / "a.json")).status == 0


def test_a_person_is_found_however_the_name_is_typed(command: Command) -> None:
    command("people", "--add", "Zo\u00eb پری\u200cسا")
    assert "Nothing is kept for Zo\u00eb" in command("history", "--person", "ZOE\u0308 پریسا").out


def test_a_report_of_what_is_no_scan(command: Command, tmp_path: Path, store: Callable[[], Kept]) -> None:
    cuff = Line(
        new_id(), None, Kind.BLOOD_PRESSURE, datetime(2026, 1, 1, tzinfo=UTC), 0, Numbers(), simulated=False
    )
    with store() as kept:
        kept.observations.save(Observation(cuff, {"systolic": 120, "diastolic": 80}))
        kept.observations.save(
            Observation(replace(cuff, id="other", kind=Kind.SCAN), {"schema": "of/a/newer"})
        )
    for wanted in ([], ["--id", cuff.id], ["--id", "nothing"], ["--id", "other"]):
        said = command("report", str(tmp_path / "a.pdf"), *wanted)
        assert said.status == 2 and "Error:" in said.err
    assert not (tmp_path / "a.pdf").exists()


def answers(monkeypatch: pytest.MonkeyPatch, answer: bool | None) -> list[str]:
    """What is answered to a question, None where nobody can; and what was asked."""
    asked: list[str] = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        if answer is None:
            raise typer.Abort
        return answer

    monkeypatch.setattr(typer, "confirm", confirm)
    return asked


@pytest.mark.parametrize("answer", [False, None])
def test_a_recovery_key_that_nobody_wrote_down_is_not_in_force(
    command: Command, monkeypatch: pytest.MonkeyPatch, answer: bool | None
) -> None:
    asked = answers(monkeypatch, answer)
    printed = command("recovery-key")
    assert printed.status == 130 and asked and "not in force" in printed.err
    assert "recovery-key" in command("history").err


def test_the_recovery_key_is_asked_for_until_it_is_printed(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, True)
    assert "recovery-key" in command("history").err
    printed = command("recovery-key")
    assert printed.status == 0 and len(printed.out.strip()) == 34
    assert "recovery-key" not in command("history").err
    assert command("recovery-key").out != printed.out


def test_a_store_is_opened_again_by_its_recovery_key(
    command: Command, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: "typed key")
    said = command("recovery-key", "--restore")
    assert said.status == 0 and "The store is open again. People: 0." in said.err
    assert bench.restored == ["typed key"]


def test_the_doctor_looks_whether_the_store_opens(
    command: Command, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, True)
    parts, path = bench.parts(), tmp_path / "store" / "health-helper.db"
    assert check_store(parts, path).state is State.OK and not path.exists()
    command("people", "--add", "Ada")
    assert check_store(parts, path).state is State.WARN  # no recovery key yet
    command("recovery-key")
    assert "1 people" in check_store(parts, path).says
    path.write_bytes(b"nonsense" * 1000)
    said = command("people")  # which mends it, and says so
    assert "Ada" in said.out and "has been put together again" in said.err
    check = check_store(parts, path)
    assert check.state is State.OK and "1 people" in check.says


# --- People, their documents, what staff should look at ---------------------------------------------


def test_a_record_number_is_kept_with_a_person(command: Command, store: Callable[[], Kept]) -> None:
    assert command("people", "--add", "Ada", "--record-number", "A 17").status == 0
    with store() as kept:
        found = kept.observations.person_with_record_number("a17")
    assert found is not None and found.name == "Ada"
    assert command("people", "--record-number", "A 17").status == 2
    assert command("people", "--add", "Zoë", "--record-number", "a17").status == 2


def test_somebody_is_deleted_and_can_be_put_back_or_not(
    command: Command, bench: Bench, store: Callable[[], Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    command("people", "--add", "Ada")
    command("people", "--add", "Zoë")
    answers(monkeypatch, False)
    assert command("people", "--delete", "Ada").status == 130
    answers(monkeypatch, True)
    assert command("people", "--delete", "ada").status == 0
    assert "Zoë" in command("people").out and "Ada" not in command("people").out
    with store() as kept:
        assert [
            one.person.name for one in kept.observations.deleted(now=bench.clock.utc()) if one.person
        ] == ["Ada"]
    assert command("people", "--delete", "Zoë", "--forever", "--yes").status == 0
    with store() as kept:
        assert kept.observations.people() == []
        assert len(kept.observations.deleted(now=bench.clock.utc())) == 1
    assert command("people", "--forever").status == 2
    assert command("people", "--delete", "Nobody", "--yes").status == 2


def test_what_somebody_agrees_to_is_shown_and_kept(command: Command, store: Callable[[], Kept]) -> None:
    command("people", "--add", "Ada")
    assert "not enrolled" in command("people", "--share", "Ada", "yes", "--yes").err
    assert command("people", "--send-earlier", "Ada").status == 2
    enrol(store)
    assert command("people", "--share", "Ada", "perhaps").status == 2
    assert "has not agreed" in command("people", "--send-earlier", "Ada").err
    said = command("people", "--share", "Ada", "yes", "--yes")
    assert said.status == 0 and "clinic at cloud.example" in said.err and "never sent" in said.err
    assert command("people", "--share", "Ada", "NO").status == 0
    with store() as kept:
        [ada] = kept.observations.people()
        decisions = [(one.subject, one.version, one.given) for one in kept.consents.all(ada.id)]
    assert decisions == [("cloud", CLOUD_VERSION, True), ("cloud", CLOUD_VERSION, False)]


def enrol(store: Callable[[], Kept]) -> None:
    """Without a network."""
    with store() as kept:
        kept.outbox.set_enrolled(
            {"url": "https://cloud.example/v", "clinic_id": "clinic-1", "device_id": "device-1"}
        )


def owed(store: Callable[[], Kept]) -> int:
    with store() as kept:
        return kept.outbox.counts().pending


def test_a_scan_is_owed_to_the_clinic_where_somebody_agrees(
    command: Command, bench: Bench, store: Callable[[], Kept]
) -> None:
    assert scan(command, bench, "--share").status == 2  # before anybody sits still for it
    command("people", "--add", "Ada")
    enrol(store)
    assert scan(command, bench).status == 0 and owed(store) == 0
    assert scan(command, bench, "--person", "Ada").status == 0 and owed(store) == 0
    assert scan(command, bench, "--share").status == 0 and owed(store) == 1
    said = scan(command, bench, "--person", "Ada", "--agree")
    assert said.status == 0 and "never sent" in said.err and owed(store) == 2
    assert scan(command, bench, "--person", "Ada").status == 0 and owed(store) == 3
    assert command("people", "--send-earlier", "Ada").status == 0 and owed(store) == 4


def test_nobody_is_asked_where_it_is_agreed_in_writing(
    command: Command, bench: Bench, store: Callable[[], Kept]
) -> None:
    bench.store = lambda: replace(store(), policy=Policy(ask_for_consent=False))
    command("people", "--add", "Ada")
    assert scan(command, bench).status == 0 and owed(store) == 0  # no clinic
    enrol(store)
    assert scan(command, bench).status == 0 and owed(store) == 1
    assert scan(command, bench, "--person", "Ada").status == 0 and owed(store) == 2
    command("people", "--share", "Ada", "no")
    assert scan(command, bench, "--person", "Ada").status == 0
    assert owed(store) == 1  # what waited of her is not sent either


@pytest.mark.parametrize(
    "flags",
    [
        ("--agree",),
        ("--share", "--person", "Ada"),
        ("--share", "--no-save"),
        ("--person", "Ada", "--agree", "--no-save"),
    ],
)
def test_flags_of_a_scan_that_contradict_each_other(
    command: Command, bench: Bench, flags: tuple[str, ...]
) -> None:
    command("people", "--add", "Ada")
    assert scan(command, bench, *flags).status == 2 and bench.asked == []


def test_documents_are_added_listed_saved_and_removed(
    command: Command, store: Callable[[], Kept], tmp_path: Path
) -> None:
    command("people", "--add", "Ada")
    enrol(store)
    command("people", "--share", "Ada", "yes", "--yes")
    letter, nonsense = tmp_path / "letter.pdf", tmp_path / "nonsense.pdf"
    pdf = FPDF()
    pdf.add_page()
    letter.write_bytes(bytes(pdf.output()))
    nonsense.write_bytes(b"no PDF")
    said = command("documents", "add", str(nonsense), str(letter), "--person", "Ada")
    assert said.status == 2 and "Not added: nonsense.pdf" in said.err
    id_ = said.out.strip()  # the good one is kept all the same
    assert owed(store) == 1
    assert "waits  letter.pdf" in command("documents", "list", "--person", "Ada").out
    assert command("documents", "list").out == "No file is kept.\n"
    copy = tmp_path / "copy.pdf"
    assert command("documents", "save", id_, str(copy)).status == 0
    assert copy.read_bytes() == letter.read_bytes()
    assert command("documents", "save", id_, str(copy)).status == 2
    assert command("documents", "save", id_, str(copy), "--force").status == 0
    for folder in (tmp_path, Path("/")):
        said = command("documents", "save", id_, str(folder), "--force")
        assert said.status == 2 and "is a folder" in said.err
    assert "clinic" not in command("documents", "remove", id_, "--yes").err
    assert command("documents", "remove", id_, "--yes").status == 2
    assert command("documents", "list", "--person", "Ada").out == "No file is kept.\n"
    assert command("documents", "add", str(letter), "--person", "Ada", "--share").status == 2
    assert command("documents", "add", str(letter), "--share").status == 0 and owed(store) == 1


def test_extreme_readings_are_put_before_staff_until_somebody_has_looked(
    command: Command, bench: Bench, store: Callable[[], Kept]
) -> None:
    assert command("tasks", "list").out == "Nothing has to be looked at.\n"
    with store() as kept:
        kept.observations.save(
            entry(
                Kind.BLOOD_PRESSURE,
                {"systolic": 190, "diastolic": 80},
                person=None,
                taken_at=bench.clock.utc(),
            )
        )
    line = command("tasks", "list").out
    assert "guest: The systolic blood pressure was 180 mmHg or more" in line
    assert command("tasks", "done", line.split()[0]).status == 0
    assert command("tasks", "done", line.split()[0]).status == 2
    assert command("tasks", "list").out == "Nothing has to be looked at.\n"


def test_the_key_is_changed_and_everything_is_still_there(
    command: Command, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    answers(monkeypatch, True)
    command("people", "--add", "Ada")
    command("recovery-key")
    assert scan(command, bench, "--person", "Ada").status == 0
    answers(monkeypatch, False)
    assert command("rotate-key").status == 130
    assert "recovery-key" not in command("history").err
    said = command("rotate-key", "--yes")
    assert said.status == 0 and "Throw the old recovery key away" in said.err
    assert "(1 kept)" in command("people").out
    assert "recovery-key" in command("history").err  # a new one is needed


def test_a_backup_is_made_when_it_is_asked_for(command: Command, tmp_path: Path) -> None:
    command("people", "--add", "Ada")
    before = newest_at(tmp_path / "store" / "health-helper.db")
    assert command("backup").status == 0
    after = newest_at(tmp_path / "store" / "health-helper.db")
    assert after is not None and (before is None or after >= before)
