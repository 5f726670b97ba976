"""Floor 1: how they talk and remember. All NATS words live here; imports nothing of Layby's."""
