"""The state that agents share: its types, its changes, and how they are merged."""
