from __future__ import annotations

from typing import TYPE_CHECKING

from tests.tools.content import digest_of, push_image

if TYPE_CHECKING:
    from tests.tools.asgi import Client


async def test_a_manifest_comes_back_byte_for_byte(client: Client) -> None:
    manifest = await push_image(client, "a/b", "v1", b"layer")
    for reference in ("v1", digest_of(manifest)):
        reply = await client("GET", f"/v2/a/b/manifests/{reference}")
        assert (reply.status, reply.body) == (200, manifest)
