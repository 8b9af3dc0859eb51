"""When the daemon is killed, and which of its snapshots is copied back: the ways of the kind ``restore``.

Each returns the ledger of what has to be there afterwards.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from tests.faults.ledger import Ledger
from tests.tools.content import CONFIG, image

if TYPE_CHECKING:
    from tests.faults.restore import Restoring

_WRITTEN_SECONDS = 10
"""How long the writing of a snapshot is waited for."""


class StateLost(Exception):
    """What the rest of a round builds on is not there."""


_OLD = 60
_OLD_BYTES = 12_000


def age(restoring: Restoring) -> Ledger:
    """Make a database whose snapshot has its pages in another order, and of which most is not in the log."""
    restoring.serving.start()
    ledger, chance = Ledger(restoring.serving), restoring.chance
    statuses = {ledger.push("old", CONFIG)}
    manifests = [image(annotations={"old": chance.randbytes(_OLD_BYTES).hex()}) for _ in range(_OLD)]
    statuses |= {ledger.push_manifest("old", manifest) for manifest in manifests}
    statuses |= {ledger.delete_manifest("old", manifest) for manifest in manifests[::3]}
    if statuses != {201, 202} or restoring.serving.stop() != 0:
        raise StateLost(f"the first acts are answered with {statuses}, and a stop with {restoring.serving.process}")
    return ledger


def fill(restoring: Restoring, name: str) -> Ledger:
    """What is acknowledged before the snapshot; the last of it is a tag by which the snapshot is known."""
    ledger, chance = Ledger(restoring.serving), restoring.chance
    layers = [chance.randbytes(chance.randint(1, 200_000)) for _ in range(3)]
    old, deleted = chance.randbytes(2_000), chance.randbytes(2_000)
    statuses = [ledger.push(name, content) for content in (CONFIG, *layers[:2], old, deleted)]
    statuses.append(ledger.push_chunked(name, [layers[2][:9_000], layers[2][9_000:]]))
    statuses.append(ledger.push_manifest(name, image(old), ["old", "moved"]))
    statuses.append(ledger.delete_tag(name, "old"))
    statuses.append(ledger.delete_blob(name, deleted))
    statuses.append(ledger.mount(f"{name}/other", layers[0], name))
    statuses.append(ledger.push_manifest(name, image(*layers), ["moved", name]))
    if set(statuses) != {201, 202}:
        raise StateLost(f"the acts before the snapshot are answered with {statuses}")
    return ledger


def at_any_moment(restoring: Restoring, name: str) -> Ledger:
    ledger = fill(restoring, name)

    def moment() -> None:
        restoring.wait_for_snapshot(name)
        time.sleep(restoring.chance.uniform(0, 0.3))  # the random moment

    restoring.kill_under_load(name, moment)
    restoring.copy_back()
    return ledger


def while_a_snapshot_is_written(restoring: Restoring, name: str) -> Ledger:
    ledger = fill(restoring, name)
    written = restoring.snapshot.with_name("registry.db.new")

    def moment() -> None:
        restoring.wait_for_snapshot(name)
        end = time.monotonic() + _WRITTEN_SECONDS
        while not written.exists() and time.monotonic() < end:
            pass
        time.sleep(restoring.chance.choice([0, 0.001, 0.01]))

    restoring.kill_under_load(name, moment)
    restoring.copy_back()
    return ledger


def twice(restoring: Restoring, name: str) -> Ledger:
    """The start on the snapshot is killed as well."""
    ledger = at_any_moment(restoring, name)
    for _ in range(restoring.chance.randint(1, 2)):
        restoring.start_and_kill()
    return ledger


def to_the_first_snapshot(restoring: Restoring, name: str) -> Ledger:
    """The one that was made before anything was pushed to this daemon; what was pushed since then is gone."""
    restoring.wait_for_snapshot(None)
    shutil.copy(restoring.snapshot, restoring.kept)
    fill(restoring, name)
    restoring.serving.kill()
    restoring.copy_back()
    return Ledger(restoring.serving)


WAYS = (at_any_moment, while_a_snapshot_is_written, twice, to_the_first_snapshot)
