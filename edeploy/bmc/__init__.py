"""Power and boot device of machines, through their BMCs."""
