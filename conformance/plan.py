"""Which cases a run takes, and the content that a read-only run reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import content, expect
from conformance.case import Failed
from conformance.cases import ALL, GROUPS, QUICK, read_only
from conformance.content import Manifest
from conformance.target import Sample, media_type_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from conformance.case import Case
    from conformance.client import Client

_ACCEPT = f"{content.OCI_IMAGE}, {content.OCI_INDEX}, {content.DOCKER_IMAGE}, {content.DOCKER_LIST}, */*;q=0.1"
_READ_ONLY_GROUPS = frozenset(GROUPS) - {"push", "management"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user asked for; empty collections leave everything in."""

    quick: bool = False
    read_only: bool = False
    groups: Collection[str] = ()
    cases: Collection[str] = ()

    def select(self, *, has_daemon: bool) -> list[Case]:
        """Cases by group, in the order of the groups."""
        chosen = [case for case in ALL if self._wants(case) and (has_daemon or not case.needs_daemon)]
        return sorted(chosen, key=lambda case: GROUPS.index(case.group))

    def _wants(self, case: Case) -> bool:
        if self.quick and case.group not in QUICK:
            return False
        if not self._fits(case):
            return False
        if not self.groups and not self.cases:
            return True
        return case.group in self.groups or case.id in self.cases

    def _fits(self, case: Case) -> bool:
        """Whether the registry is one that the case is for."""
        if case.group == read_only.GROUP:
            return self.read_only
        return not self.read_only or (case.reads and case.group in _READ_ONLY_GROUPS)


def read_sample(client: Client, repository: str, digest: str, tags: tuple[str, ...], blob_digest: str | None) -> Sample:
    """Content that is there already; without a blob, the first that the manifest names. Raises Failed."""
    reply = client.request("GET", f"/v2/{repository}/manifests/{digest}", headers={"Accept": _ACCEPT})
    _verify(expect.status(reply, 200).body, digest)
    manifest = Manifest(reply.body, media_type_of(reply))
    blob_digest = blob_digest or _first_blob(reply.json())
    blob = expect.status(client.request("GET", f"/v2/{repository}/blobs/{blob_digest}"), 200).body
    _verify(blob, blob_digest)
    return Sample(repository, tags, manifest, digest, blob, blob_digest)


def _verify(body: bytes, digest: str) -> None:
    algorithm = digest.partition(":")[0]
    if algorithm not in {"sha256", "sha512"}:
        raise Failed("a digest of sha256 or sha512", digest)
    expect.equal("digest of the content", content.digest_of(body, algorithm), digest)


def _first_blob(document: object) -> str:
    if isinstance(document, dict):
        for descriptor in [*document.get("layers", []), document.get("config")]:
            if isinstance(descriptor, dict) and isinstance(descriptor.get("digest"), str):
                return str(descriptor["digest"])
    raise Failed("a manifest that names a blob", "none; name one with --blob")
