"""A clinic's FHIR server: one that takes what is sent, and those that refuse, repeat it in their answer, or are none."""

from __future__ import annotations

from typing import Any

import pytest

from client.clock import SystemClock
from client.cloud import faults
from client.cloud.fhir_server import TOKEN_ENTRY, FhirServer, keep_token
from client.cloud.transport import Transport
from client.errors import BadInput
from client.policy import Policy
from tests.client.cloud.device import MemoryVault
from tests.stand_ins.tls_server import Server, answer, says

CANARY = "Canary-Name"
SENT = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [{"resource": {"resourceType": "Patient", "name": [{"text": CANARY}]}}, {"resource": {}}],
}


def took(*statuses: str, kind: str = "transaction-response") -> bytes:
    entries = [{"response": {"status": status}} for status in statuses]
    body = {"resourceType": "Bundle", "type": kind, "entry": entries}
    return answer(200, body, {"Content-Type": "application/fhir+json; charset=utf-8"})


def sent(server: Server, vault: MemoryVault | None = None) -> int:
    transport = Transport(Policy(), SystemClock(), "1.0")
    try:
        return FhirServer(transport, vault or MemoryVault(), f"{server.url}/fhir/").send(SENT)
    finally:
        transport.close()


def test_a_transaction_goes_to_the_base_address_with_the_token_of_the_key_store() -> None:
    vault = MemoryVault()
    keep_token(vault, "a-token")
    with Server(says(took("201 Created", "200"))) as server:
        assert sent(server, vault) == 2
    (asked,) = server.asked
    assert (asked.method, asked.target) == ("POST", "/fhir")
    assert asked.headers["authorization"] == "Bearer a-token"
    assert asked.headers["content-type"] == "application/fhir+json"
    assert asked.json == SENT


def test_without_a_token_nothing_is_made_up() -> None:
    with Server(says(took("201", "201"))) as server:
        assert sent(server) == 2
    assert "authorization" not in server.asked[0].headers


@pytest.mark.parametrize(
    "reply, fault",
    [
        (took("201 Created"), faults.AnswerUnreadable),  # one of two
        (took("201 Created", "412 Precondition Failed"), faults.AnswerUnreadable),
        (took("201 Created", "yes"), faults.AnswerUnreadable),
        (took("201", "201", kind="batch-response"), faults.AnswerUnreadable),
        (answer(200, [], {"Content-Type": "application/fhir+json"}), faults.AnswerUnreadable),
        (answer(200, b"<html>", {"Content-Type": "text/html"}), faults.CaptivePortal),
        (answer(422, {"issue": [{"diagnostics": CANARY}]}), faults.Refused),
        (answer(401, {}), faults.Refused),
        (answer(503, {}, {"Retry-After": "7"}), faults.ServerBusy),
        (answer(429, {}, {"Retry-After": "7"}), faults.RateLimited),
    ],
)
def test_what_is_no_success_is_told_apart_and_repeats_nothing_of_what_was_sent(
    reply: bytes, fault: Any
) -> None:
    with Server(says(reply)) as server, pytest.raises(fault) as told:
        sent(server)
    assert CANARY not in f"{told.value.title} {told.value.remedy} {told.value!r} {told.value.__context__!r}"


def test_a_token_of_two_lines_is_none_and_an_empty_one_forgets() -> None:
    vault = MemoryVault()
    keep_token(vault, "a-token")
    with pytest.raises(BadInput):
        keep_token(vault, "a\r\nX-Other: 1")
    assert vault.read(TOKEN_ENTRY) == b"a-token"
    keep_token(vault, "")
    assert vault.read(TOKEN_ENTRY) is None
