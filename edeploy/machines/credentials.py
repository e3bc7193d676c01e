"""Secrets that are given out: made, known again, revoked; only their SHA-256 is stored."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from edeploy.machines.refusal import Unauthorised
from edeploy.machines.schema import Attempt, Credential, Lease, Machine


class Kind(StrEnum):
    """What a secret is good for."""

    TOKEN = "token"  # noqa: S105
    SESSION = "session"
    CALL_HOME = "call-home"
    SYSTEM = "system"


@dataclass(frozen=True)
class Bearer:
    """Who shows a secret: the rows that it stands for."""

    credential: Credential
    machine: Machine
    lease: Lease
    attempt: Attempt


def mint(session: Session, kind: Kind, lease: Lease, attempt: Attempt, *, now: float) -> str:
    """A new secret; those of the same kind and machine that came before are revoked."""
    revoke(session, lease.machine_id, {kind}, now=now)
    secret = secrets.token_urlsafe(32)
    session.add(
        Credential(
            machine_id=lease.machine_id,
            lease_id=lease.id,
            attempt_id=attempt.id,
            kind=kind,
            sha256=_digest(secret),
            made=now,
        )
    )
    return secret


def bearer(session: Session, secret: str, kind: Kind) -> Bearer:
    """Who holds `secret`, revoked or not; Unauthorised when it was never given out."""
    digest = _digest(secret)
    row = session.scalar(select(Credential).where(Credential.sha256 == digest))
    if row is None or row.kind != kind or not hmac.compare_digest(row.sha256, digest):
        raise Unauthorised(f"this {kind} secret is unknown here", "Report again for a new one.")
    machine, lease = session.get(Machine, row.machine_id), session.get(Lease, row.lease_id)
    attempt = session.get(Attempt, row.attempt_id)
    if machine is None or lease is None or attempt is None:
        raise Unauthorised(f"this {kind} secret belongs to a machine that is gone")
    return Bearer(row, machine, lease, attempt)


def revoke(session: Session, machine_id: int, kinds: set[Kind], *, now: float) -> None:
    """End all secrets of these kinds that the machine has."""
    rows = session.scalars(
        select(Credential).where(
            Credential.machine_id == machine_id,
            Credential.kind.in_(kinds),
            Credential.revoked.is_(None),
        )
    )
    for row in rows:
        row.revoked = now


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
