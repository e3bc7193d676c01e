"""Health checks: what this machine can do, measured from the ramdisk."""
