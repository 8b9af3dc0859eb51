"""What images a source holds: an OCI image layout (image-spec, image-layout.md), or the archive of ``docker save``."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from registry.oci import media_types
from registry.oci.digests import Digest
from registry.oci.errors import RegistryError
from registry.transfer.errors import SourceUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.transfer.sources import Source

REF_NAME = "org.opencontainers.image.ref.name"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"

_JSON_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest in a source. ``names``: what the source calls it, each a tag or ``repository:tag``."""

    digest: Digest
    media_type: str
    names: tuple[str, ...]


class Layout:
    """The images of a source, and their content by digest."""

    def __init__(self, source: Source, images: list[Image], members: Mapping[Digest, str | bytes], note: str) -> None:
        self.images = images
        self.note = note
        """What the user should know of how the images were found; empty where there is nothing to say."""
        self._source = source
        self._members = members

    def has(self, digest: Digest) -> bool:
        return digest in self._members or self._source.has(blob_name(digest))

    def open(self, digest: Digest) -> IO[bytes]:
        """Content by its digest, not verified. Raises SourceUnusable."""
        member = self._members.get(digest, blob_name(digest))
        return io.BytesIO(member) if isinstance(member, bytes) else self._source.open(member)


def read_layout(source: Source) -> Layout:
    """Find the images; an OCI layout inside a docker archive is preferred. Raises SourceUnusable."""
    if source.has("oci-layout") and source.has("index.json"):
        index = _load_json(source, "index.json")
        return Layout(source, [_image(entry) for entry in _entries(index, "manifests")], {}, "")
    if source.has("manifest.json"):
        return _read_docker_archive(source)
    raise SourceUnusable("neither an OCI layout (oci-layout, index.json) nor a docker archive (manifest.json)")


def _image(entry: Any) -> Image:
    try:
        name = (entry.get("annotations") or {}).get(REF_NAME)
        return Image(Digest.parse(entry["digest"]), str(entry["mediaType"]), () if name is None else (str(name),))
    except (AttributeError, KeyError, TypeError, RegistryError) as error:
        raise SourceUnusable(f"index.json has an entry that is no descriptor: {error}") from None


def _read_docker_archive(source: Source) -> Layout:
    """Make an OCI manifest for each image: of the same archive always the same one."""
    images: list[Image] = []
    members: dict[Digest, str | bytes] = {}
    for entry in _entries(_load_json(source, "manifest.json"), None):
        manifest = _make_manifest(source, entry, members)
        digest = Digest.of(manifest)
        members[digest] = manifest
        images.append(Image(digest, media_types.OCI_IMAGE, tuple(entry.get("RepoTags") or ())))
    return Layout(
        source, images, members, "a docker archive has no manifests: they were made from its configs and layers"
    )


def _make_manifest(source: Source, entry: Mapping[str, Any], members: dict[Digest, str | bytes]) -> bytes:
    """The manifest of one image; its config and layers are added to ``members`` under their digests."""
    try:
        config_name, layer_names = str(entry["Config"]), [str(name) for name in entry["Layers"]]
        expected = _load_json(source, config_name)["rootfs"]["diff_ids"]
    except (KeyError, TypeError) as error:
        raise SourceUnusable(f"manifest.json or an image's config lacks {error}") from None
    config = _describe(source, config_name, _CONFIG_TYPE, members)
    layers = [_describe(source, name, _LAYER_TYPE, members) for name in layer_names]
    if [layer["digest"] for layer in layers] != expected:
        raise SourceUnusable(f"the layers of {config_name} are not those that it names: the archive is damaged")
    document = {"schemaVersion": 2, "mediaType": media_types.OCI_IMAGE, "config": config, "layers": layers}
    return json.dumps(document, separators=(",", ":")).encode()


def _describe(source: Source, name: str, media_type: str, members: dict[Digest, str | bytes]) -> dict[str, Any]:
    with source.open(name) as content:
        content_hash = hashlib.file_digest(content, "sha256")  # type: ignore[arg-type]  # it needs readinto only
        size = content.tell()
    digest = Digest("sha256", content_hash.hexdigest())
    members[digest] = name
    return {"mediaType": media_type, "digest": str(digest), "size": size}


def _load_json(source: Source, name: str) -> Any:
    with source.open(name) as file:
        body = file.read(_JSON_LIMIT)
    try:
        return json.loads(body)
    except ValueError as error:
        raise SourceUnusable(f"{name} is not JSON: {error}") from None


def _entries(document: Any, field: str | None) -> list[Any]:
    entries = document.get(field) if field is not None and isinstance(document, dict) else document
    if not isinstance(entries, list) or not entries:
        raise SourceUnusable("it names no image")
    return entries


def blob_name(digest: Digest) -> str:
    """Where a layout keeps content."""
    return f"blobs/{digest.algorithm}/{digest.hex}"
