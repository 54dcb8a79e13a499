"""The functions' environment variables, read and checked once at the cold start.

Names are HH_ and the field's name in capitals. A wrong or missing one ends the start with all of them named, so that a deployment
fails before it takes traffic.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

_PREFIX = "HH_"
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Settings(BaseModel):
    """stage: "local" lets stand-ins on loopback be spoken to without TLS; nothing else does.

    public_url: as the devices see the API, without a slash at the end; what DPoP proofs are made out for.
    database_url: without a password where database_iam is set: then IAM signs in. signing_key_id: KMS, ECC_NIST_P256. oidc_issuers: who may sign people in.
    vocabulary: of Transcribe, with {language} where the language goes; "": none. model_ids: the first is asked, the next ones when it is retired or throttled. token_budget: in and out together, a clinic, a month.
    speech_budget_characters: to be spoken, transcription_budget_streams: given out, a clinic, a month. …_per_minute: of a device; requests:
    all, questions: those to the assistant, speech: what is spoken and heard together.
    aws_endpoint_url: of every AWS service, speech_endpoint_url: of Deepgram and Cartesia, for stand-ins; only on stage "local".
    replica_url: of a read replica, for readers who may see the store some seconds late; "": none. deepgram_secret, cartesia_secret: names in
    Secrets Manager, needed where that provider is chosen. documents_copy: BUCKET@REGION, where S3 copies the documents to. vitals_stream: Kinesis; event_bus: where urgent cases are told; cache_url: rediss://…; "": not used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    stage: Literal["local", "dev", "production"]
    region: Name
    public_url: Name
    database_url: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    signing_key_id: Name
    oidc_issuers: tuple[Name, ...]
    oidc_audience: Name
    documents_bucket: Name
    audit_bucket: Name
    model_ids: Annotated[tuple[Name, ...], Field(min_length=1)]
    knowledge_base_id: str = ""
    guardrail_id: str = ""
    guardrail_version: str = ""
    vocabulary: str = ""
    mail_from: str = ""
    aws_endpoint_url: str = ""
    database_iam: bool = False
    token_budget: Annotated[int, Field(ge=0)] = 20_000_000
    speech_budget_characters: Annotated[int, Field(ge=0)] = 1_000_000
    transcription_budget_streams: Annotated[int, Field(ge=0)] = 5_000
    requests_per_minute: Annotated[int, Field(ge=1)] = 600
    questions_per_minute: Annotated[int, Field(ge=1)] = 20
    speech_per_minute: Annotated[int, Field(ge=1)] = 30
    text_recognition: bool = False
    medical_entities: bool = False
    malware_scan: bool = False
    replica_url: str = ""
    documents_copy: Annotated[str, StringConstraints(pattern=r"^([a-z0-9.-]{3,63}@[a-z0-9-]+)?$")] = ""
    speech_to_text: Literal["transcribe", "deepgram"] = "transcribe"
    text_to_speech: Literal["polly", "cartesia"] = "polly"
    deepgram_secret: Annotated[str, Field(validate_default=True)] = ""
    cartesia_secret: Annotated[str, Field(validate_default=True)] = ""
    speech_endpoint_url: str = ""
    vitals_stream: str = ""
    event_bus: str = ""
    cache_url: str = ""

    @field_validator("oidc_issuers", "model_ids", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("aws_endpoint_url", "speech_endpoint_url")
    @classmethod
    def _only_local(cls, value: str, info: object) -> str:
        data = getattr(info, "data", {})
        if value and data.get("stage") != "local":
            raise ValueError("stand-ins are spoken to on stage local only")
        return value

    @field_validator("deepgram_secret", "cartesia_secret")
    @classmethod
    def _where_it_is_chosen(cls, value: str, info: ValidationInfo) -> str:
        provider = str(info.field_name).removesuffix("_secret")
        if not value and provider in {info.data.get("speech_to_text"), info.data.get("text_to_speech")}:
            raise ValueError(f"{provider} is chosen, and its key must be in Secrets Manager")
        return value

    @field_validator("public_url")
    @classmethod
    def _https(cls, value: str, info: object) -> str:
        data = getattr(info, "data", {})
        if not value.startswith("https://") and data.get("stage") != "local":
            raise ValueError("must be https")
        return value.rstrip("/")


def read(environment: Mapping[str, str]) -> Settings:
    """Raises pydantic's ValidationError, which names every wrong variable."""
    names = Settings.model_fields
    given = {
        name: environment[_PREFIX + name.upper()] for name in names if _PREFIX + name.upper() in environment
    }
    return Settings.model_validate(given)


@cache
def settings() -> Settings:
    """Those of this process."""
    return read(os.environ)
