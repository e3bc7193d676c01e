"""Racks of virtual machines, with real firmware and real BMC protocol."""
