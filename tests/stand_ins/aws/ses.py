"""Stands in for Amazon SES (v2, SendEmail) in tests and the local cloud; never shipped. It sends nothing: it keeps the messages."""

from __future__ import annotations

import re
import secrets
from collections import deque
from dataclasses import dataclass
from typing import Any

from tests.stand_ins.aws.exchange import Refused
from tests.stand_ins.aws.service_models import Service

_ADDRESS = re.compile(r"(?:[^<>]*<)?[^@\s<>]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}>?")


@dataclass(frozen=True, slots=True)
class Message:
    """One message that was sent."""

    sender: str
    to: tuple[str, ...]
    subject: str
    text: str


class Ses:
    """messages: the last ones. verified: senders; empty: all. suppressed: addresses that are refused."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque(maxlen=1000)
        self.verified: set[str] = set()
        self.suppressed: set[str] = set()
        self.service = Service("sesv2", {"SendEmail": self._send})

    def _send(self, request: dict[str, Any]) -> dict[str, Any]:
        to = tuple(request["Destination"].get("ToAddresses", ()))
        sender = request.get("FromEmailAddress", "")
        if not to or not all(_ADDRESS.fullmatch(address) for address in (*to, sender)):
            raise Refused(400, "BadRequestException", "Missing or illegal address")
        if self.verified and sender not in self.verified:
            raise Refused(400, "MessageRejected", "Email address is not verified.")
        if self.suppressed & set(to):
            raise Refused(400, "MessageRejected", "The address is on the suppression list.")
        simple = request["Content"].get("Simple")
        if simple is None:
            raise Refused(400, "BadRequestException", "The stand-in takes simple messages.")
        text = simple["Body"].get("Text", {}).get("Data", "")
        self.messages.append(Message(sender, to, simple["Subject"]["Data"], text))
        return {"MessageId": secrets.token_hex(16)}
