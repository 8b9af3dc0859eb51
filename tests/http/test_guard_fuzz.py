"""Thousands of mutated connections: whatever arrives, the daemon lives, ends each of them, and has no fault.

``CARGOHOLD_FUZZ_CONNECTIONS`` and ``CARGOHOLD_FUZZ_SEED`` choose how many and which; a failure names the bytes.
"""

from __future__ import annotations

import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.tools.content import CONFIG, digest_of, image
from tests.tools.daemon import Daemon, running
from tests.tools.raw import connect, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Taken out of the environment: a daemon would refuse them as settings that it does not know.
CONNECTIONS = int(os.environ.pop("CARGOHOLD_FUZZ_CONNECTIONS", "1500"))
SEED = os.environ.pop("CARGOHOLD_FUZZ_SEED", "cargohold")
BATCH = 250
AT_ONCE = 12
LAYER = b"layer" * 100
MANIFEST = image(LAYER)
TOKENS = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\x00",
    b"\xff",
    b" ",
    b"%00",
    b"%ff",
    b"%",
    b"?",
    b"#",
    b"//",
    b"..",
    b":",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"0\r\n\r\n",
    b"http://[",
    b"\r\nTransfer-Encoding: chunked",
    b"\r\nContent-Length: 7",
    b"\r\nExpect: 100-continue",
    b"\r\nConnection: close",
    b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: !",
    b"\r\nConnection: Upgrade\r\nUpgrade: websocket",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
NUMBERS = (b"0", b"-1", b"9" * 18, b"9" * 19, b"9" * 20, b"9" * 400, b"f" * 16, b"18446744073709551616", b"1e9")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("fuzz") / "data", {"CARGOHOLD_HTTP__DRAIN_SECONDS": "20"}) as daemon:
        yield daemon


def valid_requests(daemon: Daemon) -> list[bytes]:
    """Every end point, with uploads of each kind; all of them succeed on the daemon as it is prepared here."""
    for content in (CONFIG, LAYER):
        assert daemon.request("POST", f"/v2/a/b/blobs/uploads/?digest={digest_of(content)}", content)[0] == 201
    media_type = {"Content-Type": json.loads(MANIFEST)["mediaType"]}
    assert daemon.request("PUT", "/v2/a/b/manifests/v1", MANIFEST, media_type)[0] == 201
    single = [
        *(request("GET", target) for target in reading_targets()),
        *(request("HEAD", target) for target in reading_targets()),
        request("GET", f"/v2/a/b/blobs/{digest_of(LAYER)}", "Range: bytes=10-99", "If-None-Match: *"),
        request("GET", f"/v2/a/b/blobs/{digest_of(LAYER)}", "Range: bytes=-100", "Accept: */*"),
        request("POST", "/v2/a/b/blobs/uploads/", body=b""),
        request("POST", f"/v2/c/blobs/uploads/?mount={digest_of(LAYER)}&from=a/b", body=b""),
        request("POST", f"/v2/a/b/blobs/uploads/?digest={digest_of(LAYER)}", body=LAYER),
        request("POST", f"/v2/a/b/blobs/uploads/?digest={digest_of(LAYER, 'sha512')}", chunks=[LAYER[:9], LAYER[9:]]),
        request("PUT", "/v2/a/b/manifests/v2", f"Content-Type: {media_type['Content-Type']}", body=MANIFEST),
        request("PUT", f"/v2/a/b/manifests/{digest_of(MANIFEST)}?tag=v3&tag=v4", chunks=[MANIFEST]),
        request("DELETE", "/v2/a/b/manifests/v2", body=b""),
        request("DELETE", "/v2/a/b/blobs/sha256:" + "0" * 64),
        *(each for _ in range(3) for each in upload_requests(daemon)),
    ]
    return [*single, b"".join(single[:8]), b"".join(single[8:16]), b"".join(single[-7:])]


def reading_targets() -> list[str]:
    return [
        "/v2/",
        "/live",
        "/healthz",
        "/ready?verbose",
        "/v2/_catalog?n=10",
        "/v2/_oci/ext/discover",
        "/v2/a/b/tags/list?n=1&last=a",
        f"/v2/a/b/referrers/{digest_of(MANIFEST)}?artifactType=a%2Fb",
        "/v2/a/b/manifests/v1",
        f"/v2/a/b/manifests/{digest_of(MANIFEST)}",
        f"/v2/a/b/blobs/{digest_of(LAYER)}",
    ]


