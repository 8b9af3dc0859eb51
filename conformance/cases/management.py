"""Deleting tags, manifests and blobs: what was deleted is gone with the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import content, expect
from conformance.case import MUST, in_group

if TYPE_CHECKING:
    from conformance.target import Target

case = in_group("management")


@case("Deleting tags", "end-9", MUST)
def delete_tag(target: Target) -> None:
    """A deleted tag is gone at once; other tags and the manifest stay."""
    image = target.push(content.image(), "gone", "stays")
    target.remove("manifests/gone")
    target.no_manifest("gone")
    target.pull_manifest(image, "stays", image.digest)


@case("Deleting tags", "end-9", MUST)
def deleted_tag_is_not_listed(target: Target) -> None:
    """A deleted tag is listed no more."""
    target.push(content.image(), "gone", "stays")
    target.remove("manifests/gone")
    expect.equal("tags", expect.status(target.get("tags/list"), 200).json().get("tags"), ["stays"])


@case("Deleting tags", "end-9", MUST)
def delete_unknown_tag(target: Target) -> None:
    """A tag that is not there can't be deleted: 404."""
    target.push(content.image(), "known")
    target.remove("manifests/no-such-tag", 404)


@case("Deleting Manifests", "end-9", MUST)
def delete_manifest(target: Target) -> None:
    """A deleted manifest is gone at once, and every tag that pointed to it."""
    image = target.push(content.image(), "first", "second")
    other = target.push(content.image(), "other")
    target.remove(f"manifests/{image.digest}")
    for reference in (image.digest, "first", "second"):
        target.no_manifest(reference)
    target.pull_manifest(other, "other")
    expect.equal("tags", expect.status(target.get("tags/list"), 200).json().get("tags"), ["other"])


@case("Deleting Manifests", "end-9", MUST)
def delete_unknown_manifest(target: Target) -> None:
    """A manifest that is not there can't be deleted: 404."""
    target.push(content.image())
    target.remove(f"manifests/{content.unknown_digest()}", 404)


@case("Deleting Manifests", "end-9", MUST)
def delete_in_unknown_repository(target: Target) -> None:
    """Deleting in a repository that does not exist is answered with 404.

    400 and 405 say that deletion is disabled, which a registry that deletes elsewhere can't say.
    """
    target.remove(f"manifests/{target.push(content.image()).digest}")
    path = f"/v2/{target.other_repository}/manifests/{content.unknown_digest()}"
    expect.status(target.client.request("DELETE", path), 404)


@case("Deleting Manifests", "end-9", MUST)
def manifest_pushed_after_delete(target: Target) -> None:
    """A manifest that was deleted can be pushed again."""
    image = target.push(content.image(), "again")
    target.remove(f"manifests/{image.digest}")
    target.push(image, "again")
    target.pull_manifest(image, "again", image.digest)


@case("Deleting Blobs", "end-10", MUST)
def delete_blob(target: Target) -> None:
    """A deleted blob is gone at once; other blobs stay."""
    blob, other = content.random_blob(), content.random_blob()
    digest, other_digest = target.push_blob(blob), target.push_blob(other)
    target.remove(f"blobs/{digest}")
    target.no_blob(digest)
    target.pull_blob(other_digest, other)


@case("Deleting Blobs", "end-10", MUST)
def delete_unknown_blob(target: Target) -> None:
    """A blob that is not there can't be deleted: 404, from a registry that deletes others."""
    target.remove(f"blobs/{target.push_blob(content.random_blob())}")
    expect.status(target.get(f"blobs/{content.unknown_digest()}", "DELETE"), 404)


@case("Deleting Blobs", "end-10", MUST)
def blob_pushed_after_delete(target: Target) -> None:
    """A blob that was deleted can be pushed again."""
    blob = content.random_blob()
    target.remove(f"blobs/{target.push_blob(blob)}")
    target.pull_blob(target.push_blob(blob), blob)


@case("Deleting Blobs", "end-10", MUST)
def delete_blob_in_one_repository(target: Target) -> None:
    """A blob that was deleted in one repository stays in another."""
    blob = content.random_blob()
    digest = target.push_blob(blob)
    target.push_blob(blob, repository=target.other_repository)
    target.remove(f"blobs/{digest}")
    target.no_blob(digest)
    target.pull_blob(digest, blob, target.other_repository)
