"""Applications as users write them, each with a demo that runs it for real."""
