"""How long the disk and the database take, under the names that distribution gave to what its storage driver does.

Source: distribution, registry/storage/driver/base/base.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from registry.tally import Histogram

_FILES, _DATABASE = "filesystem", "sqlite"

ACTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "_read_piece": (_FILES, "GetContent"),
    "hash_piece": (_FILES, "Verify"),
    "Intake.receive": (_FILES, "PutContent"),
    "UploadFile.keep_with_name": (_FILES, "Sync"),
    "Files.publish": (_FILES, "Move"),
    "Files.size_of_blob": (_FILES, "Stat"),
    "Files.remove_blob": (_FILES, "Delete"),
    "Readers._read": (_DATABASE, "Read"),
    "Writer._commit": (_DATABASE, "Commit"),
}
"""Driver and action of what is called in a hop, by its qualified name. Other hops are rare, and not told of."""


def times(hops: Mapping[str, Histogram]) -> Iterator[tuple[str, str, Histogram]]:
    """Driver, action, and the seconds that it took each time."""
    for name, (driver, action) in ACTIONS.items():
        if name in hops:
            yield driver, action, hops[name]
