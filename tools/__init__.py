"""Floor 3: what an agent may do. Imports `runtime` and `bus`."""
