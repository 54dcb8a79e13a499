"""client.policy: a managed computer's file is taken whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from client import config, policy
from client.errors import EnvironmentFault
from client.policy import Policy

WHOLE = b"""
cloud_url = "https://api.example.org"
proxy = "http://user:secret@proxy.example.org:3128"
ca_file = "ours.pem"
keep_days = 365
keep_deleted_days = 7
backup_every_hours = 1
backups_kept = 5
confirm_record_number = true
ask_for_consent = false
fhir_url = "https://fhir.example.org/R4"
send_scan_reports = true
country = "PT"
assistant = false
cloud_voice = true
recogniser_folder = "speech"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "policy.toml"
    monkeypatch.setattr(config, "policy_file", lambda: made)
    return made


def test_without_a_file_the_defaults_hold(file: Path) -> None:
    assert policy.load() == Policy()


def test_each_key_is_taken(file: Path) -> None:
    file.write_bytes(WHOLE)
    found = policy.load()
    assert found == Policy(
        cloud_url="https://api.example.org",
        proxy="http://user:secret@proxy.example.org:3128",
        ca_file=file.parent / "ours.pem",
        keep_days=365,
        keep_deleted_days=7,
        backup_every_hours=1,
        backups_kept=5,
        confirm_record_number=True,
        ask_for_consent=False,
        fhir_url="https://fhir.example.org/R4",
        send_scan_reports=True,
        country="PT",
        assistant=False,
        cloud_voice=True,
        recogniser_folder=file.parent / "speech",
    )
    assert "secret" not in repr(found)


def test_the_file_of_another_editor_is_read(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfkeep_days = 30\r\n")
    assert policy.load().keep_days == 30


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    authority = tmp_path / "elsewhere" / "ca.pem"
    found = policy.read(f"ca_file = '{authority}'".encode(), tmp_path / "here")
    assert found.ca_file == authority


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("keep_dayz = 3", "keep_dayz"),
        ("keep_days = '3'", "keep_days"),
        ("keep_days = true", "keep_days"),
        ("country = 'pt'", "country"),
        ("country = 'Portugal'", "country"),
        ("country = 351", "country"),
        ("keep_days = 3.0", "keep_days"),
        ("keep_days = 0", "keep_days"),
        ("keep_days = 99999999999999999999", "keep_days"),
        ("keep_deleted_days = -1", "keep_deleted_days"),
        ("backups_kept = 0", "backups_kept"),
        ("confirm_record_number = 1", "confirm_record_number"),
        ("ask_for_consent = 'false'", "ask_for_consent"),
        ("cloud_url = 'ftp://example.org'", "cloud_url"),
        ("cloud_url = 'http://example.org'", "cloud_url"),
        ("cloud_url = ['https://example.org']", "cloud_url"),
        ("cloud_url = 'https://user:word@example.org'", "cloud_url"),
        ("cloud_url = 'https://example.org/?a=b'", "cloud_url"),
        ("cloud_url = 'http://127.0.0.1.example.org'", "cloud_url"),
        ("fhir_url = 'https://user@example.org/R4'", "fhir_url"),
        ("fhir_url = 'https://example.org/a|b'", "fhir_url"),
        ("proxy = 'proxy.example.org:3128'", "proxy"),
        ("proxy = 'https://'", "proxy"),
        ('proxy = "https://a b"', "proxy"),
        ("ca_file = ''", "ca_file"),
        ("ca_file = 3", "ca_file"),
        ("[policy]\nkeep_days = 3", "policy"),
    ],
)
def test_a_mistake_is_told_by_its_key_and_nothing_is_taken(file: Path, line: str, key: str) -> None:
    file.write_text(f"backup_every_hours = 2\n{line}\n", encoding="utf-8")
    with pytest.raises(EnvironmentFault) as caught:
        policy.load()
    assert key in caught.value.title and str(file) in caught.value.remedy


@pytest.mark.parametrize(
    "data",
    [b"keep_days", b"keep_days = 3\nkeep_days = 4", b"\xff\xfe\x00", b"a = " + b"[" * 50_000, b"#" * 200_000],
    ids=["no TOML", "twice", "no UTF-8", "nested", "endless"],
)
def test_what_is_no_toml_is_refused(data: bytes, file: Path) -> None:
    file.write_bytes(data)
    with pytest.raises(EnvironmentFault, match="no TOML"):
        policy.load()


def test_a_file_that_cannot_be_read_is_not_the_same_as_none(file: Path) -> None:
    file.mkdir()
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        policy.load()


def test_a_key_from_outside_does_not_write_the_sentence(file: Path) -> None:
    file.write_text('"a {b}\\n% \\u202e" = 1', encoding="utf-8")
    with pytest.raises(EnvironmentFault) as caught:
        policy.load()
    assert "\n" not in caught.value.title and "\u202e" not in caught.value.title


def test_a_file_that_is_named_and_not_there_is_not_the_same_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is not connected yet must not turn a managed computer into one that nobody manages."""
    monkeypatch.setattr(config, "_site_folders", lambda: [tmp_path / "of-system"])
    monkeypatch.setenv("HEALTH_HELPER_POLICY", str(tmp_path / "mine.toml"))
    with pytest.raises(EnvironmentFault, match="cannot be read") as caught:
        policy.load()
    assert "mine.toml" in caught.value.remedy
    (tmp_path / "of-system").mkdir()
    (tmp_path / "of-system" / "policy.toml").symlink_to(tmp_path / "gone")
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        policy.load()
    monkeypatch.delenv("HEALTH_HELPER_POLICY")
    (tmp_path / "of-system" / "policy.toml").unlink()
    assert policy.load() == Policy()


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
@pytest.mark.parametrize("open_to_all", ["policy.toml", ".", "ours.pem"])
def test_a_policy_that_everybody_can_change_is_nobodys(file: Path, open_to_all: str) -> None:
    (file.parent / "ours.pem").write_text("", encoding="ascii")
    file.write_text("ca_file = 'ours.pem'", encoding="ascii")
    assert policy.load().ca_file == file.parent / "ours.pem"
    loose = file.parent / open_to_all
    loose.chmod(loose.stat().st_mode | 0o002)
    with pytest.raises(EnvironmentFault, match="changed by everybody"):
        policy.load()
    if open_to_all == ".":
        loose.chmod(0o1777)  # as /tmp: in it each has their own
        assert policy.load().ca_file is not None
