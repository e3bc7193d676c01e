"""How long the server waits for others, in seconds, and why."""

DATABASE_BUSY = 20.0
"""Another process (a second `edeploy serve`, sqlite3 in a shell) holds the database."""

CHILD_STOP = 5.0
"""dnsmasq and rsync end in milliseconds; after this they are killed."""

CHILD_BACKOFF_FIRST = 0.5
"""A child that dies once is back before a booting firmware notices (iPXE asks again after 1 s)."""

CHILD_BACKOFF_LAST = 30.0
"""A child that can not run must not fill the log, yet be back soon once its cause is gone."""

CHILD_HEALTHY = 60.0
"""A child that ran this long has started well: its next death counts as the first."""

HTTP_DRAIN = 3.0
"""At the end, requests in flight may finish; image downloads are cut and go on by range later."""

STALE_CHILD = 5.0
"""A child of a server that was killed gets this long to end before it is killed."""

DEADLINE_CHECK = 60.0
"""The keeper of deadlines sleeps until the next one, but no longer: the clock may jump."""

JUDGE_AGAIN = 300.0
"""Results are judged as they come in; this often again, should that have gone wrong."""

REPORT_AGAIN = 10
"""What an agent without work is told to wait: profiles change by hand, so seconds are enough."""

HOLD_AGAIN = 15
"""What an agent on hold is told to wait before it asks again whether an operator let it go."""

API_ANSWER = 90.0
"""The command line waits for the server: a BMC that does not answer costs it up to a minute."""

DEBIAN_INSTALL = 3600.0
"""Unpacking and setting up a large role takes minutes; the slowest machine gets ten times that."""

ROLE_SCRIPT = 3600.0
"""A role's script may compile; one that waits for input gets none and ends."""

ROLE_TESTS = 900.0
"""Tests of a role ask for packages and units, and may start a program or two."""

CHROOT_STEP = 600.0
"""Presets, users, an initramfs: tens of seconds on the slowest machine that builds images."""

ARCHIVE = 3600.0
"""Packing runs at tens of megabytes a second; this is a hundred gigabytes."""

ACCEPT = 5.0
"""A profile's own `accept(report, var)` looks at some thousand lines; a machine waits for it."""

APT = 300.0
"""apt works out which packages are needed in a second or two, a slow machine in ten times that."""

DEBIAN_DOWNLOAD = 3600.0
"""A slow mirror may take most of an hour for a large role; a stalled one ends by MIRROR_STALL."""

MIRROR_STALL = 30.0
"""A mirror that sends nothing for so long has stalled; apt asks it once more, then gives up."""
