"""What an end point is: its path, its methods, and the action that each performs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.http.answers import Answer

if TYPE_CHECKING:
    from registry.service.access import Action

Handler = Callable[..., Awaitable[Answer]]
"""``await handler(registry, request, **path_values)``; the path's ``name`` comes as ``repository``, parsed."""


@dataclass(frozen=True, slots=True)
class Method:
    handler: Handler
    action: Action


@dataclass(frozen=True, slots=True)
class Route:
    """``path`` is a werkzeug rule, whose last slash may be left out; ``name`` is the end point's name in logs."""

    name: str
    path: str
    methods: dict[str, Method]

    @property
    def all_methods(self) -> dict[str, Method]:
        """HEAD of one that only has GET is GET, whose body the server leaves out."""
        return {"HEAD": self.methods["GET"], **self.methods} if "GET" in self.methods else self.methods

    def has(self, name: str) -> bool:
        return name in self.methods or (name == "HEAD" and "GET" in self.methods)

    def method(self, name: str) -> Method:
        """Of those that it has."""
        return self.methods["GET"] if name not in self.methods and name == "HEAD" else self.methods[name]
