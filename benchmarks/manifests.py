"""What packing saves on 10,000 manifests that look as real ones do: ``python -m benchmarks.manifests``.

``--train FILE`` makes a dictionary of others of their kind: to be released under the next number, never in the place of
one that was.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard

from registry.store import bodies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_OCI, _DOCKER = "application/vnd.oci.image", "application/vnd.docker"
_COUNT = 10_000
_TRAINING = 8_000
_DICTIONARY_BYTES = 4096
_PLATFORMS = ("amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "mips64le")
_EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


class Maker:
    """Makes manifests as build tools write them, each with digests of its own."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def make(self) -> bytes:
        """One of them, in one of the layouts of JSON that are in use."""
        kinds = (self._oci, self._docker, self._index, self._docker_list, self._signature, self._artifact)
        [kind] = self._random.choices(kinds, (40, 20, 14, 4, 12, 10))
        document = kind()
        indent = self._random.choice((None, 2, 2, 3))
        separators = (",", ":") if indent is None else None
        return json.dumps(document, indent=indent, separators=separators).encode()

    def _digest(self) -> str:
        return f"sha256:{self._random.randbytes(32).hex()}"

    def _descriptor(self, media_type: str, limit: int, **more: Any) -> dict[str, Any]:
        size = int(10 ** self._random.uniform(2, len(str(limit)) - 1))
        return {"mediaType": media_type, "digest": self._digest(), "size": size, **more}

    def _count(self) -> int:
        return self._random.choice((1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30))

    def _annotations(self) -> dict[str, str]:
        pick = self._random
        moment = f"202{pick.randrange(10)}-{pick.randrange(1, 13):02}-{pick.randrange(1, 29):02}"
        prefix = "org.opencontainers.image."
        name = f"{self._word()}/{self._word()}"
        every = {
            f"{prefix}created": f"{moment}T{pick.randrange(24):02}:{pick.randrange(60):02}:{pick.randrange(60):02}Z",
            f"{prefix}revision": pick.randbytes(20).hex(),
            f"{prefix}source": f"https://github.com/{name}",
            f"{prefix}title": self._word(),
            f"{prefix}version": f"{pick.randrange(9)}.{pick.randrange(40)}.{pick.randrange(30)}",
            f"{prefix}licenses": pick.choice(("MIT", "Apache-2.0", "GPL-3.0-only")),
            f"{prefix}base.name": f"docker.io/library/{self._word()}:{pick.randrange(30)}",
            f"{prefix}base.digest": self._digest(),
        }
        return dict(pick.sample(list(every.items()), pick.randrange(1, len(every))))

    def _word(self) -> str:
        return "".join(self._random.choices("etaoinshrdlucmwfgypbvk", k=self._random.randrange(3, 12)))

    def _oci(self) -> dict[str, Any]:
        kind = self._random.choice(("tar+gzip", "tar+gzip", "tar+gzip", "tar+zstd", "tar"))
        document = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": self._descriptor(f"{_OCI}.config.v1+json", 10**5),
            "layers": [self._descriptor(f"{_OCI}.layer.v1.{kind}", 10**9) for _ in range(self._count())],
        }
        if self._random.random() < 0.3:
            document["annotations"] = self._annotations()
        return document

    def _docker(self) -> dict[str, Any]:
        def turned(descriptor: dict[str, Any]) -> dict[str, Any]:
            return {key: descriptor[key] for key in ("mediaType", "size", "digest")}

        layer = f"{_DOCKER}.image.rootfs.diff.tar.gzip"
        return {
            "schemaVersion": 2,
            "mediaType": f"{_DOCKER}.distribution.manifest.v2+json",
            "config": turned(self._descriptor(f"{_DOCKER}.container.image.v1+json", 10**5)),
            "layers": [turned(self._descriptor(layer, 10**9)) for _ in range(self._count())],
        }

    def _index(self) -> dict[str, Any]:
        """As BuildKit writes it: each platform, and what attests it."""
        manifests = []
        is_attested = self._random.random() < 0.6
        media_type = f"{_OCI}.manifest.v1+json"
        for platform in self._random.sample(_PLATFORMS, self._random.randrange(1, 6)):
            image = self._descriptor(media_type, 10**4, platform={"architecture": platform, "os": "linux"})
            manifests.append(image)
            if is_attested:
                notes = {
                    "vnd.docker.reference.digest": image["digest"],
                    "vnd.docker.reference.type": "attestation-manifest",
                }
                unknown = {"architecture": "unknown", "os": "unknown"}
                manifests.append(self._descriptor(media_type, 10**4, annotations=notes, platform=unknown))
        return {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": manifests}

    def _docker_list(self) -> dict[str, Any]:
        manifests = []
        for platform in self._random.sample(_PLATFORMS, self._random.randrange(2, 7)):
            shown = {"architecture": platform, "os": "linux"}
            if platform == "arm":
                shown["variant"] = self._random.choice(("v6", "v7"))
            manifests.append(self._descriptor(f"{_DOCKER}.distribution.manifest.v2+json", 10**4, platform=shown))
        return {
            "schemaVersion": 2,
            "mediaType": f"{_DOCKER}.distribution.manifest.list.v2+json",
            "manifests": manifests,
        }

    def _signature(self) -> dict[str, Any]:
        """As cosign writes it; without a key, with a certificate and a proof of the log."""
        signature = base64.b64encode(self._random.randbytes(71)).decode()
        notes = {"dev.cosignproject.cosign/signature": signature}
        if self._random.random() < 0.5:
            certificate = base64.encodebytes(self._random.randbytes(720)).decode()
            notes["dev.sigstore.cosign/certificate"] = (
                f"-----BEGIN CERTIFICATE-----\n{certificate}-----END CERTIFICATE-----\n"
            )
            payload = {
                "body": base64.b64encode(self._random.randbytes(900)).decode(),
                "integratedTime": self._random.randrange(1_600_000_000, 1_900_000_000),
                "logIndex": self._random.randrange(10**8),
                "logID": self._random.randbytes(32).hex(),
            }
            proof = base64.b64encode(self._random.randbytes(70)).decode()
            notes["dev.sigstore.cosign/bundle"] = json.dumps({"SignedEntryTimestamp": proof, "Payload": payload})
        layer = self._descriptor("application/vnd.dev.cosign.simplesigning.v1+json", 10**3, annotations=notes)
        return {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": self._descriptor(f"{_OCI}.config.v1+json", 10**3),
            "layers": [layer],
        }

    def _artifact(self) -> dict[str, Any]:
        """SBOMs, attestations and charts: with a subject and an empty config, or with a config of their own."""
        kind, layer = self._random.choice(
            (
                ("application/spdx+json", "application/spdx+json"),
                ("application/vnd.cyclonedx+json", "application/vnd.cyclonedx+json"),
                ("application/vnd.in-toto+json", "application/vnd.in-toto+json"),
                ("application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
            )
        )
        document: dict[str, Any] = {"schemaVersion": 2, "mediaType": f"{_OCI}.manifest.v1+json"}
        if "helm" in kind:
            document["config"] = self._descriptor(kind, 10**4)
        else:
            document["artifactType"] = kind
            empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": _EMPTY, "size": 2, "data": "e30="}
            document["config"] = empty
        title = {"org.opencontainers.image.title": f"{self._word()}.json"}
        document["layers"] = [self._descriptor(layer, 10**6, annotations=title)]
        if "artifactType" in document:
            document["subject"] = self._descriptor(f"{_OCI}.manifest.v1+json", 10**4)
        document["annotations"] = self._annotations()
        return document


def _train(path: Path) -> None:
    maker = Maker(2)
    samples = [maker.make() for _ in range(_TRAINING)]
    path.write_bytes(zstandard.train_dictionary(_DICTIONARY_BYTES, samples).as_bytes())


def _measure(name: str, pack: Callable[[bytes], bytes], unpack: Callable[[bytes, int], bytes | None]) -> None:
    """Print what is left of the manifests, and the microseconds that each takes."""
    maker = Maker(1)
    manifests = [maker.make() for _ in range(_COUNT)]
    packed, packing = _timed(lambda: [pack(each) for each in manifests])
    sizes = [len(each) for each in manifests]
    unpacked, unpacking = _timed(lambda: list(map(unpack, packed, sizes)))
    if unpacked != manifests:
        raise AssertionError(f"{name}: what was packed is not what came out")
    kept, total = sum(map(len, packed)), sum(sizes)
    print(
        f"{name:22} {kept:12,} of {total:,} bytes, {kept / total:.1%};"
        f" {packing / _COUNT * 1e6:.0f} us to pack, {unpacking / _COUNT * 1e6:.0f} us to read"
    )


def _timed(act: Callable[[], Sequence[Any]]) -> tuple[Sequence[Any], float]:
    started = time.perf_counter()
    return act(), time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, metavar="FILE", help="write a new dictionary there, and measure nothing")
    options = parser.parse_args()
    if options.train is not None:
        _train(options.train)
        return
    for level in (1, 3, 9):
        compressor, decompressor = zstandard.ZstdCompressor(level=level), zstandard.ZstdDecompressor()
        _measure(f"zstd level {level}", compressor.compress, lambda packed, _, to=decompressor: to.decompress(packed))
    _measure("as the registry does", lambda body: bodies.pack(body)[0], lambda body, size: bodies.unpack(body, 1, size))


if __name__ == "__main__":
    main()
