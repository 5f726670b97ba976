"""Examples: each folder is one app; run one with `layby dev examples.<name>:app`."""
