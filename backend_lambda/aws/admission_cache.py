"""Proofs that were seen and requests that were counted, in ElastiCache (Valkey) instead of the database.

    rediss://LOGIN@HOST:6379/?cache=NAME            IAM signs LOGIN in; NAME: of the cache, in small letters
    rediss://LOGIN@HOST:6379/?cache=NAME&serverless=true
    rediss://LOGIN:PASSWORD@HOST:6379/              a password, for a cache of one's own
    redis://HOST:6379/                              without TLS: on stage local only

Every command has one key, so that it does not matter over how many machines a cache is spread. A cache that fails is left alone for
some seconds, in which every call is refused at once: who waits for a dead cache with each request has made it a part that can fail.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlencode, urlsplit
from uuid import UUID

import botocore
import botocore.auth
import botocore.awsrequest
import valkey
import valkey.exceptions
from valkey.backoff import NoBackoff
from valkey.credentials import CredentialProvider
from valkey.retry import Retry

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.errors import Code, Refusal, unavailable
from backend_lambda.ports import Clock

T = TypeVar("T")
PROOF_KEPT_S = 25 * 60
"""As the database: a proof may be 10 minutes off either way."""
COUNT_KEPT_S = 120
CONNECTING_MAY_TAKE_S = 0.5
ANSWERING_MAY_TAKE_S = 0.25
LEFT_ALONE_S = 5.0
TOKEN_SECONDS = 900
_CONNECTIONS = 32
_WHAT = "The cache"


class ValkeyAdmission:
    """Implements `ports.AdmissionCache`. Opens no connection before it is asked. Safe to share between threads.

    ca_file: who may vouch for the cache's name; botocore's list (Amazon's among them) where none is given.
    """

    def __init__(
        self, url: str, clock: Clock, clients: Clients, *, is_local: bool, ca_file: str | None = None
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left_until_s: float | None = None
        parts = urlsplit(url)
        if parts.scheme != "rediss" and not (parts.scheme == "redis" and is_local):
            raise ValueError("a cache is spoken to over TLS (rediss://)")
        if not parts.hostname:
            raise ValueError("the cache's URL names no host")
        self._client: Any = valkey.Valkey(  # some of it has no types
            host=parts.hostname,
            port=parts.port or 6379,
            credential_provider=_credentials(parts.username, parts.password, parse_qs(parts.query), clients),
            socket_connect_timeout=CONNECTING_MAY_TAKE_S,
            socket_timeout=ANSWERING_MAY_TAKE_S,
            socket_keepalive=True,
            max_connections=_CONNECTIONS,
            # once more on a new connection: a function that slept wakes up with dead ones
            retry=Retry(NoBackoff(), 1),
            retry_on_error=[valkey.exceptions.ConnectionError],
            lib_name=None,
            lib_version=None,
            ssl=parts.scheme == "rediss",
            ssl_cert_reqs="required",
            ssl_check_hostname=True,
            ssl_ca_certs=ca_file or str(Path(botocore.__file__).with_name("cacert.pem")),
        )

    def seen(self, proof: bytes) -> bool:
        """A try that was lost on its way is no replay: what stands there is then our own word."""
        own = os.urandom(16)
        found = self._ask(lambda: self._client.set(b"hh:p:" + proof, own, nx=True, ex=PROOF_KEPT_S, get=True))
        return found is not None and found != own

    def count(self, clinic_id: UUID, asker_id: UUID, now: datetime, limit_per_minute: int) -> float | None:
        """The minute is that of the function's clock. A try that was lost may count twice."""
        minute, into_s = divmod(now.timestamp(), 60.0)
        key = f"hh:r:{clinic_id}:{asker_id}:{int(minute)}"

        def counted() -> Any:
            # both or nothing: a window without an end would be kept for ever
            both = self._client.pipeline(transaction=True)
            both.incr(key)
            both.expire(key, COUNT_KEPT_S)
            return both.execute()

        asked_so_far = int(self._ask(counted)[0])
        return 60.0 - into_s if asked_so_far > limit_per_minute else None

    def close(self) -> None:
        """Every connection."""
        self._client.close()

    def _ask(self, call: Callable[[], T]) -> T:
        """Raises Refusal 503 for all the world's faults, without their texts."""
        with self._lock:
            left_until_s = self._left_until_s
        if left_until_s is not None and self._clock.now_s() < left_until_s:
            raise unavailable(Code.STORE_UNAVAILABLE, f"{_WHAT} is left alone for a while.")
        try:
            answer = call()
        except Refusal:
            raise
        except (valkey.exceptions.ValkeyError, OSError) as error:
            kind = type(error).__name__
        else:
            with self._lock:
                self._left_until_s = None
            return answer
        with self._lock:
            self._left_until_s = self._clock.now_s() + LEFT_ALONE_S
        raise unavailable(Code.STORE_UNAVAILABLE, f"{_WHAT} does not answer ({kind}).")


class _Given(CredentialProvider):
    """A login and its password, as the URL has them."""

    def __init__(self, login: str, password: str) -> None:
        self._login, self._password = login, password

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        return (self._login, self._password) if self._login else (self._password,)


class IamToken(CredentialProvider):
    """A token instead of a password, for each new connection; made on this machine. Raises Refusal 503 without credentials."""

    def __init__(self, clients: Clients, login: str, cache: str, *, is_serverless: bool) -> None:
        self._clients, self._login, self._cache = clients, login, cache
        self._is_serverless = is_serverless

    def get_credentials(self) -> tuple[str, str]:
        query = {"Action": "connect", "User": self._login}
        if self._is_serverless:
            query["ResourceType"] = "ServerlessCache"
        request = botocore.awsrequest.AWSRequest("GET", f"http://{self._cache}/?{urlencode(query)}")
        try:
            credentials = asked(self._clients.credentials)
        except Fault as fault:
            refused = refusal(fault, Code.STORE_UNAVAILABLE, _WHAT)
        else:
            if credentials is not None:
                botocore.auth.SigV4QueryAuth(
                    credentials, "elasticache", self._clients.region, TOKEN_SECONDS
                ).add_auth(request)
                return self._login, str(request.url).removeprefix("http://")
            refused = unavailable(Code.STORE_UNAVAILABLE, f"{_WHAT}'s sign-in has no credentials.")
        raise refused


def _credentials(
    login: str | None, password: str | None, query: dict[str, list[str]], clients: Clients
) -> CredentialProvider | None:
    name = unquote(login or "")
    if password:
        return _Given(name, unquote(password))
    cache = query.get("cache", [""])[0]
    if name and cache:
        return IamToken(clients, name, cache, is_serverless=query.get("serverless") == ["true"])
    if name or cache:
        raise ValueError("IAM needs a login and the cache's name")
    return None
