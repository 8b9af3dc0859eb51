"""Whether a client had blobs mounted from another repository instead of sending them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.tools.daemon import Daemon


def count_mounts(daemon: Daemon, repository: str) -> int:
    """How many uploads were over, by a mount, as soon as they were begun. Stops the daemon: its log is whole only then.

    Only for clients that never push a blob in one request: that would count too.
    """
    daemon.stop()
    begun = [entry for entry in daemon.entries() if _begins_upload(entry, repository)]
    return [entry["status"] for entry in begun].count(201)


def _begins_upload(entry: dict[str, object], repository: str) -> bool:
    return (entry.get("method"), entry.get("path")) == ("POST", f"/v2/{repository}/blobs/uploads/")
