"""Forms from JSON Schemas, and the values that people enter."""
