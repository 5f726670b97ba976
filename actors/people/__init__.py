"""People: what they are asked, and how an answer comes to the run that waits for it."""
