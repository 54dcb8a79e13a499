"""Who this device is to the server: a P-256 key that never leaves it, and a refresh token that is good once.

Both are one entry in the key store of the operating system, with the server's address. An access token lives in memory for the minutes that
it is good. Each request carries a proof by the key (DPoP, RFC 9449).

**A lost answer loses nothing.** The server gives the answer to a refresh again to whoever repeats it with the same request id. The id is
made of the refresh token, so it needs no place of its own: after a kill at any moment, in another process and as often as may be, the same
token asks with the same id. The new token is only used once it stands in the key store; until then the old one brings it again.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from client import log
from client.cloud import faults
from client.cloud.forms import (
    Fields,
    Unfit,
    base64url,
    identifier,
    moment,
    moment_text,
    parsed,
    web_url,
)
from client.cloud.transport import Reply, Transport, address, read_answer
from client.cloud.wire import ANSWER_BYTES, Code, PublicKey, TokenRequest, Tokens
from client.vault import Vault, VaultFault

ENTRY = "device"
MAX_ENTRY_BYTES = 599
"""Twice as many characters in hexadecimal: Windows' Credential Locker keeps 2,560 bytes, which are 1,280 characters."""
URL_CHARACTERS = 200
EARLY_S = 60.0
"""An access token is renewed this long before its end, so that none ends on its way."""
_UNAUTHORIZED, _CONFLICT = 401, 409
_TRIAL = f"{ENTRY}-trial"
_SAME_TIME_S = 30.0
"""The server takes a proof whose time differs by less than 60 s."""
_KEY_BYTES = 32


_Ended = type[faults.DeviceRevoked] | type[faults.SignInLost]


class Key:
    """A P-256 key."""

    def __init__(self, raw: bytes | None = None) -> None:
        """raw: 32 bytes; None: a new one. Raises ValueError for a number that is no key."""
        self._key = (
            ec.generate_private_key(ec.SECP256R1())
            if raw is None
            else ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())
        )
        numbers = self._key.public_key().public_numbers()
        self.public = PublicKey(x=_coordinate(numbers.x), y=_coordinate(numbers.y))

    @property
    def raw(self) -> bytes:
        """The secret itself."""
        return self._key.private_numbers().private_value.to_bytes(_KEY_BYTES, "big")

    def proof(self, method: str, url: str, at: datetime, access_token: str | None = None) -> str:
        """For one request, once. url: without query. at: by the server's clock."""
        claims: dict[str, object] = {
            "jti": str(uuid.uuid4()),
            "htm": method,
            "htu": url,
            "iat": int(at.timestamp()),
        }
        if access_token is not None:
            claims["ath"] = _base64url(hashlib.sha256(access_token.encode()).digest())
        head = {"typ": "dpop+jwt", "jwk": self.public.to_json()}
        return jwt.encode(claims, self._key, algorithm="ES256", headers=head)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the key store keeps. url: the server's, without a slash at its end. key: 32 bytes."""

    url: str
    clinic_id: str
    device_id: str
    key: bytes = field(repr=False)
    refresh_token: str = field(repr=False)
    refresh_expires_at: datetime

    def to_bytes(self) -> bytes:
        """JSON. Raises Unfit where it would not fit into every system's key store."""
        written = json.dumps(
            {
                "url": self.url,
                "clinic_id": self.clinic_id,
                "device_id": self.device_id,
                "key": _base64url(self.key),
                "refresh_token": self.refresh_token,
                "refresh_expires_at": moment_text(self.refresh_expires_at),
            },
            separators=(",", ":"),
        ).encode()
        if len(written) > MAX_ENTRY_BYTES:
            raise Unfit(f"an entry of at most {MAX_ENTRY_BYTES} bytes")
        return written

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """None for what is no entry: then there is no enrolment, whatever was there."""
        try:
            its = Fields(parsed(data, MAX_ENTRY_BYTES))
            key = b64decode(its.get("key", base64url) + "=", altchars=b"-_")
            Key(key)
            return cls(
                url=its.get("url", web_url),
                clinic_id=its.get("clinic_id", identifier),
                device_id=its.get("device_id", identifier),
                key=key,
                refresh_token=its.get("refresh_token", base64url),
                refresh_expires_at=its.get("refresh_expires_at", moment),
            )
        except ValueError:  # Unfit is one
            return None

    @property
    def request_id(self) -> str:
        """Of the one refresh that this token is good for."""
        return str(uuid.UUID(bytes=hashlib.sha256(b"request " + self.refresh_token.encode()).digest()[:16]))


