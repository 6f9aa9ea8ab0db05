"""``python -m bg_di``."""

import sys

from bg_di.commands.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
