"""One call: where it was added, how it is to run, and what a step of it is."""
