"""What is said of a task before there is one: its name, its policy, what it takes and what it needs."""
