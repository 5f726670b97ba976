"""Layby beside its peers and beside the floor, measured in one run: `python -m benchmarks`."""
