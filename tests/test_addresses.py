"""The forms of addresses in settings; ``listen`` is tested with the configuration."""

from __future__ import annotations

import pytest

from registry.addresses import is_network, is_web_address


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.1.2.3", "fd00::/8", "::1", "0.0.0.0/0"])
def test_a_network(text: str) -> None:
    assert is_network(text)


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "10.0.0.0/33", "proxy", "10.0.0.0-10.0.0.9", "fe80::1%eth0"])
def test_no_network(text: str) -> None:
    assert not is_network(text)


@pytest.mark.parametrize(
    "url", ["http://a", "https://r.example", "https://r.example:8443/", "https://[::1]:5000/registry", "http://1.2.3.4"]
)
def test_a_web_address(url: str) -> None:
    assert is_web_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "r.example",
        "ftp://r.example",
        "https://",
        "https:///path",
        "https://r.example?x",
        "https://r.example/?",
        "https://r.example#x",
        "https://user@r.example",
        "https://r.example:port",
        "https://r.example:0",
        "https://r.example:",
        "https://r.example:99999",
        'https://r.example/"x',
        "https://r.example/a b",
        "https://[::1",
        "https://é.example",
        "https://r.example/\n",
    ],
)
def test_no_web_address(url: str) -> None:
    assert not is_web_address(url)
