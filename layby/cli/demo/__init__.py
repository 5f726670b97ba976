"""What `layby demo` does."""
