"""What can go wrong on the way to the cloud and there: each with its own code, sentence and remedy.

A certificate that is not trusted, a portal that wants somebody to log in and a server that is busy are not "offline": for each of them
somebody else has something else to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from client.cloud import wire
from client.errors import EnvironmentFault
from client.language import said

Scope = Literal["all", "item"]


class CloudFault(EnvironmentFault):
    """Something was not sent, or not answered.

    code: for programs and logs. scope: "all": whatever is asked next fares the same; "item": what this was about, others may pass.
    retry: the same may pass later without anybody's doing. retry_after_s: not before; None where nobody said.
    reached: the request may have come to the server, so nobody knows whether it was carried out.
    """

    code: ClassVar[str]
    scope: Scope = "all"
    reached: bool = True

    def __init__(
        self, *, title: str, remedy: str, retry: bool = True, retry_after_s: float | None = None
    ) -> None:
        super().__init__(title=title, remedy=remedy, retry=retry)
        self.retry_after_s = retry_after_s


# --- The way there -----------------------------------------------------------------------------------


class Offline(CloudFault):
    """No network at all."""

    code = "offline"
    reached = False

    def __init__(self) -> None:
        super().__init__(
            title=said("This computer has no connection to a network"),
            remedy=said("Plug the network in or switch it on. What waits is sent by itself then."),
        )


class NameUnknown(CloudFault):
    """The network is there, or was just cut, and nobody in it knows the server's name."""

    code = "name_unknown"
    reached = False

    def __init__(self, host: str) -> None:
        super().__init__(
            title=said("Nobody in this network knows the name of the server ({host})", host=host),
            remedy=said("Check the network and, if it works otherwise, the server's address."),
        )


class ConnectionRefused(CloudFault):
    """The computer is there and the service is not, or a firewall says so."""

    code = "connection_refused"
    reached = False

    def __init__(self, host: str) -> None:
        super().__init__(
            title=said("{host} refuses the connection", host=host),
            remedy=said(
                "It is tried again by itself. If this stays, ask whoever looks after the server or the firewall."
            ),
        )


class ConnectionBroken(CloudFault):
    """It ended before the answer was whole."""

    code = "connection_broken"

    def __init__(self) -> None:
        super().__init__(
            title=said("The connection to the server broke off"),
            remedy=said("It is tried again by itself. If this stays, ask whoever looks after the network."),
        )


class Unreachable(CloudFault):
    """There is a network, and no way from it to the server."""

    code = "unreachable"
    reached = False

    def __init__(self, host: str) -> None:
        super().__init__(
            title=said("There is no way from this network to the server ({host})", host=host),
            remedy=said(
                "It is tried again by itself. If this stays, use another network or ask whoever looks after this one."
            ),
        )


class TlsFailed(CloudFault):
    """What answers does not speak TLS, or no version of it that is safe."""

    code = "tls_failed"
    reached = False

    def __init__(self) -> None:
        super().__init__(
            title=said("No secure connection to the server can be made in this network"),
            remedy=said(
                "Nothing was sent. Open a web page and log in there if the network asks for it, or use another network."
            ),
        )


class CertificateUntrusted(CloudFault):
    """Nobody whom this system trusts vouches for the server: a network that opens what is encrypted, or an authority of one's own.

    issuer: who signed what was shown, as far as that could be learnt; for the person, never for a log.
    """

    code = "certificate_untrusted"
    reached = False

    def __init__(self, issuer: str | None = None) -> None:
        super().__init__(
            title=said("The certificate shown for the server is not trusted by this computer")
            if issuer is None
            else said(
                "The certificate shown for the server is by {issuer}, whom this computer does not trust",
                issuer=issuer,
            ),
            remedy=said(
                "Nothing was sent. If this network is meant to open what is encrypted, ask whoever manages this computer to install the "
                "network's certificate; else use another network."
            ),
        )
        self.issuer = issuer


class CertificateWrongHost(CertificateUntrusted):
    """It is somebody's, not the server's: a portal, or a wrong address."""

    code = "certificate_wrong_host"

    def __init__(self, host: str, issuer: str | None = None) -> None:
        super().__init__(issuer)
        self.title = said("The certificate shown is for another server than {host}", host=host)
        self.remedy = said(
            "Nothing was sent. Open a web page in this network and log in there if it asks; else check the server's address."
        )


