"""From a request to its answer, whoever carries the two: who asks, whether he may, and what went wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from registry.http.answers import Request
from registry.http.credentials import challenge, parse_authorization
from registry.http.errors import error_answer, fault_answer
from registry.http.monitor import Monitor
from registry.http.parameters import NO_QUERY, Query, repository_name
from registry.http.proxies import realm_base
from registry.oci.errors import RegistryError, SizeInvalid, Unauthorized
from registry.service.access import FOR_EVERYBODY, Action, scope_for
from registry.service.bodies import BodyInterrupted, Checked
from registry.service.principals import anonymous_at
from registry.service.space import shortage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.http.access_log import Entry
    from registry.http.answers import Answer
    from registry.http.proxies import Origin
    from registry.http.route import Method, Route
    from registry.oci.names import RepositoryName
    from registry.service.bodies import Body
    from registry.service.principals import Principal
    from registry.service.registry import Registry

_READS = frozenset({"GET", "HEAD"})
"""Nobody looks at their bodies."""

log = structlog.get_logger()


class Incoming(NamedTuple):
    """A request whose head has been read. ``headers`` have lower-case names; a repeated one is joined by ", ".

    ``entry`` is told what becomes known of it.
    """

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: Body
    origin: Origin
    address: str
    entry: Entry


class Exchange:
    """With a ``principal`` all requests are made on its behalf; without one their credentials say on whose.

    ``external_url`` is where clients find the registry, where that is not what they say themselves. ``monitor`` counts
    the requests, perhaps those of others too.
    """

    def __init__(
        self,
        registry: Registry,
        principal: Principal | None = None,
        external_url: str = "",
        monitor: Monitor | None = None,
    ) -> None:
        self.registry = registry
        self.principal = principal
        self.monitor = monitor or Monitor()
        self._external_url = external_url

    async def answer(self, incoming: Incoming, route: Route, path_values: Mapping[str, str]) -> Answer:
        """The answer of an end point that has the method, whatever goes wrong on the way to it."""
        try:
            return await self._answer(incoming, route, path_values)
        except Exception as error:  # noqa: BLE001 (the only place that turns one into an answer)
            return self.failure(incoming, error)

    async def _answer(self, incoming: Incoming, route: Route, path_values: Mapping[str, str]) -> Answer:
        incoming.entry.lead_to(route.name, path_values)
        method = route.method(incoming.method)
        principal = self._principal_at(incoming.address)
        try:
            if self._is_asked_for_credentials(method):
                credentials = parse_authorization(incoming.headers.get("authorization"))
                principal = await self.registry.authentication.authenticate(credentials, principal.address)
            return await self._authorized(incoming, principal, method, path_values)
        except Unauthorized as error:
            return self._challenge(incoming, error, method, path_values.get("name"))
        except RegistryError as error:
            return error_answer(error, allowed=self._others(incoming, route, principal))

    def failure(self, incoming: Incoming, error: Exception) -> Answer:
        """The answer where something was raised on the way to one: a fault of ours, if nothing else explains it."""
        if isinstance(error, BodyInterrupted):
            return error_answer(SizeInvalid(str(error)))
        ran_out = shortage(error)
        if ran_out is not None:
            log.warning("a request was refused", path=incoming.path, reason=str(error))
            return error_answer(ran_out)
        request_id = incoming.entry.request_id
        log.error("fault", request_id=request_id, method=incoming.method, path=incoming.path, exc_info=error)
        return fault_answer(request_id)

    def _principal_at(self, address: str) -> Principal:
        """Whoever it is before any credentials are looked at."""
        return anonymous_at(address) if self.principal is None else replace(self.principal, address=address)

    def _is_asked_for_credentials(self, method: Method) -> bool:
        is_open = self.registry.policy.access.mode == "open"
        return not is_open and self.principal is None and method.action not in FOR_EVERYBODY

    async def _authorized(
        self, incoming: Incoming, principal: Principal, method: Method, path_values: Mapping[str, str]
    ) -> Answer:
        """The answer to somebody who may have it: nothing is looked up before that is known."""
        incoming.entry.principal = principal.name
        values: dict[str, Any] = dict(path_values)
        if "name" in values:
            values["repository"] = repository_name(values.pop("name"))
        repository = values.get("repository")
        self.registry.access.authorize(principal, method.action, repository)
        query, body = NO_QUERY, incoming.body
        if incoming.query:
            query = Query(incoming.query)
        if not (incoming.method in _READS or body.is_over):
            body = self._checked(body, principal, method.action, repository)
        request = Request(incoming.method, query, incoming.headers, body, principal, self.monitor)
        return await method.handler(self.registry, request, **values)

    def _checked(self, body: Body, principal: Principal, action: Action, repository: RepositoryName | None) -> Checked:
        def ask_again() -> None:
            """Raises Unauthorized, Denied: a body may have taken long, and meanwhile who sends it was kept out."""
            if not self.registry.authentication.is_current(principal):
                raise Unauthorized("the credentials have been changed or removed", is_token_bad=True)
            self.registry.access.authorize(principal, action, repository)

        return Checked(body, ask_again)

    def _challenge(self, incoming: Incoming, error: Unauthorized, method: Method, name: str | None) -> Answer:
        mode = "basic" if method.action is Action.LOG_IN else self.registry.policy.access.mode
        base = realm_base(incoming.origin, self._external_url)
        return error_answer(error, challenge=challenge(mode, base, error, scope_for(method.action, name)))

    def _others(self, incoming: Incoming, route: Route, principal: Principal) -> list[str]:
        """The methods that are allowed here beside the one that was refused."""
        methods = route.all_methods
        refusal = self.registry.access.refusal
        allowed = {name for name, method in methods.items() if refusal(principal, method.action) is None}
        return sorted(allowed - {incoming.method})
