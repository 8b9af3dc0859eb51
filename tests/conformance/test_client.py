"""What the kit's client reads that Python's own would not."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from conformance.client import Client

_TAGS = [f"tag-{number:03}" for number in range(500)]


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response_only(200)
        for tag in _TAGS:
            self.send_header("OCI-Tag", tag)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Nothing."""


def test_an_answer_may_have_a_header_for_each_of_500_tags() -> None:
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        client = Client(f"http://127.0.0.1:{server.server_port}")
        try:
            assert client.request("GET", "/v2/").values("oci-tag") == _TAGS
        finally:
            client.close()
            thread.join()
