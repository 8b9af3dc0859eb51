"""The answers as a Quart application."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from registry.http.access_log import AccessLog
from registry.http.answers import FileSlice, Request
from registry.http.credentials import challenge, parse_authorization
from registry.http.errors import error_answer, fault_answer, framework_answer, method_answer, no_route_answer
from registry.http.monitor import Monitor
from registry.http.parameters import Query, repository_name
from registry.http.proxies import origin_of, realm_base
from registry.http.routes import ADMIN_ROUTES, ROUTES
from registry.http.streams import Checked, FileBody, StreamingConnection, StreamingRequest
from registry.oci.errors import RegistryError, SizeInvalid, Unauthorized
from registry.service.access import FOR_EVERYBODY, Action, scope_for
from registry.service.principals import ANONYMOUS, OPERATOR, UNIX
from registry.service.space import shortage
from registry.service.uploads import BodyInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hypercorn.typing import ASGIFramework

    from registry.http.answers import Answer
    from registry.http.routes import Method, Route
    from registry.http.traffic import Exchange
    from registry.service.principals import Principal
    from registry.service.registry import Registry

log = structlog.get_logger()


class _App(QuartTrio):
    asgi_http_class = StreamingConnection
    request_class = StreamingRequest

    def create_url_adapter(self, request: Any) -> Any:
        """Routes depend on no Host: one that is no host name would be a fault, raised outside of error handlers."""
        if request is None:
            return super().create_url_adapter(None)
        # Werkzeug reads //v2/ as /v2/, and a proxy with rules on paths may not: two slashes lead to no end point.
        path = "/" if request.scope["path"].startswith("//") else request.path
        return self.url_map.bind("registry", url_scheme=request.scheme, default_method=request.method, path_info=path)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What all end points of an application have in common; the fields are those of ``make_app``."""

    registry: Registry
    principal: Principal | None
    external_url: str
    monitor: Monitor


def make_app(
    registry: Registry,
    principal: Principal | None = None,
    external_url: str = "",
    monitor: Monitor | None = None,
    routes: Sequence[Route] | None = None,
) -> ASGIFramework:
    """The ASGI application of an open registry.

    With a ``principal`` all requests are made on its behalf; without one their credentials say on whose.
    ``external_url`` is where clients find it, where that is not what they say themselves. ``monitor`` counts the
    requests, perhaps those of other applications too. ``routes`` are those of the principal, unless others are given.
    """
    setting = _Setting(registry, principal, external_url, monitor or Monitor())
    app = _App("registry", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=None, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    for route in routes or (ADMIN_ROUTES if principal == OPERATOR else ROUTES):
        _add(app, setting, route)
    app.register_error_handler(Exception, lambda error: _respond(registry, _failed(error)))
    return AccessLog(app, setting.monitor.traffic)


def _add(app: QuartTrio, setting: _Setting, route: Route) -> None:
    """One rule per end point; HEAD of one that only has GET is GET, whose body the server leaves out."""
    registry, fixed = setting.registry, setting.principal
    methods = dict(route.methods)
    if "GET" in methods:
        methods.setdefault("HEAD", methods["GET"])

    async def view(**path_values: str) -> Response:
        _context().update(route=route.name, **path_values)
        _exchange().route(route.name)
        method = methods[request.method]
        origin = origin_of(request.scope)
        principal = replace(fixed or ANONYMOUS, address=origin.address or _unix_address(fixed))
        try:
            if fixed is None and method.action not in FOR_EVERYBODY and registry.policy.access.mode != "open":
                credentials = parse_authorization(_headers().get("authorization"))
                principal = await registry.authentication.authenticate(credentials, principal.address)
            answer = await _authorized(setting, principal, method, path_values)
        except Unauthorized as error:
            mode = "basic" if method.action is Action.LOG_IN else registry.policy.access.mode
            scope = scope_for(method.action, path_values.get("name"))
            asked = challenge(mode, realm_base(origin, setting.external_url), error, scope)
            answer = error_answer(error, challenge=asked)
        except RegistryError as error:
            answer = error_answer(error, allowed=others(principal))
        return _respond(registry, answer)

    def others(principal: Principal) -> list[str]:
        """The methods that are allowed here beside the one that was refused."""
        allowed = {name for name in methods if registry.access.refusal(principal, methods[name].action) is None}
        return sorted(allowed - {request.method})

    app.add_url_rule(route.path, route.name, view, methods=list(methods), provide_automatic_options=False)


def _unix_address(fixed: Principal | None) -> str:
    """Of one who is what the socket says, the user too, as far as the server tells: the clients of a proxy are many."""
    user = None if fixed is None else request.scope.get("state", {}).get("uid")
    return UNIX if user is None else f"{UNIX} uid {user}"


async def _authorized(setting: _Setting, principal: Principal, method: Method, path_values: dict[str, str]) -> Answer:
    """The answer to somebody who may have it: nothing is looked up before that is known."""
    registry = setting.registry
    _context()["principal"] = principal.name
    values: dict[str, Any] = dict(path_values)
    name = values.pop("name", None)
    if name is None:
        registry.access.authorize(principal, method.action)
    else:
        values["repository"] = repository_name(name)
        registry.access.authorize(principal, method.action, values["repository"])

    def ask_again() -> None:
        """Raises Unauthorized, Denied: a body may have taken long, and meanwhile who sends it was kept out."""
        if not registry.authentication.is_current(principal):
            raise Unauthorized("the credentials have been changed or removed", is_token_bad=True)
        registry.access.authorize(principal, method.action, values.get("repository"))

    return await method.handler(registry, _request(principal, ask_again, setting.monitor), **values)


def _request(principal: Principal, ask_again: Callable[[], None], monitor: Monitor) -> Request:
    return Request(
        method=request.method,
        query=Query(request.query_string),
        headers=_headers(),
        body=Checked(request.body, ask_again),
        principal=principal,
        monitor=monitor,
    )


def _headers() -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _failed(error: Exception) -> Answer:
    match error:
        case NotFound():
            return no_route_answer()
        case MethodNotAllowed():
            return method_answer(error.valid_methods or ())
        case HTTPException():
            return framework_answer(error.code or 500)
        case BodyInterrupted():
            return error_answer(SizeInvalid("the body broke off before its end"))
    ran_out = shortage(error)
    if ran_out is not None:
        log.warning("a request was refused", path=request.path, reason=str(error))
        return error_answer(ran_out)
    request_id = _context()["request_id"]
    log.error("fault", request_id=request_id, method=request.method, path=request.path, exc_info=error)
    return fault_answer(request_id)


def _context() -> dict[str, str]:
    """What the access log has on this request."""
    context: dict[str, str] = request.scope["cargohold"]  # type: ignore[typeddict-item]
    return context


def _exchange() -> Exchange:
    exchange: Exchange = request.scope["cargohold.exchange"]  # type: ignore[typeddict-item]
    return exchange


def _common_headers() -> tuple[tuple[str, str], ...]:
    return ("Docker-Distribution-Api-Version", "registry/2.0"), ("X-Request-Id", _context()["request_id"])


def _respond(registry: Registry, answer: Answer) -> Response:
    body: Any = FileBody(registry, answer.body) if isinstance(answer.body, FileSlice) else answer.body
    response = Response(b"", answer.status)
    response.response = body if isinstance(body, FileBody) else response.data_body_class(body)
    response.headers = Headers([*answer.headers, *_common_headers()])
    if answer.content_length is not None:
        response.headers["Content-Length"] = str(answer.content_length)
    return response
