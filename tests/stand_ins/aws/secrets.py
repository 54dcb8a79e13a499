"""Stands in for AWS Secrets Manager (GetSecretValue) in tests and the local cloud; never shipped."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from tests.stand_ins.aws.exchange import Refused
from tests.stand_ins.aws.service_models import Service


class SecretsManager:
    """values: text or bytes, by name."""

    def __init__(self) -> None:
        self.values: dict[str, str | bytes] = {}
        self.service = Service("secretsmanager", {"GetSecretValue": self._value})

    def _value(self, request: dict[str, Any]) -> dict[str, Any]:
        value = self.values.get(request["SecretId"])
        if value is None:
            raise Refused(
                400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."
            )
        return {
            "ARN": f"arn:aws:secretsmanager:eu-central-1:000000000000:secret:{request['SecretId']}",
            "Name": request["SecretId"],
            "VersionId": str(uuid.UUID(int=1)),
            ("SecretString" if isinstance(value, str) else "SecretBinary"): value,
            "VersionStages": ["AWSCURRENT"],
            "CreatedDate": datetime(2026, 1, 1, tzinfo=UTC),
        }
