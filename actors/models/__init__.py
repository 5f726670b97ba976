"""The `Model` port and the providers behind it."""
