"""The console: runs, questions and health in a browser, and the HTTP API."""
