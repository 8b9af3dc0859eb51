"""Images from files into the registry, and back."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard

from registry.oci.digests import Digest
from registry.oci.errors import RegistryError
from registry.oci.names import RepositoryName, Tag
from registry.transfer.errors import ExportFailed, RequestFailed, SourceUnusable
from registry.transfer.exporting import Exporter, open_destination
from registry.transfer.importing import Importer, parse_reference, parse_target, targets_of
from registry.transfer.layouts import Image, read_layout
from registry.transfer.sources import open_source
from tests.tools.content import digest_of, to_json
from tests.tools.layouts import Layout, assert_same, make_image, make_layer

if TYPE_CHECKING:
    from pathlib import Path

    from registry.transfer.client import Client

NAME = RepositoryName.parse("team/app")
TAG = Tag.parse("1")


def import_(client: Client, path: Path, target: str | None = "team/app:1") -> list[str]:
    """Import all images of a file; what was said."""
    said: list[str] = []
    with open_source(path) as source:
        layout = read_layout(source)
        for image in layout.images:
            wanted = None if target is None else parse_target(target)
            Importer(client, layout, said.append).push(image, targets_of(image, wanted))
    return said


def export(client: Client, path: Path, reference: Tag | Digest = TAG) -> list[str]:
    said: list[str] = []
    with open_destination(path) as destination:
        Exporter(client, NAME, destination, said.append).write(reference)
    return said


def pack(layout: Layout, path: Path, compression: str) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(layout.folder, arcname=".")
    compress = {"none": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}
    path.write_bytes(compress[compression](buffer.getvalue()))
    return path


@pytest.mark.parametrize("compression", ["folder", "none", "gzip", "zstd"])
@pytest.mark.parametrize("destination", ["out", "out.tar"])
@pytest.mark.parametrize("kind", ["small_image", "small_index"])
def test_an_image_goes_in_and_comes_back_byte_for_byte(
    operator: Client,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    compression: str,
    destination: str,
    kind: str,
) -> None:
    layout = request.getfixturevalue(kind)
    path = layout.folder if compression == "folder" else pack(layout, tmp_path / "packed", compression)
    import_(operator, path)
    export(operator, tmp_path / destination)
    if destination.endswith(".tar"):
        (tmp_path / "unpacked").mkdir()
        subprocess.run(["tar", "-xf", tmp_path / destination, "-C", tmp_path / "unpacked"], check=True)
        assert_same(layout, Layout(tmp_path / "unpacked"))
    else:
        assert_same(layout, Layout(tmp_path / destination))


def test_an_import_can_be_run_again(operator: Client, small_index: Layout) -> None:
    first, second = import_(operator, small_index.folder), import_(operator, small_index.folder)
    assert len(first) > len(second) == 1
    assert second == [f"team/app:1 is {small_index.digest}"]


def test_an_import_goes_on_where_it_broke_off(operator: Client, small_image: Layout) -> None:
    missing = small_image.blob_path(small_image.layers[1]["digest"])
    content = missing.read_bytes()
    missing.unlink()
    with pytest.raises(RequestFailed, match=f"unknown to this repository.*{small_image.layers[1]['digest']}"):
        import_(operator, small_image.folder)
    missing.write_bytes(content)
    assert len(import_(operator, small_image.folder)) == 2  # the layer, and the tag


def test_a_blob_that_is_not_what_its_name_says_is_refused(operator: Client, small_image: Layout) -> None:
    small_image.blob_path(small_image.layers[0]["digest"]).write_bytes(b"rot")
    with pytest.raises(RequestFailed, match="another digest"):
        import_(operator, small_image.folder)
    assert operator.digest_of(NAME, TAG) is None


def test_an_export_leaves_alone_what_is_whole_and_mends_what_is_not(
    operator: Client, small_image: Layout, tmp_path: Path
) -> None:
    import_(operator, small_image.folder)
    export(operator, tmp_path / "out")
    Layout(tmp_path / "out").blob_path(small_image.layers[0]["digest"]).write_bytes(b"rot")
    assert export(operator, tmp_path / "out") == [f"team/app: {small_image.layers[0]['digest']}"]
    assert_same(small_image, Layout(tmp_path / "out"))


def test_an_export_of_what_is_not_there_leaves_no_file(operator: Client, tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="team/app has no manifest 1"):
        export(operator, tmp_path / "out.tar")
    assert not list(tmp_path.glob("out*"))


def test_an_export_by_digest_has_no_name(operator: Client, small_image: Layout, tmp_path: Path) -> None:
    import_(operator, small_image.folder)
    export(operator, tmp_path / "out", Digest.parse(small_image.digest))
    assert "annotations" not in Layout(tmp_path / "out").entry


class TestDockerArchive:
    def make(self, tmp_path: Path, layout: Layout, **more: bytes) -> Path:
        """What ``docker save`` made before it held an OCI layout."""
        config_digest = json.loads(layout.manifest)["config"]["digest"]
        entry = {"Config": "config.json", "RepoTags": ["team/app:1"], "Layers": ["0/layer.tar", "1/layer.tar"]}
        members = {
            "manifest.json": to_json([entry]),
            "config.json": layout.blob_path(config_digest).read_bytes(),
            **{f"{n}/layer.tar": layout.blob_path(d["digest"]).read_bytes() for n, d in enumerate(layout.layers)},
            **more,
        }
        with tarfile.open(tmp_path / "archive.tar", "w") as tar:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return tmp_path / "archive.tar"

    @pytest.fixture
    def layout(self, tmp_path: Path) -> Layout:
        return make_image(tmp_path / "plain", *(make_layer(name, b"x", compressed=False) for name in ("0", "1")))

    def test_a_manifest_is_made_always_the_same_and_that_is_said(
        self, operator: Client, layout: Layout, tmp_path: Path
    ) -> None:
        path = self.make(tmp_path, layout)
        with open_source(path) as source:
            assert "were made" in read_layout(source).note
        import_(operator, path, None)
        first = operator.digest_of(NAME, TAG)
        import_(operator, path, None)
        assert operator.digest_of(NAME, TAG) == first is not None
        found = operator.read_manifest(NAME, TAG)
        assert found is not None
        digests = [layer["digest"] for layer in json.loads(found[1])["layers"]]
        assert digests == layout.diff_ids

    def test_a_damaged_layer_is_noticed(self, layout: Layout, tmp_path: Path) -> None:
        path = self.make(tmp_path, layout, **{"1/layer.tar": b"rot"})
        with open_source(path) as source, pytest.raises(SourceUnusable, match="damaged"):
            read_layout(source)

    def test_an_oci_layout_inside_is_preferred(self, layout: Layout, tmp_path: Path) -> None:
        inside = {
            str(file.relative_to(layout.folder)): file.read_bytes()
            for file in layout.folder.rglob("*")
            if file.is_file()
        }
        with open_source(self.make(tmp_path, layout, **inside)) as source:
            found = read_layout(source)
        assert (found.note, [str(image.digest) for image in found.images]) == ("", [layout.digest])


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (["docker.io/library/app:1"], None, ["library/app:1"]),
        (["localhost/app"], None, ["app:latest"]),
        (["host:5000/a/b:2", "team/app:1"], None, ["a/b:2", "team/app:1"]),
        (["1"], "team/app", ["team/app:1"]),
        (["host.example/x:2"], "team/app", ["team/app:2"]),
        (["x:2"], "team/app:3", ["team/app:3"]),
        ([], "team/app", ["team/app"]),
    ],
)
def test_where_an_image_goes(names: list[str], wanted: str | None, expected: list[str]) -> None:
    image = Image(Digest.of(b""), "a/b", tuple(names))
    targets = targets_of(image, None if wanted is None else parse_target(wanted))
    assert [str(target) for target in targets] == expected


@pytest.mark.parametrize("names", [[], ["1"]])
def test_an_image_without_a_repository_has_to_be_given_one(names: list[str]) -> None:
    with pytest.raises(SourceUnusable, match="--as REPOSITORY:TAG"):
        targets_of(Image(Digest.of(b""), "a/b", tuple(names)), None)


def test_references() -> None:
    digest = digest_of(b"")
    assert parse_reference("a/b:1") == (RepositoryName("a/b"), Tag("1"))
    assert parse_reference("a/b") == (RepositoryName("a/b"), Tag("latest"))
    assert parse_reference(f"a/b@{digest}") == (RepositoryName("a/b"), Digest.parse(digest))
    for bad in ("A:1", "a:", "a@x", ""):
        with pytest.raises(RegistryError):
            parse_reference(bad)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({}, "neither an OCI layout"),
        ({"oci-layout": b"{}", "index.json": b"{"}, "index.json is not JSON"),
        ({"oci-layout": b"{}", "index.json": b"{}"}, "names no image"),
        ({"oci-layout": b"{}", "index.json": to_json({"manifests": [{"digest": "x"}]})}, "no descriptor"),
        ({"manifest.json": to_json([{"Config": "c"}])}, "lacks"),
        ({"manifest.json": to_json([{"Config": "../../etc/passwd", "Layers": []}])}, "outside of itself"),
    ],
)
def test_a_folder_that_is_no_image_is_refused(tmp_path: Path, members: dict[str, bytes], why: str) -> None:
    for name, content in members.items():
        (tmp_path / name).write_bytes(content)
    with open_source(tmp_path) as source, pytest.raises(SourceUnusable, match=why):
        read_layout(source)


@pytest.mark.parametrize(
    "content", [b"", b"no tar", gzip.compress(b"no tar"), b"\x1f\x8bbroken", b"\x28\xb5\x2f\xfdbad"]
)
def test_a_file_that_is_no_tar_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(SourceUnusable, match=r"neither a folder nor a tar|can't be decompressed"), open_source(path):
        pass
