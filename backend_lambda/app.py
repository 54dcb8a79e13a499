"""The composition root: the only module that knows which class stands behind a port. Everything is made when it is first asked for."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics

from backend_lambda.auth.gate import Gate
from backend_lambda.ports import AdmissionCache, Clock, ObjectStore, Ports, SpeechToText, TextToSpeech
from backend_lambda.routes import Api, Services
from backend_lambda.services.audit import Audit
from backend_lambda.services.clinics import Clinics
from backend_lambda.services.enrolment import Enrolment
from backend_lambda.services.fleet import Fleet
from backend_lambda.services.observations import Observations
from backend_lambda.services.sessions import Sessions
from backend_lambda.services.shares import Shares
from backend_lambda.services.speech import Speech
from backend_lambda.services.uploads import UPLOAD_LIMITS, Uploads
from backend_lambda.settings import Settings, settings
from backend_lambda.store.database import Database
from backend_lambda.store.replica import LateReads

if TYPE_CHECKING:  # AWS's is imported by what needs it; streaming is the chat function's alone
    from backend_lambda.aws.clients import Clients
    from backend_lambda.streaming.handler import ChatFunction
    from backend_lambda.streaming.runtime import Context, Prelude

NAMESPACE = "HealthHelper"
_MOST_MEASURES = 90
"""Of one line of EMF, which takes a hundred."""

for _name in ("aws_lambda_powertools", "boto3", "botocore", "psycopg", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # below that they log what a request holds


class SystemClock:
    """Implements `ports.Clock`."""

    def utc(self) -> datetime:
        return datetime.now(UTC)

    def now_s(self) -> float:
        return time.monotonic()


class EmfMeasures:
    """Implements `ports.Measures`: lines of CloudWatch's embedded metric format, on standard output. Each thread has its own."""

    def __init__(self) -> None:
        self._own = threading.local()

    def add(self, name: str, value: float, unit: str, clinic_id: str | None = None) -> None:
        kept = self._kept()
        kept.append((name, value, unit, clinic_id))
        if len(kept) >= _MOST_MEASURES:
            self.flush()

    def flush(self) -> None:
        """One line for each clinic, and one for what belongs to none."""
        kept = self._kept()
        for clinic_id in dict.fromkeys(clinic for _, _, _, clinic in kept):
            metrics = EphemeralMetrics(namespace=NAMESPACE, service="health-helper")
            if clinic_id is not None:
                # no dimension: each would be a metric of its own, charged by the month, that no alarm looks at
                metrics.add_metadata("clinic", clinic_id)
            for name, value, unit, clinic in kept:
                if clinic == clinic_id:
                    metrics.add_metric(name, unit, value)
            metrics.flush_metrics()
        kept.clear()

    def _kept(self) -> list[tuple[str, float, str, str | None]]:
        if not hasattr(self._own, "kept"):
            self._own.kept = []
        kept: list[tuple[str, float, str, str | None]] = self._own.kept
        return kept


def ports_of(settings: Settings) -> Ports:
    """On AWS, or on stand-ins where the settings name them. Makes no connection."""
    from backend_lambda.aws.bedrock import BedrockModel
    from backend_lambda.aws.clients import Clients
    from backend_lambda.aws.feeds import EventBridgeCases, KinesisVitals
    from backend_lambda.aws.key_sets import JwksKeySets
    from backend_lambda.aws.kms import KmsSigner
    from backend_lambda.aws.knowledge import BedrockKnowledge
    from backend_lambda.aws.mail import SesMail
    from backend_lambda.aws.malware import GuardDutyVerdicts
    from backend_lambda.aws.objects import S3Objects
    from backend_lambda.aws.recognition import ComprehendMedical, Textract

    clients, clock = Clients(settings.region, settings.aws_endpoint_url), SystemClock()
    return Ports(
        clock=clock,
        signer=KmsSigner(clients, settings.signing_key_id),
        key_sets=JwksKeySets(settings.oidc_issuers, clock, is_local=settings.stage == "local"),
        documents=S3Objects(clients, settings.documents_bucket),
        documents_copy=_documents_copy(settings),
        audit=S3Objects(clients, settings.audit_bucket),
        model=BedrockModel(clients, clock),
        knowledge=BedrockKnowledge(clients, settings.knowledge_base_id),
        speech_to_text=_speech_to_text(settings, clients, clock),
        text_to_speech=_text_to_speech(settings, clients, clock),
        mail=SesMail(clients, settings.mail_from),
        measures=EmfMeasures(),
        text_recognition=Textract(clients) if settings.text_recognition else None,
        medical_entities=ComprehendMedical(clients) if settings.medical_entities else None,
        malware_scan=GuardDutyVerdicts(clients, settings.documents_bucket) if settings.malware_scan else None,
        vitals_stream=KinesisVitals(clients, clock, settings.vitals_stream)
        if settings.vitals_stream
        else None,
        urgent_cases=EventBridgeCases(clients, clock, settings.event_bus) if settings.event_bus else None,
        admission_cache=_cache_of(settings, clock) if settings.cache_url else None,
    )


