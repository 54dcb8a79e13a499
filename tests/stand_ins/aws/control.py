"""Scripts the AWS stand-in over HTTP, for a local cloud in another process. Part of the stand-in, so never shipped.

Only for a peer on loopback that asks for a loopback name, so that no page in a browser reaches it by a name of its own.

    POST   /_stand_in/faults   {"service": "s3", "kind": "unavailable", "times": 3, "seconds": 0}   (kinds: faults.Kind)
    DELETE /_stand_in/faults
    POST   /_stand_in/bedrock  {"behaviour": "throttled", "model": null, "times": 1}                 (behaviours: bedrock.NAMED)
    POST   /_stand_in/bedrock  {"pieces": ["…"], "first_s": 0.1, "every_s": 0.05}
    DELETE /_stand_in/bedrock
    GET    /_stand_in/mail
    POST   /_stand_in/oidc/token  {"subject": "…", "role": "operator", "clinic_id": null}
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from typing import Any, Protocol

from tests.stand_ins.aws.bedrock import NAMED, Bedrock, Says
from tests.stand_ins.aws.exchange import Answer, Request
from tests.stand_ins.aws.faults import Fault, Faults, Kind
from tests.stand_ins.aws.oidc import OidcIssuer
from tests.stand_ins.aws.ses import Ses

PREFIX = "/_stand_in/"
_JSON = ("Content-Type", "application/json")


class Controlled(Protocol):
    """What of the stand-in is scripted."""

    faults: Faults
    bedrock: Bedrock
    ses: Ses
    oidc: OidcIssuer


class Control:
    """Answers below /_stand_in/."""

    def __init__(self, controlled: Controlled) -> None:
        self._controlled = controlled

    def answer(self, request: Request, peer: str) -> Answer:
        host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        if not _is_loopback(peer) or not (host == "localhost" or _is_loopback(host.strip("[]"))):
            return _said(403, {"message": "for this machine only"})
        path = request.path.removeprefix(PREFIX)
        try:
            if path.startswith("oidc/"):
                return self._controlled.oidc.answer(request, path.removeprefix("oidc"))
            return self._script(request.method, path, json.loads(request.body.read() or b"{}"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _said(400, {"message": f"{type(error).__name__}: {error}"})

    def _script(self, method: str, path: str, wanted: dict[str, Any]) -> Answer:
        faults, bedrock = self._controlled.faults, self._controlled.bedrock
        match method, path:
            case "POST", "faults":
                service, times = str(wanted.pop("service")), wanted.pop("times", None)
                faults.set(service, Fault(Kind(wanted.pop("kind")), **wanted), times)
            case "DELETE", "faults":
                faults.clear(wanted.get("service"))
            case "POST", "bedrock":
                model, times = wanted.pop("model", None), wanted.pop("times", None)
                named = wanted.pop("behaviour", None)
                behaviour = Says(**wanted) if named is None else NAMED[named]
                if times is not None:
                    bedrock.then(*[behaviour] * int(times))
                elif model is not None:
                    bedrock.models[str(model)] = behaviour
                else:
                    bedrock.always = behaviour
            case "DELETE", "bedrock":
                bedrock.clear()
            case "GET", "mail":
                messages = [dataclasses.asdict(message) for message in self._controlled.ses.messages]
                return _said(200, {"messages": messages})
            case _:
                return _said(404, {"message": "no such switch"})
        return _said(200, {})


def _said(status: int, content: dict[str, Any]) -> Answer:
    return Answer(status, [_JSON], json.dumps(content).encode())


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
