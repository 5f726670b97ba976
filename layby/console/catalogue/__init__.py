"""The catalogue: runs and questions in SQLite, read from the streams, for filters and search."""