class Credentials:
    """Of this device, for any number of threads. Each method may raise VaultFault where the key store does not do what it should."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._renewing = threading.Lock()
        self._lock = threading.Lock()
        """Of what follows; never held while somebody is asked over the network."""
        self._entry: Entry | None = None
        self._before: Entry | None = None
        """Not None: `_entry` is not written yet, and stands for this one."""
        self._by: bytes | None = None
        self._access_token: str | None = None
        self._good_until_s = 0.0
        self._ended: tuple[Entry, _Ended] | None = None

    def entry(self) -> Entry | None:
        """What is kept; None: this device is not enrolled. One that could not be written yet counts, and is written where that works now.

        Where another process has enrolled this device anew or forgotten it, that holds here from now on; else only with the next renewal.
        """
        with self._lock:
            if self._saved():
                self._take_over(self._kept())
            return self._entry

    def signed_in(self, transport: Transport) -> tuple[Entry, Key, str]:
        """Who asks, and with which access token; it is renewed where its time is over, by one thread while others wait.

        Raises CloudFault: NotEnrolled, also where the policy wants another server; DeviceRevoked and SignInLost without asking again, as
        long as the entry is the same.
        """
        found = self._still_good(transport)
        if found is None:
            with self._renewing:
                found = self._still_good(transport) or self._renewed(transport)
        return found

    def drop(self, access_token: str) -> None:
        """The server did not take it; the next request gets another."""
        with self._lock:
            if self._access_token == access_token:
                self._access_token = None

    def end(self, entry: Entry, why: _Ended) -> None:
        """The enrolment is over, until there is another."""
        with self._lock:
            self._access_token = None
            self._ended = entry, why

    def check_writable(self) -> None:
        """Raises VaultFault where an entry could not be written now. What is kept stays as it is.

        Under another name: to write back what was read would undo what another process has renewed meanwhile, which ends the enrolment.
        """
        with self._lock:
            self._vault.read(ENTRY)
            self._vault.write(_TRIAL, b"x" * MAX_ENTRY_BYTES)
            self._vault.forget(_TRIAL)

    def keep(self, entry: Entry, *, by: bytes | None = None) -> None:
        """Instead of any other. Where it cannot be written it is good all the same, in this process, and is written as soon as that works.

        by: what `waiting_for` knows it by. Raises VaultFault then, and Unfit for one that is too long.
        """
        entry.to_bytes()
        with self._lock:
            self._entry, self._before, self._by = entry, entry, by
            self._access_token, self._ended = None, None
            self._write()
            self._by = None

    def waiting_for(self, by: bytes) -> Entry | None:
        """The entry that `keep` got with the same `by`, if it was not written then; now it is. Raises VaultFault where it still cannot be."""
        with self._lock:
            if self._by != by or self._entry is None:
                return None
            if self._before is not None:
                self._write()
            return self._entry

    def forget(self) -> None:
        """No entry any more: the key and the sign-in are gone for good. At the server the device stays listed until it is removed there."""
        with self._lock:
            self._vault.forget(ENTRY)
            self._entry, self._before, self._by = None, None, None
            self._access_token, self._ended = None, None

    # --- Renewing -------------------------------------------------------------------------------------

    def _still_good(self, transport: Transport) -> tuple[Entry, Key, str] | None:
        with self._lock:
            self._saved()
            if self._entry is None or self._access_token is None:
                return None
            if transport.clock.now_s() >= self._good_until_s:
                return None
            return self._entry, Key(self._entry.key), self._access_token

    def _renewed(self, transport: Transport) -> tuple[Entry, Key, str]:
        entry = self._to_renew()
        if not _is_wanted(entry.url, transport.policy.cloud_url):
            raise faults.NotEnrolled
        key = Key(entry.key)
        asked = TokenRequest(entry.refresh_token, entry.request_id)
        reply = ask_signed(transport, key, "POST", entry.url, "/v1/token", body=asked.body())
        try:
            tokens = read_answer(reply, Tokens)
        except faults.DeviceRevoked:
            self.end(entry, faults.DeviceRevoked)
            raise
        except faults.Refused as refused:
            if refused.status == _CONFLICT:  # another process was quicker; its entry is read next time
                raise faults.RateLimited(reply.retry_after_s) from None
            # A wrong clock is refused with the same word; but what was signed last had the time of an answer.
            if refused.server_code == Code.UNAUTHENTICATED and reply.date is not None:
                self.end(entry, faults.SignInLost)
                raise faults.SignInLost from None
            raise
        renewed = replace(
            entry, refresh_token=tokens.refresh_token, refresh_expires_at=tokens.refresh_expires_at
        )
        try:
            renewed.to_bytes()
        except Unfit:
            raise faults.AnswerUnreadable("Tokens.refresh_token") from None
        with self._lock:
            if self._entry == entry:
                self._entry, self._before = renewed, entry
                self._access_token = tokens.access_token
                lives_s = max(tokens.expires_in_s - EARLY_S, tokens.expires_in_s / 2)
                self._good_until_s = reply.arrived_s + lives_s
                self._saved()
                return renewed, key, tokens.access_token
        return self._renewed(transport)  # meanwhile it was enrolled anew, or forgotten

    def _to_renew(self) -> Entry:
        """The entry as it stands in the key store: another process may have renewed it."""
        with self._lock:
            if self._before is not None:
                self._write()  # its refresh token is not used before it stands there
            self._take_over(self._kept())
            if self._entry is None:
                raise faults.NotEnrolled
            if self._ended is not None and self._ended[0] == self._entry:
                raise self._ended[1]
            return self._entry

    # --- The key store --------------------------------------------------------------------------------

    def _kept(self) -> Entry | None:
        data = self._vault.read(ENTRY)
        return None if data is None else Entry.read(data)

    def _take_over(self, kept: Entry | None) -> None:
        if kept is None or self._entry is None or kept.device_id != self._entry.device_id:
            self._access_token, self._by = None, None
        self._entry = kept

    def _saved(self) -> bool:
        """Write what is not written yet. False: it still cannot be."""
        if self._before is not None:
            try:
                self._write()
            except VaultFault:
                log.event("credentials_unsaved")
        return self._before is None

    def _write(self) -> None:
        """A renewed entry only where the old one still stands: another process may have enrolled this device anew, or renewed further."""
        assert self._entry is not None
        if self._before != self._entry:
            kept = self._kept()
            if kept not in (self._before, self._entry):
                self._before = None
                self._take_over(kept)
                return
        self._vault.write(ENTRY, self._entry.to_bytes())
        self._before = None


def _is_wanted(url: str, by_policy: str | None) -> bool:
    """Whether an enrolment that is there, of a time before the policy perhaps, is with the server that the policy wants."""
    if by_policy is None:
        return True
    try:
        return str(address(url)).rstrip("/") == str(address(by_policy)).rstrip("/")
    except Unfit:
        return False


def ask_signed(
    transport: Transport,
    key: Key,
    method: str,
    base_url: str,
    path: str,
    *,
    query: str = "",
    body: bytes | None = None,
    access_token: str | None = None,
    most_bytes: int = ANSWER_BYTES,
    answer_type: str | None = None,
) -> Reply:
    """One request with its proof; once more where it was refused (401) and the refusal says that the time was wrong. query: with its "?"."""

    def ask(at: datetime) -> Reply:
        sent = signed_headers(key, method, base_url + path, at, access_token=access_token)
        return transport.request(
            method,
            base_url + path + query,
            headers=sent,
            body=body,
            most_bytes=most_bytes,
            answer_type=answer_type,
        )

    at = transport.server_clock.utc()
    reply = ask(at)
    return ask(transport.server_clock.utc()) if time_was_wrong(reply, at, transport) else reply


def time_was_wrong(reply: Reply, at: datetime, transport: Transport) -> bool:
    """Whether a proof of that moment was refused (401) for its moment, so that one of now, as this answer has told, is taken."""
    if reply.status != _UNAUTHORIZED:
        return False
    problem = reply.problem
    code = None if problem is None else problem.code
    apart_s = abs((transport.server_clock.utc() - at).total_seconds())
    return code in {Code.CLOCK_SKEW, Code.PROOF_REPLAYED} or (
        code != Code.DEVICE_REVOKED and apart_s > _SAME_TIME_S
    )


def signed_headers(
    key: Key, method: str, url: str, at: datetime, *, access_token: str | None
) -> Mapping[str, str]:
    """url: without query."""
    proof = {"DPoP": key.proof(method, url, at, access_token)}
    return proof if access_token is None else {"Authorization": f"DPoP {access_token}", **proof}


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _coordinate(value: int) -> str:
    return _base64url(value.to_bytes(_KEY_BYTES, "big"))
