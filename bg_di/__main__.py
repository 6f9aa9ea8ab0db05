"""``python -m bg_di``."""

import os
import sys

from bg_di.commands.main import main
from bg_di.commands.outcome import NOT_DONE


def _main() -> int:
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads it has seen enough, and the interpreter is not to try once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_DONE
    return code


sys.exit(_main())
