"""Images as OCI image layouts: folders that clients push from and pull to (image-spec, image-layout.md)."""

from __future__ import annotations

import filecmp
import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.tools.content import LAYER_TYPE, descriptor, digest_of, image, index, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TAG = "made"
"""The name in its layout of an image that was made here."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer's bytes as they are pushed, and the digest of the tar file in them."""

    content: bytes
    diff_id: str
    media_type: str


def make_layer(file_name: str, content: bytes, *, compressed: bool = True) -> Layer:
    """A layer with one file. It is wrapped in gzip without being packed: that costs no time, and clients leave it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(file_name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    tar = buffer.getvalue()
    if not compressed:
        return Layer(tar, digest_of(tar), LAYER_TYPE)
    return Layer(gzip.compress(tar, compresslevel=0, mtime=0), digest_of(tar), f"{LAYER_TYPE}+gzip")


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout with one image, or one index of images."""

    folder: Path

    def __str__(self) -> str:
        """As clients name it."""
        return f"oci:{self.folder}:{TAG}"

    def blob_path(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.replace(":", "/")

    @property
    def entry(self) -> dict[str, Any]:
        """The descriptor of the image or the index."""
        [entry] = json.loads((self.folder / "index.json").read_bytes())["manifests"]
        return dict(entry)

    @property
    def digest(self) -> str:
        return str(self.entry["digest"])

    @property
    def manifest(self) -> bytes:
        return self.blob_path(self.digest).read_bytes()

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The descriptors of the image's layers."""
        return list(json.loads(self.manifest)["layers"])

    @property
    def diff_ids(self) -> list[str]:
        config = self.blob_path(json.loads(self.manifest)["config"]["digest"])
        return list(json.loads(config.read_bytes())["rootfs"]["diff_ids"])


def make_image(folder: Path, *layers: Layer) -> Layout:
    return _finish(folder, _add_image(folder, layers, "amd64"))


def make_index(folder: Path, images: Mapping[str, Sequence[Layer]]) -> Layout:
    """An index with an image for each architecture."""
    children = [_add_image(folder, layers, architecture) for architecture, layers in images.items()]
    document = json.loads(index(*children))
    for entry, architecture in zip(document["manifests"], images, strict=True):
        entry["platform"] = {"os": "linux", "architecture": architecture}
    return _finish(folder, _add(folder, to_json(document)))


def assert_same(one: Layout, other: Layout) -> None:
    """The same image or index, and the same blobs, byte for byte."""
    assert one.digest == other.digest
    names = _names(one.folder)
    assert names == _names(other.folder)
    same, different, unreadable = filecmp.cmpfiles(one.folder, other.folder, names, shallow=False)
    assert (same, different, unreadable) == (names, [], [])


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in (folder / "blobs").rglob("*") if path.is_file())


def _add_image(folder: Path, layers: Sequence[Layer], architecture: str) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
    config = to_json({"architecture": architecture, "os": "linux", "config": {}, "rootfs": rootfs})
    descriptors = [descriptor(_add(folder, layer.content), layer.media_type) for layer in layers]
    return _add(folder, image(config=_add(folder, config), layers=descriptors))


def _add(folder: Path, content: bytes) -> bytes:
    path = Layout(folder).blob_path(digest_of(content))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return content


def _finish(folder: Path, manifest: bytes) -> Layout:
    """Name the image or index in the layout."""
    entry = descriptor(
        manifest, json.loads(manifest)["mediaType"], annotations={"org.opencontainers.image.ref.name": TAG}
    )
    (folder / "index.json").write_bytes(to_json({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_bytes(to_json({"imageLayoutVersion": "1.0.0"}))
    return Layout(folder)
