"""Who is told of tasks, and what is kept of them."""
