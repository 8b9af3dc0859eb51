"""Logging in: Basic, and a token from where a Bearer challenge points to.

Source: RFC 7617, RFC 6750; distribution's token authentication.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from conformance.case import Failed

_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')
_REPOSITORY: Final = re.compile(r"/v2/(.+?)/(?:blobs|manifests|tags|referrers)/")
_ACTIONS: Final = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}

FetchToken = Callable[[str, Mapping[str, str]], bytes]


@dataclass(frozen=True, slots=True)
class Credentials:
    user: str
    password: str

    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class Authorizer:
    """Remembers what let a kind of request through, for each repository and action."""

    def __init__(self, credentials: Credentials | None, fetch_token: FetchToken) -> None:
        self._credentials = credentials
        self._fetch_token = fetch_token
        self._known: dict[tuple[str, str], str] = {}

    def header(self, method: str, url: str) -> str | None:
        return self._known.get(_scope(method, url))

    def answer_challenge(self, method: str, url: str, challenges: list[str]) -> bool:
        """Whether there is now something new to send. Raises Failed where a token server gives no token."""
        scope = _scope(method, url)
        before = self._known.get(scope)
        for challenge in challenges:
            kind = challenge.partition(" ")[0].lower()
            if kind == "basic" and self._credentials:
                self._known[scope] = self._credentials.basic()
            elif kind == "bearer":
                self._known[scope] = "Bearer " + self._token(dict(_PARAMETER.findall(challenge)))
        return self._known.get(scope) != before

    def _token(self, challenge: dict[str, str]) -> str:
        realm = challenge.pop("realm", "")
        asked = {name: value for name, value in challenge.items() if name in {"service", "scope"}}
        headers = {"Authorization": self._credentials.basic()} if self._credentials else {}
        body = self._fetch_token(f"{realm}?{urlencode(asked)}", headers)
        try:
            document = json.loads(body)
            return str(document.get("token") or document["access_token"])
        except (ValueError, KeyError, AttributeError):
            raise Failed(f"a token from {realm}", repr(body[:100])) from None


def _scope(method: str, url: str) -> tuple[str, str]:
    match = _REPOSITORY.search(url)
    return (match[1] if match else ""), _ACTIONS.get(method, "push")
