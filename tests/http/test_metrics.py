"""/metrics: what it says is what the registry has, in Prometheus' own words."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trio
import trio.testing
from prometheus_client.parser import text_string_to_metric_families

from registry.http.app import make_app
from registry.http.certificates import CertificateFiles, Certificates
from registry.http.monitor import Monitor
from registry.http.traffic import Traffic
from registry.service.actions import ACTIONS
from registry.service.policy import GarbagePolicy, Policy
from tests.tools.asgi import Client
from tests.tools.content import CONFIG, begin_upload, digest_of, push_blob, push_image
from tests.tools.life import DAY, HORIZON, SLOW_SCRUB, Life, Opened
from tests.tools.tls import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client import Metric

    from registry.service.registry import Registry
    from registry.store.transactions import WriteTx


async def families_of(opened: Opened) -> list[Metric]:
    """All of them; every one has a text, and a name that tells whose it is."""
    reply = await opened.client("GET", "/metrics")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = list(text_string_to_metric_families(reply.body.decode()))
    assert all(family.name.startswith(("cargohold_", "registry_")) and family.documentation for family in families)
    assert {family.type for family in families} == {"gauge", "counter", "histogram"}
    return families


async def scrape(opened: Opened) -> dict[str, float]:
    """Each sample of the registry's state, under its name of ours."""
    families = [each for each in await families_of(opened) if each.name.startswith("cargohold_")]
    samples = [sample for family in families if family.type != "histogram" for sample in family.samples]
    assert len({sample.name for sample in samples}) == len(samples)
    return {sample.name.removeprefix("cargohold_"): sample.value for sample in samples}


async def labelled(opened: Opened, name: str) -> dict[tuple[str, ...], float]:
    """The samples of this name, by the values of their labels in the order of the labels' names."""
    samples = [sample for family in await families_of(opened) for sample in family.samples if sample.name == name]
    return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in samples}


async def test_a_new_registry_has_nothing(life: Life) -> None:
    async with life.opened() as opened:
        values = await scrape(opened)
        free, reserve = values.pop("disk_free_bytes"), values.pop("disk_reserve_bytes")
        assert free > reserve == 0
        assert "backup_age_seconds" not in values
        assert (values.pop("garbage_interval_seconds"), values.pop("backup_interval_seconds")) == (300, 900)
        assert values.pop("is_ready") == 1
        assert values.pop("database_log_bytes") == (life.data / "registry.db-wal").stat().st_size > 0
        assert min(values.pop("up_seconds"), values.pop("backup_behind_seconds")) >= 0
        assert set(values.values()) == {0}


async def test_others_have_their_turn_between_two_families(registry: Registry) -> None:
    turns, seen = 0, []

    class Watched(Traffic):
        def collect(self) -> Iterator[Metric]:
            for family in super().collect():
                seen.append(turns)
                yield family

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        await Client(make_app(registry, monitor=Monitor(Watched())))("GET", "/metrics")
        nursery.cancel_scope.cancel()
    assert len(seen) == 5
    assert seen[-1] - seen[0] >= 3  # in each round trio runs both tasks, in any order


async def test_what_there_is(life: Life) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, "team/app", "1", b"layer")
        await push_blob(opened.client, "team/app", b"garbage")
        await begin_upload(opened.client, "team/app")
        expected = {
            "repositories": 1,
            "scrub_due_blobs": 0,
            "blobs": 3,
            "blob_bytes": len(CONFIG) + 5 + 7,
            "unreferenced_links": 1,
            "leased_links": 1,
            "manifests": 1,
            "tags": 1,
            "uploads": 1,
        }
        values = await scrape(opened)
        assert {name: values[name] for name in expected} == expected
        await opened.registry.backup.take_if_changed()
        assert (await scrape(opened))["backup_age_seconds"] >= 0


async def test_what_garbage_collection_does(life: Life) -> None:
    async with life.opened() as opened:
        await push_blob(opened.client, "team/app", b"garbage")
        life.blob(digest_of(b"orphan")).write_bytes(b"orphan")
        for seconds in (0, DAY):
            life.go_on(seconds)
            await opened.registry.garbage.run(walk=True)
        values = await scrape(opened)
        assert (values["condemned_blobs"], values["condemned_bytes"], values["orphans"]) == (1, 7, 1)
        assert (values["garbage_runs_total"], values["garbage_links_total"]) == (2, 1)
        assert values["garbage_last_run_age_seconds"] >= 0
        life.go_on(HORIZON)
        await opened.registry.garbage.run(walk=True)
        values = await scrape(opened)
        assert (values["garbage_removed_blobs_total"], values["garbage_removed_bytes_total"]) == (1, 7)
        assert (values["blobs"], values["orphans"]) == (0, 0)
        runs = {("false", "false", "collector"): 2, ("false", "true", "collector"): 1, ("true", "true", "collector"): 0}
        assert await labelled(opened, "registry_gc_runs_total") == runs
        assert await labelled(opened, "registry_gc_run_duration_seconds_count") == runs
        taken = {("blob", "database"): 1, ("blob", "storage"): 1, ("manifest", "database"): 0}
        assert await labelled(opened, "registry_gc_deletes_total") == taken
        assert await labelled(opened, "registry_gc_storage_deleted_bytes_total") == {(): 7}


