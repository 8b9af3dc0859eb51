"""The requests of the table of access, each with content on which it succeeds for whoever may send it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from registry.http.app import make_app
from registry.oci.media_types import DOCKER_IMAGE, OCI_IMAGE
from registry.oci.names import RepositoryName
from registry.service.principals import OPERATOR
from tests.tools.asgi import Client
from tests.tools.content import digest_of, image, push_blob, push_image

if TYPE_CHECKING:
    from registry.service.principals import Principal
    from registry.service.registry import Registry

LAYER, LOOSE, MOUNTED = b"a layer", b"a blob that no manifest needs", b"a blob of the source"
IMAGE = image(LAYER)
OTHER = image(LAYER, annotations={"other": "one"})
SOURCE = "team/source"
FORM = "application/x-www-form-urlencoded"


class Sent(NamedTuple):
    method: str
    target: str
    body: bytes = b""
    content_type: str = ""


REQUESTS = {
    "live": "/live",
    "healthz": "/healthz",
    "ready": "/ready",
    "ready verbose": "/ready?verbose&push",
    "metrics": "/metrics",
    "version": "/v2/",
    "extensions": "/v2/_oci/ext/discover",
    "catalog": "/v2/_catalog",
    "tags": "/v2/{name}/tags/list",
    "referrers": f"/v2/{{name}}/referrers/{digest_of(IMAGE)}",
    "manifest tag": "/v2/{name}/manifests/v1",
    "manifest digest": f"/v2/{{name}}/manifests/{digest_of(IMAGE)}",
    "blob": f"/v2/{{name}}/blobs/{digest_of(LOOSE)}",
    "blob range": f"/v2/{{name}}/blobs/{digest_of(LOOSE)}",
    "uploads": "/v2/{name}/blobs/uploads/",
    "uploads digest": f"/v2/{{name}}/blobs/uploads/?digest={digest_of(b'new')}",
    "uploads mount": f"/v2/{{name}}/blobs/uploads/?mount={digest_of(MOUNTED)}&from={SOURCE}",
    "uploads anywhere": f"/v2/{{name}}/blobs/uploads/?mount={digest_of(MOUNTED)}",
    "upload": "/v2/{name}/blobs/uploads/{upload}",
    "token": "/token",
    "admin-gc": "/admin/gc?dry-run",
    "admin-explain": f"/admin/gc/explain/{digest_of(MOUNTED)}",
    "admin-fsck": "/admin/fsck",
    "admin-mode": "/admin/mode",
    "admin-database": "/admin/database",
    "admin-repositories": "/admin/repositories?name=eve/app",
    "admin-tags": "/admin/tags?repository=eve/app",
    "admin-scrub": "/admin/scrub?seconds=1",
    "admin-backup": "/admin/backup",
    "admin-users": "/admin/users?name=eve",
    "admin-groups": "/admin/groups?name=devs&member=eve",
    "admin-robots": "/admin/robots?name=ci",
    "admin-rules": "/admin/rules?subject=eve&pattern=eve/**",
    "admin-rules-check": "/admin/rules/check?subject=eve&repository=eve/app",
    "admin-audit": "/admin/audit",
    "admin-restoration": "/admin/restoration",
}

BODIES = {
    "PUT manifest create": ("v2", OTHER),
    "PUT manifest move": ("v1", OTHER),
    "PUT manifest again": ("v1", IMAGE),
    "PUT manifest digest": (digest_of(OTHER), OTHER),
    "PUT manifest tags": (f"{digest_of(OTHER)}?tag=v2", OTHER),
}

FORMS = {
    "POST admin-users": b"name=eve&password=a+good+password",
    "PUT admin-users": b"name=eve&password=a+good+password",
    "PUT admin-mode": b"reason=moving",
    "POST admin-tags": f"repository=eve/app&tag=v1&to={digest_of(IMAGE)}".encode(),
    "POST admin-groups": b"name=devs&member=eve",
    "POST admin-robots": b"name=ci&scope=team/**:pull",
    "PUT admin-robots": b"name=ci",
    "POST admin-rules": b"subject=eve&pattern=eve/**&right=pull",
}


def request_of(row: str, name: str, upload: str) -> Sent:
    method, _, rest = row.partition(" ")
    if row in BODIES:
        reference, body = BODIES[row]
        return Sent(method, f"/v2/{name}/manifests/{reference}", body, json.loads(body)["mediaType"])
    if row == "PUT manifest type":
        body = typeless()
        return Sent(method, f"/v2/{name}/manifests/{digest_of(body)}", body, DOCKER_IMAGE)
    target = REQUESTS[rest].replace("{name}", name).replace("{upload}", upload)
    if row in FORMS:
        return Sent(method, target.partition("?")[0], FORMS[row], FORM)
    if row == "PUT upload":
        return Sent(method, f"{target}?digest={digest_of(b'new')}", b"new")
    return Sent(method, target, b"new" if row in {"POST uploads digest", "PATCH upload"} else b"")


def typeless() -> bytes:
    """A manifest that says nothing of its type: the header does."""
    document = json.loads(IMAGE)
    del document["mediaType"]
    return json.dumps(document).encode()


async def prepare(registry: Registry, row: str, name: str, principal: Principal) -> str:
    """Make what the request needs, on behalf of the operator; the id of an upload of the principal's."""
    client = Client(make_app(registry, OPERATOR))
    if " admin-" in row:
        if principal == OPERATOR:
            await _prepare_admin(client, row)
        return ""
    if " upload" in row:
        return (await registry.uploads.begin(RepositoryName(name), principal)).id
    if (await client("HEAD", f"/v2/{name}/blobs/{digest_of(LOOSE)}")).status == 404:
        await push_image(client, name, "v1", LAYER)
        await push_blob(client, name, LOOSE)
    if row == "PUT manifest type":
        body = typeless()
        reply = await client("PUT", f"/v2/{name}/manifests/{digest_of(body)}", body, {"Content-Type": OCI_IMAGE})
        assert reply.status == 201, reply
    return ""


async def _prepare_admin(client: Client, row: str) -> None:
    """What a change is about is there, except for what it adds."""
    if "admin-repositories" in row or "admin-tags" in row:
        await push_image(client, "eve/app", "v1", LAYER)
    for form in ("POST admin-users", "POST admin-groups", "POST admin-robots", "POST admin-rules"):
        target = REQUESTS[form.removeprefix("POST ")]
        await client("DELETE", target)
        if row != form:
            reply = await client("POST", target.partition("?")[0], FORMS[form], {"Content-Type": FORM})
            assert reply.status == 200, reply
