"""Sessions that were just begun, so that the request that follows need not ask for their rows; and their ids."""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.oci.names import RepositoryName
    from registry.oci.upload import Upload

_LIMIT = 4096

_CHANCE_BYTES = 1024
"""For 64 ids: to ask for each was a system call in twenty."""


class Begun:
    """Each is here from the COMMIT of its row to the first request for it, and the row is as it was then."""

    def __init__(self) -> None:
        self._uploads: dict[str, tuple[Upload, str]] = {}

    def add(self, upload: Upload, principal: str) -> None:
        self._uploads[upload.id] = upload, principal
        if len(self._uploads) > _LIMIT:
            del self._uploads[next(iter(self._uploads))]

    def take(self, upload_id: str, repository: RepositoryName, principal: str) -> Upload | None:
        """The session, if this repository and this principal began it. The next one who asks has to ask for the row."""
        upload, who = self._uploads.pop(upload_id, (None, ""))
        return upload if upload is not None and (upload.repository, who) == (repository, principal) else None

    def forget(self, upload_id: str) -> None:
        self._uploads.pop(upload_id, None)


def new_ids() -> Iterator[str]:
    """Without end; who does not know one can't guess it."""
    while True:
        chance = secrets.token_bytes(_CHANCE_BYTES)
        for start in range(0, _CHANCE_BYTES, 16):
            yield str(uuid.UUID(bytes=chance[start : start + 16], version=4))
