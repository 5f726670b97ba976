"""Conversations: turns, their history, and threads that span several runs."""
