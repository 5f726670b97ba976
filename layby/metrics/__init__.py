"""What Prometheus reads: metrics and probes of workers, of the streams, and of the console."""
