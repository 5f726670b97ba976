"""Floor 1: messages and storage. NATS is named only here; imports nothing else of Layby."""
