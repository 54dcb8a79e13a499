"""How many people do what: the one place where the sizes that everything else is worked out for are written down."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

WEEKS_PER_MONTH = 52.0 / 12.0


@dataclass(frozen=True, slots=True)
class Demand:
    """Of one deployment. A scan is measured on the person's own device; what reaches the cloud is its record.

    calls_per_scan: of the API, all of them (token, observations, upload, config, heartbeat …). uploads_per_scan: documents.
    turns_per_scan: questions to the assistant that reach a model (an emergency never does). Tokens are of one turn, prompt, evidence
    and history in the input. synthesised, transcribed: of the turns, the fraction that is spoken by, or heard through, the cloud;
    0 by default, for the device does both by itself.
    """

    people: int
    scans_per_person_week: float = 2.0
    calls_per_scan: float = 12.0
    uploads_per_scan: float = 0.2
    upload_bytes: int = 1_500_000
    observation_bytes: int = 12_000
    turns_per_scan: float = 2.0
    input_tokens_per_turn: int = 1_500
    output_tokens_per_turn: int = 300
    synthesised: float = 0.0
    transcribed: float = 0.0

    @property
    def scans_per_month(self) -> float:
        return self.people * self.scans_per_person_week * WEEKS_PER_MONTH

    @property
    def calls_per_month(self) -> float:
        return self.scans_per_month * self.calls_per_scan

    @property
    def turns_per_month(self) -> float:
        return self.scans_per_month * self.turns_per_scan


SIZES = {
    "development": Demand(people=20),
    "10000": Demand(people=10_000),
    "100000": Demand(people=100_000),
}
"""By the names that the commands take."""


@dataclass(slots=True)
class Counts:
    """What is paid for, of some stretch of time; the simulation counts it, the cost is worked out from it. Whole or not: it can be scaled.

    gateway_requests: that API Gateway let through. *_gb_s: memory × time of the functions, cold starts of chat and processing with them
    (AWS has charged for their initialisation since August 2025 [K]), the API's restores not. snapstart_restored_gb: memory × restores.
    uploads: PUTs of documents. stored_bytes: in S3. log_bytes: to CloudWatch. database_requests: transactions. kms_signatures: of tokens.
    queue_messages: through SQS.
    """

    gateway_requests: float = 0.0
    api_requests: float = 0.0
    api_gb_s: float = 0.0
    chat_requests: float = 0.0
    chat_gb_s: float = 0.0
    processing_requests: float = 0.0
    processing_gb_s: float = 0.0
    snapstart_restores: float = 0.0
    snapstart_restored_gb: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    uploads: float = 0.0
    stored_bytes: float = 0.0
    log_bytes: float = 0.0
    database_requests: float = 0.0
    kms_signatures: float = 0.0
    queue_messages: float = 0.0

    def times(self, factor: float) -> Self:
        """As many times as much."""
        return type(self)(**{field.name: factor * getattr(self, field.name) for field in fields(self)})
