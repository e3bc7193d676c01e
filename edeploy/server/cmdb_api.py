"""The operators' requests about CMDB entries: list, assign, release, take over."""

from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import Field

from edeploy.machines import assigning, cmdb, takeover
from edeploy.machines.schema import JsonObject
from edeploy.server.http import Message, limited_body, parsed
from edeploy.server.service import Service

Body = Annotated[bytes, Depends(limited_body)]


class AssignMessage(Message):
    """An entry, by a value, KEY=VALUE or its number, and the machine that gets it."""

    entry: str
    machine: str


class ReleaseMessage(Message):
    """A machine or an entry; `profile` says of which; `yes`: also what a machine runs with."""

    what: str
    profile: str | None = None
    yes: bool = False


class ImportMessage(Message):
    """Entries of an old installation's file, and where that was."""

    source: str = Field(max_length=1024)
    entries: list[JsonObject]


def cmdb_routes(app: FastAPI, service: Service) -> None:
    """All that `edeploy cmdb` asks for. The files of now are read for each request."""
    database = service.database

    @app.get("/cmdb")
    def every_entry() -> list[JsonObject]:
        profiles = service.shelf.current().profiles
        with database.read() as session:
            return cmdb.listing(session, profiles)

    @app.get("/cmdb/{profile}")
    def entries(profile: str) -> list[JsonObject]:
        profiles = service.shelf.current().profiles
        with database.read() as session:
            return cmdb.listing(session, profiles, profile)

    @app.post("/cmdb/{profile}/assign")
    def assign(profile: str, body: Body) -> JsonObject:
        message = parsed(AssignMessage, body)
        profiles = service.shelf.current().profiles
        with database.write() as session:
            row = assigning.assign(
                session, profiles, profile, message.entry, message.machine, now=service.now()
            )
            return cmdb.shown(session, row)

    @app.post("/cmdb/{profile}/import")
    def take_over(profile: str, body: Body) -> JsonObject:
        message = parsed(ImportMessage, body)
        profiles = service.shelf.current().profiles
        with database.write() as session:
            return takeover.take_over(
                session, profiles, profile, message.source, message.entries, now=service.now()
            )

    @app.post("/cmdb/release")
    def release(body: Body) -> JsonObject:
        message = parsed(ReleaseMessage, body)
        profiles = service.shelf.current().profiles
        with database.write() as session:
            return assigning.release(
                session,
                profiles,
                message.what,
                profile=message.profile,
                sure=message.yes,
                now=service.now(),
            )
