"""Running hashes of open uploads, so that a file need not be read again when its upload is closed."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from registry.oci.digests import ContentHash

if TYPE_CHECKING:
    from registry.oci.upload import Upload

_LIMIT = 4096
"""Sessions whose running hash is kept in memory; the file of any other one is read again when it is closed."""


class RunningHashes:
    def __init__(self) -> None:
        self._hashes: OrderedDict[str, ContentHash] = OrderedDict()

    def take(self, upload: Upload, algorithm: str) -> ContentHash | None:
        """The hash of the bytes acknowledged so far; None where they would have to be read again."""
        if upload.offset == 0:
            return ContentHash(algorithm)
        known = self._hashes.pop(upload.id, None)
        return known if known is not None and (known.size, known.algorithm) == (upload.offset, algorithm) else None

    def keep(self, upload_id: str, content_hash: ContentHash) -> None:
        self._hashes[upload_id] = content_hash
        if len(self._hashes) > _LIMIT:
            self._hashes.popitem(last=False)

    def forget(self, upload_id: str) -> None:
        self._hashes.pop(upload_id, None)
