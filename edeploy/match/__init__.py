"""Does a machine fit a profile, and with which values. Pure."""
