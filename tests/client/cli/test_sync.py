"""Sending from the terminal: what is said, with which exit status, and what of it is a contract for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from client.clock import SystemClock
from client.cloud import faults
from client.parts import Kept
from client.pipeline.sync import Connection, SyncThread, Uploader
from client.store.consents import CLOUD_VERSION, Subject
from client.vault import VaultLocked
from tests.client.cli.conftest import Bench, Said
from tests.client.pipeline.cloud_double import CloudDouble
from tests.client.pipeline.test_sync import CLINIC, PDF, a_scan
from tests.client.store.conftest import MemoryVault, kept_in

Command = Callable[..., Said]


class Site:
    """A store that is opened anew for every command, enrolled with a cloud in memory, and a person in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.vault, self.clock = folder, MemoryVault(), SystemClock()
        self.cloud = CloudDouble(self.clock)
        with self.store() as kept:
            kept.outbox.set_enrolled(CLINIC)
            self.ada = kept.observations.add_person("Ada Lovelace", now=self.clock.utc()).id
            kept.consents.record(self.ada, Subject.CLOUD, CLOUD_VERSION, True, "en", self.clock.utc())

    def store(self) -> Kept:
        kept = kept_in(self.folder, self.vault)
        uploader = Uploader(
            kept.outbox,
            kept.observations,
            kept.documents,
            connect=lambda: Connection(self.cloud, self.cloud.close),
            enrolment=kept.outbox.enrolled,
            folder=self.folder,
            clock=self.clock,
            rng=Random(1),
            version="1.0",
            system="Linux",
        )
        sync = SyncThread(uploader, self.clock, lambda: None)

        def close() -> None:
            sync.end(5.0)
            uploader.close()
            kept.close()

        return replace(kept, sync=sync, close=close)

    def scan(self) -> str:
        made = a_scan(self.clock.utc(), person=self.ada)
        with self.store() as kept:
            kept.observations.save(made)
        return made.line.id

    def document(self, data: bytes = PDF) -> str:
        with self.store() as kept:
            return kept.documents.add(
                [data],
                person=self.ada,
                purpose="medical_report",
                media_type="application/pdf",
                title="Ada's letter.pdf",
                pages=1,
                now=self.clock.utc(),
            ).id


@pytest.fixture
def site(bench: Bench, tmp_path: Path) -> Site:
    made = Site(tmp_path / "store")
    bench.store = made.store
    return made


def shown(said: Said) -> dict[str, Any]:
    assert said.out.count("\n") == 1
    found = json.loads(said.out)
    assert isinstance(found, dict)
    return found


def test_all_is_sent_and_then_there_is_nothing(command: Command, site: Site) -> None:
    ids = [site.scan(), site.scan()]
    file = site.document()
    said = command("sync", "--once")
    assert (said.status, said.out) == (0, "") and "idle: 0 waiting, 0 refused" in said.err
    assert site.cloud.order == [*ids, file]
    assert command("sync", "--once").status == 0 and site.cloud.again == []


def test_what_is_refused_is_3_and_can_be_tried_again(command: Command, site: Site) -> None:
    bad, good = site.scan(), site.scan()
    site.cloud.verdicts = {bad: "invalid"}
    said = command("sync", "--once", "--json")
    found = shown(said)
    assert said.status == 3 and site.cloud.order == [good]
    assert (found["schema"], found["pending"], found["sending"], found["parked"]) == (
        "health-helper/sync/1",
        0,
        0,
        1,
    )
    [item] = found["items"]
    assert set(item) == {"id", "kind", "state", "tries", "reason", "made_at"}
    assert (item["id"], item["kind"], item["state"], item["reason"]) == (
        bad,
        "observation",
        "parked",
        "invalid",
    )
    assert "invalid" in command("sync", "--status").out
    assert command("sync", "--retry", "no-such-id").status == 2
    assert command("sync", "--retry", bad).status == 0
    site.cloud.verdicts = {}
    assert command("sync", "--once").status == 0 and site.cloud.order == [good, bad]
    assert "0 wait again" in command("sync", "--retry").err


def test_what_may_not_be_tried_yet_is_3(command: Command, site: Site) -> None:
    file = site.document()
    site.cloud.state = "failed"
    assert command("sync", "--once").status == 3
    assert shown(command("sync", "--status", "--json"))["items"][0]["id"] == file


