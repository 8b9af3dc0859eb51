"""A run as tables in Markdown, and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.figures import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figures import Run

_NONE = "-"
_MIB = 1024 * 1024
_MEGABYTES_OF_GIB = 1024**3 / 1e6


def markdown(run: Run) -> str:
    """What was measured where, the figures, the ratios, memory, and what failed."""
    ours = run.registries[0]
    parts = [_about(run), "A second, by median; CPU of one; memory afterwards:", _figures(run)]
    if len(run.registries) > 1:
        parts += [f"How many times as fast {ours} is (median, and least to most of the rounds):", _ratios(run)]
    if any(each.latency for each in run.figures):
        parts += ["A push takes no longer than this, half of them and 99 of 100 (by median):", _latencies(run)]
    parts += ["Resident memory in MiB:", _memory(run)]
    if any(each.is_held_back for each in run.figures):
        parts.append("\\* The client had hardly any CPU left: the registry might do more.")
    if run.failures:
        parts.append("Not measured:\n\n" + "\n".join(f"* {failure}" for failure in run.failures))
    return "\n\n".join(parts) + "\n"


def to_json(run: Run) -> str:
    ratios = [
        {"load": load, "peer": peer, **asdict(ratio)}
        for load, _ in run.loads
        for peer in run.registries[1:]
        if (ratio := run.ratio(load, peer)) is not None
    ]
    document = {
        "about": run.about,
        "figures": [{**asdict(each), "rate": each.rate} for each in run.figures],
        "ratios": ratios,
        "memory": [asdict(each) for each in run.memory],
        "failures": [asdict(each) for each in run.failures],
    }
    return json.dumps(document, indent=1) + "\n"


def _about(run: Run) -> str:
    return "\n".join(f"* {name.replace('_', ' ')}: {value}" for name, value in run.about.items() if value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figures(run: Run) -> str:
    rows = [[load, unit, *(_cell(run, load, unit, each) for each in run.registries)] for load, unit in run.loads]
    return _table(["load", "unit", *run.registries], rows)


def _cell(run: Run, load: str, unit: str, registry: str) -> str:
    figures, rate = run.of(load, registry), run.rate(load, registry)
    if rate is None:
        return _NONE
    cpu = Spread.of(each.cpu_of_one for each in figures).median
    resident = Spread.of(each.resident_bytes / _MIB for each in figures).median
    mark = "\\*" if any(each.is_held_back for each in figures) else ""
    cost = f"{cpu * _MEGABYTES_OF_GIB:.2f} s/GiB" if unit == "MB" else duration(cpu)
    return f"{number(rate.median)}{mark}; {cost}; {resident:.0f} MiB"


def _ratios(run: Run) -> str:
    peers = run.registries[1:]
    return _table(
        ["load", *peers], [[load, *(_ratio(run.ratio(load, each)) for each in peers)] for load, _ in run.loads]
    )


def _ratio(ratio: Spread | None) -> str:
    return _NONE if ratio is None else f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f})"


def _latencies(run: Run) -> str:
    timed = [load for load, _ in run.loads if any(each.latency for each in run.figures if each.load == load)]
    rows = [[load, *(_latency(run, load, registry) for registry in run.registries)] for load in timed]
    return _table(["load", *run.registries], rows)


def _latency(run: Run, load: str, registry: str) -> str:
    found = [each.latency for each in run.of(load, registry) if each.latency is not None]
    if not found:
        return _NONE
    half, most = (Spread.of(getattr(each, name) for each in found).median for name in ("half", "most"))
    return f"{duration(half)}; {duration(most)}"


def _memory(run: Run) -> str:
    rows = []
    for registry in run.registries:
        samples = [each for each in run.memory if each.registry == registry]
        kinds = ("idle_bytes", "after_bytes", "peak_bytes")
        values = [Spread.of(getattr(each, kind) / _MIB for each in samples) if samples else None for kind in kinds]
        rows.append([registry, *(_NONE if value is None else f"{value.median:.0f}" for value in values)])
    return _table(["registry", "idle", "after all loads", "peak"], rows)


def number(value: float) -> str:
    """With three digits, at least."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(seconds: float) -> str:
    return (
        f"{seconds * 1e6:.0f} µs"
        if seconds < 1e-3
        else f"{seconds * 1e3:.1f} ms"
        if seconds < 1
        else f"{seconds:.2f} s"
    )
