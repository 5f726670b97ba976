"""What is done to runs from outside: retry, purge, erase. Each effect can be repeated."""
