"""How tasks run in the process: each attempt with its scope, its time and its thread."""
