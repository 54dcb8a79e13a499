"""Calls by Amazon Connect, and the numbers of clinics' staff in Parameter Store."""

from __future__ import annotations

import re
from uuid import UUID

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.errors import Code, Refusal

_E164 = re.compile(r"\+[1-9][0-9]{7,14}")
"""At least eight digits: emergency numbers with a country code before them are shorter (+1911, +49112, +353112, +1242911)."""
_CONTACT = re.compile(r"[A-Za-z0-9-]{1,256}")
_THROTTLED = {"ThrottlingException", "TooManyRequestsException", "LimitExceededException"}
_WHAT = "The telephone"


def is_number(text: str) -> bool:
    """Whether it is a full number (E.164) that staff may have. Never an emergency service's."""
    return _E164.fullmatch(text) is not None


def spoken(device_id: UUID) -> str:
    """The last six characters of the device's id, apart, as a voice reads them one by one. The list of devices shows the whole id."""
    return " ".join(device_id.hex[-6:].upper())


class StaffNumbers:
    """Who is called, by clinic: a SecureString at /health-helper/STAGE/clinics/CLINIC/staff-number.

    In Parameter Store rather than in Secrets Manager: a number opens nothing and is never rotated, its path can be granted by stage,
    and it costs nothing. Not in the database: the function that calls then needs no way to it.
    """

    def __init__(self, clients: Clients, stage: str) -> None:
        self._clients, self._stage = clients, stage

    def number(self, clinic_id: UUID) -> str | None:
        """As it is there. None: there is none. Raises Refusal 403 where it may not be read, 503 for what passes."""
        name = f"/health-helper/{self._stage}/clinics/{clinic_id}/staff-number"
        try:
            answer = asked(
                lambda: self._clients("ssm").get_parameter(Name=name, WithDecryption=True), needs="Parameter"
            )
        except Fault as fault:
            if fault.code == "ParameterNotFound":
                return None
            refused = _refused(fault, "The store of parameters")
        else:
            return str(answer["Parameter"].get("Value", "")).strip()
        raise refused


class ConnectCalls:
    """One flow of one instance. source: its own number, which is shown to whoever is called. All as AWS names them."""

    def __init__(self, clients: Clients, instance_id: str, flow_id: str, source: str) -> None:
        self._clients, self._instance_id, self._flow_id, self._source = clients, instance_id, flow_id, source

    def call(self, number: str, device_id: UUID, token: str) -> str:
        """Rings, and plays the flow. Returns the contact's id. token: with the same one no second call is begun.

        Raises Refusal 422 where the number is none, 403 where the call is refused, 503 for what passes.
        """
        if not is_number(number):
            raise Refusal(422, Code.INVALID, "The staff's number is no number.")
        try:
            answer = asked(
                lambda: self._clients("connect").start_outbound_voice_contact(
                    InstanceId=self._instance_id,
                    ContactFlowId=self._flow_id,
                    SourcePhoneNumber=self._source,
                    DestinationPhoneNumber=number,
                    ClientToken=token,
                    Attributes={"device": spoken(device_id)},
                ),
                needs="ContactId",
            )
        except Fault as fault:
            refused = _refused(fault, _WHAT)
        else:
            contact = str(answer["ContactId"])
            return contact if _CONTACT.fullmatch(contact) else "unnamed"
        raise refused


def _refused(fault: Fault, what: str) -> Refusal:
    """403 where asking again changes nothing: a destination that is not allowed, a key or an instance that is closed to us."""
    if 400 <= fault.status < 500 and fault.status != 429 and fault.code not in _THROTTLED:
        return Refusal(403, Code.FORBIDDEN, f"{what} refuses ({fault.code}).")
    return refusal(fault, Code.INTERNAL, what)
