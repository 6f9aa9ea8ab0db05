"""Where a task goes, and what becomes of it until an engine has it."""
