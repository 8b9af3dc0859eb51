"""Names, tags, digests, upload ids and queries that mean to be paths, or somebody else's, generated from a seed.

Nothing here is valid where it stands, by a grammar of its own: what is valid by accident is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote

from tests.tools.content import digest_of, index

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

HEX = "0123456789abcdef" * 4
CONTENT = b"pushed under a hostile name"
MANIFEST = index(annotations={"of": "hostile names"})
"""It needs no blob: pushed under a valid name, it would be stored."""

_NAME = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
_DIGEST = r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
_VALID = re.compile(rf"/v2/(?P<name>{_NAME})/(blobs/uploads/?|blobs/({_DIGEST})|manifests/({_TAG}|{_DIGEST}))/?")
"""The paths at which a request of any content could change something (distribution-spec, section "Endpoints")."""

TRAVERSALS: Final = (
    "..", ".", "../", "../../", "../" * 8 + "etc/passwd", "/etc/passwd", "//etc/passwd", "....//", "..././", "..;/",
    "..\\", "..\\..\\", "\\\\server\\share\\", "C:\\", "~", "~root/", "-", "*", "$HOME", "`id`", "$(id)", "|id",
    "%s%n", "\0", "..\0", "a\0/../", "\n", "\r\n", "\t", " ", "..%2f", "%2e%2e%2f", "%00", "file:///etc/passwd",
    "a:b@c", "../registry.db", "../../data/registry.db", "registry.db-wal", "admin.sock", "secret", "../secret",
    "../../secret", "uploads/probe", "../uploads/probe", f"../blobs/sha256/{HEX}", f"blobs/sha256/{HEX}", "sha256/",
    "/proc/self/environ", "'; DROP TABLE tags; --", '" OR 1=1', "a' UNION SELECT", "{{7*7}}", "${jndi:ldap://a}",
    "<script>", "\x1b[2J", "\x7f",
)  # fmt: skip

WIRE: Final = (
    "%2e%2e/", "%2e%2e%2f", "%2E%2E%5C", "%252e%252e%252f", "%25252e%25252e", "%c0%ae%c0%ae%c0%af", "%c0%2e%c0%2e/",
    "%e0%80%ae%e0%80%ae%e0%80%af", "%f0%80%80%ae", "%fc%80%80%80%80%ae", "%c1%9c", "%u002e%u002e%u2215", "%%32%65",
    "%", "%2", "%zz", "%00", "%2500", "%0d%0a", "%ff", "%fe%ff", "%ed%a0%80", "%ed%b0%80", "%f4%90%80%80", "%80",
    "..%c0%af", "%e2%80%ae", "%ef%bb%bf", "/%2f/", "%2f", "%5c", "%3f", "%23", "%26", "+", "%2b", "%20", ";a=b", "//",
    "/./", "/../",
)  # fmt: skip
"""These stand in a target as they are."""

LOOKALIKES: Final = (
    "\u0430\u0435\u043e\uff50\uff71\xe9\u0131\u017f\u212a\u212b\uff11\u0663\u0966\xb2\ufb01\xdf\u3002\uff0e\u2024\u2026"
    "\uff0f\u2215\u2044\uff3c\ufe68\uff1a\uff3f\u2010\u200b\u200d\u202e\ufeff\u0301\U0001f4a9"
)
"""Of letters, digits, dots, slashes and colons; some become ASCII when folded or normalised."""

NAMES: Final = (
    "A", "a\n", "a/B", "aB", "-a", "a-", "_a", "a_", ".a", "a.", "a..b", "a___b", "a._b", "a.-b", "a//b", "/a", "a/",
    "a/.b", "a/../b", "a/./b", "a b", "a:b", "a@b", "a+b", "a~b", "a,b", "a&b", "a=b", "a#b", "a?b", "a*b", "a" * 256,
    "a/" * 127 + "ab", "a/" * 1000 + "a", "a" * 4000, "_catalog", "_oci/ext/discover", "a/_layers", "_uploads",
    "_manifests", "__", "-", "a/blobs/uploads/", "a/manifests/", "a/tags/list/", "a/blobs/.", "blobs/../a", "con:",
    "a\na", "a\x00", "A/_catalog",
)  # fmt: skip

RESERVED: Final = (
    "blobs", "uploads", "manifests/x", "tags/list", "referrers", "a/blobs/uploads", "blobs/uploads", "manifests",
    "tags", "a/manifests/keep", "v2", "v2/a", "v2/v2", "oci/ext/discover", "admin/gc", "metrics", "con", "nul",
    "registry.db", "a/blobs",
)  # fmt: skip
"""Valid names, all of them, though they look like something else."""

TAGS: Final = (
    "", ".", "..", ".keep", "-keep", "k" * 129, "keep:keep", "keep@keep", "keep/keep", "keep keep", " keep", "keep ",
    "keep\0", "keep\n", "kéep", "\uff4beep", "keep+1", "keep~", "keep,other", "keep*", "k" * 4000, "keep%", "(keep)",
    "keep;", "'keep'",
)  # fmt: skip

DIGESTS: Final = (
    "", ":", "sha256", "sha256:", f":{HEX}", HEX, f"sha256:{HEX[:-1]}", f"sha256:{HEX}0", f"sha256:{HEX.upper()}",
    f"SHA256:{HEX}", f"Sha256:{HEX}", f"sha256:{HEX[:-1]}g", f"sha256:{HEX[:-1]}F", f"sha512:{HEX}",
    f"sha256:{HEX * 2}", f"sha384:{HEX}{HEX[:32]}", f"sha1:{HEX[:40]}", f"md5:{HEX[:32]}", f"blake3:{HEX}",
    f"sha256+b64:{HEX}", f"sha256-{HEX}", f"sha256::{HEX}", f"sha256:sha256:{HEX}", f" sha256:{HEX}",
    f"sha256:{HEX} ", f"sha256:{HEX}\n", f"sha256:{HEX}\0", f"sha256:0x{HEX[2:]}", "sha256:" + "१" * 64,
    "sha256:" + "\uff41" * 64, "sha256:../../registry.db", "sha256:" + ("../" * 22)[:64], "sha256:" + "/" * 64,
    "sha256:" + "." * 64, f"sha256:{HEX}/../{HEX}", f"../sha256:{HEX}", f"sha256:{HEX[:32]}/{HEX[33:]}",
    f"sha256/../sha256:{HEX}", f"..:{HEX}", f"../sha512:{HEX}", f"sha256:-{HEX[1:]}", f"sha256:{HEX[:-2]}\r\n",
    f"sha256:{HEX},sha256:{HEX}", f"sha256:{HEX}.copy", f"sha256:{'0' * 4000}", "tarsum.v1+" + HEX,
)  # fmt: skip

UPLOADS: Final = (
    ".", "..", "*", "0", "-1", "probe", "x.copy", "%00", HEX[:32], "00000000-0000-0000-0000-000000000000",
    "a" * 4000, "{11111111-1111-1111-1111-111111111111}", "11111111111111111111111111111111-", "uploads", "a\0b",
    "a\nb", " ", "é",
)  # fmt: skip

NUMBERS: Final = (
    "-1", "+1", "1e9", "0x1", "1_000", "\uff11", "²", "9" * 5000, "", " 1", "1 ", "1.0", "NaN", "1;", "1\0", "٣",
)  # fmt: skip

KINDS: Final = {"name": NAMES, "tag": TAGS, "digest": DIGESTS, "upload": UPLOADS, "number": NUMBERS, "any": ("",)}

PATHS: Final = (
    "GET,HEAD /v2/{name}/tags/list", "GET,HEAD,PUT,DELETE /v2/{name}/manifests/keep",
    "GET /v2/{name}/referrers/DIGEST", "GET,HEAD,DELETE /v2/{name}/blobs/DIGEST", "POST /v2/{name}/blobs/uploads/",
    "POST /v2/{name}/blobs/uploads/?digest=DIGEST", "POST /v2/{name}/blobs/uploads/?mount=MISSING&from=a",
    "PUT /v2/{name}/blobs/uploads/UPLOAD?digest=DIGEST", "GET,PATCH,DELETE /v2/{name}/blobs/uploads/UPLOAD",
    "GET,HEAD,PUT,DELETE /v2/a/manifests/{tag}", "GET,HEAD,PUT,DELETE /v2/a/manifests/{digest}",
    "GET,HEAD,DELETE /v2/a/blobs/{digest}", "GET /v2/a/referrers/{digest}",
    "GET,PATCH,DELETE /v2/a/blobs/uploads/{upload}", "PUT /v2/a/blobs/uploads/{upload}?digest=DIGEST",
    "GET,PUT,DELETE /{any}", "GET,POST,PUT,PATCH,DELETE /v2/{any}", "GET,POST,PUT,DELETE /v2/a/{any}",
    "GET,PUT,DELETE /{any}/v2/a/manifests/keep", "PUT /v2/{name}/manifests/{tag}", "DELETE /v2/{name}/blobs/{digest}",
    "PATCH /v2/{name}/blobs/uploads/{upload}",
)  # fmt: skip

QUERIES: Final = (
    "POST /v2/a/blobs/uploads/?digest={digest}", "POST /v2/a/blobs/uploads/?mount={digest}&from=b",
    "POST /v2/a/blobs/uploads/?mount=MISSING&from={name}", "POST /v2/a/blobs/uploads/?digest-algorithm={digest}",
    "PUT /v2/a/blobs/uploads/UPLOAD?digest={digest}", "PUT /v2/a/manifests/MANIFEST?tag={tag}",
    "PUT /v2/a/manifests/MANIFEST?tag=other&tag={tag}", "GET /v2/a/tags/list?n={number}&last={any}",
    "GET /v2/_catalog?n={number}&last={name}",
    "GET /v2/a/referrers/DIGEST?artifactType={any}&last={digest}&n={number}",
    "GET /v2/a/manifests/keep?digest={digest}&path={any}", "GET /v2/a/blobs/DIGEST?from={name}&name={any}",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hostile:
    method: str
    target: str

    @property
    def body(self) -> bytes:
        """What would be stored if the request were valid."""
        if self.method == "PUT" and "/blobs/" not in self.target:
            return MANIFEST
        return CONTENT if self.method in {"POST", "PUT", "PATCH"} else b""

    @property
    def may_open_an_upload(self) -> bool:
        """A mount from what is no repository is answered by an upload session (end-11); sha256 is an algorithm."""
        return self.method == "POST" and ("from=" in self.target or "digest-algorithm=" in self.target)


def hostile(chance: random.Random, upload: str) -> Iterator[Hostile]:
    """Requests without end, no two the same; ``upload`` is the id of a session that is open in repository ``a``."""
    constants = {
        "DIGEST": digest_of(CONTENT),
        "MISSING": f"sha256:{HEX}",
        "MANIFEST": digest_of(MANIFEST),
        "UPLOAD": upload,
    }
    seen = set()
    while True:
        methods, _, template = chance.choice(PATHS + QUERIES).partition(" ")
        for word, value in constants.items():
            template = template.replace(word, value)
        path_template, mark, query_template = template.partition("?")
        path, query = _filled(path_template, chance, ""), _filled(query_template, chance, "&=+;")
        request = Hostile(chance.choice(methods.split(",")), path + mark + query)
        if request not in seen and not _is_valid(path, query if "{" in query_template else ""):
            seen.add(request)
            yield request


def _filled(template: str, chance: random.Random, special: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda hole: _wire(hole[1], chance, special), template)


def _wire(kind: str, chance: random.Random, special: str) -> str:
    """A hostile value of the kind as it stands in a target."""
    sources: list[Callable[[], str]] = [
        lambda: _encoded(chance.choice(KINDS[kind]), chance, special),
        lambda: _encoded(chance.choice(TRAVERSALS), chance, special),
        lambda: chance.choice(WIRE),
        lambda: _encoded(chance.choice(LOOKALIKES), chance, special),
        lambda: _encoded(chance.choice(RESERVED), chance, special),
    ]
    if chance.random() < 0.4 and kind != "any":
        return sources[0]()
    return "".join(chance.choice(sources)() for _ in range(chance.choice((1, 2, 2, 3, 6))))


def _encoded(text: str, chance: random.Random, special: str) -> str:
    """Percent-encoded: what has to be, everything, some of it, or everything twice."""
    share = chance.choice((0, 0, 0, 0.3, 1, 2))
    found = ""
    for byte in text.encode():
        needed = not 0x21 <= byte <= 0x7E or chr(byte) in f"%?#{special}"
        if needed or chance.random() < share:
            found += chance.choice(("%{:02x}", "%{:02X}")).format(byte).replace("%", "%25" if share == 2 else "%")
        else:
            found += chr(byte)
    return found


def _is_valid(path: str, query: str) -> bool:
    """Whether the path is valid, and so is what the query adds to it."""
    found = _VALID.fullmatch(unquote(path))
    if found is None or len(found["name"]) > 255:
        return False
    return all(name == "tag" and re.fullmatch(_TAG, value) for name, value in parse_qsl(query, keep_blank_values=True))
