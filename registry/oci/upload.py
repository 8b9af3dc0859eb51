"""The state of a blob upload, and the judgement of a chunk before one byte of it is read.

Source: distribution-spec, section "Pushing a blob in chunks".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.oci.errors import SizeInvalid, UploadOffsetInvalid

if TYPE_CHECKING:
    from registry.oci.names import RepositoryName
    from registry.oci.ranges import ByteRange


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload session. ``offset`` is the number of bytes that were acknowledged."""

    id: str
    repository: RepositoryName
    algorithm: str
    offset: int

    def expect(self, content_range: ByteRange | None, content_length: int | None) -> int | None:
        """Judge a chunk by its headers; the number of bytes that its body must have, None where only its end tells.

        Raises UploadOffsetInvalid for a chunk out of order, SizeInvalid where the two headers contradict each other.
        """
        if content_range is None:
            return content_length
        if content_range.start != self.offset:
            raise UploadOffsetInvalid(
                self.offset, f"the next chunk has to begin at byte {self.offset}, not at {content_range.start}"
            )
        if content_length is not None and content_length != content_range.length:
            raise SizeInvalid(
                f"Content-Range announces {content_range.length} bytes, Content-Length {content_length}",
                {"content-range": content_range.length, "content-length": content_length},
            )
        return content_range.length

    def range(self) -> str:
        """The Range header that tells how far the upload has come; ``0-0`` while it is empty."""
        return f"0-{max(self.offset - 1, 0)}"
