"""The `layby` command."""
