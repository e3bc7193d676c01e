"""What tests ask of a rack: its machines' records, events, and waiting for them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from edeploy.errors import EdeployError
from edeploy.lab.box import Box
from edeploy.server.client import JsonObject

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "hardware_specs"
SERIALS = {"bios-1": "EDLBIOS1", "uefi-1": "EDLUEFI1"}
PATIENCE = 1200.0
"""Seconds for anything that machines do under emulation on a busy host."""

T = TypeVar("T")


def on_each(do: Callable[[str], T]) -> dict[str, T]:
    """Do it to every machine of the rack at once; what came of it, by name."""
    with ThreadPoolExecutor(len(SERIALS)) as pool:
        return dict(zip(sorted(SERIALS), pool.map(do, sorted(SERIALS)), strict=True))


def machine(box: Box, name: str) -> JsonObject | None:
    """What the service knows of a rack's machine, None while it has not reported."""
    for item in box.service.operators.many("machines"):
        if item["serial"] == SERIALS[name]:
            return box.service.operators.one("machines", str(item["name"]))
    return None


def wait_for(
    box: Box, wanted: Callable[[dict[str, JsonObject]], bool], *, but_not: tuple[str, ...] = ()
) -> dict[str, JsonObject]:
    """The machines of the rack, once they are as wanted. Fails at a state of `but_not`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = {name: machine(box, name) for name in SERIALS}
        known = {name: item for name, item in found.items() if item is not None}
        if len(known) == len(SERIALS) and wanted(known):
            return known
        for name, item in known.items():
            assert item["state"] not in but_not, f"{name}: {item['phase']}: {item['reason']}"
        assert time.monotonic() < deadline, {
            name: (item["state"], item["phase"]) for name, item in known.items()
        }
        time.sleep(0.2)


def all_in(state: str) -> Callable[[dict[str, JsonObject]], bool]:
    """Whether every machine is in this state."""
    return lambda machines: all(item["state"] == state for item in machines.values())


def events(box: Box, name: str, kind: str) -> list[str]:
    """The texts of a machine's events of one kind, oldest first."""
    known = machine(box, name)
    assert known is not None
    log = box.service.operators.one("machines", str(known["name"]), "log")
    found = log["events"]
    assert isinstance(found, list)
    return [str(event["text"]) for event in found if event["kind"] == kind]


def data_bytes(disk: Path) -> int:
    """How many bytes of a sparse disk were ever written."""
    return disk.stat().st_blocks * 512


def answers(box: Box, address: str) -> bool:
    """Whether the machine at `address` serves its page now."""
    try:
        return bool(box.fetch_page(address))
    except EdeployError:
        return False


def power(box: Box, name: str, action: str) -> str:
    """Order a machine's BMC, by the service; its power after it."""
    answer = box.service.operators.post("machines", name, "power", body={"action": action})
    assert isinstance(answer, dict)
    return str(answer["power"])
