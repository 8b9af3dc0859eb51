"""Mounting a blob that another repository has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance import content, expect
from conformance.case import MAY, MUST, SHOULD, Skipped, in_group
from conformance.exchange import with_query

if TYPE_CHECKING:
    from conformance.exchange import Reply
    from conformance.target import Target

case = in_group("mount")
_SECTION = "Mounting a blob from another repository"


def _mount(target: Target, digest: str, **query: str) -> Reply:
    url = with_query(f"/v2/{target.repository}/blobs/uploads/", mount=digest, **query)
    return expect.status(target.client.request("POST", url), 201, 202)


def _check_mounted(target: Target, reply: Reply, blob: bytes) -> None:
    if reply.status == 202:
        reply.location()
        raise Skipped("the registry answers a mount with an upload session")
    expect.body(expect.status(target.client.request("GET", reply.location()), 200), blob)
    target.pull_blob(content.digest_of(blob), blob)


@case(_SECTION, "end-11", MUST)
def mount_blob(target: Target) -> None:
    """A mount makes the blob of one repository a blob of another."""
    blob = content.random_blob()
    digest = target.push_blob(blob, repository=target.other_repository)
    _check_mounted(target, _mount(target, digest, **{"from": target.other_repository}), blob)


@case(_SECTION, "end-11", MAY)
def mount_anonymously(target: Target) -> None:
    """A mount without a source finds the blob wherever the registry has it."""
    blob = content.random_blob()
    digest = target.push_blob(blob, repository=target.other_repository)
    _check_mounted(target, _mount(target, digest), blob)


@case(_SECTION, "end-11", SHOULD)
def mount_missing_blob(target: Target) -> None:
    """A mount of what is not there is answered with a session, which takes the blob."""
    target.push_blob(content.random_blob(), repository=target.other_repository)
    blob = content.random_blob()
    digest = content.digest_of(blob)
    reply = expect.status(_mount(target, digest, **{"from": target.other_repository}), 202)
    expect.status(target.close_upload(reply.location(), digest, blob), 201)
    target.pull_blob(digest, blob)


@case(_SECTION, "end-11", SHOULD)
def mount_from_unknown_repository(target: Target) -> None:
    """A mount from a repository that does not exist is answered with a session."""
    blob = content.random_blob()
    reply = expect.status(_mount(target, content.digest_of(blob), **{"from": target.other_repository}), 202)
    expect.status(target.close_upload(reply.location(), content.digest_of(blob), blob), 201)
    target.pull_blob(content.digest_of(blob), blob)


@case(_SECTION, "end-2", MUST)
def blob_of_another_repository(target: Target) -> None:
    """A blob that was pushed to one repository only is not found in another one."""
    target.push_blob(content.random_blob())
    target.no_blob(target.push_blob(content.random_blob(), repository=target.other_repository))
