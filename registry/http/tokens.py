"""Answers of the token service.

Source: distribution, "Token Authentication Specification" (GET) and "OAuth 2.0 Token Authentication" (POST).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry.http.answers import json_answer
from registry.http.credentials import parse_authorization
from registry.http.errors import no_route_answer
from registry.http.parameters import form, required
from registry.oci.errors import ParameterInvalid, Unauthorized
from registry.oci.scopes import parse_scopes
from registry.service.credentials import Basic
from registry.service.principals import ANONYMOUS
from registry.service.tokens import Login

if TYPE_CHECKING:
    from registry.http.answers import Answer, Request
    from registry.http.parameters import Query
    from registry.oci.scopes import Scope
    from registry.service.registry import Registry
    from registry.service.tokens import Issued

_SCOPES_LIMIT = 100
"""Clients ask for one, or two to mount; each is looked for in all rules, and is read at each use of the token."""


async def get(registry: Registry, request: Request) -> Answer:
    """By Basic credentials, or without any for what is anonymous."""
    if registry.policy.access.mode != "token":
        return no_route_answer()
    credentials = parse_authorization(request.headers.get("authorization"))
    address = request.principal.address
    if credentials is None:
        login = Login(ANONYMOUS)
    elif isinstance(credentials, Basic):
        login = await registry.authentication.log_in(credentials.name, credentials.password, address)
    else:
        raise Unauthorized("a token is asked for by name and password")
    offline = request.query.one("offline_token") == "true"
    issued = await registry.tokens.issue(login, _scopes(request.query), offline=offline)
    return _answer(issued)


async def post(registry: Registry, request: Request) -> Answer:
    """By password or refresh token, in a form."""
    if registry.policy.access.mode != "token":
        return no_route_answer()
    fields = await form(request)
    address = request.principal.address
    match fields.one("grant_type"):
        case "password":
            name, password = required(fields, "username"), required(fields, "password")
            login = await registry.authentication.log_in(name, password, address)
        case "refresh_token":
            login = await registry.authentication.resume(required(fields, "refresh_token"), address)
        case _:
            raise ParameterInvalid("grant_type: expected password or refresh_token")
    known = fields.one("refresh_token")  # which is told again: no login makes another one for ever
    offline = known is None and fields.one("access_type") == "offline"
    issued = await registry.tokens.issue(login, _scopes(fields), offline=offline)
    return _answer(issued, known)


def _scopes(fields: Query) -> list[Scope]:
    """Raises ParameterInvalid."""
    scopes = list(dict.fromkeys(parse_scopes(fields.all("scope"))))
    if len(scopes) > _SCOPES_LIMIT:
        raise ParameterInvalid(f"scope: a token is for {_SCOPES_LIMIT} scopes at most")
    return scopes


def _answer(issued: Issued, refresh_token: str | None = None) -> Answer:
    """``token`` and ``access_token`` are the same: some clients read the one, some the other."""
    document = {
        "token": issued.token,
        "access_token": issued.token,
        "expires_in": issued.expires_seconds,
        "issued_at": datetime.fromtimestamp(issued.issued_ms / 1000, UTC).isoformat(timespec="seconds"),
        "scope": " ".join(map(str, issued.scopes)),
    }
    login = issued.refresh_token or refresh_token
    if login is not None:
        document["refresh_token"] = login
    return json_answer(200, document, ("Cache-Control", "no-store"))