@pytest.mark.parametrize(
    "fault, words, reason",
    [
        (faults.Offline(), "no connection to a network", "offline"),
        (
            faults.CertificateUntrusted("Firewall"),
            "Firewall, whom this computer does not trust",
            "certificate_untrusted",
        ),
        (faults.CaptivePortal(), "wants a login", "captive_portal"),
        (faults.DeviceRevoked(), "ended the enrolment", "device_revoked"),
        (faults.ServerBusy(503), "cannot do this at the moment", "server_busy"),
        (VaultLocked(), "key store of this system is locked", "keyring_locked"),
    ],
)
def test_what_hinders_it_is_4_and_said_in_a_sentence(
    command: Command, site: Site, fault: Exception, words: str, reason: str
) -> None:
    site.scan()

    def trouble(_name: str) -> None:
        raise fault

    site.cloud.trouble = trouble
    said = command("sync", "--once", "--json")
    assert said.status == 4 and words in said.err and "by itself" not in said.err
    assert (shown(said)["reason"], shown(said)["pending"]) == (reason, 1)


def test_it_is_4_where_no_clinic_is_or_another_program_sends(command: Command, site: Site) -> None:
    site.scan()
    with site.store() as window:
        window.sync.uploader.step()
        said = command("sync", "--once")
        assert said.status == 4 and "Another program of Health Helper" in said.err
    with site.store() as kept:
        kept.outbox.set_enrolled(None)
    said = command("sync", "--once")
    assert said.status == 4 and "not enrolled with a clinic" in said.err


def test_the_status_asks_no_network_and_names_nobody(command: Command, site: Site) -> None:
    site.scan()
    site.document()
    said = command("sync", "--status", "--json")
    found = shown(said)
    assert site.cloud.asked == [] and said.status == 0
    assert found["enrolled"] is True and found["clinic_id"] == CLINIC["clinic_id"]
    assert (found["pending"], found["state"], found["reason"]) == (2, "waiting", None)
    assert 0.0 <= found["oldest_waiting_s"] < 60.0
    assert {"schema", "enrolled", "clinic_id", "pending", "sending", "parked", "oldest_waiting_s"} <= set(
        found
    )
    plain = command("sync").out
    for word in ("Ada", "Lovelace", "letter", site.ada):
        assert word not in said.out and word not in plain
    assert "2 waiting, 0 refused" in plain


@pytest.mark.parametrize(
    ("fault", "state", "code", "words", "remedy"),
    [
        (faults.DeviceRevoked(), "revoked", "device_revoked", "ended the enrolment", "a new code"),
        (faults.SignInLost(), "sign_in_lost", "sign_in_lost", "does not accept", "a new code"),
        (faults.ServerBusy(500), "waiting", "server_busy", "at the moment (500)", "Run 'health-helper sync --once'"),
        (faults.Refused(404), "waiting", "refused", "does not take this (404)", "newest version"),
        (faults.CertificateUntrusted("Ada's wall"), "untrusted", "certificate_untrusted", "not trusted", "Nothing was sent"),
        (faults.ClockWrong("2019-01-01"), "waiting", "clock_wrong", "(clock_wrong)", "to see why"),
    ],
)  # fmt: skip
def test_the_status_says_what_stood_against_it_and_what_to_do_until_it_is_over(
    command: Command,
    site: Site,
    fault: faults.CloudFault,
    state: str,
    code: str,
    words: str,
    remedy: str,
) -> None:
    one = site.scan()

    def trouble(name: str) -> None:
        if name == "config":
            raise fault

    site.cloud.trouble = trouble
    said = command("sync", "--once")
    assert said.status == (0 if fault.scope == "item" else 4) and fault.title in said.err
    assert "tried again by itself" not in said.err
    waits = int(fault.scope == "all")  # all is sent without the settings, where only they are refused
    for _ in range(2):
        site.cloud.asked.clear()
        found, plain = shown(command("sync", "--status", "--json")), command("sync", "--status")
        assert site.cloud.asked == [] and plain.status == 0
        assert (found["state"], found["reason"], found["pending"]) == (
            state if waits else "idle",
            code,
            waits,
        )
        assert "Trouble (since 20" in plain.out and words in plain.out and remedy in plain.out
        assert "tried again by itself" not in plain.out and "Ada" not in plain.out
    site.cloud.trouble = lambda _: None
    assert command("sync", "--once").status == 0 and site.cloud.order == [one]
    assert shown(command("sync", "--status", "--json"))["reason"] is None
    assert "Trouble" not in command("sync", "--status").out


