"""Faults of a registry that takes no push, and the cases that each has to break."""

from __future__ import annotations

from tests.conformance.broken import Fault
from tests.conformance.rules import (
    both,
    error_code,
    keeps_what_it_refuses,
    late,
    loses_all_with_a_write,
    status,
)

_PUSHES = (
    "open-session-is-refused single-post-is-refused chunk-is-refused end-of-upload-is-refused "
    "manifest-by-tag-is-refused manifest-by-digest-is-refused"
)
_DELETES = "cancel-is-refused delete-tag-is-refused delete-manifest-is-refused delete-blob-is-refused"

REFUSALS = (
    Fault(
        "pushes are taken",
        _PUSHES,
        late=both(
            late("POST", "uploads", status(201), 405),
            late("PATCH", "upload", status(202), 405),
            late("PUT", "upload", status(201), 405),
            late("PUT", "manifest", status(201), 405),
        ),
    ),
    Fault(
        "deletes are taken",
        _DELETES,
        late=both(
            late("DELETE", "upload", status(204), 405),
            late("DELETE", "manifest", status(202), 405),
            late("DELETE", "blob", status(202), 405),
        ),
    ),
    Fault(
        "what is switched off is called unknown",
        f"{_PUSHES} {_DELETES}",
        late=both(
            late("POST", "uploads", status(404), 405),
            late("PATCH PUT DELETE", "upload", status(404), 405),
            late("PUT DELETE", "manifest", status(404), 405),
            late("DELETE", "blob", status(404), 405),
        ),
    ),
    Fault("a refusal has another code", f"{_PUSHES} {_DELETES}", late=error_code("MANIFEST_INVALID")),
    Fault(
        "what is refused is kept all the same",
        "single-post-is-refused end-of-upload-is-refused manifest-by-tag-is-refused manifest-by-digest-is-refused",
        late=keeps_what_it_refuses(),
    ),
    Fault("a write takes everything away", f"{_PUSHES} {_DELETES}", loses_all_with_a_write()),
)
