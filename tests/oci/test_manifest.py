from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci import media_types
from registry.oci.digests import Digest
from registry.oci.errors import ManifestInvalid, ManifestTooLarge
from registry.oci.manifest import LIMIT_BYTES, Edge, EdgeKind, parse
from tests.tools.content import CONFIG_TYPE, LAYER_TYPE, descriptor, image, index, to_json

ONE, TWO = b"one", b"two"


def changed(manifest: bytes, **fields: Any) -> bytes:
    return to_json({**json.loads(manifest), **fields})


def without(manifest: bytes, field: str) -> bytes:
    return to_json({key: value for key, value in json.loads(manifest).items() if key != field})


def digests(manifest: bytes, content_type: str | None = None) -> dict[str, set[Digest]]:
    edges = parse(manifest, content_type).edges
    return {kind.value: {edge.digest for edge in edges if edge.kind is kind} for kind in EdgeKind}


def test_an_image_refers_to_its_config_and_layers_once_each() -> None:
    assert digests(image(ONE, TWO, TWO)) == {
        "config": {Digest.of(b"{}")},
        "layer": {Digest.of(ONE), Digest.of(TWO)},
        "child": set(),
    }


def test_an_index_refers_to_its_children() -> None:
    child = image(ONE)
    assert digests(index(child, child))["child"] == {Digest.of(child)}


def test_an_artifact_manifest_refers_to_its_blobs() -> None:
    manifest = to_json({"mediaType": media_types.OCI_ARTIFACT, "blobs": [descriptor(ONE, "a/b")]})
    assert digests(manifest)["layer"] == {Digest.of(ONE)}


def test_an_unknown_type_refers_to_every_descriptor_in_it_and_requires_none() -> None:
    deep = {"a": [{"b": descriptor(ONE, "x/y")}], "c": descriptor(TWO, "x/y"), "d": {"digest": "md5:1", "size": 1}}
    manifest = parse(to_json({"mediaType": "application/vnd.x+json", "subject": descriptor(b"s", "x/y"), **deep}), None)
    assert {edge.digest for edge in manifest.edges} == {Digest.of(ONE), Digest.of(TWO)}
    assert not any(edge.required for edge in manifest.edges)
    assert manifest.subject == Digest.of(b"s")


@pytest.mark.parametrize("fields", [{"schemaVersion": 1}, {"annotations": {"a": 1}}, {"subject": "text"}])
def test_an_unknown_type_may_mean_something_else_by_our_words(fields: dict[str, Any]) -> None:
    manifest = parse(to_json({"mediaType": "application/vnd.x+json", **fields}), None)
    assert (manifest.subject, manifest.annotations) == (None, {})


