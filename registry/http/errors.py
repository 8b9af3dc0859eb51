"""From an error to an answer: the one table of statuses."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from registry.http.answers import Answer, json_answer
from registry.oci import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STATUS: Final[Mapping[type[errors.RegistryError], int]] = {
    errors.BlobUnknown: 404,
    errors.BlobUploadInvalid: 400,
    errors.UploadOffsetInvalid: 416,
    errors.UploadBusy: 409,
    errors.BlobUploadUnknown: 404,
    errors.DigestInvalid: 400,
    errors.ManifestBlobUnknown: 404,
    errors.ManifestInvalid: 400,
    errors.ManifestTooLarge: 413,
    errors.ManifestUnknown: 404,
    errors.NameInvalid: 400,
    errors.NameUnknown: 404,
    errors.SizeInvalid: 400,
    errors.RangeNotSatisfiable: 416,
    errors.Unauthorized: 401,
    errors.Denied: 403,
    errors.BlobReferenced: 405,
    errors.PreconditionFailed: 412,
    errors.Unsupported: 405,
    errors.GarbagePaused: 409,
    errors.ParameterInvalid: 400,
    errors.TooManyRequests: 429,
    errors.Overloaded: 503,
    errors.InsufficientStorage: 507,
}


def error_answer(error: errors.RegistryError, allowed: Iterable[str] = (), challenge: str = "") -> Answer:
    """The envelope of the distribution-spec, section "Error Codes", with the headers that the status asks for.

    ``allowed`` are the methods of the end point that are not refused as this one is; ``challenge`` says how to
    authenticate.
    """
    entries = [{"code": error.code, "message": message, "detail": detail} for message, detail in error.errors]
    return json_answer(STATUS[type(error)], {"errors": entries}, *_headers(error, allowed, challenge))


def fault_answer(request_id: str) -> Answer:
    """A fault of ours: the log has the traceback under the same id."""
    message = "internal error; the registry's log has the cause under this request id"
    entry = {"code": "UNKNOWN", "message": message, "detail": {"request_id": request_id}}
    return json_answer(500, {"errors": [entry]})


def no_route_answer() -> Answer:
    return _unsupported(404, "no such end point")


def method_answer(allowed: Iterable[str]) -> Answer:
    return _unsupported(405, "this end point has no such method", ("Allow", ", ".join(sorted(allowed))))


def framework_answer(status: int) -> Answer:
    """What the framework refuses by itself."""
    return _unsupported(status, HTTPStatus(status).phrase)


def _unsupported(status: int, message: str, *headers: tuple[str, str]) -> Answer:
    entry = {"code": errors.Unsupported.code, "message": message, "detail": None}
    return json_answer(status, {"errors": [entry]}, *headers)


def _headers(error: errors.RegistryError, allowed: Iterable[str], challenge: str) -> Iterable[tuple[str, str]]:
    match error:
        case errors.Unauthorized():
            yield "WWW-Authenticate", challenge
        case errors.TooManyRequests() | errors.Overloaded():
            yield "Retry-After", str(error.retry_after_seconds)
        case errors.RangeNotSatisfiable():
            yield "Content-Range", f"bytes */{error.size}"
        case _ if STATUS[type(error)] == 405:
            yield "Allow", ", ".join(allowed)