class CertificateExpired(CertificateUntrusted):
    """By this computer's clock."""

    code = "certificate_expired"

    def __init__(self, today: str, issuer: str | None = None) -> None:
        super().__init__(issuer)
        self.title = said(
            "The server's certificate has expired, if it is {date} as this computer says", date=today
        )
        self.remedy = said(
            "Check the date and time of this computer. If they are right, tell whoever looks after the server."
        )


class AuthoritiesUnreadable(CloudFault):
    """The policy names a file of certificates that is not there or holds none."""

    code = "authorities_unreadable"
    reached = False

    def __init__(self, file: Path) -> None:
        super().__init__(
            title=said("The certificates that this computer's policy names cannot be read"),
            remedy=said("Ask whoever manages this computer to correct the file {file}.", file=file),
        )


class ClockWrong(CloudFault):
    """Of this computer, by so much that no certificate is valid or the server refuses what is signed."""

    code = "clock_wrong"
    reached = False

    def __init__(self, today: str) -> None:
        super().__init__(
            title=said("The clock of this computer is wrong (it says {date})", date=today),
            remedy=said("Set the date and time of this computer; best let the system set them by itself."),
        )


class CaptivePortal(CloudFault):
    """Somebody between here and the server answers for it: a network that wants a login, or shows a page of its own."""

    code = "captive_portal"

    def __init__(self) -> None:
        super().__init__(
            title=said("This network answers instead of the server, as one does that wants a login first"),
            remedy=said("Open a web page in a browser and log in there, or use another network."),
        )


class ProxyRefused(CloudFault):
    """status: what the proxy said to us; None: it could not be reached, or broke off."""

    code = "proxy_refused"
    reached = False

    def __init__(self, status: int | None) -> None:
        if status is None:
            title = said("The proxy of this network cannot be reached")
        elif status == 407:
            title = said("The proxy of this network wants a login (407)")
        else:
            title = said(
                "The proxy of this network does not let the connection pass ({status})", status=status
            )
        super().__init__(
            title=title,
            remedy=said("Ask whoever manages the network to let this computer reach the server through it."),
        )
        self.status = status


class ProxyUnusable(ProxyRefused):
    """The policy or the environment names one that is no http:// or https:// address."""

    code = "proxy_unusable"

    def __init__(self) -> None:
        super().__init__(None)
        self.title = said("The proxy that is set for this computer cannot be used")
        self.remedy = said(
            "Ask whoever manages this computer to set one that begins with http:// or https://."
        )


Phase = Literal["connect", "send", "answer", "whole"]


class TimedOut(CloudFault):
    """phase: in which the time was over: connecting, sending, waiting for the next of the answer, or all together."""

    code = "timed_out"

    def __init__(self, phase: Phase) -> None:
        titles = {
            "connect": said("The server cannot be reached in time"),
            "send": said("The network is too slow or takes nothing any more"),
            "answer": said("The server does not answer in time"),
            "whole": said("The server's answer takes too long"),
        }
        super().__init__(
            title=titles[phase],
            remedy=said("It is tried again by itself. If this stays, check the network."),
        )
        self.phase = phase
        self.reached = phase != "connect"


class Closed(CloudFault):
    """`Transport.close` was called meanwhile."""

    code = "closed"

    def __init__(self) -> None:
        super().__init__(
            title=said("Sending was ended"), remedy=said("What waits is sent when the program runs again.")
        )


# --- The server --------------------------------------------------------------------------------------


