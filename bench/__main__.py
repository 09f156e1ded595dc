"""`python -m bench`. Rule: the exit code is 0 only where every row that was asked for is met."""

from __future__ import annotations

import sys

from bench.command import main

sys.exit(main(sys.argv[1:]))
