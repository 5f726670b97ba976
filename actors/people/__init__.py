"""People: what they are asked, and how an answer reaches the run that waits for it."""
