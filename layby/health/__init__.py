"""What is wrong with a server and what runs on it."""
