"""The error codes of the distribution-spec as exceptions.

Source: distribution-spec, section "Error Codes" (code-1 to code-14).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.oci.digests import Digest
    from registry.oci.names import RepositoryName


class RegistryError(Exception):
    """What a client is told. Only these reach a client; anything else is a fault of ours.

    ``errors`` holds one or more (message, detail) pairs, all under the same ``code``.
    """

    code: ClassVar[str]

    def __init__(self, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.errors: Sequence[tuple[str, Any]] = [(message, detail)]


class BlobUnknown(RegistryError):
    code = "BLOB_UNKNOWN"

    def __init__(self, digest: Digest) -> None:
        super().__init__("blob unknown to this repository", {"digest": str(digest)})


class BlobUploadInvalid(RegistryError):
    code = "BLOB_UPLOAD_INVALID"


class UploadOffsetInvalid(BlobUploadInvalid):
    """A chunk that does not begin where the upload ends. ``offset`` is where it has to begin."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message, {"offset": offset})
        self.offset = offset


class UploadBusy(BlobUploadInvalid):
    """A second request wants to write to an upload while a first one does."""

    def __init__(self) -> None:
        super().__init__("another request is writing to this upload; ask for its status and try again")


class BlobUploadUnknown(RegistryError):
    code = "BLOB_UPLOAD_UNKNOWN"

    def __init__(self) -> None:
        super().__init__("blob upload unknown to this repository; begin a new one with POST")


class DigestInvalid(RegistryError):
    code = "DIGEST_INVALID"


class ManifestBlobUnknown(RegistryError):
    """The manifest refers to content that the repository does not have: one error for each digest."""

    code = "MANIFEST_BLOB_UNKNOWN"

    def __init__(self, missing: Sequence[Digest]) -> None:
        super().__init__("manifest references a manifest or blob unknown to this repository")
        self.errors = [(str(self), {"digest": str(digest)}) for digest in missing]


class ManifestInvalid(RegistryError):
    code = "MANIFEST_INVALID"


class ManifestTooLarge(ManifestInvalid):
    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"a manifest has at most {limit_bytes} bytes", {"limit_bytes": limit_bytes})


class ManifestUnknown(RegistryError):
    code = "MANIFEST_UNKNOWN"

    def __init__(self, reference: object) -> None:
        super().__init__("manifest unknown to this repository", {"reference": str(reference)})


class NameInvalid(RegistryError):
    code = "NAME_INVALID"


class NameUnknown(RegistryError):
    code = "NAME_UNKNOWN"

    def __init__(self, name: RepositoryName) -> None:
        super().__init__("repository name not known to this registry", {"name": str(name)})


class SizeInvalid(RegistryError):
    code = "SIZE_INVALID"


class RangeNotSatisfiable(SizeInvalid):
    """The byte range that was asked for lies outside of the blob (RFC 9110, section 14.4)."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the blob has {size} bytes; the range lies outside of it", {"size": size})
        self.size = size


class Unauthorized(RegistryError):
    """Nobody is known to ask, or the token is not enough: the client may try again with other credentials.

    ``is_token_bad`` says that the token that came is worth nothing any more, ``is_token_narrow`` that it is for less.
    """

    code = "UNAUTHORIZED"

    def __init__(self, message: str, *, is_token_bad: bool = False, is_token_narrow: bool = False) -> None:
        super().__init__(message)
        self.is_token_bad = is_token_bad
        self.is_token_narrow = is_token_narrow


class Denied(RegistryError):
    code = "DENIED"


class PreconditionFailed(Denied):
    """If-Match or If-None-Match does not allow the request (RFC 9110, section 13)."""

    def __init__(self, current: Digest | None) -> None:
        super().__init__(
            "the content is not what If-Match or If-None-Match asks for",
            {"current": None if current is None else str(current)},
        )


class BlobReferenced(Denied):
    """The blob can't be deleted while manifests of the repository refer to it."""

    def __init__(self, manifests: Sequence[Digest]) -> None:
        super().__init__(
            "manifests of this repository refer to the blob; delete them first",
            {"manifests": [str(digest) for digest in manifests]},
        )


class Unsupported(RegistryError):
    """An operation that does not exist or is switched off."""

    code = "UNSUPPORTED"


class GarbagePaused(Unsupported):
    """Nothing is swept while the database is known to be older than the blob folder."""


class ParameterInvalid(Unsupported):
    """A query parameter or header that can't be understood (``_oci`` extension: "invalid set of parameters")."""


class TooManyRequests(RegistryError):
    code = "TOOMANYREQUESTS"

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class InsufficientStorage(RegistryError):
    """No room on the disk for what was sent (RFC 4918, section 11.5). Nothing of it is kept."""

    code = "UNKNOWN"


class Overloaded(RegistryError):
    """The process has no descriptor left for the files of this request; the client may try again soon."""

    code = "TOOMANYREQUESTS"
    retry_after_seconds = 1