async def test_damage_scrub_and_restoration(life: Life) -> None:
    async with life.opened() as opened:
        await push_image(opened.client, "team/app", "1", b"layer")
        await opened.registry.backup.take_if_changed()
        await push_blob(opened.client, "team/app", b"later")
        died = life.died()
    died.restore()
    async with died.opened() as opened:
        died.blob(digest_of(b"layer")).unlink()
        await trio.testing.wait_all_tasks_blocked()  # all files are looked at
        died.go_on(1)
        await opened.registry.scrub.run(before_ms=None, seconds=60)
        values = await scrape(opened)
        assert (values["damaged_blobs"], values["damaged_manifests"], values["is_restored"]) == (1, 0, 1)
        assert values["scrub_verified_blobs_total"] == 2
        assert values["scrub_verified_bytes_total"] == len(CONFIG) + 5
        await opened.registry.restoration.recover()
        assert (await scrape(opened))["is_restored"] == 0


async def test_failures_and_since_when_snapshots_restore_in_full(life: Life) -> None:
    policy = Policy(garbage=GarbagePolicy(interval_seconds=0), scrub=SLOW_SCRUB, reserve_bytes=0)
    async with life.opened(policy=policy) as opened:
        registry = opened.registry
        await push_blob(opened.client, "team/app", b"garbage")
        (life.data / "backup").touch()  # no folder: no snapshot
        assert not await registry.backup.take_if_changed()
        await registry.database.write(_break_garbage_collection)
        while registry.garbage.failed_at is None:
            await trio.lowlevel.checkpoint()
        await registry.database.write(_mend_garbage_collection)
        assert (await labelled(opened, "registry_gc_runs_total"))["true", "true", "collector"] >= 1
        values = await scrape(opened)
        assert values["backup_last_failure_age_seconds"] >= 0
        assert values["garbage_last_failure_age_seconds"] >= 0
        assert values["backup_restores_in_full_since_seconds"] == 1_700_000_000


def _break_garbage_collection(tx: WriteTx) -> None:
    tx.execute("ALTER TABLE orphan RENAME TO elsewhere")


def _mend_garbage_collection(tx: WriteTx) -> None:
    tx.execute("ALTER TABLE elsewhere RENAME TO orphan")
    tx.execute("UPDATE daemon SET restorable_since_ms = 1700000000000")


async def test_counts_that_take_long_are_not_made_at_each_scrape(life: Life) -> None:
    async with life.opened() as opened:
        status = opened.registry.status
        assert (await scrape(opened))["blobs"] == 0
        status._counting_seconds = 1.0  # as if there were millions
        await push_blob(opened.client, "team/app", b"new")
        assert (await scrape(opened))["blobs"] == 0
        assert (await status.read())["inventory"]["blobs"] == 1  # the operator's command is exact
        status._counting_seconds, status._counted_at = 1.0, trio.current_time() - 21
        await push_blob(opened.client, "team/app", b"newer")
        assert (await scrape(opened))["blobs"] == 2


async def test_the_disk_and_the_database_by_what_they_do(life: Life) -> None:
    """All actions are there: a function that gets another name would be missing."""
    async with life.opened() as opened:
        layer = bytes(20_000)  # a smaller one is read in no hop
        await push_image(opened.client, "team/app", "1", layer)
        assert (await opened.client("GET", f"/v2/team/app/blobs/{digest_of(layer)}")).status == 200
        assert (
            await opened.client("PATCH", await begin_upload(opened.client, "team/app"), bytes(20_000))
        ).status == 202
        life.blob(digest_of(b"orphan")).write_bytes(b"orphan")
        for seconds in (0, HORIZON):
            life.go_on(seconds)
            await opened.registry.garbage.run(walk=True)
        await opened.registry.scrub.run(before_ms=None, seconds=0)
        await opened.registry.check.step("files", "", seconds=60, full=False)
        await scrape(opened)
        counts = await labelled(opened, "registry_storage_action_seconds_count")
        assert set(ACTIONS.values()) - {(driver, action) for action, driver in counts} == set()
        assert all(counts.values())
        assert counts["Move", "filesystem"] == 2


async def test_a_snapshot_holds_all_until_something_changes(life: Life) -> None:
    async with life.opened() as opened:
        backup = opened.registry.backup
        for made in range(2):
            backup.whole_at = -1000.0
            assert await backup.take_if_changed()
            assert (await scrape(opened))["backup_behind_seconds"] < trio.current_time() + 1000, made
        (life.data / "backup/registry.db.new").mkdir()  # where the next one would be written
        await push_blob(opened.client, "team/app", b"new")
        backup.whole_at = -1000.0
        assert not await backup.take_if_changed()
        assert (await scrape(opened))["backup_behind_seconds"] >= trio.current_time() + 999


async def test_how_long_transactions_wait(life: Life) -> None:
    async with life.opened() as opened:
        [before] = (await labelled(opened, "cargohold_write_queue_seconds_count")).values()
        await push_blob(opened.client, "team/app", b"new")
        [after] = (await labelled(opened, "cargohold_write_queue_seconds_count")).values()
        assert after > before


async def test_when_the_certificate_ends(life: Life, tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    certificates = Certificates(CertificateFiles(pair.certificate, pair.key))
    async with life.opened() as opened:
        app = make_app(opened.registry, monitor=Monitor(certificates=certificates))
        values = await scrape(Opened(opened.registry, Client(app)))
        end = ssl._ssl._test_decode_cert(str(pair.certificate))["notAfter"]
        assert values["certificate_expiry_timestamp_seconds"] == ssl.cert_time_to_seconds(end)
        assert "certificate_expiry_timestamp_seconds" not in await scrape(opened)
