"""The benchmark: what Segue costs, measured beside its limits in one run. `python -m bench [ROW ...]`.

Rule: a limit is a ratio of two things measured in the same run, or a size or a time that any machine can keep; the
code under test is the one that users run, started as they start it.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark as its command line does; gives the exit code."""
    from bench import command  # its processes are modules of this package too, and need less than all of it

    return command.main(arguments)


__all__ = ["main"]
