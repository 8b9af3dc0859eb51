"""The answers as a Quart application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from registry.http.access_log import AccessLog
from registry.http.answers import FileSlice, Request
from registry.http.errors import error_answer, fault_answer, framework_answer, method_answer, no_route_answer
from registry.http.parameters import Query
from registry.http.routes import ADMIN_ROUTES, ROUTES
from registry.http.streams import FileBody, StreamingConnection, StreamingRequest
from registry.oci.errors import RegistryError, SizeInvalid
from registry.service.access import ANONYMOUS, OPERATOR, authorize, refusal
from registry.service.space import shortage
from registry.service.uploads import BodyInterrupted

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

    from registry.http.answers import Answer
    from registry.http.routes import Route
    from registry.service.access import Principal
    from registry.service.registry import Registry

log = structlog.get_logger()


class _App(QuartTrio):
    asgi_http_class = StreamingConnection
    request_class = StreamingRequest

    def create_url_adapter(self, request: Any) -> Any:
        """Routes depend on no Host: one that is no host name would be a fault, raised outside of error handlers."""
        if request is None:
            return super().create_url_adapter(None)
        return self.url_map.bind(
            "registry", url_scheme=request.scheme, default_method=request.method, path_info=request.path
        )


def make_app(registry: Registry, principal: Principal = ANONYMOUS) -> ASGIFramework:
    """The ASGI application of an open registry, for requests that are made by ``principal``."""
    app = _App("registry", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=None, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    for route in ADMIN_ROUTES if principal == OPERATOR else ROUTES:
        _add(app, registry, principal, route)
    app.register_error_handler(Exception, lambda error: _respond(registry, _failed(error)))
    return AccessLog(app)


def _add(app: QuartTrio, registry: Registry, principal: Principal, route: Route) -> None:
    """One rule per end point; HEAD of one that only has GET is GET, whose body the server leaves out."""
    methods = dict(route.methods)
    if "GET" in methods:
        methods.setdefault("HEAD", methods["GET"])

    async def view(**path_values: str) -> Response:
        _context().update(route=route.name, **path_values)
        method = methods[request.method]
        try:
            authorize(registry.policy, principal, method.action)
            answer = await method.handler(registry, _request(principal), **path_values)
        except RegistryError as error:
            answer = error_answer(error, allowed=others(request.method))
        return _respond(registry, answer)

    def others(refused: str) -> list[str]:
        """The methods that are allowed here beside the one that was refused."""
        allowed = {name for name in methods if refusal(registry.policy, principal, methods[name].action) is None}
        return sorted(allowed - {refused})

    app.add_url_rule(route.path, route.name, view, methods=list(methods), provide_automatic_options=False)


def _request(principal: Principal) -> Request:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return Request(
        method=request.method,
        query=Query(request.query_string),
        headers=headers,
        body=request.body,
        principal=principal,
    )


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