def test_what_stood_against_an_enrolment_goes_with_it_and_an_outage_is_not_noted(
    command: Command, site: Site
) -> None:
    site.scan()

    def trouble(_name: str) -> None:
        raise fault

    site.cloud.trouble = trouble
    fault: faults.CloudFault = faults.DeviceRevoked()
    command("sync", "--once")
    fault = faults.Offline()
    command("sync", "--once")
    assert shown(command("sync", "--status", "--json"))["reason"] == "device_revoked"
    with site.store() as kept:
        kept.outbox.set_enrolled({**CLINIC, "device_id": "another"})
    found = shown(command("sync", "--status", "--json"))
    assert (found["reason"], found["state"]) == (None, "waiting")
    command("sync", "--once")
    assert shown(command("sync", "--status", "--json"))["reason"] is None


def test_what_waits_still_is_said_with_what_to_do(command: Command, site: Site) -> None:
    site.document()
    site.cloud.state = "failed"
    said = command("sync", "--once")
    assert said.status == 3 and "Something waits still. Run this command again" in said.err


def test_a_bug_of_ours_is_raised(command: Command, site: Site) -> None:
    site.scan()

    def buggy(_name: str) -> None:
        raise ZeroDivisionError

    site.cloud.trouble = buggy
    with pytest.raises(ZeroDivisionError):
        command("sync", "--once")
    assert shown(command("sync", "--status", "--json"))["pending"] == 1


def test_ctrl_c_leaves_everything_pending(command: Command, site: Site) -> None:
    site.scan()

    def ended(name: str) -> None:
        if name == "observations":
            raise KeyboardInterrupt

    site.cloud.trouble = ended
    said = command("sync", "--once")
    assert said.status == 130 and "What waits is sent the next time" in said.err
    found = shown(command("sync", "--status", "--json"))
    assert (found["pending"], found["sending"]) == (1, 0)


def test_watching_ends_with_ctrl_c(command: Command, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    one = site.scan()
    looks = iter(range(1000))

    def looked(seconds: float) -> None:
        if site.cloud.order or next(looks) > 500:
            raise KeyboardInterrupt
        real(min(seconds, 0.02))

    from client.cli import sync

    real = sync.wait
    monkeypatch.setattr(sync, "wait", looked)
    said = command("sync", "--watch")
    assert said.status == 130 and site.cloud.order == [one]
    assert "waiting" in said.err


def test_what_was_refused_is_taken_out_whole(command: Command, site: Site, tmp_path: Path) -> None:
    bad = site.scan()
    site.cloud.verdicts = {bad: "conflict"}
    site.cloud.state = "quarantined"
    file = site.document()
    waits = site.scan()
    command("sync", "--once")
    target = tmp_path / "out"
    said = command("sync", "--export", str(target))
    assert said.status == 0 and "2 of 2" in said.err
    assert (target / f"{file}.pdf").read_bytes() == PDF
    kept = json.loads((target / f"{bad}.json").read_text(encoding="utf-8"))
    assert kept["id"] == bad and kept["body"]["scan"]["vitals"]["heart_rate"]["value"] == 70.0
    index = {one["id"]: one for one in json.loads((target / "index.json").read_text(encoding="utf-8"))}
    assert set(index) == {bad, file} and waits not in index
    assert index[file]["reason"] == "quarantined"
    assert command("sync", "--export", str(target)).status == 2  # nothing is written over


def test_a_folder_that_can_not_be_made_is_told(command: Command, site: Site, tmp_path: Path) -> None:
    site.scan()
    said = command("sync", "--export", str(tmp_path / ("x" * 300)))
    assert said.status == 4 and "can't be made" in said.err
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    assert command("sync", "--export", str(tmp_path / "link")).status == 2
    assert not (tmp_path / "nothing").exists()


def test_a_damaged_file_keeps_nothing_else_from_being_taken_out(
    command: Command, site: Site, tmp_path: Path
) -> None:
    bad = site.scan()
    site.cloud.verdicts = {bad: "conflict"}
    file = site.document()
    with site.store() as kept:
        kept.documents.path_of(file).write_bytes(b"nonsense")
    assert command("sync", "--once").status == 3
    said = command("sync", "--export", str(tmp_path / "out"))
    assert said.status == 4 and "damaged or missing" in said.err
    assert (tmp_path / "out" / f"{bad}.json").exists()


@pytest.mark.parametrize(
    "flags", [("--once", "--watch"), ("--status", "--retry"), ("some-id",), ("--watch", "--json")]
)
def test_options_that_do_not_go_together(command: Command, site: Site, flags: tuple[str, ...]) -> None:
    assert command("sync", *flags).status == 2