class ServerBusy(CloudFault):
    """5xx. status 500 is the server's own bug, perhaps with this item only: then scope is "item". server_code: of wire.Code, where it says one."""

    code = "server_busy"

    def __init__(
        self, status: int, server_code: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(
            title=said("The server cannot do this at the moment ({status})", status=status),
            remedy=said("It is tried again by itself. If this stays, tell whoever looks after the server."),
            retry_after_s=retry_after_s,
        )
        self.status = status
        self.server_code = server_code
        if status == 500:
            self.scope = "item"


class RateLimited(CloudFault):
    """429, 409 of a token: too often, or too many at once."""

    code = "rate_limited"

    def __init__(self, retry_after_s: float | None = None) -> None:
        super().__init__(
            title=said("The server takes no more at the moment"),
            remedy=said("It is tried again by itself after a while."),
            retry_after_s=retry_after_s,
        )


class BudgetSpent(CloudFault):
    """What this clinic may use this month is used; what is measured can be sent all the same."""

    code = "budget_spent"
    scope: Scope = "item"

    def __init__(self, retry_after_s: float | None = None) -> None:
        super().__init__(
            title=said("This clinic has used what it may use this month"),
            remedy=said("Wait until next month, or ask whoever manages the service for more."),
            retry_after_s=retry_after_s,
        )


class NotEnrolled(CloudFault):
    """With no clinic."""

    code = "not_enrolled"
    reached = False

    def __init__(self) -> None:
        super().__init__(
            title=said("This device is not enrolled with a clinic"),
            remedy=said("Ask the clinic's administrator for a code and enrol this device."),
            retry=False,
        )


class DeviceRevoked(CloudFault):
    """An administrator has sent this device away, or its sign-in was used by somebody else too."""

    code = "device_revoked"

    def __init__(self) -> None:
        super().__init__(
            title=said("The clinic has ended the enrolment of this device"),
            remedy=said(
                "What is measured stays on this device. Ask the clinic's administrator for a new code and enrol it anew."
            ),
            retry=False,
        )


class SignInLost(CloudFault):
    """The server does not know this device's sign-in any more: unused for 90 days, say."""

    code = "sign_in_lost"

    def __init__(self) -> None:
        super().__init__(
            title=said("The server does not accept this device's sign-in any more"),
            remedy=said(
                "What is measured stays on this device. Ask the clinic's administrator for a new code and enrol it anew."
            ),
            retry=False,
        )


class CodeMistyped(CloudFault):
    """Told by its check character, before anybody was asked."""

    code = "code_mistyped"
    scope: Scope = "item"
    reached = False

    def __init__(self) -> None:
        super().__init__(
            title=said("The code is mistyped"),
            remedy=said("Type its twelve letters and digits as they are shown; it has no 0, O, 1, I and L."),
            retry=False,
        )


class CodeRefused(CloudFault):
    """Of enrolling."""

    code = "code_refused"
    scope: Scope = "item"

    def __init__(self) -> None:
        super().__init__(
            title=said("The code is mistyped, was used already, or is older than ten minutes"),
            remedy=said("Check it, or ask the clinic's administrator for a new one."),
            retry=False,
        )


class EnrolmentUnsure(CloudFault):
    """The code was sent and no answer came. A code works once: the server has used it up, or never saw it."""

    code = "enrolment_unsure"
    scope: Scope = "item"

    def __init__(self) -> None:
        super().__init__(
            title=said("The code was sent, but the server's answer was lost on its way"),
            remedy=said(
                "Try the same code once more. If it is refused, ask the clinic's administrator for a new one, and to remove the device that "
                "never came."
            ),
        )


# --- What it is about --------------------------------------------------------------------------------


class Refused(CloudFault):
    """Any other refusal. status: HTTP. server_code: of wire.Code or a newer one, None where nothing was said.

    scope "all": it is this device that is refused, not this item.
    """

    code = "refused"

    def __init__(
        self, status: int, server_code: str | None = None, *, scope: Scope = "item", retry: bool = False
    ) -> None:
        super().__init__(
            title=said("The server does not take this ({status})", status=status),
            remedy=said("Install the newest version. If this stays, tell whoever looks after the server."),
            retry=retry,
        )
        self.status = status
        self.server_code = server_code
        self.scope = scope


class PatientErased(CloudFault):
    """Everything of this patient was erased at the server, and nothing new of them is taken."""

    code = "patient_erased"
    scope: Scope = "item"

    def __init__(self) -> None:
        super().__init__(
            title=said("The data of this person were erased at the server, which takes no more of them"),
            remedy=said("What is kept on this device stays here until it is deleted."),
            retry=False,
        )


class UrlExpired(CloudFault):
    """The place for a file is not open any more: announce it again."""

    code = "url_expired"
    scope: Scope = "item"

    def __init__(self) -> None:
        super().__init__(
            title=said("The time to send this file was over"), remedy=said("It is tried again by itself.")
        )


class AnswerUnreadable(CloudFault, wire.AnswerUnreadable):
    """What came is no answer of this API. place: see wire.AnswerUnreadable, or what of HTTP was wrong."""

    code = "answer_unreadable"
    scope: Scope = "item"

    def __init__(self, place: str, *, scope: Scope = "item") -> None:
        wire.AnswerUnreadable.__init__(self, place)
        self.retry_after_s = None
        self.scope = scope
