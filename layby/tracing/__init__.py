"""Traces of runs, through OpenTelemetry."""
