"""Stands in for Amazon Connect (StartOutboundVoiceContact) and Parameter Store (GetParameter) in tests; never shipped. Nobody is called."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.stand_ins.aws.exchange import Refused
from tests.stand_ins.aws.service_models import Service

INSTANCE = "0a1b2c3d-0000-4000-8000-000000000001"
FLOW = "0a1b2c3d-0000-4000-8000-000000000002"
NUMBER = "+4930123456"
"""Of the instance."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was begun."""

    contact: str
    to: str
    attributes: dict[str, str]


class Connect:
    """calls: those that were begun; a token that was seen begins no other. allowed: beginnings of numbers that may be called."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.tokens: dict[str, Call] = {}
        self.allowed = ("+49",)
        self.service = Service("connect", {"StartOutboundVoiceContact": self._call})

    def clear(self) -> None:
        self.calls.clear()
        self.tokens.clear()

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        if (request["InstanceId"], request["ContactFlowId"]) != (INSTANCE, FLOW):
            raise Refused(404, "ResourceNotFoundException", "There is no such flow.")
        to, source = request["DestinationPhoneNumber"], request.get("SourcePhoneNumber")
        if not re.fullmatch(r"\+[1-9]\d{1,14}", to) or source != NUMBER:
            raise Refused(400, "InvalidParameterException", f"{to} cannot be called from {source}")
        if not to.startswith(self.allowed):
            raise Refused(403, "DestinationNotAllowedException", f"{to} is not allowed")
        if not all(re.fullmatch(r"[A-Za-z0-9_-]+", key) for key in request.get("Attributes", {})):
            raise Refused(400, "InvalidParameterException", "A name of an attribute has other characters.")
        token = request["ClientToken"]
        if token not in self.tokens:
            self.tokens[token] = Call(str(uuid.uuid4()), to, request.get("Attributes", {}))
            self.calls.append(self.tokens[token])
        return {"ContactId": self.tokens[token].contact}


class ParameterStore:
    """values: SecureStrings by name."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.service = Service("ssm", {"GetParameter": self._get})

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["Name"]
        if name not in self.values:
            raise Refused(400, "ParameterNotFound", f"{name} is not there")
        return {
            "Parameter": {
                "Name": name,
                "Type": "SecureString",
                "Value": self.values[name] if request.get("WithDecryption") else "AQICAHh…",
                "Version": 1,
                "LastModifiedDate": datetime(2026, 1, 1, tzinfo=UTC),
                "ARN": f"arn:aws:ssm:eu-central-1:000000000000:parameter{name}",
                "DataType": "text",
            }
        }
