"""The command line: ``python -m bg_di``, and ``ellar background-tasks`` where ellar-cli is installed."""
