"""What the client's commands do, in words; apart, for nothing here is slow to load."""

from __future__ import annotations

HELP = {
    "list": "versions of this role on the server, and what they cost",
    "test-upgrade": "what `upgrade VERSION` would do",
    "upgrade": "make VERSION complete; the next boot tries it",
    "rollback": "back to the version before",
    "verify": "compare every file with the image",
    "status": "which versions are here, and how far an upgrade is",
    "version": "the version that runs",
    "role": "the role",
    "profile": "the profile that the installation used",
    "etc-late": "at shutdown: bring late edits of /etc into the next version",
}
