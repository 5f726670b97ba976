"""Workflows: the user's functions that events start, and what they wait for."""