def _speech_to_text(settings: Settings, clients: Clients, clock: Clock) -> SpeechToText:
    if settings.speech_to_text == "deepgram":
        from backend_lambda.aws.secrets import Secrets
        from backend_lambda.speech_providers.deepgram import DeepgramHearing

        key = partial(Secrets(clients, clock).text, settings.deepgram_secret)
        return DeepgramHearing(key, settings.speech_endpoint_url)
    from backend_lambda.aws.speech import AwsSpeech

    return AwsSpeech(clients, settings.vocabulary)


def _text_to_speech(settings: Settings, clients: Clients, clock: Clock) -> TextToSpeech:
    if settings.text_to_speech == "cartesia":
        from backend_lambda.aws.secrets import Secrets
        from backend_lambda.speech_providers.cartesia import CartesiaVoice

        key = partial(Secrets(clients, clock).text, settings.cartesia_secret)
        return CartesiaVoice(key, settings.speech_endpoint_url)
    from backend_lambda.aws.speech import AwsSpeech

    return AwsSpeech(clients)


def _cache_of(settings: Settings, clock: Clock) -> AdmissionCache:
    """Valkey's client is imported here alone: a start without a cache pays nothing for it."""
    from backend_lambda.aws.admission_cache import ValkeyAdmission
    from backend_lambda.aws.clients import Clients

    clients = Clients(settings.region)
    return ValkeyAdmission(settings.cache_url, clock, clients, is_local=settings.stage == "local")


def _documents_copy(settings: Settings) -> ObjectStore | None:
    from backend_lambda.aws.clients import Clients
    from backend_lambda.aws.objects import S3Objects

    bucket, _, region = settings.documents_copy.partition("@")
    return S3Objects(Clients(region, settings.aws_endpoint_url), bucket) if bucket else None


def _password_of(settings: Settings, url: str) -> Callable[[], str] | None:
    """Of a database. None: it stands in the URL."""
    if not settings.database_iam:
        return None
    from backend_lambda.aws.clients import Clients
    from backend_lambda.aws.database import IamPassword

    return IamPassword(Clients(settings.region), url)


class Backend:
    """Everything, put together for these settings and ports. No connection is opened before it is needed."""

    def __init__(self, settings: Settings, ports: Ports, database: Database | None = None) -> None:
        self.settings, self.ports = settings, ports
        self._lock = threading.Lock()
        self._database = database
        self._replica: Database | None = None

    @property
    def database(self) -> Database:
        with self._lock:
            if self._database is None:
                self._database = self._of(self.settings.database_url)
            return self._database

    @cached_property
    def late_reads(self) -> LateReads:
        """For readers who may see the store some seconds late."""
        if self.settings.replica_url:
            self._replica = self._of(self.settings.replica_url)
        return LateReads(self.database, self._replica, self.ports.clock, self.ports.measures)

    def _of(self, url: str) -> Database:
        return Database(url, clock=self.ports.clock, password=_password_of(self.settings, url))

    @cached_property
    def gate(self) -> Gate:
        return Gate(self.database, self.ports, self.settings)

    @cached_property
    def audit(self) -> Audit:
        return Audit(self.database, self.ports, self.settings, self.late_reads)

    @cached_property
    def api(self) -> Api:
        parts = (self.database, self.ports, self.settings)
        version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "") or self.settings.stage
        services = Services(
            clinics=Clinics(*parts),
            enrolment=Enrolment(*parts, self.late_reads),
            sessions=Sessions(*parts),
            observations=Observations(*parts),
            uploads=Uploads(*parts),
            shares=Shares(*parts),
            speech=Speech(*parts),
            fleet=Fleet(*parts, version=version, uploads=UPLOAD_LIMITS),
            audit=self.audit,
        )
        return Api(services, self.gate, self.ports.clock)

    @cached_property
    def chat_function(self) -> ChatFunction:
        from backend_lambda.services.chat import Chat
        from backend_lambda.streaming.handler import ChatFunction

        logger = Logger(service="health-helper-chat", level="INFO", log_uncaught_exceptions=False)

        def log(message: str, facts: Mapping[str, object]) -> None:
            logger.info(message, extra=facts)

        chat = Chat(self.database, self.ports, self.settings)
        return ChatFunction(self.gate, chat, log, self.flush)

    def flush(self) -> None:
        """What was measured goes out."""
        if isinstance(self.ports.measures, EmfMeasures):
            self.ports.measures.flush()

    def close(self) -> None:
        """Every connection to the store."""
        for one in (self._database, self._replica):
            if one is not None:
                one.close()


def build(settings: Settings, ports: Ports, database: Database | None = None) -> Api:
    """The API alone."""
    return Backend(settings, ports, database).api


@cache
def backend() -> Backend:
    """Of this process. Raises pydantic's ValidationError for a wrong environment."""
    found = settings()
    return Backend(found, ports_of(found))


def chat_handler(event: dict[str, Any], context: Context) -> Generator[Prelude | bytes, None, None]:
    """The chat function's handler, for the runtime that streams."""
    yield from backend().chat_function(event, context)
