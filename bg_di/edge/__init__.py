"""Where bg_di meets Ellar: the only part, with the module and `testing`, that imports it."""
