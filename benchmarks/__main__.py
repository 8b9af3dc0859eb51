"""Measure this registry beside others: ``python -m benchmarks``."""

from __future__ import annotations

import signal
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks import peers, plot, report, site, wrk
from benchmarks.connection import LAYERS
from benchmarks.content import MIB
from benchmarks.figures import Failure, Figure, Memory, Run
from benchmarks.loads import FULL, LOADS, QUICK, Bench, Load
from benchmarks.running import StartFailed, running
from benchmarks.work import LoadFailed
from tests.faults import devices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.loads import Sizes
    from benchmarks.peers import Peer
    from benchmarks.running import Running

_ROUNDS = 5

_MARGIN = 1.5
"""Room beside what is pushed, for copies that are being made and for what the file system needs."""


def measure(run: Run, load: Load, registry: Running, bench: Bench, number: int) -> None:
    """One figure; a load that fails is one that is missing."""
    if not registry.is_alive:
        note(run, Failure(registry.peer.name, number, f"{load.title}: it has ended"))
        return
    with registry.let_run():
        before = registry.cpu_seconds()
        try:
            work = load.measure(bench, registry.port, load.clients)
        except LoadFailed as error:
            note(run, Failure(registry.peer.name, number, f"{load.title}: {error}"))
            return
        cpu_seconds, resident_bytes = registry.cpu_seconds() - before, registry.resident_bytes()
    figure = Figure.of(load.title, registry.peer.name, number, work, cpu_seconds, resident_bytes)
    run.figures.append(figure)
    click.echo(f"{number}: {load.title}, {registry.peer.name}: {report.number(figure.rate)} {load.unit}/s", err=True)


def note(run: Run, failure: Failure) -> None:
    run.failures.append(failure)
    click.echo(str(failure), err=True)


def play_round(
    run: Run, number: int, all_peers: Sequence[Peer], loads: Sequence[Load], bench: Bench, data: Path
) -> None:
    """Start all with empty data folders, and put each load on one after the other, in another order each round."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cargohold-round-", dir=data)))
        registries, idle = [], {}
        for peer in all_peers:
            try:
                registry = stack.enter_context(running(peer, folder / peer.name, bench.folder, site.cores()[0]))
                idle[peer.name] = registry.resident_bytes()
                with registry.let_run():
                    bench.fill(registry.port)
            except (StartFailed, LoadFailed) as error:
                note(run, Failure(peer.name, number, str(error)))
                continue
            registries.append(registry)
        for load in loads:
            shift = number % len(registries) if registries else 0
            for registry in registries[shift:] + registries[:shift]:
                devices.run("sync", "--file-system", str(folder))  # what one wrote is not written while another runs
                measure(run, load, registry, bench, number)
        for registry in filter(attrgetter("is_alive"), registries):
            name = registry.peer.name
            after, peak = registry.resident_bytes(), registry.resident_bytes(peak=True)
            run.memory.append(Memory(name, number, idle[name], after, peak))


def measure_all(all_peers: Sequence[Peer], loads: Sequence[Load], sizes: Sizes, rounds: int, data: Path | None) -> Run:
    """All rounds, on a file system below ``data``. Raises site.TooSmall."""
    needed_bytes = int(_MARGIN * len(all_peers) * sizes.stored_bytes)
    with site.data_folder(data, needed_bytes) as (folder, file_system), tempfile.TemporaryDirectory() as lists:
        about = {"made": datetime.now(UTC).isoformat(timespec="seconds"), **site.machine(), "file_system": file_system}
        about |= {"rounds": f"{rounds}{', quick' if sizes is QUICK else ''}", "commit": site.commit()}
        about |= {"large_blob": f"{sizes.big_bytes // MIB} MiB", "image": f"{LAYERS} layers of 1 MiB"}
        about |= {f"version_of_{peer.name}": peer.ask_version() for peer in all_peers}
        run = Run(about, [(load.title, load.unit) for load in loads], [peer.name for peer in all_peers])
        bench = Bench(Path(lists), site.cores()[1], sizes)
        for number in range(1, rounds + 1):
            play_round(run, number, all_peers, loads, bench, folder)
    return run


def write(run: Run, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "figures.json").write_text(report.to_json(run))
    (output / "figures.md").write_text(report.markdown(run))
    (output / "figures.svg").write_text(plot.svg(run))


def choose(titles: Sequence[str]) -> list[Load]:
    return [load for load in LOADS if not titles or load.title in titles]


@click.command()
@click.option("--quick", is_flag=True, help="A round with little of everything, in a minute: to see that it works.")
@click.option("--peer", "named", multiple=True, metavar="NAME=PROGRAM", help="Another registry; may be repeated.")
@click.option("--load", "titles", multiple=True, type=click.Choice([load.title for load in LOADS]), help="Only this.")
@click.option("--rounds", type=click.IntRange(1), help=f"{_ROUNDS}, or 1 with --quick.")
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where data folders are made."
)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Keep table, JSON and plot here.")
def main(
    named: tuple[str, ...],
    titles: tuple[str, ...],
    rounds: int | None,
    data: Path | None,
    output: Path | None,
    *,
    quick: bool,
) -> None:
    """Start this registry and each other that is installed, put the same load on each, and compare.

    Registries run on one core and the client on another. --peer takes the path of a registry that is known, or, of any
    other, the whole command: --peer 'mine=/opt/mine --dir {data} --port {port}'.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # mounts are given back
    if (missing := wrk.missing()) is not None:
        raise click.ClickException(missing)
    try:
        all_peers = [peers.OURS, *peers.find(named)]
    except peers.UnknownPeer as error:
        raise click.BadParameter(str(error), param_hint="--peer") from None
    sizes, rounds = QUICK if quick else FULL, rounds or (1 if quick else _ROUNDS)
    try:
        run = measure_all(all_peers, choose(titles), sizes, rounds, data)
    except (site.TooSmall, devices.CommandFailed) as error:
        raise click.ClickException(str(error)) from None
    click.echo(report.markdown(run), nl=False)
    if output is not None:
        write(run, output)
    sys.exit(1 if any(failure.registry == peers.OURS.name for failure in run.failures) else 0)


if __name__ == "__main__":
    main()
