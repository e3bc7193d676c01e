"""The profiles as they are on disk now: read again when a file changes."""

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from edeploy.images.store import Store
from edeploy.inventory.items import Report
from edeploy.machines.leases import Candidate, candidates
from edeploy.match.profiles import Profile, Profiles, load_profiles
from edeploy.match.scripts import ImageUse

log = logging.getLogger("edeploy.profiles")

Stamp = dict[str, tuple[int, int, int]]


class ProfileShelf:
    """Gives every report the profiles of that moment; threads may share it."""

    def __init__(self, folder: Path, store: Store, *, allow_unsigned: bool = True) -> None:
        self._folder = folder
        self._store = store
        self._allow_unsigned = allow_unsigned
        self._lock = threading.Lock()
        self._stamp: Stamp = {}
        self._profiles = Profiles((), ())

    def current(self) -> Profiles:
        """All profiles without an error; problems are logged when they appear."""
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._profiles = load_profiles(self._folder)
                self._stamp = stamp
                for problem in self._profiles.problems:
                    log.error("%s", problem)
                log.info("%d profiles in %s", len(self._profiles.profiles), self._folder)
            return self._profiles

    def offered(self, report: Report) -> list[Candidate]:
        """How every profile fits the report; one without its image in the store does not."""
        profiles = self.current().profiles
        return [self._with_image(candidate) for candidate in candidates(profiles, report)]

    def missing(self, profile: Profile) -> list[ImageUse]:
        """The places in its configure script that name an image which cannot be given out: the
        store lacks it, or nobody signed it where that is needed."""
        return [use for use in profile.uses if not (self._has(use) and self._may_give(use))]

    def lacking(self, profile: Profile) -> str:
        """The images that the profile names and that cannot be given out, in words; empty: none."""
        missing = self.missing(profile)
        absent = _named(use for use in missing if not self._has(use))
        if absent:
            there = ", ".join(str(image) for image in self._store.images()) or "none"
            return f"its image {absent} is not in the store (there: {there})"
        unsigned = _named(missing)
        return f"its image {unsigned} is not signed" if unsigned else ""

    def _has(self, use: ImageUse) -> bool:
        return self._store.has(use.role, use.version)

    def _may_give(self, use: ImageUse) -> bool:
        signature = self._store.place(use.role, use.version).signature
        return self._allow_unsigned or signature.is_file()

    def _with_image(self, candidate: Candidate) -> Candidate:
        if candidate.fits is None or not (lacking := self.lacking(candidate.profile)):
            return candidate
        return Candidate(candidate.profile, None, lacking)

    def _look(self) -> Stamp:
        # ctime: it also changes with the mode and owner, which decide whether code is loaded.
        own = self._folder.stat()
        found: Stamp = {".": (own.st_mode, own.st_uid, own.st_ino)}
        for path in self._folder.iterdir():
            if not path.name.startswith(".") and path.is_file():
                status = path.stat()
                found[path.name] = (status.st_ctime_ns, status.st_size, status.st_ino)
        return found


def _named(uses: Iterable[ImageUse]) -> str:
    return ", ".join(dict.fromkeys(f"{use.role} {use.version}" for use in uses))
