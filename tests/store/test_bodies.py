"""Bytes of manifests are stored smaller where they can be, and come out as they went in."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as some

from registry.oci.manifest import LIMIT_BYTES
from registry.store import bodies
from tests.tools.content import image, index

RELEASED = {"manifests-1.dictionary": "8070b405ef275c4c1b84e77abdf130c8c218c6193fe575f7a810fbd883a80b0f"}
"""What is packed with a dictionary can be read with that one alone."""

LARGE = index(annotations={f"{number}": random.Random(number).randbytes(400).hex() for number in range(5200)})


def test_the_dictionaries_are_those_that_were_released() -> None:
    files = [file for file in resources.files("registry.store").iterdir() if file.name.endswith(".dictionary")]
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files} == RELEASED


@given(some.binary() | some.text().map(str.encode) | some.builds(bytes.__mul__, some.binary(), some.integers(0, 99)))
def test_what_comes_out_is_what_went_in(body: bytes) -> None:
    stored, dictionary = bodies.pack(body)
    assert len(stored) < len(body) if dictionary else stored == body
    assert bodies.unpack(stored, dictionary, len(body)) == body


@pytest.mark.parametrize(
    ("body", "share"), [(image(b"layer"), 0.35), (index(image(b"a"), image(b"b")), 0.4), (LARGE, 0.55)]
)
def test_a_manifest_is_stored_smaller(body: bytes, share: float) -> None:
    stored, dictionary = bodies.pack(body)
    assert dictionary == 1
    assert len(stored) < share * len(body)
    assert bodies.unpack(stored, dictionary, len(body)) == body


@pytest.mark.parametrize("length", [0, 1, 500, LIMIT_BYTES])
def test_what_would_not_be_smaller_is_stored_as_it_is(length: int) -> None:
    body = random.Random(length).randbytes(length)
    assert bodies.pack(body) == (body, None)
    assert bodies.unpack(body, None, length) == body


def test_a_frame_that_is_broken_is_damage() -> None:
    body = image(b"layer")
    stored, _ = bodies.pack(body)
    without_size = zstandard.ZstdCompressor(write_content_size=False).compress(body)
    broken = [stored[:length] for length in range(len(stored))]
    broken += [b"\x00" * 100, body, stored[::-1], without_size, bodies.pack(body + b" ")[0]]
    for each in broken:
        assert bodies.unpack(each, 1, len(body)) is None
    for number in (0, 2, -1, "1"):
        assert bodies.unpack(stored, number, len(body)) is None  # type: ignore[arg-type]
    for value in (None, 7, "text"):
        assert bodies.unpack(value, 1, len(body)) is None
        assert bodies.unpack(value, None, len(body)) is None
    assert bodies.unpack(body[:-1], None, len(body)) is None


@given(some.data())
def test_a_bit_that_changes_raises_nothing(data: some.DataObject) -> None:
    body = image(b"layer")
    stored = bytearray(bodies.pack(body)[0])
    stored[data.draw(some.integers(0, len(stored) - 1))] ^= 1 << data.draw(some.integers(0, 7))
    found = bodies.unpack(bytes(stored), 1, len(body))
    assert found is None or len(found) == len(body)


def test_a_frame_takes_no_more_memory_than_its_manifest_has_bytes() -> None:
    """One that says to hold 256 TiB, and one that does hold more than its row says."""
    bomb = b"\x28\xb5\x2f\xfd\xe0" + (1 << 48).to_bytes(8, "little") + b"\x01\x00\x00"
    assert zstandard.frame_content_size(bomb) == 1 << 48
    assert bodies.unpack(bomb, 1, 1000) is None
    assert bodies.unpack(bodies.pack(b"x" * LIMIT_BYTES)[0], 1, 1000) is None


def test_threads_do_not_disturb_each_other() -> None:
    manifests = [image(b"%d" % number, b"layer" * number) for number in range(50)] * 20

    def there_and_back(body: bytes) -> bytes | None:
        stored, dictionary = bodies.pack(body)
        return bodies.unpack(stored, dictionary, len(body))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(there_and_back, manifests)) == manifests
