"""What stood against sending when it was last tried, said again without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from client.cloud import faults
from client.errors import EnvironmentFault
from client.language import said
from client.store.outbox import Contact

_WITHOUT_MORE: Mapping[str, Callable[[], faults.CloudFault]] = {
    one.code: one
    for one in (
        faults.BudgetSpent,
        faults.CaptivePortal,
        faults.CertificateUntrusted,
        faults.DeviceRevoked,
        faults.NotEnrolled,
        faults.RateLimited,
        faults.SignInLost,
    )
}
_WITH_STATUS: Mapping[str, Callable[[int], faults.CloudFault]] = {
    one.code: one for one in (faults.Refused, faults.ServerBusy)
}


def trouble(contact: Contact) -> EnvironmentFault | None:
    """Its sentence and remedy; None where nothing stands against sending. What was said from outside then is not kept, and not said."""
    code, status = contact.code, contact.status
    if code is None:
        return None
    if code in _WITHOUT_MORE:
        return _WITHOUT_MORE[code]()
    if code in _WITH_STATUS and status is not None:
        return _WITH_STATUS[code](status)
    return EnvironmentFault(
        title=said("Nothing could be sent when it was last tried ({code})", code=code),
        remedy=said("Try it now, to see why: health-helper sync --once."),
    )
