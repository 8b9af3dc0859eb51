"""A daemon that has seen everything that dashboard and alerts speak of, and what it says then."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from registry.transfer.client import _UnixConnection
from tests.tools.content import CONFIG, digest_of, image
from tests.tools.daemon import running
from tests.tools.tls import Pair

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPMessage

    from prometheus_client.samples import Sample

BLOB = os.urandom(100_000)


@pytest.fixture(scope="package")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """After a push and a pull, a chunked upload, a garbage collection, a scrub and a snapshot; with a certificate."""
    folder = tmp_path_factory.mktemp("monitored")
    pair = Pair(folder)
    settings = {
        "CARGOHOLD_LISTEN": f"unix:{folder}/socket",
        "CARGOHOLD_HTTP__TLS_CERTIFICATE": str(pair.certificate),
        "CARGOHOLD_HTTP__TLS_KEY": str(pair.key),
    }
    with running(folder / "data", settings):
        connection = _UnixConnection(folder / "data/admin.sock")
        try:
            return _use(connection)
        finally:
            connection.close()


def _use(connection: HTTPConnection) -> list[Sample]:
    manifest = image(BLOB)
    begun = _ask(connection, "POST", "/v2/a/blobs/uploads/", status=202)["Location"]
    location = _ask(connection, "PATCH", begun, BLOB, status=202)["Location"]
    for method, target, body, status in (
        ("PUT", f"{location}?digest={digest_of(BLOB)}", b"", 201),
        ("POST", f"/v2/a/blobs/uploads/?digest={digest_of(CONFIG)}", CONFIG, 201),
        ("PUT", "/v2/a/manifests/v1", manifest, 201),
        ("GET", "/v2/a/manifests/v1", b"", 200),
        ("GET", f"/v2/a/blobs/{digest_of(BLOB)}", b"", 200),
        ("POST", "/admin/gc", b"", 200),
        ("POST", "/admin/scrub", b"", 200),
        ("POST", "/admin/backup", b"", 200),
    ):
        _ask(connection, method, target, body, status=status)
    connection.request("GET", "/metrics")
    families = list(text_string_to_metric_families(connection.getresponse().read().decode()))
    return [sample for family in families for sample in family.samples]


def _ask(connection: HTTPConnection, method: str, target: str, body: bytes = b"", *, status: int) -> HTTPMessage:
    connection.request(method, target, body)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == status, (method, target, answer.status, text)
    return answer.headers
