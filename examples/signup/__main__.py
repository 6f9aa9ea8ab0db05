"""``python -m examples.signup``: run the demo; the exit code is 0 only if all that it promises has happened."""

import sys

from examples.signup.demo import main

sys.exit(main())
