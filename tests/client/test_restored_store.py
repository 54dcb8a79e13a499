"""A store that was opened with its recovery key says whether the paper is the one in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from client import app, config
from client.store.opening import RECOVERY_NAME
from tests.client.pipeline.fakes import HandClock
from tests.client.store.conftest import MemoryVault


def test_a_restored_store_asks_for_a_key_on_paper_where_the_old_one_is_not_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = MemoryVault()
    monkeypatch.setattr(app, "SystemVault", lambda: vault)
    monkeypatch.setattr(config, "store_folder", lambda: tmp_path / "store")
    parts = app.real_parts(HandClock())
    file = tmp_path / "store" / RECOVERY_NAME
    with parts.store() as kept:
        old = kept.new_recovery_key()
        kept.confirm_recovery_key()
        file_of_old = file.read_bytes()
        new = kept.new_recovery_key()
        kept.confirm_recovery_key()
    vault.kept.clear()
    with parts.restore_store(new) as kept:
        assert not kept.needs_recovery_key
    file.write_bytes(file_of_old)  # out of an older backup, beside a newer database
    vault.kept.clear()
    with parts.restore_store(old) as kept:
        assert kept.needs_recovery_key
