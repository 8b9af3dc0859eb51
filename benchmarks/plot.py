"""A run as a plot: for each load a bar a registry, relative to the fastest, with the spread of its rounds. SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from benchmarks.report import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Run

_COLOURS = ("#0b6e4f", "#8f9aa5", "#6f8fae", "#b59a5b", "#a5706f", "#7d6f9c")
"""Ours first. There is one for each registry that is known; with more they come again."""

_FONT = 'font-family="sans-serif" font-size="11"'
_LABELS_WIDTH = 210
_BARS_WIDTH = 460
_VALUES_WIDTH = 170
_BAR_HEIGHT = 13
_GAP_HEIGHT = 12
_HEAD_HEIGHT = 34


def svg(run: Run) -> str:
    """The plot, on a white ground: readable in a dark page too."""
    width = _LABELS_WIDTH + _BARS_WIDTH + _VALUES_WIDTH
    group_height = len(run.registries) * _BAR_HEIGHT + _GAP_HEIGHT
    height = _HEAD_HEIGHT + len(run.loads) * group_height
    size = f'width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}" {_FONT} role="img">',
        "<title>What registries do in a second</title>",
        f'<rect {size} fill="#ffffff"/>',
        *_legend(run),
    ]
    for place, (load, unit) in enumerate(run.loads):
        lines += _group(run, load, unit, _HEAD_HEIGHT + place * group_height)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _legend(run: Run) -> Iterator[str]:
    left = 10
    for place, registry in enumerate(run.registries):
        yield f'<rect x="{left}" y="10" width="10" height="10" fill="{_colour(place)}"/>'
        yield f'<text x="{left + 14}" y="19">{escape(registry)}</text>'
        left += 30 + 7 * len(registry)


def _group(run: Run, load: str, unit: str, top: int) -> Iterator[str]:
    rates = [run.rate(load, each) for each in run.registries]
    most = max((rate.most for rate in rates if rate is not None), default=0)
    yield f'<text x="{_LABELS_WIDTH - 8}" y="{top + 10}" text-anchor="end">{escape(load)}</text>'
    for place, rate in enumerate(rates):
        y = top + place * _BAR_HEIGHT
        if rate is None:
            yield f'<text x="{_LABELS_WIDTH}" y="{y + 10}">not measured</text>'
            continue
        median, least, end = (_BARS_WIDTH * value / most for value in (rate.median, rate.least, rate.most))
        middle, whisker = y + _BAR_HEIGHT / 2 - 1, _LABELS_WIDTH + least
        size = f'width="{median:.1f}" height="{_BAR_HEIGHT - 2}"'
        yield f'<rect x="{_LABELS_WIDTH}" y="{y}" {size} fill="{_colour(place)}"/>'
        yield f'<path d="M{whisker:.1f} {middle}h{end - least:.1f}" stroke="#222222"/>'
        yield f'<text x="{_LABELS_WIDTH + end + 5:.1f}" y="{y + 10}">{number(rate.median)} {escape(unit)}/s</text>'


def _colour(place: int) -> str:
    return _COLOURS[place % len(_COLOURS)]
