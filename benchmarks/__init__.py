"""Layby, its peers and the floor, measured in one run: `python -m benchmarks`."""
