from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.digests import ContentHash, Digest, parse_algorithm
from registry.oci.errors import DigestInvalid

ALGORITHM = st.sampled_from(["sha256", "sha512"])


@given(st.binary(), ALGORITHM)
def test_a_digest_is_read_as_it_is_written(content: bytes, algorithm: str) -> None:
    digest = Digest.of(content, algorithm)
    assert str(digest) == f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        f"sha256:{'a' * 63}",
        f"sha256:{'a' * 65}",
        f"sha256:{'A' * 64}",
        f"sha256:{'g' * 64}",
        f"sha512:{'a' * 64}",
        f"md5:{'a' * 32}",
        f"sha256:{'a' * 64}\n",
        f"sha256+b64:{'a' * 64}",
        f"../{'a' * 64}",
    ],
)
def test_other_digests_are_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(DigestInvalid, match="sha256:<64 lower-case hex digits>"):
        Digest.parse(text)


def test_an_unknown_algorithm_is_refused() -> None:
    assert parse_algorithm("sha512") == "sha512"
    with pytest.raises(DigestInvalid, match="sha256, sha512"):
        parse_algorithm("md5")


@given(st.lists(st.binary()), ALGORITHM)
def test_a_running_hash_is_that_of_the_whole_and_its_copy_goes_its_own_way(pieces: list[bytes], algorithm: str) -> None:
    running = ContentHash(algorithm)
    for piece in pieces:
        running.update(piece)
    twin = running.copy()
    twin.update(b"more")
    whole = b"".join(pieces)
    assert (running.size, running.digest()) == (len(whole), Digest.of(whole, algorithm))
    assert (twin.size, twin.digest()) == (len(whole) + 4, Digest.of(whole + b"more", algorithm))
