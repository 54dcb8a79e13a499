"""The whole backend on the loopback address: the real handlers, real PostgreSQL, stand-ins for AWS. `make cloud` starts it.

For trying and for tests; never shipped. What it knows is gone when it ends. In the foreground it prints one line of JSON once it is
ready, and ends on SIGTERM or Ctrl-C:

    {"url": the API, "enrolment_code": for one device, "enrolment_codes": all of --devices, "pid", "clinic_id", "aws_url": of the stand-ins, "operator_token",
     "clinic_admin_token", "auditor_token"}
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from backend_lambda import app, handler, processing
from backend_lambda import settings as settings_of_process
from backend_lambda.services.processing import Processing
from backend_lambda.settings import read
from backend_lambda.streaming import handler as chat
from backend_lambda.wire import Feature
from tests.stand_ins.api_gateway import ApiGateway, BufferedContext
from tests.stand_ins.aws.s3 import Created
from tests.stand_ins.aws.server import AwsStandIn
from tests.stand_ins.postgres import Postgres, Urls

DOCUMENTS, AUDIT, KEY, AUDIENCE = "documents", "audit", "signing-key", "health-helper"
TRIES = 3
"""Of an event that failed, as the object store's own deliveries."""
RETRY_AFTER_S = 0.2
EVENTS = "events-done"
"""A file with a version on each line."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """What outlives a local cloud that is killed. folder: of S3's objects, of the events that were worked on, of the signing key.

    urls: of a database that somebody else runs. aws_port: of the stand-ins. public_url, aws_public_url: where devices reach the API and
    S3, which the API's own requests to S3 go to as well; "" is where they are.
    """

    folder: Path
    urls: Urls
    aws_port: int
    public_url: str = ""
    aws_public_url: str = ""


class LocalCloud:
    """Serves until the block is left. settings: of every function, over those made here (names as in `Settings`).

    lasting: without it all that it knows is gone when it ends, and it runs the database itself.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        durable: bool = False,
        settings: dict[str, str] | None = None,
        lasting: Lasting | None = None,
    ) -> None:
        self._port, self._durable, self._more = port, durable, dict(settings or {})
        self._lasting = lasting
        self._stack = ExitStack()
        self._arrived: queue.SimpleQueue[Created | None] = queue.SimpleQueue()
        self.lost_events: list[str] = []
        """Kinds of the errors of events that failed on every try."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        lasting = self._lasting
        if lasting is None:
            self.postgres = self._stack.enter_context(Postgres(durable=self._durable))
            self.urls = self.postgres.migrated()
            self.aws = self._stack.enter_context(AwsStandIn())
        else:
            self.urls = lasting.urls
            self.aws = self._stack.enter_context(AwsStandIn(lasting.aws_port, kept=lasting.folder / "s3"))
        self.aws.s3.add_bucket(DOCUMENTS)
        self.aws.s3.add_bucket(AUDIT, can_lock=True)
        self.aws.kms.add_key(KEY, None if lasting is None else lasting.folder / "signing-key.pem")
        self._stack.callback(_put_back, dict(os.environ))
        os.environ.update(self.aws.environment())
        os.environ.update(POWERTOOLS_METRICS_NAMESPACE="HealthHelper", POWERTOOLS_SERVICE_NAME="local")
        self.gateway = ApiGateway(
            handler.lambda_handler, {(chat.METHOD, chat.PATH): self._talked}, self._port
        )
        self.url = self.gateway.url if lasting is None else lasting.public_url or self.gateway.url
        self._stack.callback(_forget_settings)
        _forget_settings()
        os.environ.update(self._variables(self.urls.api))  # the API's function reads its own environment
        self.api = app.backend()
        self._stack.callback(self.api.close)
        self._talking = self._backend(self.urls.chat)
        looking = self._backend(self.urls.processing)
        self._processing = processing.ProcessingFunction(
            Processing(looking.database, looking.ports, looking.settings),
            looking.ports.measures,
            processing.log,
            looking.flush,
        )
        self.aws.s3.listeners.append(self._arrived.put)
        for missed in self._missed():
            self._arrived.put(missed)
        worker = threading.Thread(target=self._work, name="object-events")
        worker.start()
        self._stack.callback(worker.join)
        self._stack.callback(self._arrived.put, None)
        self._stack.enter_context(self.gateway)

    def _backend(self, database_url: str) -> app.Backend:
        """Of another function, with its own login to the database."""
        found = read(self._variables(database_url))
        made = app.Backend(found, app.ports_of(found))
        self._stack.callback(made.close)
        return made

    def _variables(self, database_url: str) -> dict[str, str]:
        facts = {
            "stage": "local",
            "region": self.aws.region,
            "public_url": self.url,
            "database_url": database_url,
            "signing_key_id": KEY,
            "oidc_issuers": self.aws.oidc.issuer,
            "oidc_audience": AUDIENCE,
            "documents_bucket": DOCUMENTS,
            "audit_bucket": AUDIT,
            "model_ids": "stand-in-model,stand-in-fallback",
            "mail_from": "reports@example.org",
            "aws_endpoint_url": (self._lasting and self._lasting.aws_public_url) or self.aws.url,
            **self._more,
        }
        return {f"HH_{name.upper()}": value for name, value in facts.items()}

    def _talked(self, event: dict[str, Any], context: Any) -> chat.Pieces:
        return self._talking.chat_function(event, context)

    def _work(self) -> None:
        """Deliver the object store's events, as Lambda's queue does: again after a failure, a few times."""
        while (made := self._arrived.get()) is not None:
            for left in reversed(range(TRIES)):
                try:
                    self._processing(made.notification(self.aws.region), str(uuid4()))
                    break
                except Exception as error:  # noqa: BLE001 (any failure is delivered again)
                    if not left:
                        self.lost_events.append(type(error).__name__)
                    threading.Event().wait(RETRY_AFTER_S)
            if self._lasting is not None:
                with (self._lasting.folder / EVENTS).open("a") as done:
                    done.write(f"{made.version_id}\n")

    def _missed(self) -> list[Created]:
        """Events that an earlier process was killed before: a queue keeps them."""
        if self._lasting is None:
            return []
        worked_on = self._lasting.folder / EVENTS
        done = set(worked_on.read_text().splitlines()) if worked_on.exists() else set()
        return [made for made in self.aws.s3.created(DOCUMENTS) if made.version_id not in done]

    def admin_token(self, role: str, clinic_id: UUID | None = None) -> str:
        """A person who is signed in for a day."""
        return self.aws.oidc.token(f"{role}-1", role, clinic_id, valid_s=86_400.0)

    def add_clinic(self, name: str = "Clinic") -> UUID:
        """As its operator does it. It may use everything."""
        made = uuid4()
        body = {"id": str(made), "name": name, "allows": list(Feature)}
        self._ask("POST", "/v1/clinics", body, self.admin_token("operator"))
        return made

    def enrolment_code(self, clinic_id: UUID) -> str:
        """As its admin asks for one."""
        answer = self._ask(
            "POST",
            f"/v1/clinics/{clinic_id}/enrolment-codes",
            {"device_name": "Kiosk"},
            self.admin_token("clinic_admin", clinic_id),
        )
        return str(answer["code"])

    def _ask(self, method: str, path: str, body: dict[str, Any], token: str) -> dict[str, Any]:
        from tests.stand_ins.api_gateway import proxy_event

        headers = [("Authorization", f"Bearer {token}"), ("Content-Type", "application/json")]
        request_id = str(uuid4())
        event = proxy_event(method, path, headers, json.dumps(body).encode(), "127.0.0.1", request_id)
        answer = handler.lambda_handler(event, BufferedContext(request_id))
        if answer["statusCode"] not in {200, 201}:
            raise RuntimeError(f"{method} {path}: {answer['statusCode']} {answer['body']}")
        found = json.loads(answer["body"])
        assert isinstance(found, dict)
        return found


def _forget_settings() -> None:
    """The API's function keeps what it read of its environment."""
    app.backend.cache_clear()
    settings_of_process.settings.cache_clear()


