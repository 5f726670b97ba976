"""The providers behind the `Model` port, one file each."""
