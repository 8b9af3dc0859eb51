"""The error envelope, and the table of end points."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from registry.http.errors import STATUS, error_answer
from registry.http.routes import ROUTES
from registry.oci import errors
from registry.oci.errors import RegistryError, TooManyRequests
from registry.service.access import Action
from tests.tools.asgi import ERROR_CODES

if TYPE_CHECKING:
    from tests.tools.asgi import Client


def test_every_error_has_a_status_and_a_code_of_the_spec() -> None:
    defined = {each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, RegistryError)}
    assert set(STATUS) == defined - {RegistryError}
    beyond = {error for error in STATUS if error.code not in ERROR_CODES}
    assert beyond == {errors.InsufficientStorage}  # the spec has no code for it


def test_every_end_point_names_its_action() -> None:
    for route in ROUTES:
        for name, method in route.methods.items():
            assert isinstance(method.action, Action)
            assert (name == "DELETE" and route.name != "upload") == (method.action is Action.DELETE)


def test_a_limit_says_when_to_come_back() -> None:
    answer = error_answer(TooManyRequests("too many", retry_after_seconds=3))
    assert (answer.status, dict(answer.headers)["Retry-After"]) == (429, "3")


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/", "/v2/a", "/v2/a/manifests/", "/v2//manifests/x", "/v2/a/nothing/x", "/v2/a/b/c", "/favicon.ico"],
)
async def test_an_unknown_end_point_is_404_in_the_envelope(client: Client, path: str) -> None:
    reply = await client("GET", path)
    assert reply.status in {400, 404}
    assert reply.codes in (["UNSUPPORTED"], ["NAME_INVALID"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v2/", "GET, HEAD"),
        ("OPTIONS", "/v2/", "GET, HEAD"),
        ("PATCH", "/v2/a/manifests/x", "DELETE, GET, HEAD, PUT"),
        ("TRACE", "/v2/a/tags/list", "GET, HEAD"),
        ("PUT", "/v2/a/blobs/sha256:x", "DELETE, GET, HEAD"),
        ("BREW", "/v2/a/blobs/uploads/x", "DELETE, GET, HEAD, PATCH, PUT"),
    ],
)
async def test_a_method_an_end_point_does_not_have_is_405(client: Client, method: str, path: str, allowed: str) -> None:
    reply = await client(method, path)
    assert (reply.status, reply.codes, reply.headers["allow"]) == (405, ["UNSUPPORTED"], allowed)


@pytest.mark.parametrize(
    "path",
    ["UPPER/tags/list", "a..b/tags/list", "a/-b/manifests/x", "%00/tags/list", "%C3%A9/tags/list", "%FF/tags/list",
     f"{'a' * 256}/tags/list", "a%20b/referrers/sha256:x", "../a/tags/list", "_x/tags/list"],
)  # fmt: skip
async def test_a_bad_name_is_400(client: Client, path: str) -> None:
    reply = await client("GET", f"/v2/{path}")
    assert (reply.status, reply.codes) == (400, ["NAME_INVALID"])


async def test_a_query_that_is_no_text_or_has_no_end_is_400(client: Client) -> None:
    for query in ("&".join("tag=x" for _ in range(1001)), "n=1&n=2"):
        reply = await client("GET", f"/v2/a/tags/list?{query}")
        assert (reply.status, reply.codes) == (400, ["UNSUPPORTED"])


async def test_every_answer_has_an_id_of_its_own(client: Client) -> None:
    ids = [(await client("GET", path)).headers["x-request-id"] for path in ("/v2/", "/v2/", "/nothing")]
    assert len(set(ids)) == 3
