"""`python -m bench`. Rule: the exit code is 0 only where every row that was asked for is met; Ctrl-C is 130."""

from __future__ import annotations

import sys

try:
    from bench.command import main

    sys.exit(main(sys.argv[1:]))
except KeyboardInterrupt:
    sys.exit(130)