def _put_back(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65_535:
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535")
    return int(text)


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make cloud", description=__doc__)
    parser.add_argument("--port", type=_port, default=0, help="of the API; 0 takes a free one")
    parser.add_argument(
        "--durable", action="store_true", help="the database waits for the disk, as a real one"
    )
    parser.add_argument("--devices", type=int, default=1, help="so many enrolment codes")
    given = parser.parse_args()
    told = os.dup(1)
    os.dup2(2, 1)  # the functions log on standard output, as Lambda wants it; that is for the one line here
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, end)
    with LocalCloud(given.port, durable=given.durable) as cloud:
        clinic_id = cloud.add_clinic("Local clinic")
        codes = [cloud.enrolment_code(clinic_id) for _ in range(given.devices)]
        line = {
            "url": cloud.url,
            "enrolment_code": codes[0],
            "enrolment_codes": codes,
            "pid": os.getpid(),
            "clinic_id": str(clinic_id),
            "aws_url": cloud.aws.url,
            "operator_token": cloud.admin_token("operator"),
            "clinic_admin_token": cloud.admin_token("clinic_admin", clinic_id),
            "auditor_token": cloud.admin_token("auditor", clinic_id),
        }
        os.write(told, json.dumps(line).encode() + b"\n")
        while not ended.wait(3600.0):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
