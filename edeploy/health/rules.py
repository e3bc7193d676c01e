"""The constants of the judgement, each with its reason; the report's method box shows them."""

from __future__ import annotations

from enum import IntEnum


class Verdict(IntEnum):
    """What the comparison says; the larger, the worse."""

    PASS = 0
    WATCH = 1
    NO_DATA = 2
    GROUP_SUSPECT = 3
    RETEST = 4
    FAIL = 5

    @property
    def word(self) -> str:
        """As in reports: `group-suspect`."""
        return self.name.lower().replace("_", "-")


LIMIT_Z = 3.5
"""Scales below the median from which on a value is no noise (Iglewicz and Hoaglin 1993): 2.3 of
10,000 values of normal noise are further out."""

RUNS_TO_FAIL = 3
"""Runs, each of them beyond LIMIT_Z, without which nothing is failed for its speed."""

SMALL_GROUP = 8
"""Groups with fewer members have a poorly known scale and get wider effect floors."""

SMALL_GROUP_FACTOR = 1.6
"""How much wider: 5 % becomes 8 %."""

PAIR_SCALES = 4.0
"""Noise floors that two machines may be apart when they are the only ones."""

MODE_SCALES = 4.0
"""Scales (inside the modes) that make a gap between two modes."""

MODE_SHARE = 0.10
MODE_MEMBERS = 2
"""Each of two modes has this share of the members, and so many."""

NO_MAJORITY = 0.40
"""From this share on the smaller of two modes is no minority: nobody knows which one is right."""

RUN_CENTRE_SHARE = 0.5
RUN_CENTRE_MEMBERS = 3
"""A run is compared with its own median when this share of the members has it, and so many."""

USUAL_LINK_MACHINES = 3
"""Of so many machines of a kind, most can show that a slow link is how they are built."""

LINK_SHARE = 0.90
"""Network throughput has to reach this share of the link's speed."""

SYMMETRY = {"cpu": 0.03, "memory": 0.05}
"""How much packages (cpu) and NUMA nodes (memory) of one machine may differ."""
