"""A run that was never measured."""

from __future__ import annotations

from benchmarks.figures import Figure, Memory, Run
from benchmarks.work import Work

GET = "manifest GET by tag, 16 clients"
BIG = "large blob GET, 1 client"


def a_run() -> Run:
    """Three rounds of two loads on two registries; the second load failed on the peer in the last round."""
    about = {"CPU": "a CPU", "commit": ""}
    run = Run(about, [(GET, "requests"), (BIG, "MB")], ["cargohold", "a <peer>"])
    for number, (ours, theirs) in enumerate([(1000, 500), (3000, 1000), (2000, 200)], 1):
        add(run, GET, "cargohold", number, ours)
        add(run, GET, "a <peer>", number, theirs)
        add(run, BIG, "cargohold", number, 1200)
        if number < 3:
            add(run, BIG, "a <peer>", number, 600)
        run.memory.append(Memory("cargohold", number, 50 * 2**20, 60 * 2**20, 70 * 2**20))
    return run


def add(run: Run, load: str, registry: str, number: int, rate: float) -> None:
    """Two seconds at this rate, half of them on the registry's CPU."""
    run.figures.append(Figure.of(load, registry, number, Work(rate * 2, 2, 0.5), 1, 64 * 2**20))
