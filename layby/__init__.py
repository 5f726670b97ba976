"""Durable networks of AI agents on NATS that pull over and wait for a human."""
