"""Requests that were mutated are answered by the express lane as by Hypercorn and Quart, whoever takes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.http.express_requests import BLOB, IMAGE, MANIFEST, MANIFEST_DIGEST, UPLOADS, two_ways
from tests.tools.content import CONFIG, digest_of
from tests.tools.raw import request

if TYPE_CHECKING:
    from tests.tools.sites import Sites

EXAMPLES = int(os.environ.pop("CARGOHOLD_EXPRESS_EXAMPLES", "500"))
"""Taken out of the environment: a daemon would refuse it as a setting that it does not know."""

TARGETS = ("/v2/", "/v2/a/manifests/v1", BLOB, "/v2/a/tags/list", f"/v2/a/manifests/{MANIFEST_DIGEST}")
HEADERS = ("Accept: */*", "Range: bytes=0-9", "Host: other", "Connection: keep-alive", "User-Agent: x (y; z)")
ODD = b"\r\n\t :/?#%=&*-._\x00\x7f\xff" + b"0vVa"

Change = tuple[int, str, int]
CHANGE = st.tuples(st.integers(0, 200), st.sampled_from(["put", "drop", "swap"]), st.sampled_from(ODD))


@settings(max_examples=EXAMPLES)
@given(
    st.sampled_from(("GET", "HEAD")),
    st.sampled_from(TARGETS),
    st.lists(st.sampled_from(HEADERS), max_size=2),
    st.lists(CHANGE, max_size=3),
)
@example("GET", "/v2/", [], [(5, "put", ord("/"))])
def test_a_mutated_request_is_answered_the_same(
    sites: Sites, method: str, target: str, headers: list[str], changes: list[Change]
) -> None:
    """A mutation may leave the end of the head open, so each is followed by one that ends it, and the connection."""
    message = mutated(request(method, target, *headers), changes)
    with two_ways(sites) as (quick, slow):
        received = []
        for client in (quick, slow):
            client.send_what_is_taken(message + request("GET", "/v2/", "Connection: close"))
            received.append(answers(client.rest()))
        assert received[0] == received[1], message


PUSHES = (
    ("POST", f"{UPLOADS}?digest={digest_of(CONFIG)}", CONFIG),
    ("PUT", "/v2/a/manifests/v1", MANIFEST),
)


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(PUSHES), st.integers(0, 9), st.sampled_from([0, 1]), st.lists(CHANGE, max_size=3))
@example(PUSHES[0], 5, 1, [(0, "swap", ord("\n"))])
def test_a_mutated_push_is_answered_the_same(
    sites: Sites, push: tuple[str, str, bytes], size: int, place: int, changes: list[Change]
) -> None:
    """In chunks of ``size``, or with a length. Nothing follows, so what has no end is one that breaks off.

    Either head or body is mutated: where both are refused, Hypercorn may say either.
    """
    method, target, content = push
    chunks = [content[start : start + size] for start in range(0, len(content), size)] if size else []
    whole = request(method, target, IMAGE, body=None if size else content, chunks=chunks)
    end = whole.index(b"\r\n\r\n") + len(b"\r\n\r\n")
    parts = [whole[:end], whole[end:]]
    parts[place] = mutated(parts[place], changes)
    message = b"".join(parts)
    with two_ways(sites) as (quick, slow):
        statuses = []
        for client in (quick, slow):
            client.send_what_is_taken(message)
            client.end()
            statuses.append(client.rest()[:13])
        assert statuses[0] == statuses[1], message


def mutated(message: bytes, changes: list[Change]) -> bytes:
    changed = bytearray(message)
    for offset, change, byte in changes:
        place = max(min(offset, len(changed) - 1), 0)
        match change:
            case "put":
                changed.insert(place, byte)
            case "drop":
                del changed[place : place + 1]
            case "swap":
                changed[place : place + 1] = bytes([byte])
    return bytes(changed)


def answers(data: bytes) -> list[bytes]:
    """The lines that have to be the same."""
    different = (b"x-request-id: ", b"date: ")
    return [line for line in data.split(b"\r\n") if not line.startswith(different)]
