"""The tasks of one request, from the first that is added to the last that runs."""
