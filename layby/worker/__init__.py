"""An app's worker: its assembly, and its work besides the actors."""
