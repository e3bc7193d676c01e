"""The machines' API: boot scripts, reports, installs, the first boot."""

import re
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import PlainTextResponse
from pydantic import Field

from edeploy import atomic
from edeploy.boot import ipxe
from edeploy.inventory.items import parse_report
from edeploy.machines import attempts, installs, policy, upgrades
from edeploy.machines.enrolment import booting
from edeploy.machines.records import boot_label, live_lease, standing
from edeploy.machines.reporting import take_report
from edeploy.machines.schema import JsonObject
from edeploy.machines.states import boot
from edeploy.names import checked
from edeploy.server.bytes import bytes_router
from edeploy.server.http import Message, bearer_secret, limited_body, new_app, parsed, peer
from edeploy.server.offers import offered_image, offers_router
from edeploy.server.service import Service
from edeploy.server.testing_api import testing_routes

Body = Annotated[bytes, Depends(limited_body)]
Secret = Annotated[str, Depends(bearer_secret)]

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\Z")
_PRINTABLE = re.compile(r"[^\x20-\x7e]")


class PlanMessage(Message):
    """What the agent will write, before it writes."""

    disks: list[JsonObject]
    text: str = ""


class PhaseMessage(Message):
    """News of a phase."""

    phase: str
    event: installs.PhaseEvent
    done: int | None = None
    total: int | None = None
    unit: Literal["bytes", "files", "steps"] | None = None
    log: list[str] = []
    reason: str = ""
    seconds: float | None = None


class HomeMessage(Message):
    """The installed system is up."""

    role: str = Field(max_length=128)
    version: str = Field(max_length=128)
    boot_id: str = Field("", max_length=128)
    kernel: str = Field("", max_length=256)
    uptime_seconds: float = 0.0


class StandingMessage(Message):
    """What an installed system runs, and how far an upgrade is."""

    role: str = Field(max_length=128)
    version: str = Field(max_length=128)
    boot_id: str = Field("", max_length=128)
    kernel: str = Field("", max_length=256)
    phase: upgrades.Phase = upgrades.Phase.NONE
    goal: str = Field("", max_length=128)
    why: str = Field("", max_length=2000)


def machines_app(service: Service) -> FastAPI:
    """All that machines may ask for; nothing here is for operators."""
    app = new_app("edeploy machines")
    app.include_router(bytes_router(service.store))
    app.include_router(offers_router(service))
    _boot_routes(app, service)
    _install_routes(app, service)
    testing_routes(app, service)
    return app


def _boot_routes(app: FastAPI, service: Service) -> None:
    @app.get("/boot.ipxe")
    def boot_entry() -> PlainTextResponse:
        return PlainTextResponse(ipxe.entry(service.boot))

    @app.get("/boot/script")
    def boot_script(
        mac: Annotated[str, Query(max_length=64)] = "",
        uuid: Annotated[str, Query(max_length=64)] = "",
        serial: Annotated[str, Query(max_length=256)] = "",
        platform: Annotated[str, Query(max_length=16)] = "",
    ) -> PlainTextResponse:
        request = attempts.BootRequest(
            mac=mac.lower() if _MAC.match(mac.lower()) else "",
            uuid=_PRINTABLE.sub("", uuid).lower(),
            serial=_PRINTABLE.sub("", serial).strip(),
            platform="efi" if platform == "efi" else "pcbios",
        )
        with service.database.write() as session:
            known = booting(session, mac=request.mac, uuid=request.uuid, serial=request.serial)
            stands = standing(session, known) if known else ipxe.unknown()
            lease = live_lease(session, known) if known else None
            endings = ipxe.Endings(
                known.on_success if known and known.on_success else policy.ending(lease, True),
                known.on_failure if known and known.on_failure else policy.ending(lease, False),
            )
            label = boot_label(session, known) if known else ""
            attempts.script_served(session, request, known, boot(stands), now=service.now())
        text = ipxe.script(
            stands,
            service.boot,
            platform=request.platform,
            mac=request.mac,
            name=known.name if known else "",
            boot_label=label,
            endings=endings,
        )
        return PlainTextResponse(text)

    @app.post("/v1/report")
    def report(request: Request, body: Body) -> JsonObject:
        said = parse_report(body)
        answer = take_report(
            service.database,
            said,
            service.shelf.offered(said),
            service.policy,
            address=peer(request),
            now=service.now(),
        )
        service.wake()
        return asdict(answer)


def _install_routes(app: FastAPI, service: Service) -> None:
    database = service.database

    @app.post("/v1/install")
    def install(secret: Secret) -> JsonObject:
        with database.write() as session:
            begun = installs.redeem(session, secret, service.policy, now=service.now())
        service.wake()
        return asdict(begun)

    @app.post("/v1/install/plan")
    def plan(secret: Secret, body: Body) -> JsonObject:
        message = parsed(PlanMessage, body)
        with database.write() as session:
            installs.take_plan(session, secret, message.disks, message.text, now=service.now())
        return {}

    @app.get("/v1/install/image")
    def image(request: Request, secret: Secret, role: str, version: str) -> JsonObject:
        with database.write(durable=False) as session:
            installs.agent(session, secret, now=service.now())
        return offered_image(service, service.store.image(role, version))

    @app.post("/v1/install/phase")
    def phase(secret: Secret, body: Body) -> JsonObject:
        message = parsed(PhaseMessage, body)
        news = installs.PhaseNews(
            phase=message.phase,
            event=message.event,
            done=message.done,
            total=message.total,
            unit=message.unit,
            log=message.log,
            reason=message.reason,
            seconds=message.seconds,
        )
        ends = news.event in (installs.PhaseEvent.END, installs.PhaseEvent.FAIL)
        with database.write(durable=ends) as session:
            go = installs.take_phase(session, secret, news, service.policy, now=service.now())
        if ends:
            service.wake()
        return asdict(go)

    @app.post("/v1/install/report")
    def late_report(secret: Secret, body: Body) -> JsonObject:
        said = parse_report(body)
        with database.write() as session:
            installs.take_facts(session, secret, said, now=service.now())
        return {}

    @app.post("/v1/install/log")
    def whole_log(secret: Secret, body: Body) -> JsonObject:
        with database.read() as session:
            name, number = installs.log_place(session, secret)
        folder = service.logs / checked(name, "machine")
        folder.mkdir(mode=0o700, exist_ok=True)
        atomic.write(folder / f"attempt-{number}.log", body, mode=0o600)
        return {}

    @app.post("/v1/install/finish")
    def finish(secret: Secret) -> JsonObject:
        with database.write() as session:
            return {"call_home": installs.arm_call_home(session, secret, now=service.now())}

    @app.post("/v1/call-home")
    def call_home(request: Request, secret: Secret, body: Body) -> JsonObject:
        home = installs.Home(**parsed(HomeMessage, body).model_dump())
        address, now = peer(request), service.now()
        with database.write() as session:
            system = installs.take_call_home(session, secret, home, address=address, now=now)
        service.wake()
        return {"secret": system}

    @app.post("/v1/standing")
    def standing_now(request: Request, secret: Secret, body: Body) -> JsonObject:
        said = upgrades.Standing(**parsed(StandingMessage, body).model_dump())
        address, now = peer(request), service.now()
        with database.write() as session:
            upgrades.take_standing(session, secret, said, service.policy, address=address, now=now)
        service.wake()
        return {}
