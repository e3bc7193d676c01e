"""The operators' API of health tests: order, accept, judge at once, look at, compare."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Depends, FastAPI, Query
from pydantic import Field

from edeploy.health.drift import Drift, Pair, drifts
from edeploy.health.rounds import merged
from edeploy.machines import health_views, operate, testing, views
from edeploy.machines.health_views import Sent
from edeploy.machines.records import find
from edeploy.machines.schema import JsonObject
from edeploy.server.http import Message, limited_body, parsed
from edeploy.server.service import Service

Body = Annotated[bytes, Depends(limited_body)]
Names = Annotated[list[str], Query(alias="name")]


class Disk(Message):
    """A disk that may be written, by its serial number, although these signatures are on it."""

    serial: str = Field(min_length=1, max_length=200)
    signatures: list[str] = []


class Campaign(Message):
    """What a person allows for tests that write."""

    disks: list[Disk] = Field(min_length=1)


class TestMessage(Message):
    """Which test; without a profile as before."""

    profile: str | None = None
    campaign: Campaign | None = None


class AcceptMessage(Message):
    """Why a machine is good enough, who says so, and until when."""

    reason: str = Field(max_length=2000)
    by: str = Field("", max_length=200)
    until: float | None = None


def testing_routes(app: FastAPI, service: Service) -> None:
    """Add the requests of `edeploy health` and of `machine accept` and `retest`."""
    _acting(app, service)
    _reading(app, service)


def _acting(app: FastAPI, service: Service) -> None:
    database = service.database

    @app.post("/machines/{name}/test")
    def test(name: str, body: Body) -> JsonObject:
        message = parsed(TestMessage, body)
        campaign = message.campaign.model_dump() if message.campaign else None
        with database.write() as session:
            machine = operate.test(
                session,
                name,
                message.profile,
                service.policy,
                now=service.now(),
                campaign=campaign,
            )
            answer = views.summary(session, machine)
        service.wake()
        return answer

    @app.post("/machines/{name}/accept")
    def accept(name: str, body: Body) -> JsonObject:
        message = parsed(AcceptMessage, body)
        with database.write() as session:
            machine = operate.accept(
                session,
                name,
                service.policy,
                reason=message.reason,
                by=message.by,
                until=message.until,
                now=service.now(),
            )
            return views.summary(session, machine)

    @app.post("/machines/{name}/go")
    def go(name: str) -> JsonObject:
        with database.write() as session:
            machine = find(session, name)
            testing.go(session, machine, now=service.now())
            answer = views.summary(session, machine)
        service.judge()
        return answer


def _reading(app: FastAPI, service: Service) -> None:
    database = service.database

    @app.get("/tests")
    def tests() -> list[JsonObject]:
        with database.read() as session:
            return health_views.running(session)

    @app.get("/machines/{name}/tests")
    def tests_of(name: str) -> list[JsonObject]:
        with database.read() as session:
            return health_views.of_machine(session, name)

    @app.get("/results")
    def results(names: Names = []) -> JsonObject:  # noqa: B006 - FastAPI copies it
        with database.read() as session:
            sent = health_views.newest_sent(session, names)
        return {"machines": [_document(one) for one in sent]}

    @app.get("/drift")
    def drift(names: Names = []) -> JsonObject:  # noqa: B006 - FastAPI copies it
        with database.read() as session:
            newest = health_views.newest_sent(session, names)
            first = [health_views.first_sent(session, one.machine) for one in newest]
        both = [(a, b) for a, b in zip(first, newest, strict=True) if a and a.test != b.test]
        found = drifts([Pair(b.machine, a.rounds, b.rounds) for a, b in both])
        return {
            "machines": [_compared(a, b, found) for a, b in both],
            "only_one_test": [
                b.machine for a, b in zip(first, newest, strict=True) if not a or a.test == b.test
            ],
            "drifts": [{**asdict(one), "gone": one.gone, "alone": one.alone} for one in found],
        }


def _document(sent: Sent) -> JsonObject:
    """What `edeploy health analyze` reads."""
    return {
        **merged(sent.rounds),
        "node": sent.machine,
        "profile": sent.profile,
        "report": sent.report.rows(),
    }


def _compared(first: Sent, newest: Sent, found: tuple[Drift, ...]) -> JsonObject:
    own = [one for one in found if one.node == newest.machine]
    return {
        "machine": newest.machine,
        "birth": {"test": first.test, "profile": first.profile, "at": first.at},
        "now": {"test": newest.test, "profile": newest.profile, "at": newest.at},
        "metrics": len(own),
        "drifted": any(one.alone for one in own),
    }
