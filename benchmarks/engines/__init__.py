"""What is measured of durable tasks on whichever engine, and of those that do the same work beside bg_di."""
