"""Where a request comes from, as its client sees it: the word of a trusted proxy is taken for it, nobody else's.

Source: RFC 7239 (Forwarded); X-Forwarded-For, -Proto and -Host have none. Each proxy adds to the right of what it got,
so the list is read from there, and what is left of the first address that is no proxy's may be a lie.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

_Address = IPv4Address | IPv6Address

_KEY = "cargohold.origin"

_LONGEST_ADDRESS = len("[0000:0000:0000:0000:0000:ffff:255.255.255.255]:65535")
_LONGEST_HOST = 255

_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{1,5}))?", re.ASCII)


class Origin(NamedTuple):
    """The client's address, None where that is a process on the other end of a unix socket; and how it says ``/``.

    ``scheme`` is http or https; ``host`` has a port unless the client left it out, and the form of a host.
    """

    address: str | None
    scheme: str
    host: str


def origin_of(scope: Mapping[str, Any]) -> Origin:
    """Of a request; where no ``OriginFinder`` stands in front, that of the connection."""
    found: Origin | None = scope.get(_KEY)
    return found or _direct(scope)


def realm_base(origin: Origin, external_url: str) -> str:
    """Where the client reaches this registry, without a slash at the end: ``https://host:port``."""
    return external_url.rstrip("/") or f"{origin.scheme}://{origin.host}"


def is_host(text: str) -> bool:
    """A name, an IPv4 address or an IPv6 address in brackets, with or without a port (RFC 3986, section 3.2.2)."""
    return len(text) <= _LONGEST_HOST and _is_short_host(text)


@lru_cache(maxsize=256)
def _is_short_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    if match is None or int(match[2] or 0) > 65535:
        return False
    return match[1] is None or (":" in match[1] and _parse_address(match[1]) is not None)


class OriginFinder:
    """Wraps the application: ``client`` and ``scheme`` of the scope become those of the origin, which is added."""

    def __init__(self, app: ASGIFramework, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        found: Any = scope
        if scope["type"] == "http":
            origin = self._proxies.origin(scope)
            client = scope["client"] if origin.address == _peer(scope) else (origin.address, 0)
            found = {**scope, "client": client, "scheme": origin.scheme, _KEY: origin}
        await self._app(found, receive, send)


class TrustedProxies:
    """``proxies`` are addresses, networks, and "unix" for whoever connects to a unix socket."""

    def __init__(self, proxies: Collection[str]) -> None:
        self._is_unix_trusted = "unix" in proxies
        self._networks = [ip_network(proxy) for proxy in proxies if proxy != "unix"]

    def trust(self, peer: str | None) -> bool:
        """Whether the one on the other end of a connection is a proxy; None is a unix socket's."""
        if peer is None:
            return self._is_unix_trusted
        address = _parse_address(peer.partition("%")[0])
        return address is not None and self._has(address)

    def origin(self, scope: Mapping[str, Any]) -> Origin:
        direct = _direct(scope)
        if not self.trust(direct.address):
            return direct
        told = self._told(scope)
        address = direct.address if told.address is None else str(told.address)
        return Origin(address, told.scheme or direct.scheme, told.host or direct.host)

    def _told(self, scope: Mapping[str, Any]) -> _Hop:
        """What the proxies say.

        A proxy writes one kind of header and may pass on the other as its client sent it. Where they name different
        clients, one is a lie, and nothing tells which.
        """
        by_standard = self._follow(_forwarded(scope))
        by_custom = self._follow(_x_forwarded(scope))
        addresses = {by_standard.address, by_custom.address} - {None}
        if len(addresses) > 1:
            return _Hop()
        return _Hop(
            next(iter(addresses), None),
            by_standard.scheme or by_custom.scheme,
            by_standard.host or by_custom.host,
        )

    def _follow(self, hops: Iterable[_Hop]) -> _Hop:
        """The last hop that a trusted proxy describes, beginning with ours; it may leave things to those before."""
        found = _Hop()
        for hop in hops:
            found = _Hop(hop.address or found.address, hop.scheme or found.scheme, hop.host or found.host)
            if hop.address is None or not self._has(hop.address):
                break
        return found

    def _has(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


@dataclass(frozen=True, slots=True)
class _Hop:
    """What a proxy says of the one who connected to it; None for what it does not say, or not well."""

    address: _Address | None = None
    scheme: str | None = None
    host: str | None = None


def _forwarded(scope: Mapping[str, Any]) -> Iterator[_Hop]:
    for element in _from_right(scope, b"forwarded"):
        pairs = _pairs(element)
        yield _Hop(_parse_node(pairs.get("for", "")), _scheme(pairs.get("proto", "")), _host(pairs.get("host", "")))


def _pairs(element: str) -> dict[str, str]:
    """Names, in lower case, and values; nothing where it says a thing twice.

    Separators count inside of quotes too: no value that is of use has one, and a client that leaves a quote open can't
    hide in it what the proxies add.
    """
    found: dict[str, str] = {}
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() in found:
            return {}
        found[name.lower()] = value.removeprefix('"').removesuffix('"').replace("\\", "")
    return found


def _x_forwarded(scope: Mapping[str, Any]) -> Iterator[_Hop]:
    """Proxies add to the scheme and the host as to the address, or replace them: then there is one for all hops."""
    addresses, schemes, hosts = (_from_right(scope, b"x-forwarded-" + name) for name in (b"for", b"proto", b"host"))
    for number, address in enumerate(addresses):
        scheme, host = (values[min(number, len(values) - 1)] for values in (schemes, hosts))
        yield _Hop(_parse_node(address), _scheme(scheme), _host(host))


def _parse_node(text: str) -> _Address | None:
    """An address with or without a port and brackets; None for ``unknown`` and names (RFC 7239, section 6)."""
    if len(text) > _LONGEST_ADDRESS:
        return None
    if text.startswith("["):
        return _parse_address(text[1:].partition("]")[0])
    return _parse_address(text.partition(":")[0] if text.count(":") == 1 else text)


def _parse_address(text: str) -> _Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address


def _scheme(text: str) -> str | None:
    return text.lower() if text.lower() in {"http", "https"} else None


def _host(text: str) -> str | None:
    return text if is_host(text) else None


def _direct(scope: Mapping[str, Any]) -> Origin:
    """What the connection says, and the Host of the request."""
    return Origin(_peer(scope), scope["scheme"], _host(_header(scope, b"host")) or _socket_address(scope))


def _peer(scope: Mapping[str, Any]) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _socket_address(scope: Mapping[str, Any]) -> str:
    server = scope.get("server")
    if not server or server[1] is None:
        return "localhost"
    host, port = server[0].partition("%")[0], server[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _from_right(scope: Mapping[str, Any], name: bytes) -> list[str]:
    """What stands between the commas: at least one text, empty where the header is absent."""
    return [part.strip() for part in reversed(_header(scope, name).split(","))]


def _header(scope: Mapping[str, Any], name: bytes) -> str:
    """All values, as one list; empty where there is none."""
    return b",".join(value for each, value in scope["headers"] if each == name).decode("latin-1")
