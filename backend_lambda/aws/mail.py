"""E-mail by Amazon SES (version 2)."""

from __future__ import annotations

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.errors import Code, Refusal, unavailable

_REFUSED = {"MessageRejected", "BadRequestException", "NotFoundException"}


class SesMail:
    """Implements `ports.Mail`. sender: a verified address, "" where this service sends no mail."""

    def __init__(self, clients: Clients, sender: str) -> None:
        self._clients, self._sender = clients, sender

    def send(self, to: str, subject: str, text: str) -> None:
        """Tried once: a second attempt might be a second message. Raises Refusal 422 where the address is refused."""
        if not self._sender:
            raise unavailable(Code.MAIL_UNAVAILABLE, "No mail is sent from here.")
        content = {
            "Simple": {
                "Subject": {"Data": subject, "Charset": "UTF-8"},
                "Body": {"Text": {"Data": text, "Charset": "UTF-8"}},
            }
        }
        try:
            asked(
                lambda: self._clients("sesv2").send_email(
                    FromEmailAddress=self._sender, Destination={"ToAddresses": [to]}, Content=content
                ),
                needs="MessageId",
            )
        except Fault as fault:
            refused = (
                Refusal(422, Code.INVALID, "Mail to this address, or from ours, is refused.")
                if fault.code in _REFUSED
                else refusal(fault, Code.MAIL_UNAVAILABLE, "Mail")
            )
        else:
            return
        raise refused
