"""client.config: what is said of this installation."""

from __future__ import annotations

import sys

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
