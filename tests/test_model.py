"""Any sequence of requests, restarts, kills, collections and restorations: a model made of dictionaries predicts all.

The number of sequences is CARGOHOLD_MODEL_EXAMPLES; 2,000 is the heavy form.
"""

from __future__ import annotations

import copy
import os
import subprocess

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from registry.service.policy import GarbagePolicy, Policy
from tests.tools.machine import ProtocolMachine
from tests.tools.model import GRACE_MS, HORIZON_MS, LEASE_MS, Model

EXAMPLES = int(os.environ.pop("CARGOHOLD_MODEL_EXAMPLES", "200"))
STEPS = 50


class Machine(ProtocolMachine):
    policy = Policy(
        garbage=GarbagePolicy(
            grace_seconds=GRACE_MS / 1000, lease_seconds=LEASE_MS / 1000, horizon_seconds=HORIZON_MS / 1000
        )
    )

    def __init__(self) -> None:
        super().__init__()
        self.snapshot: Model | None = None

    @rule(kill=st.booleans())
    def restart(self, kill: bool) -> None:
        """Close and open again; or, as after a kill, open a copy of the files of a registry that was not closed."""
        if kill:
            self.take_files_along()
        else:
            self.snapshot = copy.deepcopy(self.model)  # the one of the stop
        self.registry.close()
        self.registry = self.open()
        self.registry.check_all(self.model.visible())

    def take_files_along(self) -> None:
        """Go on with a copy of the files as they are now: what a kill leaves."""
        later = self.data.with_name(f"{self.data.name}+")
        subprocess.run(["cp", "-a", self.data, later], check=True)
        self.data = later

    @rule(milliseconds=st.sampled_from((1, LEASE_MS // 2, LEASE_MS, GRACE_MS, HORIZON_MS)))
    def let_time_pass(self, milliseconds: int) -> None:
        """On the daemon's clock, which a write saves."""
        self.elapsed_ms += milliseconds
        self.model.now += milliseconds
        assert self.registry.request("GET", "/ready?push").status == 200

    @rule(now=st.booleans())
    def collect_garbage(self, now: bool) -> None:
        """A run does what the dry run said, and what the model does."""
        garbage = self.registry.service.garbage
        predicted = self.registry.call(lambda: garbage.dry_run(now=now))
        totals = self.registry.call(lambda: garbage.run(now=now, walk=True))
        assert totals == predicted
        assert (totals.links, totals.condemned_blobs) == self.model.collect(now=now)

    @rule()
    def check_the_store(self) -> None:
        step = self.registry.call(lambda: self.registry.service.check.step("rows", "", seconds=9, full=False))
        files = self.registry.call(lambda: self.registry.service.check.step("contents", "", seconds=9, full=True))
        assert step.findings + files.findings == []

    @rule()
    def take_snapshot(self) -> None:
        assert self.registry.call(self.registry.service.backup.take_if_changed)
        self.snapshot = copy.deepcopy(self.model)

    @precondition(lambda self: self.snapshot is not None and self.model.now - self.snapshot.now < HORIZON_MS)
    @rule()
    def restore_snapshot(self) -> None:
        """Copy the snapshot back after a kill, with what belongs to the other database left beside it.

        All is as it was then, but the open uploads are gone; nothing is missing, for the horizon has not passed.
        """
        assert self.snapshot is not None
        kept = (self.data / "backup/registry.db").read_bytes()
        self.take_files_along()
        self.registry.close()
        (self.data / "registry.db").write_bytes(kept)
        self.registry = self.open()
        assert "cargohold recover" in self.registry.request("GET", "/ready?verbose").body.decode()
        losses = self.registry.call(self.registry.service.restoration.recover)
        assert (losses.blobs, losses.tags) == ([], [])
        self.model = copy.deepcopy(self.snapshot)
        self.ended += [(upload.repository, upload_id) for upload_id, upload in self.model.uploads.items()]
        self.model.uploads = {}
        self.registry.check_all(self.model.visible())


def test_the_registry_behaves_like_its_model() -> None:
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
    )
