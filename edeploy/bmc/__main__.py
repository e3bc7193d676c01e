"""Orders a BMC from a process of its own, as for a BMC in another network namespace."""

import argparse
import sys
from pathlib import Path

from edeploy.bmc.file import find_bmc, load_bmcs
from edeploy.bmc.power import Action, boot_from_network_once, power
from edeploy.errors import EdeployError

BOOT_NETWORK = "boot-network"


def main() -> int:
    """Prints the power state, if one was asked for; an error as its two lines on stderr."""
    parser = argparse.ArgumentParser(prog="python -m edeploy.bmc", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("name")
    parser.add_argument("action", choices=[*(action.value for action in Action), BOOT_NETWORK])
    words = parser.parse_args()
    try:
        bmc = find_bmc(load_bmcs(words.file), words.name)
        if words.action == BOOT_NETWORK:
            boot_from_network_once(bmc)
        else:
            print(power(bmc, Action(words.action)))
    except EdeployError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
