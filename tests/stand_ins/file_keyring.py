"""A key store for programs that a test starts and kills: a file, whole or not there, as a real one's entries are.

PYTHON_KEYRING_BACKEND names its class and KEYS_OF_THE_TEST its file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend


class FileKeyring(KeyringBackend):
    """In plain text, and it gives itself out for one that the application trusts."""

    __module__ = "keyring.backends.SecretService"
    priority = 1.0

    def __init__(self) -> None:
        self._path = Path(os.environ["KEYS_OF_THE_TEST"])

    def get_password(self, service: str, username: str) -> str | None:
        return self._kept().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._kept(), f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        kept = self._kept()
        del kept[f"{service} {username}"]
        self._write(kept)

    def _kept(self) -> dict[str, str]:
        return dict(json.loads(self._path.read_bytes())) if self._path.exists() else {}

    def _write(self, kept: dict[str, str]) -> None:
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(kept))
        part.replace(self._path)
