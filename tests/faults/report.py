"""What a kind of fault reports of its run."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Report:
    """``lost`` says, one sentence each, what was acknowledged and is not there, or is not as it has to be."""

    kind: str
    states: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)
    skipped: str | None = None

    def line(self) -> str:
        if self.skipped is not None:
            return f"{self.kind}: skipped: {self.skipped}"
        line = f"{self.kind}: {self.states:,} states, {self.acknowledged:,} acknowledged, {len(self.lost):,} lost"
        more = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        return f"{line} ({more})" if more else line
