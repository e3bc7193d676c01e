"""What programs, firmware and the kernel say, as items: pure functions, one module a source."""
