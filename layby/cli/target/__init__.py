"""What a command works on: the app, the server, and the workers that carry commands out."""
