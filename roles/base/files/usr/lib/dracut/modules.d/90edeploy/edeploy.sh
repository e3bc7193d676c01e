#!/bin/sh
# Before anything else is moved into the new root. systemd made all mounts show up in each other,
# and such ones cannot be moved.
mount --make-rprivate /
/usr/lib/edeploy/pivot "$NEWROOT"
