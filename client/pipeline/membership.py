"""Which clinic this device belongs to: enrolled, connected, gone again. What is heavy (httpx, jwt) is loaded when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from client import config
from client.clock import Clock
from client.pipeline.sync import Connection, Uploader
from client.policy import Policy
from client.store.outbox import Outbox
from client.vault import Vault

if TYPE_CHECKING:
    from client.cloud.credentials import Credentials
    from client.pipeline.asking import Line

ENTRY = "device"
"""As client.cloud.credentials has it: where the key store has none, there is nothing to load."""


class Membership:
    """Of one store's device. For any thread."""

    def __init__(self, vault: Vault, outbox: Outbox, clock: Clock, policy: Policy) -> None:
        self._vault, self._outbox, self._clock, self._policy = vault, outbox, clock, policy
        self._lock = threading.Lock()
        self._made: Credentials | None = None

    def entry(self) -> Mapping[str, str] | None:
        """What the key store has: url, clinic_id, device_id. Raises VaultFault."""
        if self._made is None and self._vault.read(ENTRY) is None:
            return None
        found = self._credentials().entry()
        if found is None:
            return None
        return {"url": found.url, "clinic_id": found.clinic_id, "device_id": found.device_id}

    def connect(self) -> Connection:
        """Opens nothing yet."""
        from client.cloud.service import Cloud
        from client.cloud.transport import Transport

        transport = Transport(self._policy, self._clock, config.version())
        return Connection(Cloud(transport, self._credentials()), transport.close)

    def converse(self) -> Line:
        """For the assistant, apart from sending. Opens nothing yet; raises VaultFault."""
        from client.cloud.service import Cloud
        from client.cloud.transport import Transport
        from client.pipeline.asking import Line

        transport = Transport(self._policy, self._clock, config.version())
        return Line(Cloud(transport, self._credentials()), transport.close)

    def enrol(self, code: str, url: str | None, uploader: Uploader) -> Mapping[str, str]:
        """With a clinic's code, also instead of another enrolment; nothing is sent meanwhile. url: None for the policy's.

        Raises as client.cloud.enrolment.enrol does, and StoreFault. Where the store could not be told, the uploader tells it later.
        """
        from client.cloud import enrolment
        from client.cloud.transport import Transport

        transport = Transport(self._policy, self._clock, config.version())
        try:
            with uploader.alone():
                found = enrolment.enrol(code, url, transport, self._credentials())
                facts = {"url": found.url, "clinic_id": found.clinic_id, "device_id": found.device_id}
                self._outbox.set_enrolled(facts)
        finally:
            transport.close()
        uploader.try_now()
        return facts

    def leave(self, uploader: Uploader) -> None:
        """Nothing is sent any more; what waits stays. The key store first: what is left there would be taken for an enrolment. Raises
        VaultFault and StoreFault.
        """
        from client.cloud import enrolment

        with uploader.alone():
            enrolment.leave(self._credentials())
            self._outbox.set_enrolled(None)
        uploader.try_now()

    def _credentials(self) -> Credentials:
        """One for all threads: it knows what could not be written yet."""
        from client.cloud.credentials import Credentials

        with self._lock:
            if self._made is None:
                self._made = Credentials(self._vault)
            return self._made
