"""What both APIs share: bodies with a limit, and errors as {"error", "hint"}."""

import logging
from typing import TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException

from edeploy.errors import EdeployError
from edeploy.images.store import NoSuchImage
from edeploy.inventory.items import MAX_REPORT_BYTES, BadReport
from edeploy.machines.refusal import BadRequest, NotFound, Refusal, Unauthorised
from edeploy.machines.states import NotAllowed
from edeploy.names import BadName

log = logging.getLogger("edeploy.http")

MAX_BODY = MAX_REPORT_BYTES

MAX_RESULTS = 8 << 20
"""Of a health test: the samples of every second of hours are in it."""

MAX_DROPPED = 7 << 20
"""Bytes of a body over its limit that are read only to be able to answer."""

STATUS: dict[type[EdeployError], int] = {
    Unauthorised: 401,
    NotFound: 404,
    NoSuchImage: 404,
    BadRequest: 400,
    BadReport: 400,
    BadName: 400,
    NotAllowed: 409,
    Refusal: 409,
}

M = TypeVar("M", bound="Message")


class TooLarge(BadRequest):
    """A body over the limit."""


class Message(BaseModel):
    """A JSON body: unknown keys are ignored (a newer agent may say more), types are not bent."""

    model_config = ConfigDict(strict=True, extra="ignore")


def parsed(model: type[M], body: bytes) -> M:
    """The body as a message; BadRequest names the key that is wrong."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise BadRequest(f"the body is no good: {where or 'JSON'}: {first['msg']}") from error


async def limited_body(request: Request) -> bytes:
    """The whole body, at most MAX_BODY bytes. Raises TooLarge."""
    return await _body(request, MAX_BODY)


async def large_body(request: Request) -> bytes:
    """The whole body, at most MAX_RESULTS bytes. Raises TooLarge."""
    return await _body(request, MAX_RESULTS)


async def _body(request: Request, most: int) -> bytes:
    """The whole body, never more of it in memory than the limit.

    A body a little over it is read to its end and dropped: who still sends when the connection
    is closed sees a reset, and not the answer that says why.
    """
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_DROPPED + most:
            break
        body += chunk if size <= most else b""
    if size > most:
        raise TooLarge(
            f"the body is too large: more than {most} bytes", "Send less; see the reference."
        )
    return bytes(body)


def bearer_secret(request: Request) -> str:
    """The secret in `Authorization: Bearer …`; Unauthorised without one."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise Unauthorised("no secret was given", "Send Authorization: Bearer SECRET.")
    return secret.strip()


def peer(request: Request) -> str:
    """The address that the request came from."""
    return request.client.host if request.client else ""


def new_app(title: str) -> FastAPI:
    """An application whose every error is {"error", "hint"}; without pages of its own."""
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(EdeployError)
    async def told(request: Request, error: EdeployError) -> JSONResponse:
        status = 413 if isinstance(error, TooLarge) else _status(error)
        log.warning(
            "%s %s %s: %d %s",
            peer(request) or "local",
            request.method,
            request.url.path,
            status,
            error.message,
        )
        # Who sends too much goes on sending: without a close the server would read it all.
        headers = {"Connection": "close"} if status == 413 else None
        return JSONResponse({"error": error.message, "hint": error.hint}, status, headers)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> JSONResponse:
        text = f"{request.method} {request.url.path}: {error.detail}"
        return JSONResponse({"error": text, "hint": ""}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        # Starlette logs the traceback itself, after this answer.
        text = f"an error inside the server: {type(error).__name__}"
        return JSONResponse({"error": text, "hint": "The server's log says more."}, 500)

    return app


def _status(error: EdeployError) -> int:
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
