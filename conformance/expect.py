"""What cases ask of an answer. Each raises Failed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance.case import Failed

if TYPE_CHECKING:
    from collections.abc import Collection

    from conformance.exchange import Reply

CODES = frozenset(
    {
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "UNAUTHORIZED",
        "DENIED",
        "UNSUPPORTED",
        "TOOMANYREQUESTS",
    }
)
"""Source: distribution-spec, section "Error Codes"."""


def status(reply: Reply, *expected: int) -> Reply:
    if reply.status not in expected:
        raise Failed(
            f"status {' or '.join(map(str, expected))} for {reply.method} {reply.url}",
            f"{reply.status} {reply.body[:200].decode(errors='replace')}".strip(),
        )
    return reply


def refused(reply: Reply) -> Reply:
    """Any status of 4xx."""
    if not 400 <= reply.status < 500:
        raise Failed(f"a status of 4xx for {reply.method} {reply.url}", str(reply.status))
    return reply


def header(reply: Reply, name: str, *expected: str) -> None:
    value = reply.header(name)
    if value not in expected:
        raise Failed(f"{name}: {' or '.join(expected)}, with {reply.method} {reply.url}", str(value))


def no_header(reply: Reply, name: str) -> None:
    if reply.header(name) is not None:
        raise Failed(f"no header {name}, with {reply.method} {reply.url}", str(reply.header(name)))


def body(reply: Reply, expected: bytes) -> None:
    if reply.body != expected:
        raise Failed(
            f"the {len(expected)} bytes that were pushed, from {reply.method} {reply.url}",
            f"{len(reply.body)} bytes that differ",
        )


def equal(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise Failed(f"{what}: {_short(expected)}", _short(got))


def holds(condition: object, expected: str, got: object) -> None:
    if not condition:
        raise Failed(expected, _short(got))


def error_codes(reply: Reply) -> list[str]:
    """The codes of a JSON error body; none where the body is something else, which the spec allows."""
    content_type = reply.header("content-type") or ""
    try:
        document = json.loads(reply.body)
    except ValueError:
        holds("json" not in content_type, "JSON where Content-Type says so", reply.body[:200])
        return []
    entries = document.get("errors") if isinstance(document, dict) else None
    holds(isinstance(entries, list) and entries, 'an error body {"errors": [...]}', document)
    return [_code(entry) for entry in entries or []]


def code(reply: Reply, expected: Collection[str]) -> None:
    """One of the expected codes, where the body is JSON at all."""
    codes = error_codes(reply)
    holds(
        not codes or set(codes) & set(expected),
        f"error code {' or '.join(sorted(expected))} for {reply.method} {reply.url}",
        codes,
    )


def _code(entry: Any) -> str:
    holds(isinstance(entry, dict) and isinstance(entry.get("code"), str), "an error with a code", entry)
    holds(entry["code"] in CODES, "a code of the spec", entry["code"])
    holds(isinstance(entry.get("message", ""), str), "a message that is a string", entry)
    return str(entry["code"])


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}... ({len(text)} characters)"
