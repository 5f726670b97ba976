"""Processes of our own: how they are started, reached and stopped."""
