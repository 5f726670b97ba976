"""What `layby dev` does."""
