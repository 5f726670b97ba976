"""Floor 2: what makes a handler durable. Imports `bus` only."""
