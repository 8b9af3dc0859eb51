"""As much of PromQL as it takes to see which metrics, labels and values an expression names."""

from __future__ import annotations

import re
from dataclasses import dataclass

WORDS = {
    *("sum", "min", "max", "count", "by", "rate", "increase", "histogram_quantile", "predict_linear", "absent"),
    *("vector", "time", "and", "or", "unless", "label_values"),
}
"""Functions, operators and keywords that ours use."""

_STRING = r'"(?:[^"\\]|\\.)*"'
_SELECTOR = re.compile(rf"([a-zA-Z_:][\w:]*)\s*\{{((?:[^{{}}\"]|{_STRING})*)\}}")
_MATCHER = re.compile(rf"\s*(\w+)\s*(=~|!~|!=|=)\s*({_STRING})\s*(?:,|$)")
_GROUPING = re.compile(r"\bby\s*\(([^()]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True)
class Selector:
    """``values`` are those that labels are compared with by ``=``."""

    metric: str
    labels: frozenset[str]
    values: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Expression:
    selectors: list[Selector]
    grouping: frozenset[str]


def parse(text: str) -> Expression:
    """Raises ValueError where something is neither a selector nor a word that is known."""
    selectors = [_selector(*found.groups()) for found in _SELECTOR.finditer(text)]
    grouping = {label.strip() for found in _GROUPING.findall(text) for label in found.split(",")}
    rest = _RANGE.sub("", _GROUPING.sub("", _SELECTOR.sub("", text)))
    unknown = set(re.findall(r"[a-zA-Z_]\w*", re.sub(r"\b\d[\w.]*", "", rest))) - WORDS
    if unknown:
        raise ValueError(f"{unknown} in {text}")
    return Expression(selectors, frozenset(grouping))


def _selector(metric: str, matchers: str) -> Selector:
    found = _MATCHER.findall(matchers)
    if _MATCHER.sub("", matchers).strip():
        raise ValueError(matchers)
    values = {(label, text[1:-1]) for label, operator, text in found if operator == "="}
    return Selector(metric, frozenset(label for label, _, _ in found), frozenset(values))