def upload_requests(daemon: Daemon) -> list[bytes]:
    location = daemon.request("POST", "/v2/a/b/blobs/uploads/")[1]["location"]
    return [
        request("PATCH", location, "Content-Range: 0-4", body=b"layer"),
        request("PATCH", location, chunks=[bytes([number]) for number in range(40)]),
        request("PATCH", location, "Expect: 100-continue", body=LAYER),
        request("GET", location),
        request("PUT", f"{location}?digest={digest_of(b'layer')}", body=b""),
        request("PUT", f"{location}?digest={digest_of(LAYER)}", "Expect: 100-continue", chunks=[LAYER]),
        request("DELETE", location),
    ]


def flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 3, 20))):
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    start, stop = span(data, chance)
    return data[:start] + chance.choice((b"", data[stop:]))


def duplicate(data: bytes, chance: random.Random) -> bytes:
    start, stop = span(data, chance)
    return data[:stop] + data[start:stop] * chance.choice((1, 1, 2, 50)) + data[stop:]


def insert(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + chance.choice(TOKENS) * chance.choice((1, 1, 2, 1000)) + data[place:]


def put_number(data: bytes, chance: random.Random) -> bytes:
    """Replace a run of digits."""
    places = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
    start = stop = chance.choice(places or [0])
    while data[stop : stop + 1].isdigit():
        stop += 1
    return data[:start] + chance.choice(NUMBERS) + data[stop:]


def swap_lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\r\n")
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\r\n".join(lines)


def span(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(data))
    return start, min(len(data), start + chance.choice((1, 2, 10, 100, len(data))))


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, cut, duplicate, insert, put_number, swap_lines)


def mutated(number: int, corpus: list[bytes]) -> bytes:
    """The bytes of one connection; the same for the same number, seed and corpus."""
    chance = random.Random(f"{SEED}-{number}")
    data = chance.choice(corpus)
    for _ in range(chance.choice((1, 1, 2, 4))):
        if chance.randrange(8) == 0:
            data += chance.choice(corpus)
        data = chance.choice(MUTATIONS)(data, chance) or b"\r\n"
    return data


def send(daemon: Daemon, number: int, data: bytes) -> str | None:
    """Send the bytes and end; the daemon has to end the connection too. Each eighth connection is reset instead."""
    with connect(daemon.port) as client:
        client.send_what_is_taken(data)
        try:
            if number % 8 == 0:
                client.reset()
            else:
                client.end()
                client.rest()
        except OSError as error:
            return f"connection {number}: {error!r} after {data!r}"
    return None


def errors_logged(daemon: Daemon) -> list[dict[str, Any]]:
    lines = daemon.log.read_text().splitlines()
    return [json.loads(line) for line in lines if '"level": "error"' in line]


def assert_whole(daemon: Daemon, batch: dict[int, bytes]) -> None:
    """If an error was logged, send the connections of the batch one by one to name the bytes."""
    assert daemon.process.poll() is None, (SEED, batch)
    assert daemon.request("GET", "/v2/")[0] == 200, (SEED, batch)
    errors = errors_logged(daemon)
    if not errors:
        return
    known, culprits = len(errors), []
    for number, data in batch.items():
        send(daemon, number, data)
        assert daemon.request("GET", "/v2/")[0] == 200, (SEED, number, data)
        if len(errors_logged(daemon)) > known:
            known = len(errors_logged(daemon))
            culprits.append((number, data))
    named = culprits[:3] or f"{min(batch)} to {max(batch)}, not again when sent one by one"
    pytest.fail(f"seed {SEED!r}, connections {named}: {describe(errors[0])}")


def describe(error: dict[str, Any]) -> str:
    """The event, and each exception with the place that raised it."""
    lines = [error["event"]]
    waiting = list(error.get("exception", []))
    while waiting:
        each = waiting.pop(0)
        places = [f"{frame['filename']}:{frame['lineno']}" for frame in each["frames"]]
        lines.append(f"{each['exc_type']}: {each['exc_value']}\n  " + "\n  ".join(places))
        waiting += [inner for group in each["exceptions"] for inner in group]
    return "\n".join(lines)


def test_mutated_connections(daemon: Daemon) -> None:
    corpus = valid_requests(daemon)
    with ThreadPoolExecutor(AT_ONCE) as senders:
        for first in range(0, CONNECTIONS, BATCH):
            batch = {number: mutated(number, corpus) for number in range(first, min(first + BATCH, CONNECTIONS))}
            problems = [problem for problem in senders.map(send, [daemon] * BATCH, batch, batch.values()) if problem]
            assert not problems, f"seed {SEED!r}, {problems}"
            assert_whole(daemon, batch)
    started = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - started < 10, f"seed {SEED!r}: a request still waits for its client"
    assert errors_logged(daemon) == []
