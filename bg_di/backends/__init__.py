"""Where tasks run: engines that keep them beyond the process, each in a package of its own."""
