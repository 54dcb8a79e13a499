"""Signing in to RDS by IAM: a token instead of a password, good for fifteen minutes and for this login on this host alone."""

from __future__ import annotations

from urllib.parse import unquote, urlencode, urlsplit

import botocore.auth
import botocore.awsrequest

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.errors import Code, unavailable

TOKEN_SECONDS = 900


class IamPassword:
    """What `Database` asks for each new connection. url: postgresql://LOGIN@HOST[:PORT]/NAME, without a password."""

    def __init__(self, clients: Clients, url: str) -> None:
        self._clients = clients
        parts = urlsplit(url)
        self._host = f"{parts.hostname}:{parts.port or 5432}"
        self._login = unquote(parts.username or "")

    def __call__(self) -> str:
        """Made on this machine: nothing is asked of AWS. Raises Refusal 503 without credentials."""
        query = urlencode({"Action": "connect", "DBUser": self._login})
        request = botocore.awsrequest.AWSRequest("GET", f"https://{self._host}/?{query}")
        try:
            credentials = asked(self._clients.credentials)
        except Fault as fault:
            refused = refusal(fault, Code.STORE_UNAVAILABLE, "The store")
        else:
            if credentials is not None:
                botocore.auth.SigV4QueryAuth(
                    credentials, "rds-db", self._clients.region, TOKEN_SECONDS
                ).add_auth(request)
                return str(request.url).removeprefix("https://")
            refused = unavailable(Code.STORE_UNAVAILABLE, "The store's sign-in has no credentials.")
        raise refused
