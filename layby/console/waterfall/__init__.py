"""A run's log as a waterfall: spans of time, and where they are drawn."""
