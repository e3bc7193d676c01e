"""The machines' API of health tests: how far one is, and its results."""

import json
import math
from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import Field

from edeploy.machines import testing
from edeploy.machines.refusal import BadRequest
from edeploy.machines.schema import JsonObject
from edeploy.server.http import Message, bearer_secret, large_body, limited_body, parsed
from edeploy.server.service import Service

Body = Annotated[bytes, Depends(limited_body)]
LargeBody = Annotated[bytes, Depends(large_body)]
Secret = Annotated[str, Depends(bearer_secret)]

_FORM = "docs/reference/health.md has the form."
_LISTS = ("stages", "results", "errors", "warnings", "links", "counters", "traces", "commands")


class ProgressMessage(Message):
    """How far a test is; `seconds_left` is that of all that the machine was told."""

    stage: str = Field(max_length=200)
    run: str = Field("", max_length=20)
    stages_done: int | None = Field(None, ge=0, lt=1 << 31)
    stages_total: int | None = Field(None, ge=0, lt=1 << 31)
    seconds_left: float | None = Field(None, allow_inf_nan=False)
    value: float | None = Field(None, allow_inf_nan=False)
    unit: str = Field("", max_length=20)
    text: str = Field("", max_length=1000)


def testing_routes(app: FastAPI, service: Service) -> None:
    """Add the requests of an agent that measures."""

    @app.post("/v1/health/progress")
    def progress(secret: Secret, body: Body) -> JsonObject:
        news = parsed(ProgressMessage, body).model_dump()
        with service.database.write(durable=False) as session:
            why = testing.take_progress(session, secret, news, now=service.now())
        return {"go": not why, "why": why}

    @app.post("/v1/health/results")
    def results(secret: Secret, body: LargeBody) -> JsonObject:
        document = read_results(body)
        whole = json.dumps(document).encode()
        with service.database.write() as session:
            testing.take_results(
                session, secret, figures(document), whole, service.policy, now=service.now()
            )
        service.judge()
        return {}


def read_results(body: bytes) -> JsonObject:
    """The document that a machine sent; numbers that are none are null. Raises BadRequest."""
    try:
        found: object = json.loads(body, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the results are not JSON: {error}", _FORM) from error
    if not isinstance(found, dict):
        raise BadRequest(f"the results are a {type(found).__name__}, not an object", _FORM)
    for key in _LISTS:
        if not isinstance(found.get(key, []), list):
            raise BadRequest(f"the results are no good: {key} is no list", _FORM)
    return found


def figures(document: JsonObject) -> JsonObject:
    """The document without the samples: what is compared."""
    results = document.get("results")
    kept = [_without_samples(one) for one in results] if isinstance(results, list) else []
    return {**document, "results": kept, "traces": []}


def _without_samples(result: object) -> object:
    if not isinstance(result, dict):
        return result
    return {key: value for key, value in result.items() if key != "samples"}


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None
