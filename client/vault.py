"""The database's key in the key store of the operating system; nowhere else, and never in plain text.

Only key stores that encrypt and that the system unlocks for the person are used. Other keyring backends (plain files,
"null") are treated as if there were none.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Protocol

from client.config import APPLICATION
from client.errors import EnvironmentFault
from client.language import said

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

_TRUSTED = (
    "keyring.backends.SecretService",
    "keyring.backends.libsecret",
    "keyring.backends.kwallet",
    "keyring.backends.macOS",
    "keyring.backends.Windows",
)


class VaultFault(EnvironmentFault):
    """The key store can't be used. code: for programs, as `saved_reason` of a scan's JSON."""

    code: ClassVar[str]


class VaultMissing(VaultFault):
    """There is no key store on this system that may hold a secret."""

    code = "keyring_missing"

    def __init__(self) -> None:
        super().__init__(
            title=said("This system has no key store, so nothing can be kept"),
            remedy=said(
                "Start one (GNOME Keyring, KWallet) and try again. You can measure meanwhile and save a copy of the report."
            ),
            retry=True,
        )


class VaultLocked(VaultFault):
    """The key store is there and does not open."""

    code = "keyring_locked"

    def __init__(self) -> None:
        super().__init__(
            title=said("The key store of this system is locked, so nothing can be kept"),
            remedy=said(
                "Unlock it (log in to the desktop) and try again. You can measure meanwhile and save a copy of the report."
            ),
            retry=True,
        )


class VaultFailed(VaultFault):
    """The key store is there, open, and does not do what it is asked to."""

    code = "keyring_failed"

    def __init__(self, kind: str) -> None:
        super().__init__(
            title=said("The key store of this system fails ({kind})", kind=kind),
            remedy=said(
                "Run 'health-helper doctor'. You can measure meanwhile and save a copy of the report."
            ),
            retry=True,
        )


class Vault(Protocol):
    """Keeps short secrets under names. Each method may raise VaultMissing, VaultLocked or VaultFailed."""

    def read(self, name: str) -> bytes | None:
        """The secret, or None where there is none of this name."""

    def write(self, name: str, secret: bytes) -> None:
        """Keep a secret, instead of an older one of this name; it is read back before this returns."""

    def forget(self, name: str) -> None:
        """No secret of this name any more; nothing happens where there was none."""


class SystemVault:
    """GNOME Keyring, KWallet, macOS Keychain or Windows Credential Locker, through the library keyring."""

    def __init__(self, service: str = APPLICATION) -> None:
        self._service = service

    def read(self, name: str) -> bytes | None:
        with _Translated():
            text = _backend().get_password(self._service, name)
        if text is None:
            return None
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise VaultFailed(said("an entry that is not ours")) from None

    def write(self, name: str, secret: bytes) -> None:
        with _Translated():
            backend = _backend()
            backend.set_password(self._service, name, binascii.hexlify(secret).decode("ascii"))
            if backend.get_password(self._service, name) != secret.hex():
                raise VaultFailed(said("it does not give back what it was told"))

    def forget(self, name: str) -> None:
        with _Translated():
            backend = _backend()
            if backend.get_password(self._service, name) is not None:
                backend.delete_password(self._service, name)


class _Translated:
    """Errors of the library and of the bus behind it become ours; their words may hold names and are left behind."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        from keyring.errors import InitError, KeyringLocked, NoKeyringError

        if error is None or isinstance(error, EnvironmentFault):
            return
        if isinstance(error, NoKeyringError):
            raise VaultMissing from None
        if isinstance(error, (KeyringLocked, InitError)):
            raise VaultLocked from None
        if isinstance(error, Exception):  # what stands behind the library raises errors of many kinds
            raise VaultFailed(type(error).__name__) from None


def _backend() -> KeyringBackend:
    """The best of the key stores that this person's keyring has chosen and that are trusted. Raises VaultMissing."""
    import keyring

    for backend in _with_parts(keyring.get_keyring()):
        if type(backend).__module__ in _TRUSTED:
            return backend
    raise VaultMissing


def _with_parts(backend: KeyringBackend) -> Iterator[KeyringBackend]:
    """A backend, and those that it only passes on to (keyring's chainer), best first."""
    yield backend
    yield from getattr(backend, "backends", ())
