"""Cargohold: an OCI container registry in one daemon and one SQLite file.

``create_app`` embeds it in an ASGI application; ``python -m registry`` is the command ``cargohold``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """Load the server only for who embeds it: the layers below need not know it."""
    if name == "create_app":
        from registry.embedding import create_app  # noqa: PLC0415 (on use)

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
