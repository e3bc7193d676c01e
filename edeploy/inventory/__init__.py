"""What a machine is: items, reports, identity. Pure; standard library only."""
