"""Live mode: the running tree becomes the next version without a reboot, and can be taken back."""
