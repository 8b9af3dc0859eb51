"""What is pushed: content that no file system can make smaller, and that differs from one number to the next."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING

from registry.oci.media_types import OCI_IMAGE
from tests.tools.content import CONFIG_TYPE, LAYER_TYPE, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024
SMALL_BYTES = 4096

_BLOCK = hashlib.shake_256(b"cargohold").digest(MIB)
_TEXT = base64.b64encode(_BLOCK[:SMALL_BYTES]).decode()


def small_blob(number: int) -> str:
    """A blob of 4 KiB, in printable characters."""
    return f"{number:016x}{_TEXT[: SMALL_BYTES - 16]}"


def pieces(number: int, size: int) -> Iterator[bytes]:
    """A blob of so many bytes, in pieces of at most 1 MiB."""
    for start in range(0, size, MIB):
        piece = number.to_bytes(8, "big") + start.to_bytes(8, "big") + _BLOCK[16:]
        yield piece[: size - start]


@functools.cache
def digest_of(number: int, size: int) -> str:
    content_hash = hashlib.sha256()
    for piece in pieces(number, size):
        content_hash.update(piece)
    return f"sha256:{content_hash.hexdigest()}"


def manifest(number: int, config: tuple[str, int], layers: list[tuple[str, int]]) -> bytes:
    """An OCI image of these digests and sizes, on one line."""
    config_digest, config_size = config
    return to_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE,
            "config": {"mediaType": CONFIG_TYPE, "digest": config_digest, "size": config_size},
            "layers": [{"mediaType": LAYER_TYPE, "digest": digest, "size": size} for digest, size in layers],
            "annotations": {"org.opencontainers.image.version": str(number)},
        }
    )
