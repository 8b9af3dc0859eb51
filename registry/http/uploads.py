"""Answers about blob uploads (end-4, end-5, end-6, end-11, end-13, end-14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.http import parameters
from registry.http.answers import Answer
from registry.http.errors import error_answer
from registry.oci.digests import CANONICAL
from registry.oci.errors import NameInvalid, UploadOffsetInvalid
from registry.service import blobs

if TYPE_CHECKING:
    from registry.http.answers import Request
    from registry.oci.digests import Digest
    from registry.oci.names import RepositoryName
    from registry.oci.upload import Upload
    from registry.service.registry import Registry


async def begin(registry: Registry, request: Request, repository: RepositoryName) -> Answer:
    """Mount a blob (``mount``), push one in this request (``digest``), or open a session."""
    mount = request.query.one("mount")
    if mount is not None:
        digest = parameters.digest(mount)
        if await _mounted(registry, request, repository, digest):
            return _created(repository, digest)
    elif request.query.one("digest") is not None:
        digest = parameters.required_digest(request.query)
        await registry.uploads.push(repository, parameters.chunk(request), digest)
        return _created(repository, digest)
    algorithm = request.query.one("digest-algorithm")
    upload = await registry.uploads.begin(
        repository, request.principal, CANONICAL if algorithm is None else parameters.algorithm(algorithm)
    )
    return Answer(202, _session_headers(upload))


async def append(registry: Registry, request: Request, repository: RepositoryName, upload_id: str) -> Answer:
    try:
        upload = await registry.uploads.append(repository, request.principal, upload_id, parameters.chunk(request))
    except UploadOffsetInvalid as error:
        return _out_of_order(error, registry.uploads.find(repository, request.principal, upload_id))
    return Answer(202, _session_headers(upload))


async def finish(registry: Registry, request: Request, repository: RepositoryName, upload_id: str) -> Answer:
    digest = parameters.required_digest(request.query)
    try:
        await registry.uploads.finish(repository, request.principal, upload_id, parameters.chunk(request), digest)
    except UploadOffsetInvalid as error:
        return _out_of_order(error, registry.uploads.find(repository, request.principal, upload_id))
    return _created(repository, digest)


async def status(registry: Registry, request: Request, repository: RepositoryName, upload_id: str) -> Answer:
    upload = registry.uploads.find(repository, request.principal, upload_id)
    return Answer(204, _session_headers(upload))


async def cancel(registry: Registry, request: Request, repository: RepositoryName, upload_id: str) -> Answer:
    await registry.uploads.cancel(repository, request.principal, upload_id)
    return Answer(204)


async def _mounted(registry: Registry, request: Request, repository: RepositoryName, digest: Digest) -> bool:
    try:
        source = parameters.mount_source(request.query)
    except NameInvalid:
        return False  # no such repository can have the blob; the client may upload it
    return await blobs.mount(registry, repository, digest, source, request.principal)


def _created(repository: RepositoryName, digest: Digest) -> Answer:
    return Answer(201, (("Location", f"/v2/{repository}/blobs/{digest}"), ("Docker-Content-Digest", str(digest))))


def _session_headers(upload: Upload) -> tuple[tuple[str, str], ...]:
    return (
        ("Location", f"/v2/{upload.repository}/blobs/uploads/{upload.id}"),
        ("Range", upload.range()),
        ("Docker-Upload-UUID", upload.id),
    )


def _out_of_order(error: UploadOffsetInvalid, upload: Upload) -> Answer:
    """416 with all that is needed to go on from the right byte."""
    answer = error_answer(error)
    return Answer(answer.status, (*answer.headers, *_session_headers(upload)), answer.body)
