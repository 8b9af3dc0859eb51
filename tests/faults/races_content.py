"""What races are about: so little that every act meets another one."""

from __future__ import annotations

from functools import cache

from tests.tools.content import CONFIG, digest_of, image, index

NAMES = ("one", "two")

TAGS = ("a", "b")

CONTENTS = (CONFIG, b"layer", b"another layer")

IMAGES = (image(CONTENTS[1]), image(*CONTENTS[1:]), image(CONTENTS[2], config=CONTENTS[1]))

INDEXES = (index(IMAGES[0]), index(IMAGES[0], IMAGES[2]))


KNOWN = frozenset((*IMAGES, *INDEXES))


@cache
def blobs_of(manifest: bytes) -> tuple[bytes, ...]:
    return tuple(content for content in CONTENTS if digest_of(content).encode() in manifest)


@cache
def children_of(manifest: bytes) -> tuple[bytes, ...]:
    return tuple(child for child in IMAGES if digest_of(child).encode() in manifest)


@cache
def manifest_of(digest: str) -> bytes:
    return next(manifest for manifest in KNOWN if digest_of(manifest) == digest)
