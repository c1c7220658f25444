"""Thousands of interleavings of the real workers against stand-ins for the stores (docs/simulation.md)."""
