"""The operators' API, on a Unix socket that only its owner can open."""

from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query

from edeploy import __version__
from edeploy.bmc.power import Action
from edeploy.machines import conflicts, hardware, operate, views
from edeploy.machines.schema import JsonObject
from edeploy.server.cmdb_api import cmdb_routes
from edeploy.server.http import Message, limited_body, new_app, parsed
from edeploy.server.operators_testing import testing_routes
from edeploy.server.powering import power_machine
from edeploy.server.service import Service

Body = Annotated[bytes, Depends(limited_body)]


class PowerMessage(Message):
    """What to do with a machine's power."""

    action: Literal["on", "off", "cycle", "status"]


class SameMessage(Message):
    """The machine that another one is, with other parts."""

    machine: str


class SettingsMessage(Message):
    """A machine's own endings and health test; "" goes back to its profile's."""

    on_success: str | None = None
    on_failure: str | None = None
    health: str | None = None


def operators_app(service: Service) -> FastAPI:
    """All that operators' commands ask for. Who can open the socket may do everything."""
    app = new_app("edeploy operators")
    _reading(app, service)
    _acting(app, service)
    cmdb_routes(app, service)
    testing_routes(app, service)
    return app


def _reading(app: FastAPI, service: Service) -> None:
    database = service.database

    @app.get("/health")
    def health() -> JsonObject:
        with database.read() as session:
            count = len(views.machines(session))
        return {
            "version": __version__,
            "url": service.boot.base,
            "machines": count,
            "profiles": [profile.name for profile in service.shelf.current().profiles],
            "problems": [str(problem) for problem in service.shelf.current().problems],
        }

    @app.get("/machines")
    def machines() -> list[JsonObject]:
        with database.read() as session:
            return views.machines(session)

    @app.get("/machines/{name}")
    def machine(name: str) -> JsonObject:
        with database.read() as session:
            return views.machine(session, name)

    @app.get("/machines/{name}/log")
    def log(name: str) -> JsonObject:
        with database.read() as session:
            return views.log(session, name)

    @app.get("/machines/{name}/diff")
    def changed(
        name: str,
        report: int | None = None,
        at: float | None = None,
        everything: Annotated[bool, Query(alias="all")] = False,
    ) -> JsonObject:
        with database.read() as session:
            return hardware.since(session, name, number=report, at=at, everything=everything)

    @app.get("/machines/{name}/diff/{other}")
    def differ(
        name: str, other: str, everything: Annotated[bool, Query(alias="all")] = False
    ) -> JsonObject:
        with database.read() as session:
            return hardware.between(session, name, other, everything=everything)

    @app.get("/events")
    def events(after: Annotated[int, Query(ge=0)] = 0) -> list[JsonObject]:
        with database.read() as session:
            return views.events(session, after=after)


def _acting(app: FastAPI, service: Service) -> None:
    database = service.database

    @app.post("/machines/{name}/power")
    def power(name: str, body: Body) -> JsonObject:
        return power_machine(service, name, Action(parsed(PowerMessage, body).action))

    @app.post("/machines/{name}/retry")
    def retry(name: str) -> JsonObject:
        with database.write() as session:
            changed = operate.retry(session, name, now=service.now())
            return views.summary(session, changed)

    @app.post("/machines/{name}/reinstall")
    def reinstall(name: str) -> JsonObject:
        with database.write() as session:
            changed = operate.reinstall(session, name, now=service.now())
            return views.summary(session, changed)

    @app.post("/machines/{name}/same")
    def same(name: str, body: Body) -> JsonObject:
        message = parsed(SameMessage, body)
        with database.write() as session:
            left = conflicts.same(session, name, message.machine, now=service.now())
            return views.summary(session, left)

    @app.post("/machines/{name}/new")
    def new(name: str) -> JsonObject:
        with database.write() as session:
            apart = conflicts.new(session, name, now=service.now())
            return views.summary(session, apart)

    @app.post("/machines/{name}/settings")
    def settings(name: str, body: Body) -> JsonObject:
        message = parsed(SettingsMessage, body)
        with database.write() as session:
            changed = operate.configure(
                session,
                name,
                on_success=message.on_success,
                on_failure=message.on_failure,
                health=message.health,
                now=service.now(),
            )
            return views.machine(session, changed.name)
