"""Rounds of a health test: what was to be measured, by whose secret, and what came of it."""

import hashlib
import hmac
import json
import secrets
import zlib
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edeploy.machines.refusal import Unauthorised
from edeploy.machines.schema import HealthRound, HealthTest, JsonObject, Machine

MAX_SEED = 1 << 31


def rounds(session: Session, test: HealthTest) -> Sequence[HealthRound]:
    """The rounds of a test, in their order."""
    return session.scalars(
        select(HealthRound).where(HealthRound.test_id == test.id).order_by(HealthRound.number)
    ).all()


def last_round(session: Session, test: HealthTest) -> HealthRound:
    """The round that runs, or ran last."""
    return rounds(session, test)[-1]


def newest_of_all(session: Session) -> dict[int, int]:
    """Test's id → the id of its last round."""
    rows = session.execute(
        select(HealthRound.test_id, func.max(HealthRound.id)).group_by(HealthRound.test_id)
    )
    return {test: number for test, number in rows}


def sent(this: HealthRound) -> JsonObject | None:
    """All that the machine sent in a round, with samples."""
    if this.body is None:
        return None
    found: JsonObject = json.loads(zlib.decompress(this.body))
    return found


def add_round(
    session: Session,
    test: HealthTest,
    *,
    number: int,
    first_run: int,
    runs: int,
    stages: Sequence[str],
) -> None:
    """One more round; `stages` empty: all of the test."""
    session.add(
        HealthRound(
            test_id=test.id,
            number=number,
            first_run=first_run,
            runs=runs,
            seed=secrets.randbelow(MAX_SEED),
            only={"stages": list(stages)},
        )
    )
    session.flush()


def bearer(session: Session, secret: str) -> tuple[Machine, HealthTest, HealthRound]:
    """Whose secret it is; Unauthorised when no round has it (any more)."""
    known = digest(secret)
    this = session.scalar(select(HealthRound).where(HealthRound.sha256 == known))
    test = session.get(HealthTest, this.test_id) if this else None
    machine = session.get(Machine, test.machine_id) if test else None
    if (
        this is None
        or test is None
        or machine is None
        or not hmac.compare_digest(this.sha256 or "", known)
    ):
        raise Unauthorised("this secret of a test is unknown here", "Report again for a new one.")
    return machine, test, this


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
