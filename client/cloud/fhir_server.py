"""A clinic's own FHIR server: takes a transaction (FHIR R4B, RESTful API, "transaction") or refuses all of it.

Where it is says the policy; what it wants to see of us, a bearer token, lies in the system's key store. Nothing of what it answers is
told or kept but statuses: an OperationOutcome may repeat what was sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from client.cloud import faults
from client.cloud.forms import Fields, Unfit, bearer, many, parsed, text
from client.cloud.transport import Reply, Transport
from client.errors import BadInput
from client.language import said
from client.vault import Vault

MEDIA_TYPE: Final = "application/fhir+json"
TOKEN_ENTRY: Final = "fhir-token"  # noqa: S105 (the name of an entry)
ANSWER_BYTES = 8_000_000
_MOST_ENTRIES = 100_000
_STATUS = re.compile(r"([1-5][0-9]{2})( .*)?", re.DOTALL)


def keep_token(vault: Vault, token: str) -> None:
    """What the server wants to see ("Bearer …", without that word); an empty one forgets it. Raises BadInput, VaultFault."""
    if not token:
        vault.forget(TOKEN_ENTRY)
        return
    try:
        bearer(token)
    except Unfit:
        raise BadInput(
            title=said("This is no token of a FHIR server"),
            remedy=said(
                "Copy it again as whoever looks after the server gave it: one line of letters and signs."
            ),
        ) from None
    vault.write(TOKEN_ENTRY, token.encode("ascii"))


class FhirServer:
    """url: the base address. Raises CloudFault from every method."""

    def __init__(self, transport: Transport, vault: Vault, url: str) -> None:
        self._transport, self._vault, self._url = transport, vault, url.rstrip("/") or url

    def send(self, transaction: Mapping[str, Any]) -> int:
        """All of it or nothing; the same again overwrites. Returns how many resources the server has taken."""
        token = self._vault.read(TOKEN_ENTRY)
        headers = {} if token is None else {"Authorization": f"Bearer {token.decode('ascii', 'replace')}"}
        body = json.dumps(transaction, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        reply = self._transport.request(
            "POST", self._url, headers=headers, body=body, most_bytes=ANSWER_BYTES, media_type=MEDIA_TYPE
        )
        if reply.status not in {200, 201}:
            _refuse(reply)
        taken = _statuses(reply.body)
        if len(taken) != len(transaction["entry"]) or any(not 200 <= status < 300 for status in taken):
            raise faults.AnswerUnreadable("Bundle.entry.response")
        return len(taken)


def _statuses(body: bytes) -> list[int]:
    """Of each entry, in the order of what was sent."""
    try:
        its = Fields(parsed(body, ANSWER_BYTES))
        if its.get("type", text(64)) != "transaction-response":
            raise Unfit("a transaction's answer", "type")  # noqa: TRY301 (told as all that cannot be read)
        found = its.get("entry", many(_status, most=_MOST_ENTRIES))
    except Unfit as unfit:
        place = unfit.place
    else:
        return list(found)
    raise faults.AnswerUnreadable(f"Bundle.{place}")


def _status(entry: Any) -> int:
    """Of "201 Created" the number."""
    given = Fields(Fields(entry).get("response", lambda value: value)).get("status", text(200))
    found = _STATUS.fullmatch(given)
    if found is None:
        raise Unfit("a status", "response.status")
    return int(found[1])


def _refuse(reply: Reply) -> None:
    if reply.status == 429:
        raise faults.RateLimited(reply.retry_after_s)
    if reply.status >= 500 or reply.status == 408:
        raise faults.ServerBusy(reply.status, None, reply.retry_after_s)
    raise faults.Refused(reply.status)
