"""Logging in: Basic, and a token from where a Bearer challenge points to.

Source: RFC 7617, RFC 6750; distribution's token authentication.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

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


class _Scope(NamedTuple):
    """What a request needs; ``sources`` are the repositories that a mount may come from."""

    repository: str
    action: str
    sources: tuple[str, ...]


class Authorizer:
    """Remembers what let a kind of request through, for each repository and action."""

    def __init__(self, credentials: Credentials | None, fetch_token: FetchToken) -> None:
        self._credentials = credentials
        self._fetch_token = fetch_token
        self._known: dict[_Scope, str] = {}

    def header(self, method: str, url: str) -> str | None:
        return self._known.get(self._scope(method, url))

    def answer_challenge(self, method: str, url: str, challenges: list[str], refused: str | None) -> bool:
        """Whether there is now something else to send than what was refused.

        Raises Failed where a token server gives no token.
        """
        scope = self._scope(method, url)
        if self._known.get(scope) != refused:
            return True  # another thread has answered one meanwhile
        for challenge in challenges:
            kind = challenge.partition(" ")[0].lower()
            if kind == "basic" and self._credentials:
                self._known[scope] = self._credentials.basic()
            elif kind == "bearer":
                self._known[scope] = "Bearer " + self._token(dict(_PARAMETER.findall(challenge)), scope.sources)
        return self._known.get(scope) != refused

    def _token(self, challenge: dict[str, str], sources: Iterable[str]) -> str:
        realm = challenge.pop("realm", "")
        asked = [(name, value) for name, value in challenge.items() if name in {"service", "scope"}]
        asked += [("scope", f"repository:{source}:pull") for source in sources]
        headers = {"Authorization": self._credentials.basic()} if self._credentials else {}
        body = self._fetch_token(f"{realm}?{urlencode(asked)}", headers)
        try:
            document = json.loads(body)
            return str(document.get("token") or document["access_token"])
        except (ValueError, KeyError, AttributeError):
            raise Failed(f"a token from {realm}", repr(body[:100])) from None

    def _scope(self, method: str, url: str) -> _Scope:
        match = _REPOSITORY.search(url)
        name, query = match[1] if match else "", parse_qs(urlsplit(url).query)
        sources = query.get("from", self._others(name)) if "mount" in query else []
        return _Scope(name, _ACTIONS.get(method, "push"), tuple(sources))

    def _others(self, name: str) -> list[str]:
        """The repositories that were asked for so far: whoever mounts without a source needs a token for these."""
        return sorted({scope.repository for scope in list(self._known)} - {name, ""})
