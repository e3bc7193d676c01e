"""Records of machines in the database: states, leases, phases, events."""
