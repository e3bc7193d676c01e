"""The tables of the records: machines, reports, holdings, leases, attempts, phases, events."""

from sqlalchemy import JSON, ForeignKey, Index, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

JsonObject = dict[str, object]


class Base(DeclarativeBase):
    """All times are unix seconds (UTC); a duration is seconds."""

    type_annotation_map = {JsonObject: JSON, list[JsonObject]: JSON, str: Text}


class Machine(Base):
    """One server, whatever was swapped in it."""

    __tablename__ = "machines"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    serial: Mapped[str | None]
    uuid: Mapped[str | None]
    state: Mapped[str]
    since: Mapped[float]  # in this state
    deadline: Mapped[float | None] = mapped_column(index=True)
    created: Mapped[float]
    last_seen: Mapped[float]
    why: Mapped[str] = mapped_column(default="")  # the last match, explained
    exhausted: Mapped[str | None]  # of it, the profiles that match and have nothing left
    hold: Mapped[str | None]  # why nothing is installed on it or leased to it, whatever its state
    verdict: Mapped[JsonObject | None]  # how its last report was known for its own
    failed_from: Mapped[str | None]
    failed_phase: Mapped[str | None]
    failed_reason: Mapped[str | None]
    disk_touched: Mapped[bool] = mapped_column(default=False)
    profile: Mapped[str | None]
    role: Mapped[str | None]
    version: Mapped[str | None]
    hostname: Mapped[str | None]
    address: Mapped[str | None]  # where its last report or call came from
    kernel: Mapped[str | None]
    boot_id: Mapped[str | None]
    power: Mapped[str | None]
    on_success: Mapped[str | None]  # an operator's choice for this machine, over the profile's
    on_failure: Mapped[str | None]
    health: Mapped[str | None]  # the test that an operator wants of it, over the profile's
    upgrade: Mapped[JsonObject | None]  # how far its last one got: phase, goal, why, since

    identities: Mapped[list["IdentityPart"]] = relationship(
        back_populates="machine", cascade="all, delete-orphan"
    )


class IdentityPart(Base):
    """A mark by which a machine is known, as in its last report (inventory.identity.Mark)."""

    __tablename__ = "identities"
    __table_args__ = (Index("identities_by_value", "kind", "value"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id"), index=True)
    kind: Mapped[str]
    value: Mapped[str]
    since: Mapped[float]  # its first report with this mark

    machine: Mapped[Machine] = relationship(back_populates="identities")


class ReportRow(Base):
    """What a machine said about its hardware, from `first` to `last`.

    A report that differs only in what comes and goes by itself takes the place of the newest.
    """

    __tablename__ = "reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id"), index=True)
    first: Mapped[float]
    last: Mapped[float]
    sha256: Mapped[str]  # inventory.changes.fingerprint
    body: Mapped[str]  # JSON list of 4-item rows


