"""Whether addresses have a form that settings may give them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable


def is_address(address: str) -> bool:
    """``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:PATH``."""
    if address.startswith("unix:"):
        return len(address) > len("unix:")
    host, _, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host == f"[{bare}]"
    return bool(bare) and bracketed == (":" in bare) and port.isascii() and port.isdigit() and int(port) < 65536


def is_local(address: str) -> bool:
    """Whether only this machine reaches the address."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return address.startswith("unix:") or host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False  # a name, which may mean any address


def find_exposure(mode: str, addresses: Iterable[str]) -> str | None:
    """Why these must not be listened on in this ``access.mode``: nobody lets other machines in by mistake."""
    exposed = [address for address in addresses if not is_local(address)]
    if mode or not exposed:
        return None
    return (
        f"listen = {exposed[0]!r} would let anybody who reaches this address pull, push and delete: access control is "
        'off; set access.mode = "token" (CARGOHOLD_ACCESS__MODE=token), or "open" if that is what you want, or listen '
        "on 127.0.0.1"
    )


def is_network(text: str) -> bool:
    """An IP address, or a network whose host bits are zero."""
    try:
        ip_network(text)
    except ValueError:
        return False
    return "%" not in text


def is_web_address(url: str) -> bool:
    """``http(s)://HOST[:PORT][/PATH]``, of characters that need no quoting in a header."""
    if not url.isascii() or not url.isprintable() or any(character in ' "\\<>{}|^`%?#@' for character in url):
        return False
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and has_port and not parts.netloc.endswith(":")