@pytest.mark.parametrize(
    "layer",
    [
        descriptor(ONE, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
        descriptor(ONE, "application/vnd.oci.image.layer.nondistributable.v1.tar"),
        descriptor(ONE, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
        descriptor(ONE, LAYER_TYPE, urls=["https://example.org/layer"]),
    ],
)
def test_a_layer_that_lies_elsewhere_is_not_required(layer: dict[str, Any]) -> None:
    edges = parse(changed(image(), layers=[layer]), None).edges
    assert Edge(EdgeKind.LAYER, Digest.of(ONE), required=False) in edges


def test_a_layer_that_lies_elsewhere_and_here_is_required() -> None:
    here, elsewhere = descriptor(ONE, LAYER_TYPE), descriptor(ONE, LAYER_TYPE, urls=["https://example.org/layer"])
    for layers in ([here, elsewhere], [elsewhere, here]):
        edges = parse(changed(image(), layers=layers), None).edges
        assert [edge.required for edge in edges if edge.kind is EdgeKind.LAYER] == [True]


@pytest.mark.parametrize("empty", [None, []])
def test_no_layers_and_no_children_are_fine(empty: Any) -> None:
    assert digests(changed(image(), layers=empty))["layer"] == set()
    assert digests(changed(index(), manifests=empty))["child"] == set()


class TestMediaType:
    @pytest.mark.parametrize("content_type", [None, "application/json", "", media_types.OCI_IMAGE])
    def test_it_is_the_body_that_counts(self, content_type: str | None) -> None:
        assert parse(image(), content_type).media_type == media_types.OCI_IMAGE

    def test_parameters_and_case_of_content_type_are_ignored(self) -> None:
        assert parse(image(), f"{media_types.OCI_IMAGE.upper()}; charset=utf-8").media_type == media_types.OCI_IMAGE

    @pytest.mark.parametrize("known", sorted(media_types.IMAGES))
    def test_a_known_content_type_stands_in_for_a_missing_field(self, known: str) -> None:
        assert parse(without(image(), "mediaType"), known).media_type == known

    @pytest.mark.parametrize("content_type", [None, "application/json", "application/vnd.x+json", "text/plain"])
    def test_without_either_the_type_is_unknown(self, content_type: str | None) -> None:
        with pytest.raises(ManifestInvalid, match="mediaType"):
            parse(without(image(), "mediaType"), content_type)

    def test_the_two_have_to_agree(self) -> None:
        with pytest.raises(ManifestInvalid, match="agree"):
            parse(image(), media_types.OCI_INDEX)

    @pytest.mark.parametrize("own", [1, "", "image", "a/b\r\nX: y", "a/b; c=d"])
    def test_it_has_to_be_a_media_type(self, own: Any) -> None:
        with pytest.raises(ManifestInvalid, match="media type"):
            parse(changed(image(), mediaType=own), None)


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (changed(image(), manifests=[]), "must not have layers or config"),
        (changed(index(), layers=[]), "must not have layers or config"),
        (changed(index(), config=None), "must not have layers or config"),
        (to_json({"mediaType": "a/b", "manifests": [], "config": {}}), "must not have layers or config"),
        (without(without(changed(image(), manifests=[]), "layers"), "config"), "must not have the field manifests"),
        (without(changed(index(), config={}), "manifests"), "must not have the fields layers or config"),
        (changed(image(), schemaVersion=1), "schema 1"),
        (to_json({"mediaType": min(media_types.SCHEMA_1)}), "schema 1"),
        (changed(image(), schemaVersion=3), "schemaVersion"),
        (without(image(), "config"), "config has to be a descriptor"),
        (changed(image(), layers={}), "layers has to be an array"),
        (changed(image(), layers=["x"]), r"layers\[0\] has to be a descriptor"),
        (changed(image(), layers=[{"digest": str(Digest.of(ONE)), "size": -1}]), r"layers\[0\].size"),
        (changed(image(), layers=[{"digest": str(Digest.of(ONE)), "size": True}]), r"layers\[0\].size"),
        (changed(image(), layers=[{"digest": str(Digest.of(ONE)), "size": 1.5}]), r"layers\[0\].size"),
        (changed(image(), layers=[{"digest": "sha256:x", "size": 1}]), r"layers\[0\].digest"),
        (changed(image(), subject="x"), "subject has to be a descriptor"),
        (changed(image(), artifactType=5), "artifactType"),
        (changed(image(), artifactType="\ud800"), "artifactType"),
        (changed(image(), artifactType="a/" + "b" * 254), "artifactType"),
        (changed(image(), mediaType="application/vnd.oci.image.Manifest.v1+json"), "lower case"),
        (changed(image(), schemaVersion="x" * 100_000), "schemaVersion"),
        (index(*[to_json({"mediaType": "a/b", "n": n}) for n in range(10_001)]), "at most 10000 digests"),
        (changed(image(), annotations={"a": 1}), "annotations"),
        (changed(image(), annotations=["a"]), "annotations"),
    ],
)
def test_what_readers_could_take_in_two_ways_is_refused(manifest: bytes, why: str) -> None:
    with pytest.raises(ManifestInvalid, match=why):
        parse(manifest, None)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "JSON"),
        (b"[]", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b"{", "JSON"),
        (b"\xff\xfe{\x00}\x00", "utf-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"a":1,"a":2}', "twice"),
        (b'{"a":{"b":1,"b":2}}', "twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":1e999}', "finite"),
        (b'{"a":' + b"9" * 20 + b"}", "19 digits"),
        (b'{"a":' + b"[" * 65 + b"]" * 65 + b"}", "deeper"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "deeper"),
    ],
)
def test_hostile_json_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(ManifestInvalid, match=why):
        parse(body, media_types.OCI_IMAGE)


def test_a_manifest_may_have_four_mebibytes_and_not_one_more() -> None:
    padding = LIMIT_BYTES - len(changed(image(), annotations={"p": ""}))
    largest = changed(image(), annotations={"p": "x" * padding})
    assert len(largest) == LIMIT_BYTES
    assert parse(largest, None).body == largest
    with pytest.raises(ManifestTooLarge, match=str(LIMIT_BYTES)):
        parse(largest + b" ", None)


class TestWhatTheReferrersApiShows:
    def test_an_images_own_artifact_type_or_that_of_its_config(self) -> None:
        assert parse(image(), None).artifact_type == CONFIG_TYPE
        assert parse(image(artifactType=""), None).artifact_type == CONFIG_TYPE
        assert parse(image(artifactType="a/b"), None).artifact_type == "a/b"

    def test_an_index_has_one_only_by_itself(self) -> None:
        assert parse(index(), None).artifact_type is None
        assert parse(index(artifactType="a/b"), None).artifact_type == "a/b"

    def test_annotations(self) -> None:
        assert parse(image(annotations={"a": "b"}), None).annotations == {"a": "b"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
FIELDS = st.sampled_from(
    ["mediaType", "schemaVersion", "config", "layers", "manifests", "subject", "artifactType", "annotations", "blobs"]
)


@given(
    st.sampled_from([image(ONE), index(image(ONE))]),
    st.dictionaries(FIELDS, JSON, max_size=3),
    st.sampled_from([None, *sorted(media_types.KNOWN)]),
)
def test_any_json_is_read_or_refused_in_the_specs_words(
    base: bytes, fields: dict[str, Any], content_type: str | None
) -> None:
    body = changed(base, **fields)
    try:
        manifest = parse(body, content_type)
    except ManifestInvalid:
        return
    assert manifest.body == body
    assert media_types.is_media_type(manifest.media_type)