class Holding(Base):
    """A CMDB entry in a machine's hands, or kept for one that has not reported yet.

    The files are the operator's and know nothing of this. A holding that `ended` tells who had
    the entry before.
    """

    __tablename__ = "holdings"
    __table_args__ = (
        Index(
            "one_holder_an_entry",
            "profile",
            "mark",
            unique=True,
            sqlite_where=text("ended IS NULL"),
            postgresql_where=text("ended IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    profile: Mapped[str]
    entry: Mapped[JsonObject]  # what the file said when it was taken, without `used`
    copy: Mapped[int]
    mark: Mapped[str]  # of entry and copy (entries.Claim)
    machine_id: Mapped[int | None] = mapped_column(ForeignKey("machines.id"), index=True)
    origin: Mapped[str]  # match, operator, import
    lasting: Mapped[bool]  # for ever: given by an operator, or a machine was active with it
    since: Mapped[float]
    why: Mapped[str]
    hardware: Mapped[JsonObject | None]  # what an old installation's file says of the machine
    ended: Mapped[float | None]
    end: Mapped[str | None]  # why it ended


class Lease(Base):
    """A quota slot and a CMDB entry, in a machine's hands.

    `held` until active, then `spent`; `kept` between an active system and its reinstall;
    `returned` at the end, when others may have slot and entry.
    """

    __tablename__ = "leases"
    __table_args__ = (
        Index(
            "one_live_lease_a_machine",
            "machine_id",
            unique=True,
            sqlite_where=text("state != 'returned'"),
            postgresql_where=text("state != 'returned'"),
        ),
        Index("leases_by_profile", "profile", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id"), index=True)
    profile: Mapped[str]
    state: Mapped[str]  # held, spent, kept, returned
    created: Mapped[float]
    ended: Mapped[float | None]
    holding_id: Mapped[int | None] = mapped_column(ForeignKey("holdings.id"))
    vars: Mapped[JsonObject]
    configure: Mapped[str]
    settings: Mapped[JsonObject]
    finished: Mapped[float | None]  # the install is whole on the disk
    plan: Mapped[JsonObject | None]
    boot_label: Mapped[str | None]  # of the ESP that this lease's install makes


class Attempt(Base):
    """One boot of the ramdisk and what came of it."""

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id"), index=True)
    lease_id: Mapped[int | None] = mapped_column(ForeignKey("leases.id"))
    number: Mapped[int]
    started: Mapped[float]
    redeemed: Mapped[float | None]
    ended: Mapped[float | None]
    log_lines: Mapped[int] = mapped_column(default=0)


class Phase(Base):
    """One phase of an attempt: the server's stamps and the node's own seconds."""

    __tablename__ = "phases"
    __table_args__ = (Index("one_phase_an_attempt", "attempt_id", "name", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    name: Mapped[str]
    started: Mapped[float]
    last: Mapped[float]  # last sign of life
    ended: Mapped[float | None]
    failed: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str | None]
    seconds: Mapped[float | None]  # by the node's monotonic clock
    done: Mapped[int | None]
    total: Mapped[int | None]
    unit: Mapped[str | None]


class LogLine(Base):
    """A line that the agent printed; bounded per attempt."""

    __tablename__ = "log_lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"), index=True)
    phase: Mapped[str]
    at: Mapped[float]
    text: Mapped[str]


class Credential(Base):
    """A secret that was given out; only its SHA-256 is here.

    `token` redeems an install once, `session` is for the agent, `call-home` for the
    installed system's first word, `system` for all that it says later.
    """

    __tablename__ = "credentials"

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id"), index=True)
    lease_id: Mapped[int] = mapped_column(ForeignKey("leases.id"))
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    kind: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    made: Mapped[float]
    used: Mapped[float | None]
    revoked: Mapped[float | None]


class Event(Base):
    """What happened, for ever; only added to."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    machine_id: Mapped[int | None] = mapped_column(ForeignKey("machines.id"), index=True)
    kind: Mapped[str]
    state: Mapped[str | None]  # after the event
    text: Mapped[str]


class HealthTest(Base):
    """One health test of a machine, with its re-tests, until it is judged.

    `running`: the machine measures, or will; `waiting`: its results are in, to be judged;
    then `passed`, `rejected`, or `ended` without a verdict.
    """

    __tablename__ = "health_tests"

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id"), index=True)
    profile: Mapped[str]  # quick, full, burn, lab
    why: Mapped[str]  # who wants it
    state: Mapped[str] = mapped_column(index=True)
    report: Mapped[int | None]  # number of the hardware report that it is of
    go: Mapped[bool] = mapped_column(default=False)  # judged although few of its kind are known
    began: Mapped[float]
    ended: Mapped[float | None]
    verdict: Mapped[str | None]  # the comparison's word
    reason: Mapped[str] = mapped_column(default="")  # in one sentence
    evidence: Mapped[JsonObject | None]  # the judgement: metric, loss, z, n, ...
    campaign: Mapped[JsonObject | None]  # which disks may be written, in a person's words


class HealthRound(Base):
    """Runs that a machine was told to make in one go: the first, or a re-test of a suspect."""

    __tablename__ = "health_rounds"
    __table_args__ = (Index("one_round_a_number", "test_id", "number", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    test_id: Mapped[int] = mapped_column(ForeignKey("health_tests.id"))
    number: Mapped[int]
    first_run: Mapped[int]
    runs: Mapped[int]
    seed: Mapped[int]
    only: Mapped[JsonObject]  # {"stages": [...]}; empty: all
    sha256: Mapped[str | None] = mapped_column(unique=True)  # of the secret given out last
    began: Mapped[float | None]  # given out first
    last: Mapped[float | None]  # last sign of life
    progress: Mapped[JsonObject | None]
    ended: Mapped[float | None]  # results are in
    # Both are large, and fetched when they are read.
    figures: Mapped[JsonObject | None] = mapped_column(deferred=True)  # results without samples
    body: Mapped[bytes | None] = mapped_column(deferred=True)  # all that was sent, zlib


class Acceptance(Base):
    """An operator's word that a machine is good enough, whatever its tests say."""

    __tablename__ = "acceptances"

    id: Mapped[int] = mapped_column(primary_key=True)
    machine_id: Mapped[int] = mapped_column(ForeignKey("machines.id"), index=True)
    at: Mapped[float]
    until: Mapped[float | None]
    by: Mapped[str]
    reason: Mapped[str]
    report: Mapped[int | None]  # number of the hardware report that it is for


class BootScript(Base):
    """A boot script that was asked for, perhaps by a machine that has no record yet."""

    __tablename__ = "boot_scripts"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    mac: Mapped[str] = mapped_column(index=True)
    uuid: Mapped[str]
    serial: Mapped[str]
    platform: Mapped[str]
    answer: Mapped[str]
    used: Mapped[bool] = mapped_column(default=False)  # a report came from this boot


class PowerOn(Base):
    """Power given through a BMC, perhaps to a machine that has no record yet."""

    __tablename__ = "power_ons"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    bmc: Mapped[str] = mapped_column(index=True)
    serial: Mapped[str | None]
    mac: Mapped[str | None]
    used: Mapped[bool] = mapped_column(default=False)
