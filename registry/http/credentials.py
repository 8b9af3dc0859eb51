"""Credentials of requests, and challenges that ask for them.

Source: RFC 9110, section 11; RFC 7617 (Basic); RFC 6750 (Bearer); distribution, "Token Authentication Specification".
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from registry.oci.errors import Unauthorized
from registry.service.credentials import Basic, Bearer

if TYPE_CHECKING:
    from registry.service.credentials import Credentials

_LIMIT = 32 * 1024
"""Longest value of Authorization; the tokens of CI systems have a few kilobytes."""


def parse_authorization(value: str | None) -> Credentials:
    """None where the header is absent. Raises Unauthorized for what is neither Basic nor Bearer, or broken."""
    if value is None:
        return None
    scheme, _, rest = value.partition(" ")
    match scheme.lower():
        case "basic" if len(rest) <= _LIMIT:
            return _basic(rest.strip())
        case "bearer" if 0 < len(rest.strip()) <= _LIMIT:
            return Bearer(rest.strip())
    raise Unauthorized("Authorization has to be Basic or Bearer, once")


def _basic(encoded: str) -> Basic | None:
    """None without name and password: what podman and skopeo answer a challenge with when they have no credentials."""
    try:
        name, found, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # of base64, of what is not ASCII, or of UTF-8
        found = ""
    if not found:
        raise Unauthorized("Basic credentials have to be the base64 of NAME:PASSWORD in UTF-8")
    return Basic(name, password) if name or password else None


def challenge(mode: str, base: str, error: Unauthorized, scope: str | None) -> str:
    """The value of WWW-Authenticate. ``base`` is where clients reach this registry: ``https://host:port``.

    ``scope`` is named for a bad token too: some clients ask for another one by this challenge alone.
    """
    if mode == "basic":
        return 'Basic realm="cargohold", charset="UTF-8"'
    parts = [f'Bearer realm="{base}/token"', f'service="{base.partition("://")[2]}"']
    if scope is not None:
        parts.append(f'scope="{scope}"')
    if error.is_token_bad:
        parts.append('error="invalid_token"')
    elif error.is_token_narrow:
        parts.append('error="insufficient_scope"')  # without it, podman does not ask for another token
    return ",".join(parts)
