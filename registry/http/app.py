"""The answers as a Quart application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from registry.http.access_log import AccessLog
from registry.http.answers import FileSlice, common_headers
from registry.http.errors import framework_answer, method_answer, no_route_answer
from registry.http.exchange import Exchange, Incoming
from registry.http.proxies import origin_of
from registry.http.routes import ADMIN_ROUTES, ROUTES
from registry.http.streams import FileBody, StreamingConnection, StreamingRequest
from registry.service.bodies import PiecedBody
from registry.service.principals import OPERATOR, UNIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypercorn.typing import ASGIFramework

    from registry.http.access_log import Entry
    from registry.http.answers import Answer
    from registry.http.monitor import Monitor
    from registry.http.route import Route
    from registry.service.principals import Principal
    from registry.service.registry import Registry


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


def make_app(
    registry: Registry,
    principal: Principal | None = None,
    external_url: str = "",
    monitor: Monitor | None = None,
    routes: Sequence[Route] | None = None,
) -> ASGIFramework:
    """The ASGI application of a registry that is open; see ``Exchange`` for most of it.

    ``routes`` are those of the principal, unless others are given.
    """
    exchange = Exchange(registry, principal, external_url, monitor)
    app = _App("registry", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=None, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    for route in routes or (ADMIN_ROUTES if principal == OPERATOR else ROUTES):
        _add(app, exchange, route)
    app.register_error_handler(Exception, lambda error: _respond(exchange, _failed(exchange, error)))
    return AccessLog(app, exchange.monitor.traffic)


def _add(app: QuartTrio, exchange: Exchange, route: Route) -> None:
    async def view(**path_values: str) -> Response:
        return _respond(exchange, await exchange.answer(_incoming(exchange), route, path_values))

    app.add_url_rule(route.path, route.name, view, methods=list(route.all_methods), provide_automatic_options=False)


def _incoming(exchange: Exchange) -> Incoming:
    origin = origin_of(request.scope)
    return Incoming(
        method=request.method,
        path=request.path,
        query=request.query_string,
        headers=_headers(),
        body=PiecedBody(request.body),
        origin=origin,
        address=origin.address or _unix_address(exchange),
        entry=_entry(),
    )


def _unix_address(exchange: Exchange) -> str:
    """Of one who is what the socket says, the user too, as far as the server tells: the clients of a proxy are many."""
    user = request.scope.get("state", {}).get("uid") if exchange.principal is not None else None
    return UNIX if user is None else f"{UNIX} uid {user}"


def _headers() -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _failed(exchange: Exchange, error: Exception) -> Answer:
    match error:
        case NotFound():
            return no_route_answer()
        case MethodNotAllowed():
            return method_answer(error.valid_methods or ())
        case HTTPException():
            return framework_answer(error.code or 500)
    return exchange.failure(_incoming(exchange), error)


def _entry() -> Entry:
    """What is known of this request."""
    entry: Entry = request.scope["cargohold"]  # type: ignore[typeddict-item]
    return entry


def _respond(exchange: Exchange, answer: Answer) -> Response:
    body: Any = FileBody(exchange.registry, answer.body) if isinstance(answer.body, FileSlice) else answer.body
    response = Response(b"", answer.status)
    response.response = body if isinstance(body, FileBody) else response.data_body_class(body)
    response.headers = Headers([*answer.headers, *common_headers(_entry().request_id)])
    if answer.content_length is not None:
        response.headers["Content-Length"] = str(answer.content_length)
    return response
