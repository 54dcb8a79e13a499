"""client.config: what is said of this installation."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from client import config
from client.language import use


def test_a_checkout_is_set_up_again_and_what_was_installed_is_installed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "make setup" in config.repair() and config.repair().endswith(".")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert config.repair() == "Install Health Helper again."
    use({"Install Health Helper again.": "Instale Health Helper de nuevo."}.__getitem__)
    try:
        assert config.repair() == "Instale Health Helper de nuevo."
    finally:
        use(None)


@pytest.fixture
def of_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(config, "_site_folders", lambda: folders)
    return folders


def test_the_systems_policy_counts_whatever_the_environment_says(
    of_system: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTH_HELPER_POLICY", str(tmp_path / "mine.toml"))
    assert config.policy_file() == tmp_path / "mine.toml"
    of_second = of_system[1] / "policy.toml"
    of_second.write_text("", encoding="utf-8")
    assert config.policy_file() == of_second
    of_first = of_system[0] / "policy.toml"
    of_first.symlink_to(tmp_path / "gone")  # broken, and there all the same
    assert config.policy_file() == of_first


def test_without_any_policy_the_place_for_one_is_named(
    of_system: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEALTH_HELPER_POLICY", raising=False)
    assert config.policy_file() == of_system[0] / "policy.toml"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="XDG is of Linux")
def test_a_variable_cannot_hide_the_systems_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path))
    assert Path("/etc/xdg/health-helper") in config._site_folders()
