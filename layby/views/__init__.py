"""What people and programs see of runs, questions and answers: read from streams."""
