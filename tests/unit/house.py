"""The records of a server on a real file, with profiles in a folder, and machines that report."""

from collections.abc import Mapping
from pathlib import Path

from edeploy.inventory.items import Item, Report
from edeploy.machines import assigning, cmdb, installs, operate, takeover, views
from edeploy.machines.attempts import INSTALL_PHASES
from edeploy.machines.database import Database
from edeploy.machines.failures import end_due
from edeploy.machines.installs import Home, PhaseEvent, PhaseNews
from edeploy.machines.leases import candidates
from edeploy.machines.policy import Policy
from edeploy.machines.reporting import Answer, take_report
from edeploy.machines.schema import JsonObject
from edeploy.match.profiles import Profile, load_profiles

RULES = Policy(reserve_minutes=10, deadline_minutes=60, first_boot_minutes=15)
SPECS = "[('system', 'product', 'serial', '$serial'), ('disk', '$disk', 'size', 'gt(1)')]"


def mac(number: int) -> str:
    """The network card of a machine."""
    return f"d8:9d:67:00:00:{number:02x}"


def hardware(number: int, disk: str = "sda", **more: str) -> Report:
    """The report of a machine; `more` are items of `rack`."""
    items = [
        Item("system", "product", "serial", f"EDL{number}"),
        Item("network", "eth0", "serial", mac(number)),
        Item("disk", disk, "size", "8"),
        Item("disk", disk, "serial", f"DISK{number}"),
        *(Item("rack", "place", key, value) for key, value in more.items()),
    ]
    return Report(tuple(items))


class House:
    """One server; `start` is another one on the same file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1_000_000.0
        self.sessions: dict[int, str] = {}
        self.homes: dict[int, str] = {}
        self.start()

    def start(self) -> None:
        """Also after a crash: what is not committed is not there."""
        self.database = Database(self.folder / "db")

    def profile(self, name: str, cmdb: str | None, specs: str = SPECS) -> None:
        """Write a profile's files; `state` is another call."""
        (self.folder / f"{name}.specs").write_text(specs)
        (self.folder / f"{name}.configure").write_text("set_role('web', '1', disk='sda')\n")
        if cmdb is not None:
            (self.folder / f"{name}.cmdb").write_text(cmdb)

    def state(self, *rows: tuple[str, object]) -> None:
        """The profiles in their order, with quotas."""
        (self.folder / "state").write_text(repr(list(rows)))

    @property
    def profiles(self) -> tuple[Profile, ...]:
        return load_profiles(self.folder).profiles

    def report(self, number: int, disk: str = "sda", **more: str) -> Answer:
        """A machine reports and gets its orders."""
        said = hardware(number, disk, **more)
        offered = candidates(self.profiles, said)
        return take_report(self.database, said, offered, RULES, address="10.0.0.9", now=self.now)

    def redeem(self, number: int, token: str | None) -> Mapping[str, object]:
        """The values that the machine installs with."""
        assert token is not None
        with self.database.write() as session:
            install = installs.redeem(session, token, RULES, now=self.now)
        self.sessions[number] = install.session
        return install.vars

    def install(self, number: int, disk: str = "sda", **more: str) -> Mapping[str, object]:
        """From the report to active; the values that it installed with."""
        values = self.redeem(number, self.report(number, disk, **more).token)
        for name in INSTALL_PHASES:
            if name == "finish":
                with self.database.write() as session:
                    secret = installs.arm_call_home(session, self.sessions[number], now=self.now)
                self.homes[number] = secret
            self.phase(number, name, PhaseEvent.END)
        self.call_home(number)
        return values

    def phase(self, number: int, name: str, event: PhaseEvent) -> None:
        with self.database.write() as session:
            news = PhaseNews(name, event, reason="broke")
            installs.take_phase(session, self.sessions[number], news, RULES, now=self.now)

    def call_home(self, number: int) -> None:
        with self.database.write() as session:
            home = Home("web", "1", "b", "6.1", 1.0)
            installs.take_call_home(session, self.homes[number], home, address="a", now=self.now)

    def later(self, minutes: float) -> None:
        """Time passes, and the server ends what is due."""
        self.now += minutes * 60
        with self.database.write() as session:
            end_due(session, now=self.now)

    def order(self, verb: str, number: int) -> None:
        """`retry` or `reinstall`."""
        with self.database.write() as session:
            getattr(operate, verb)(session, f"EDL{number}", now=self.now)

    def assign(self, profile: str, entry: str, number: int) -> JsonObject:
        with self.database.write() as session:
            row = assigning.assign(
                session, self.profiles, profile, entry, f"EDL{number}", now=self.now
            )
            return cmdb.shown(session, row)

    def release(self, what: str, *, profile: str | None = None, sure: bool = False) -> JsonObject:
        with self.database.write() as session:
            return assigning.release(
                session, self.profiles, what, profile=profile, sure=sure, now=self.now
            )

    def take_over(self, profile: str, entries: list[dict[str, object]]) -> JsonObject:
        with self.database.write() as session:
            return takeover.take_over(
                session, self.profiles, profile, "/old/a.cmdb", entries, now=self.now
            )

    def entries(self, profile: str | None = None) -> list[JsonObject]:
        with self.database.read() as session:
            return cmdb.listing(session, self.profiles, profile)

    def holders(self, profile: str) -> dict[str, str | None]:
        """Who has each entry, by the entry's name."""
        rows = self.entries(profile)
        return {str(r["name"]): str(r["machine"]) if r["machine"] else None for r in rows}

    def machine(self, number: int) -> JsonObject:
        with self.database.read() as session:
            return views.machine(session, f"EDL{number}")

    def events(self, number: int, kind: str) -> list[str]:
        with self.database.read() as session:
            log = views.log(session, f"EDL{number}")["events"]
        assert isinstance(log, list)
        return [event["text"] for event in log if event["kind"] == kind]
