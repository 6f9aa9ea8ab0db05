"""One application for each framework, as its own documentation has it, which runs where it is installed."""
