"""Clients of AWS's services: made when first needed, once, with time-outs of their own. And the border to their errors."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import botocore.exceptions
import botocore.session
import urllib3.exceptions
from botocore.config import Config

from backend_lambda.errors import Code, Refusal, unavailable

T = TypeVar("T")
CONNECT_S = 2.0
POOL = 32
"""Connections that are kept, for each service."""
LONGEST_WAIT_S = 3600.0
"""What a service may ask us to wait, at most."""


@dataclass(frozen=True, slots=True)
class _Manner:
    """read_s: between two pieces of an answer. attempts: the first one too. connect_s: for one of the service's addresses."""

    read_s: float
    attempts: int
    connect_s: float = CONNECT_S


_MANNERS: Mapping[str, _Manner] = {
    "s3": _Manner(7.0, 3),
    "kms": _Manner(3.0, 3),
    "secretsmanager": _Manner(3.0, 3),
    "rds": _Manner(10.0, 3),
    "bedrock-runtime": _Manner(20.0, 1),  # who asked tries again, or another model
    "bedrock-agent-runtime": _Manner(6.0, 2),
    "bedrock-agent": _Manner(15.0, 3),
    "polly": _Manner(10.0, 2),
    "sesv2": _Manner(10.0, 1),  # a second attempt may be a second message
    "textract": _Manner(25.0, 2),
    "comprehendmedical": _Manner(15.0, 2),
    "healthlake": _Manner(10.0, 3),  # a repeat starts no second job: its token is the same
    "kinesis": _Manner(
        0.4, 1, 0.3
    ),  # beside a request, which waits for 0.9 s at most; tried again by the adapter
    "events": _Manner(0.8, 1, 0.5),  # beside an answer, likewise
    "ssm": _Manner(3.0, 2),
    "connect": _Manner(4.0, 2),  # with a token: a second attempt is no second call
}

# At DEBUG these write whole requests into the log, whatever level the root has.
for _name in ("botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Clients:
    """One client for each service. May be used by many threads.

    endpoint_url: of stand-ins, for all services; "" for AWS. read_s: instead of a service's own time-out.
    Credentials are botocore's business: the function's role, or the environment.
    """

    def __init__(
        self, region: str, endpoint_url: str = "", read_s: Mapping[str, float] | None = None
    ) -> None:
        self.region, self.endpoint_url = region, endpoint_url
        self._read_s = dict(read_s or {})
        self._lock = threading.Lock()
        self._session: Any = None
        self._made: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """Raises KeyError for a service that nothing here uses."""
        made = self._made.get(service)
        if made is None:
            with self._lock:  # a session makes one client at a time
                if service not in self._made:
                    self._made[service] = self._make(service)
                made = self._made[service]
        return made

    def credentials(self) -> Any:
        """Frozen ones, for what is signed by hand. None: there are none."""
        with self._lock:
            found = self._own_session().get_credentials()
        return None if found is None else found.get_frozen_credentials()

    def close(self) -> None:
        """Ends their connections. They are made anew when they are needed again."""
        with self._lock:
            for made in self._made.values():
                made.close()
            self._made.clear()

    def _own_session(self) -> Any:
        if self._session is None:
            self._session = botocore.session.Session()
        return self._session

    def _make(self, service: str) -> Any:
        manner = _MANNERS[service]
        is_stand_in = bool(self.endpoint_url)
        config = Config(
            connect_timeout=manner.connect_s,
            read_timeout=self._read_s.get(service, manner.read_s),
            retries={"mode": "standard", "total_max_attempts": manner.attempts},
            max_pool_connections=POOL,
            tcp_keepalive=True,
            signature_version="s3v4" if service == "s3" else None,
            s3={"addressing_style": "path" if is_stand_in else "virtual"} if service == "s3" else None,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            ignore_configured_endpoint_urls=True,  # no variable of the environment leads requests elsewhere
            proxies={} if is_stand_in else None,
        )
        return self._own_session().create_client(
            service, region_name=self.region, endpoint_url=self.endpoint_url or None, config=config
        )


class Fault(Exception):
    """A service did not do what it was asked. Carries nothing of what was asked or answered but what stands here.

    code: AWS's name of the error; where no answer came, ours. status: HTTP's, else 0. timed_out: it was silent for too long.
    ours: the request was not even sent, for it does not fit the service's model. phrase: which of those that were looked for
    is in the message, "" if none.
    """

    def __init__(
        self,
        code: str,
        status: int = 0,
        *,
        timed_out: bool = False,
        ours: bool = False,
        retry_after_s: float | None = None,
        phrase: str = "",
    ) -> None:
        super().__init__(f"{status} {code}" if status else code)
        self.code, self.status, self.timed_out, self.ours = code, status, timed_out, ours
        self.retry_after_s, self.phrase = retry_after_s, phrase


_SILENT = (
    botocore.exceptions.ConnectTimeoutError,
    botocore.exceptions.ReadTimeoutError,
    urllib3.exceptions.TimeoutError,
    TimeoutError,
)


def asked(call: Callable[[], T], *, needs: str = "", phrases: Sequence[str] = ()) -> T:
    """What the call returns. Raises Fault for all the world's faults, without their texts: those may quote what was asked.

    call: nothing but botocore's work. needs: the answer must hold this; botocore makes an empty one of what it cannot read.
    phrases: in small letters, looked for in an error's message.
    """
    try:
        answer = call()
    except botocore.exceptions.ClientError as error:
        fault = _answered(error.response, phrases)
    except botocore.exceptions.ParamValidationError:
        fault = Fault("ill-formed", ours=True)
    except _SILENT as error:
        fault = Fault(type(error).__name__, timed_out=True)
    except Exception as error:  # noqa: BLE001 (no connection; or an answer that botocore's parsers stumble over in their own ways)
        fault = Fault(type(error).__name__)
    else:
        if not needs or (isinstance(answer, Mapping) and needs in answer):
            return answer
        fault = Fault("unreadable")
    raise fault  # out here, so that no trace-back shows the error itself


def _answered(response: Mapping[str, Any], phrases: Sequence[str]) -> Fault:
    error, about = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, message = str(error.get("Code", "")), str(error.get("Message", "")).lower()
    wait = str(about.get("HTTPHeaders", {}).get("retry-after", ""))
    retry_after_s = float(wait) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", wait) else None
    return Fault(
        code if re.fullmatch(r"[A-Za-z0-9._-]{1,80}", code) else "unnamed",
        int(about.get("HTTPStatusCode", 0)),
        retry_after_s=None if retry_after_s is None else min(retry_after_s, LONGEST_WAIT_S),
        phrase=next((phrase for phrase in phrases if phrase in message), ""),
    )


def refusal(fault: Fault, code: Code, what: str) -> Refusal:
    """503, or 500 where the request was ill-formed. what: names the service in a sentence."""
    if fault.ours:
        return Refusal(500, Code.INTERNAL, f"A request to {what} was ill-formed.")
    return unavailable(
        code, f"{what} does not answer now ({fault.code}).", retry_after_s=fault.retry_after_s or 5.0
    )
