"""Secrets of this deployment, in AWS Secrets Manager."""

from __future__ import annotations

import threading

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.errors import Code, Refusal
from backend_lambda.ports import Clock

KEPT_S = 300.0
"""A secret that was changed is known after so long."""


class Secrets:
    """Texts by their names, kept for five minutes."""

    def __init__(self, clients: Clients, clock: Clock) -> None:
        self._clients, self._clock = clients, clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, str]] = {}

    def text(self, name: str) -> str:
        """Where the service does not answer, a secret that was known is still good. Raises Refusal 503 otherwise, 500 if there is none."""
        now_s = self._clock.now_s()
        with self._lock:
            fetched_s, kept = self._kept.get(name, (0.0, None))
            if kept is not None and now_s - fetched_s < KEPT_S:
                return kept
            try:
                answer = asked(
                    lambda: self._clients("secretsmanager").get_secret_value(SecretId=name), needs="Name"
                )
            except Fault as fault:
                if kept is not None and fault.code != "ResourceNotFoundException":
                    return kept
                refused = (
                    Refusal(500, Code.INTERNAL, "A secret of this deployment is missing.")
                    if fault.code == "ResourceNotFoundException"
                    else refusal(fault, Code.INTERNAL, "The store of secrets")
                )
            else:
                if isinstance(answer.get("SecretString"), str):
                    self._kept[name] = (now_s, answer["SecretString"])
                    return str(answer["SecretString"])
                refused = Refusal(500, Code.INTERNAL, "A secret of this deployment is no text.")
        raise refused
