"""The process that gives one order to one BMC, which comes as JSON on stdin."""

import argparse
import json
import sys

from edeploy.bmc import ipmi
from edeploy.bmc.file import Bmc
from edeploy.bmc.power import BOOT_NETWORK, Action
from edeploy.errors import EdeployError


def main() -> int:
    """Prints the power state, if one was asked for; an error as its two lines on stderr."""
    parser = argparse.ArgumentParser(prog="python -m edeploy.bmc", description=__doc__)
    parser.add_argument("order", choices=[*(action.value for action in Action), BOOT_NETWORK])
    order = parser.parse_args().order
    bmc = Bmc(**json.load(sys.stdin))
    try:
        if order == BOOT_NETWORK:
            ipmi.boot_from_network_once(bmc)
        else:
            print(ipmi.power(bmc, Action(order)))
    except EdeployError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception as error:
        # pyghmi meets what some BMC answers with any exception there is.
        print(f"BMC {bmc.name} ({bmc.address}): {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
