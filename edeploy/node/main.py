"""`edeploy-node`: what runs on machines, in the ramdisk and on the installed system."""

from __future__ import annotations

import sys


def main() -> int:
    print("edeploy: agent")
    return 0


if __name__ == "__main__":
    sys.exit(main())
